//! The pool as its users see it: submissions and the shutdown.

use std::fmt;
use std::sync::Arc;

use super::error::SubmitError;
use super::future::Future;
use super::help;
use super::shared::{Settings, Shared};
use super::task::{Run, Task};
use crate::thread::ThreadInfo;

/// A pool of threads that run tasks.
///
/// Threads start one by one, when a task arrives and none is idle. They are daemons with names
/// `prefix_0`, `prefix_1`, …, listed by [`thread::enumerate`](crate::thread::enumerate). A panic is
/// the error of its task; the worker keeps running. A task may wait for other tasks of the same
/// pool ([`Future::result`]), however small the pool is.
///
/// Dropping the pool calls [`shutdown(true, false)`](Self::shutdown), which waits for all submitted
/// tasks.
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let words = ["a", "bc", "def"];
/// let lengths: Vec<_> = words
///     .map(|word| pool.submit(move || word.len()).unwrap())
///     .into_iter()
///     .map(|future| future.result().unwrap())
///     .collect();
/// assert_eq!(lengths, [1, 2, 3]);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
///
/// A task cannot borrow data that may be gone when it runs; [`scope`](Self::scope) is for that:
///
/// ```compile_fail,E0373
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(1).unwrap();
/// let word = String::from("short-lived");
/// let future = pool.submit(|| word.len());
/// ```
pub struct ThreadPoolExecutor {
    shared: Arc<Shared>,
    /// Whether dropping it does not wait.
    is_detached: bool,
}

/// Submits to a pool without keeping it alive: once the pool is gone, submissions are refused.
#[derive(Clone)]
pub(super) struct PoolHandle {
    shared: Arc<Shared>,
}

impl ThreadPoolExecutor {
    pub(super) fn start(settings: Settings) -> Self {
        Self { shared: Shared::new(settings), is_detached: false }
    }

    pub(super) fn handle(&self) -> PoolHandle {
        PoolHandle { shared: Arc::clone(&self.shared) }
    }

    /// Submits `f` for a worker to run. Tasks start in the order in which they are submitted.
    ///
    /// If the pool cannot start any thread, it breaks, and the future returns the reason.
    ///
    /// # Errors
    ///
    /// [`SubmitError`], with the closure, if the pool has been shut down or is broken.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// assert_eq!(pool.submit(|| 7 * 6).unwrap().result().unwrap(), 42);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn submit<F, T>(&self, f: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, f)
    }

    /// The maximum number of workers.
    pub fn max_workers(&self) -> usize {
        self.shared.staff.max_workers()
    }

    /// Stops accepting tasks. With `cancel_futures`, also cancels those that have not started; with
    /// `wait`, returns only when all workers have ended.
    ///
    /// May be called again, even with other arguments, and from several threads at once. In a
    /// worker of this pool (in a task, or in a callback that runs there) it does not wait, because
    /// the worker would wait for itself.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let future = pool.submit(|| 1).unwrap();
    /// pool.shutdown(true, false);
    /// assert!(future.done());
    /// pool.shutdown(true, true); // nothing is left to do
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        self.shared.close(cancel_futures);
        if wait && !help::may_help(self.shared.id()) {
            self.shared.wait_for_workers();
        }
    }
}

impl ThreadPoolExecutor {
    /// Why the pool is broken, if it is: a thread could not be started, or an initializer failed. Nothing runs any more.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(|| Err("no licence".into())).build()?;
    /// assert_eq!(pool.broken(), None);
    /// pool.submit(|| 1).unwrap().result().unwrap_err();
    /// assert!(pool.broken().unwrap().contains("no licence"));
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn broken(&self) -> Option<Arc<str>> {
        self.shared.staff.broken()
    }

    /// Whether the pool is broken: [`broken`](Self::broken) says why.
    pub fn is_broken(&self) -> bool {
        self.broken().is_some()
    }

    /// Lets the pool go without waiting, as CPython does when it drops one: no task is accepted any more, and those that were
    /// submitted still run, as long as the process lives.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let future = pool.submit(|| 7).unwrap();
    /// pool.detach(); // does not wait for the task
    /// assert_eq!(future.result().unwrap(), 7);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn detach(mut self) {
        self.is_detached = true;
        self.shutdown(false, false);
    }

    /// The pool's live workers, by age. [`ThreadInfo::join`] waits for one of them to end.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// pool.submit(|| ()).unwrap().result().unwrap();
    /// let workers = pool.workers();
    /// assert_eq!(workers.len(), 1);
    /// pool.shutdown(false, false);
    /// workers[0].join().unwrap();
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn workers(&self) -> Vec<ThreadInfo> {
        self.shared.staff.infos()
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        if !self.is_detached {
            self.shutdown(true, false);
        }
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: `f` may run foreign code.
        let (workers, broken) = (self.shared.staff.workers(), self.shared.staff.broken());
        f.debug_struct("ThreadPoolExecutor")
            .field("prefix", &self.shared.settings.prefix)
            .field("max_workers", &self.shared.staff.max_workers())
            .field("workers", &workers)
            .field("backlog", &self.shared.backlog.len())
            .field("shut_down", &self.shared.backlog.is_closed())
            .field("broken", &broken)
            .finish_non_exhaustive()
    }
}

impl PoolHandle {
    pub(super) fn submit<F, T>(&self, f: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(&self.shared, f)
    }
}

fn submit<F, T>(shared: &Arc<Shared>, f: F) -> Result<Future<T>, SubmitError<F>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let task = Arc::new(Task::new(f, shared.id()));
    if let Err(refused) = shared.push(Arc::clone(&task) as Arc<dyn Run>) {
        drop(refused);
        let Some(task) = Arc::into_inner(task) else {
            unreachable!("a task that was refused has one owner");
        };
        return Err(SubmitError::new(task.reclaim(), shared.refusal()));
    }
    Ok(Future::new(task))
}
