//! The result of a task, to come.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::cell::Verdict;
use super::error::TaskError;
use super::help;
use super::shared_future::SharedFuture;
use super::spin::spin;
use super::status::FutureStatus;
use super::task::{Outcome, call};
use super::watch::{Parker, Watch, Watcher};
use crate::deadline;
use crate::deadlock::{Deadlock, LOOK_AGAIN, Obstacle, PATIENCE, publish};
use crate::registry::Waiting;
use crate::waiting;

/// The result of a task, available once it is done. Dropping this does not stop the task.
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
///
/// A result can be taken once, and the types enforce it (CPython keeps it forever):
///
/// ```compile_fail,E0382
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(1).unwrap();
/// let future = pool.submit(|| 1).unwrap();
/// let first = future.result();
/// let second = future.result();
/// ```
///
/// # Async
///
/// It is also a [`std::future::Future`], with the same result, for any runtime: polling never
/// blocks, and dropping it does not stop the task.
#[must_use = "a task whose future is dropped runs, but nobody learns how it ended"]
pub struct Future<T> {
    outcome: Arc<dyn Outcome<T>>,
}

impl<T> Future<T> {
    pub(super) fn new(outcome: Arc<dyn Outcome<T>>) -> Self {
        Self { outcome }
    }

    /// Waits until the task is done and returns its value.
    ///
    /// In a worker of the task's own pool, a task that no worker has begun runs here and now, so
    /// tasks may wait for tasks to any depth (a documented deadlock in CPython). When much of the
    /// stack is used, another thread runs it instead.
    ///
    /// # Errors
    ///
    /// [`TaskError::Panicked`] with the payload, [`TaskError::Cancelled`], [`TaskError::Broken`]
    /// with the reason, [`TaskError::Taken`] if [`result_timeout`](Self::result_timeout) has
    /// already returned the result, [`TaskError::Deadlock`] if the task waits for the caller.
    pub fn result(self) -> Result<T, TaskError> {
        match self.wait_without_end() {
            Ok(()) => self.take(),
            Err(deadlock) => Err(TaskError::Deadlock(deadlock)),
        }
    }

