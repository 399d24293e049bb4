//! How a supervised run ended.

use super::interrupt::Interrupt;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// All threads ended, without an interrupt.
    Finished,
    /// The run was interrupted; this is the first interrupt. [`Crew::names`](super::Crew::names)
    /// lists the threads that did not end in time.
    Interrupted(Interrupt),
}
