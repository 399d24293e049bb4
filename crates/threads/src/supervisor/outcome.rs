//! How a supervised run ended.

use super::interrupt::Interrupt;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All threads have ended, and nobody interrupted.
    Finished,
    /// This was the first interrupt. [`Crew::names`](super::Crew::names) tells which threads did not
    /// end in time.
    Interrupted(Interrupt),
}
