//! The result of a task, to come.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::TaskError;
use super::task::Outcome;
use crate::deadline;

/// The result of a task, to come. Dropping it lets the task run all the same.
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::TaskError;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let good = pool.submit(|| 1 + 1).unwrap();
/// let bad = pool.submit(|| -> u32 { panic!("no luck") }).unwrap();
/// assert_eq!(good.result().unwrap(), 2);
/// let error = bad.result().unwrap_err();
/// assert_eq!(error.panic_message(), Some("no luck"));
/// assert!(matches!(error, TaskError::Panicked(_)));
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[must_use = "a task whose future is dropped runs, but nobody learns how it ended"]
pub struct Future<T> {
    outcome: Arc<dyn Outcome<T>>,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FutureStatus {
    /// No worker has taken the task yet.
    Pending,
    /// A worker runs it.
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

impl<T> Future<T> {
    pub(super) fn new(outcome: Arc<dyn Outcome<T>>) -> Self {
        Self { outcome }
    }

    /// Waits until the task is done and returns its value.
    ///
    /// # Errors
    ///
    /// [`TaskError::Panicked`] with the payload, [`TaskError::Cancelled`], [`TaskError::Broken`]
    /// with the reason, [`TaskError::Taken`] if [`result_timeout`](Self::result_timeout) has
    /// returned the result before.
    pub fn result(self) -> Result<T, TaskError> {
        self.outcome.take(None)
    }

    /// Waits until the task is done, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`TaskError::Timeout`] if the task is not done; the future stays good for another try.
    /// Else as [`result`](Self::result).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use towline_threads::{ThreadPoolExecutor, executor::TaskError, sync::Event};
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let go = Arc::new(Event::new());
    /// let waits = Arc::clone(&go);
    /// let mut future = pool.submit(move || waits.wait()).unwrap();
    /// let early = future.result_timeout(Duration::from_millis(1));
    /// assert!(matches!(early, Err(TaskError::Timeout)));
    /// go.set();
    /// assert!(future.result_timeout(Duration::from_secs(60)).is_ok());
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn result_timeout(&mut self, timeout: Duration) -> Result<T, TaskError> {
        self.outcome.take(deadline::after(timeout))
    }

    /// Cancels the task if no worker has taken it.
    ///
    /// True if the task never runs, also when it was cancelled before; it is done for everybody at
    /// once then, and its callbacks have run, in this thread. False if it is running or done.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let future = pool.submit(|| ()).unwrap();
    /// assert_eq!(future.cancel(), future.cancelled());
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.outcome.cancel()
    }

    /// Whether the task has ended, in whichever way.
    pub fn done(&self) -> bool {
        self.status().is_done()
    }

    /// Whether a worker runs the task now.
    pub fn running(&self) -> bool {
        self.status() == FutureStatus::Running
    }

    /// Whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.status() == FutureStatus::Cancelled
    }

    /// How far the task has come.
    pub fn status(&self) -> FutureStatus {
        self.outcome.status()
    }

    /// Has `f` called when the task is done.
    ///
    /// Callbacks run in the order in which they were added, in the thread that makes the task
    /// done: its worker, or the one that cancels it. If the task is done already, `f` runs now, in
    /// this thread. A callback that panics is reported by the panic hook; the others run all the
    /// same.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use towline_threads::{ThreadPoolExecutor, executor::FutureStatus};
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let (told, hears) = mpsc::channel();
    /// let future = pool.submit(|| "value").unwrap();
    /// future.add_done_callback(move |status| told.send(status).unwrap());
    /// assert_eq!(hears.recv(), Ok(FutureStatus::Finished));
    /// assert_eq!(future.result().unwrap(), "value");
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn add_done_callback<C>(&self, f: C)
    where
        C: FnOnce(FutureStatus) + Send + 'static,
    {
        self.outcome.add_done_callback(Box::new(f));
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Future").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl FutureStatus {
    /// Whether this is an end: no other status follows it.
    pub fn is_done(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}
