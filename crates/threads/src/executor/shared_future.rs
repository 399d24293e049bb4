//! A result that several threads wait for and read.
//!
//! The first who sees the task done moves the result out of it, once; everybody reads it where it is then.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::error::TaskError;
use super::future::Future;

/// The result of a task for several readers. Clones share it.
///
/// ```
/// use towline_threads::{ThreadPoolExecutor, thread};
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let shared = pool.submit(|| String::from("one for all")).unwrap().shared();
/// let other = shared.clone();
/// let reader = thread::spawn(move || other.result().unwrap().len());
/// assert_eq!(shared.result().unwrap(), "one for all");
/// assert_eq!(reader.join().unwrap(), 11);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub struct SharedFuture<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    future: Future<T>,
    result: OnceLock<Result<T, Ended>>,
}

/// Why there is no value, in a form that several threads can read.
enum Ended {
    Panicked(String),
    Cancelled,
    Broken(Arc<str>),
    Other,
}

impl<T> SharedFuture<T> {
    pub(super) fn new(future: Future<T>) -> Self {
        Self { inner: Arc::new(Inner { future, result: OnceLock::new() }) }
    }

    /// Waits until the task is done and returns its value, which stays in place.
    ///
    /// # Errors
    ///
    /// As [`Future::result`]. A panic is told by its text, as a `String`, because each reader gets it.
    pub fn result(&self) -> Result<&T, TaskError> {
        self.within(None)
    }

    /// Waits until the task is done, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`TaskError::Timeout`] if it is not done, otherwise as [`result`](Self::result).
    pub fn result_timeout(&self, timeout: Duration) -> Result<&T, TaskError> {
        self.within(Some(timeout))
    }

    /// Whether the task has ended, in any way.
    pub fn done(&self) -> bool {
        self.inner.result.get().is_some() || self.inner.future.done()
    }

    /// Cancels the task if no worker has taken it, as [`Future::cancel`].
    pub fn cancel(&self) -> bool {
        self.inner.future.cancel()
    }

    fn within(&self, timeout: Option<Duration>) -> Result<&T, TaskError> {
        let Inner { future, result } = &*self.inner;
        if result.get().is_none() {
            match future.is_done_within(timeout) {
                Ok(true) => {}
                Ok(false) => return Err(TaskError::Timeout),
                Err(deadlock) => return Err(TaskError::Deadlock(deadlock)),
            }
        }
        // It is done: nobody waits in here for more than the move.
        let result = result.get_or_init(|| future.wait_and_take().map_err(Ended::from));
        result.as_ref().map_err(|ended| match ended {
            Ended::Panicked(text) => TaskError::Panicked(Box::new(text.clone())),
            Ended::Cancelled => TaskError::Cancelled,
            Ended::Broken(reason) => TaskError::Broken(Arc::clone(reason)),
            Ended::Other => TaskError::Taken,
        })
    }
}

impl From<TaskError> for Ended {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Cancelled => Self::Cancelled,
            TaskError::Panicked(payload) => Self::Panicked(crate::panic::message(&*payload).to_owned()),
            TaskError::Broken(reason) => Self::Broken(reason),
            _ => Self::Other,
        }
    }
}

impl<T> Clone for SharedFuture<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for SharedFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFuture").field("status", &self.inner.future.status()).finish_non_exhaustive()
    }
}
