//! How far a task has come.

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FutureStatus {
    /// No worker has taken the task yet.
    Pending,
    /// A worker is running it.
    Running,
    /// It has returned.
    Finished,
    /// It has panicked.
    Panicked,
    /// It was cancelled before it ran.
    Cancelled,
    /// The pool broke before it ran.
    Broken,
}

impl FutureStatus {
    /// Whether the task has ended: no other status follows.
    pub fn is_done(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}
