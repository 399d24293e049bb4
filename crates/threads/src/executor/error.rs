//! What can go wrong with a pool, with a submission and with a task.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::deadlock::Deadlock;
use crate::panic;

/// Why a pool could not be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// A pool with 0 workers would never run anything.
    #[error("a pool needs at least one worker")]
    NoWorkers,
    /// The prefix of the threads' names contains a NUL byte.
    #[error("the prefix of the threads' names contains a NUL byte")]
    NameWithNul,
}

/// A closure that a pool refused, and why.
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// pool.shutdown(true, false);
/// let refused = pool.submit(|| 5).unwrap_err();
/// let task = refused.into_inner();
/// assert_eq!(task(), 5); // run it here instead
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub struct SubmitError<F> {
    task: F,
    kind: SubmitErrorKind,
}

/// Why a pool accepts no more tasks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitErrorKind {
    /// The pool has been shut down.
    #[error("the pool has been shut down")]
    ShutDown,
    /// The pool broke, for this reason.
    #[error("the pool is broken: {0}")]
    Broken(Arc<str>),
}

/// Why a task returned no value.
#[non_exhaustive]
pub enum TaskError {
    /// The task was cancelled before it ran.
    Cancelled,
    /// The task panicked with this payload.
    Panicked(Box<dyn Any + Send>),
    /// The task was not done when the time was up. Try again.
    Timeout,
    /// The pool broke before the task ran, for this reason.
    Broken(Arc<str>),
    /// An earlier [`result_timeout`](super::Future::result_timeout) took the result.
    Taken,
    /// The task waits, directly or through others, for whoever waits for it.
    Deadlock(Deadlock),
    /// The pool was shut down before the task could be submitted (by [`Map`](super::Map)).
    ShutDown,
}

impl<F> SubmitError<F> {
    pub(super) fn new(task: F, kind: SubmitErrorKind) -> Self {
        Self { task, kind }
    }

    /// Why the pool refused the closure.
    pub fn kind(&self) -> &SubmitErrorKind {
        &self.kind
    }

    /// Returns the closure.
    pub fn into_inner(self) -> F {
        self.task
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl<F> Error for SubmitError<F> {}

impl TaskError {
    /// The text of the panic, if this is one; a placeholder if the payload is not text.
    pub fn panic_message(&self) -> Option<&str> {
        match self {
            Self::Panicked(payload) => Some(panic::message(&**payload)),
            _ => None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the task was cancelled"),
            Self::Panicked(payload) => {
                write!(f, "the task panicked: {}", panic::message(&**payload))
            }
            Self::Timeout => f.write_str("the task was not done when the time was up"),
            Self::Broken(reason) => write!(f, "the pool broke before the task ran: {reason}"),
            Self::Taken => f.write_str("the task's result has been taken before"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::ShutDown => f.write_str("the pool was shut down before the task could be submitted"),
        }
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(&panic::message(&**payload)).finish(),
            Self::Timeout => f.write_str("Timeout"),
            Self::Broken(reason) => f.debug_tuple("Broken").field(reason).finish(),
            Self::Taken => f.write_str("Taken"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
            Self::ShutDown => f.write_str("ShutDown"),
        }
    }
}

impl Error for TaskError {}
