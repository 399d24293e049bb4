//! What went wrong in a supervised run.

use std::fmt;
use std::io;

use super::outcome::Outcome;

/// A supervised run in which something failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuperviseError {
    /// [`init_threads`](super::Supervised::init_threads) failed; the threads that it had started
    /// were told to stop.
    #[error("the threads could not be started")]
    Init(#[source] io::Error),
    /// One or more threads panicked; the others ran to their end.
    #[error("{} panicked: {}", threads(.panics.len()), list(.panics))]
    Panicked {
        /// The threads that panicked, in the order in which they did.
        panics: Vec<ThreadPanic>,
        /// How the run ended apart from that.
        outcome: Outcome,
    },
}

/// A thread that panicked, and the panic's text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadPanic {
    /// The thread's name.
    pub name: String,
    /// The text of the panic.
    pub message: String,
}

impl SuperviseError {
    /// The threads that panicked, in the order in which they did.
    pub fn panics(&self) -> &[ThreadPanic] {
        match self {
            Self::Init(_) => &[],
            Self::Panicked { panics, .. } => panics,
        }
    }

    /// How the run ended apart from the failure; `None` if it did not begin.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Init(_) => None,
            Self::Panicked { outcome, .. } => Some(*outcome),
        }
    }
}

impl fmt::Display for ThreadPanic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

fn threads(count: usize) -> String {
    if count == 1 { "a thread".to_owned() } else { format!("{count} threads") }
}

fn list(panics: &[ThreadPanic]) -> String {
    let texts: Vec<String> = panics.iter().map(ToString::to_string).collect();
    texts.join("; ")
}
