//! The errors of queues.

use std::error::Error;
use std::fmt;

/// An item that a queue refused, and why.
///
/// ```
/// use towline_threads::Queue;
/// use towline_threads::queue::PutErrorKind;
///
/// let queue = Queue::bounded(1);
/// queue.put("first").unwrap();
/// let error = queue.try_put("second").unwrap_err();
/// assert_eq!(error.kind(), PutErrorKind::Full);
/// assert_eq!(error.into_inner(), "second");
/// ```
pub struct PutError<T> {
    item: T,
    kind: PutErrorKind,
}

/// Why a queue refused an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutErrorKind {
    /// The queue was full, and the call does not wait.
    Full,
    /// The queue was still full when the time was up.
    Timeout,
    /// The queue has been shut down.
    ShutDown,
}

/// Why a queue returned no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The queue was empty, and the call does not wait.
    #[error("the queue is empty")]
    Empty,
    /// The queue was still empty when the time was up.
    #[error("the queue was still empty when the time was up")]
    Timeout,
    /// The queue has been shut down and is empty.
    #[error("the queue has been shut down and is empty")]
    ShutDown,
}

/// `task_done` was called more often than items were put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("task_done was called more often than items were put")]
#[non_exhaustive]
pub struct TaskDoneError;

impl<T> PutError<T> {
    pub(super) fn new(item: T, kind: PutErrorKind) -> Self {
        Self { item, kind }
    }

    /// Why the queue refused the item.
    pub fn kind(&self) -> PutErrorKind {
        self.kind
    }

    /// Returns the item.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            PutErrorKind::Full => "the queue is full",
            PutErrorKind::Timeout => "the queue was still full when the time was up",
            PutErrorKind::ShutDown => "the queue has been shut down",
        })
    }
}

impl<T> Error for PutError<T> {}