    /// Waits until the task is done, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`TaskError::Timeout`] if the task is not done; the future can be used again. Otherwise as
    /// [`result`](Self::result). It never runs the task here, because that could take longer.
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
        match self.wait_within(timeout) {
            Ok(true) => self.take(),
            Ok(false) => Err(TaskError::Timeout),
            Err(deadlock) => Err(TaskError::Deadlock(deadlock)),
        }
    }

    /// Waits until the task is done and returns what went wrong, if anything. The result stays in
    /// place.
    ///
    /// For a panic, this returns the text; [`result`](Self::result) returns the payload.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let future = pool.submit(|| -> u32 { panic!("no luck") }).unwrap();
    /// assert_eq!(future.exception().unwrap().panic_message(), Some("no luck"));
    /// assert!(pool.submit(|| 1).unwrap().exception().is_none());
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn exception(&self) -> Option<TaskError> {
        match self.wait_without_end() {
            Ok(()) => self.what_went_wrong(),
            Err(deadlock) => Some(TaskError::Deadlock(deadlock)),
        }
    }

    /// Like [`exception`](Self::exception), but waits no longer than `timeout`:
    /// [`TaskError::Timeout`] if the task is not done by then.
    pub fn exception_timeout(&self, timeout: Duration) -> Option<TaskError> {
        match self.wait_within(timeout) {
            Ok(true) => self.what_went_wrong(),
            Ok(false) => Some(TaskError::Timeout),
            Err(deadlock) => Some(TaskError::Deadlock(deadlock)),
        }
    }

    /// Cancels the task if no worker has taken it.
    ///
    /// True if the task will never run, even if it was cancelled earlier. It is then done for
    /// everyone at once (in CPython, `wait` may hang on it); if this call cancelled it, its
    /// callbacks have run, in this thread. False if it is running or done.
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
        match self.outcome.settle(Verdict::Cancelled) {
            Some(callbacks) => {
                self.outcome.after_settling(callbacks);
                true
            }
            None => self.cancelled(),
        }
    }

    /// Whether the task has ended, in any way.
    pub fn done(&self) -> bool {
        self.status().is_done()
    }

    /// Whether the task is running now.
    pub fn running(&self) -> bool {
        self.status() == FutureStatus::Running
    }

    /// Whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.status() == FutureStatus::Cancelled
    }

    /// The status of the task.
    pub fn status(&self) -> FutureStatus {
        self.outcome.status()
    }

    /// Calls `f` when the task is done.
    ///
    /// Callbacks run in the order in which they were added, in the thread that completes the task:
    /// its worker, or the one that cancels it. If the task is already done, `f` runs at once, in
    /// this thread. A callback that panics is reported by the panic hook; the others still run.
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
        if let Err(Watcher::Callback(f)) = self.outcome.add(Watcher::Callback(Box::new(f))) {
            call(f, self.status());
        }
    }

    /// Calls `f` with the result when the task is done; nobody else gets it then.
    ///
    /// It is called as those of [`add_done_callback`](Self::add_done_callback) are.
    ///
    /// # Errors (passed to `f`)
    ///
    /// As [`result`](Self::result).
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let (told, hears) = mpsc::channel();
    /// pool.submit(|| 6 * 7).unwrap().on_done(move |result| told.send(result.unwrap()).unwrap());
    /// assert_eq!(hears.recv(), Ok(42));
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn on_done<C>(self, f: C)
    where
        C: FnOnce(Result<T, TaskError>) + Send + 'static,
        T: 'static,
    {
        let done = Self::new(Arc::clone(&self.outcome));
        self.add_done_callback(move |_| f(done.take()));
    }

    /// The payload of the panic that ended the task, which stays in place; `None` if the task is not done, or ended
    /// otherwise.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let mut future = pool.submit(|| std::panic::panic_any(17_u8)).unwrap();
    /// assert!(future.exception().is_some());
    /// let payload = future.panic_payload().unwrap();
    /// assert_eq!(payload.downcast_ref::<u8>(), Some(&17));
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn panic_payload(&mut self) -> Option<&(dyn Any + Send)> {
        self.outcome.panic_payload()
    }

    /// A result that several threads can wait for and read.
    pub fn shared(self) -> SharedFuture<T> {
        SharedFuture::new(self)
    }

    /// Waits until the task is done and returns its result; for owners who make sure that it is taken once.
    pub(super) fn wait_and_take(&self) -> Result<T, TaskError> {
        match self.wait_without_end() {
            Ok(()) => self.take(),
            Err(deadlock) => Err(TaskError::Deadlock(deadlock)),
        }
    }

    /// The same without taking it: whether the task is done within the time.
    pub(super) fn is_done_within(&self, timeout: Option<Duration>) -> Result<bool, Deadlock> {
        match timeout {
            Some(timeout) => self.wait_within(timeout),
            None => self.wait_without_end().map(|()| true),
        }
    }

    /// Calls `watch.done(key)` when the task is done; at once, if it already is.
    pub(super) fn watch(&self, watch: Arc<dyn Watch>, key: usize) {
        if let Err(Watcher::Watch(watch, key)) = self.outcome.add(Watcher::Watch(watch, key)) {
            watch.done(key);
        }
    }

    /// Removes every registration of `watch`.
    pub(super) fn unwatch(&self, watch: &Arc<dyn Watch>) {
        self.outcome.remove(watch);
    }

    /// In a worker of the task's pool: runs the task if it is pending. True if it was.
    pub(super) fn help(&self) -> bool {
        help::may_help(self.outcome.pool()) && self.outcome.is_pending() && {
            help::run(Arc::clone(&self.outcome).into_run());
            true
        }
    }

    /// Identifies the task among all live tasks.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.outcome).addr()
    }

    /// Waits until the task is done, and looks for deadlocks.
    fn wait_without_end(&self) -> Result<(), Deadlock> {
        if self.done() {
            return Ok(());
        }
        self.help();
        if spin(|| self.done()) {
            return Ok(());
        }
        let parker = Parker::new();
        let _registered = self.register(&parker);
        let _note = waiting::write(Waiting::Task);
        if parker.wait(deadline::after(PATIENCE)) {
            return Ok(());
        }
        let published = publish(Obstacle::Task(Arc::clone(&self.outcome).into_probe()))?;
        while !parker.wait(deadline::after(LOOK_AGAIN)) {
            published.look_again()?;
        }
        Ok(())
    }

    /// False if the task is not done when the time is up. A timeout beyond the clock's range is
    /// none, in every respect.
    fn wait_within(&self, timeout: Duration) -> Result<bool, Deadlock> {
        match deadline::after(timeout) {
            Some(deadline) => Ok(self.wait_until(deadline)),
            None => self.wait_without_end().map(|()| true),
        }
    }

    fn wait_until(&self, deadline: Instant) -> bool {
        if self.done() {
            return true;
        }
        let parker = Parker::new();
        let _registered = self.register(&parker);
        let _note = waiting::write(Waiting::Task);
        parker.wait(Some(deadline))
    }

    fn register(&self, parker: &Arc<Parker>) -> Registered<'_, T> {
        let watch: Arc<dyn Watch> = Arc::clone(parker) as Arc<dyn Watch>;
        self.watch(Arc::clone(&watch), 0);
        Registered { future: self, watch }
    }

    /// The result of a task that is done.
    fn take(&self) -> Result<T, TaskError> {
        match self.outcome.take() {
            Some(result) => result,
            None => Err(self.why_no_result()),
        }
    }

    fn why_no_result(&self) -> TaskError {
        match self.status() {
            FutureStatus::Cancelled => TaskError::Cancelled,
            FutureStatus::Broken => TaskError::Broken(self.outcome.broken().unwrap_or_else(|| "".into())),
            _ => TaskError::Taken,
        }
    }

    fn what_went_wrong(&self) -> Option<TaskError> {
        match self.status() {
            FutureStatus::Finished => None,
            FutureStatus::Panicked => Some(match self.outcome.panic_text() {
                Some(text) => TaskError::Panicked(Box::new(text)),
                None => TaskError::Taken,
            }),
            _ => Some(self.why_no_result()),
        }
    }
}

impl<T> std::future::Future for Future<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.done() && self.outcome.set_waker(context.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Future").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Removes the registration on drop, so that repeated waits leave nothing behind on the task.
struct Registered<'a, T> {
    future: &'a Future<T>,
    watch: Arc<dyn Watch>,
}

impl<T> Drop for Registered<'_, T> {
    fn drop(&mut self) {
        if !self.future.done() {
            self.future.unwatch(&self.watch);
        }
    }
}
