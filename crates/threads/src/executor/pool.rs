//! The pool: a backlog of tasks and the workers that take from it.
//!
//! State is under one lock, which user code never runs under. Why no pending task is forgotten:
//!
//! * A worker parks only if it finds the backlog empty, and ends only if it finds it empty after a
//!   shutdown, or the pool broken.
//! * A submission that finds parked workers notifies one. If there are not enough of them for the
//!   backlog, it starts another as long as it may; `workers` counts it from that moment.
//! * If a thread cannot be started and no worker is left (so nobody would ever look at the
//!   backlog), the pool breaks, which settles the backlog.
//! * A pool that breaks and a shutdown that cancels take the backlog under the lock, so each task
//!   in it is either taken by a worker or settled.

use std::cell::Cell;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::builder::ThreadPoolBuilder;
use super::error::{ExecutorError, SubmitError, SubmitErrorKind};
use super::future::Future;
use super::task::{Outcome, Run, Task, Verdict};
use crate::panic::{self, drop_quietly};
use crate::thread::{self, JoinHandle};

/// A pool of threads that run tasks.
///
/// Threads start one by one, when a task comes and none is idle. They are daemons with names
/// `prefix_0`, `prefix_1`, … and are listed by [`thread::enumerate`]. A task that panics is that
/// task's error; its worker lives on.
///
/// Dropping the pool is [`shutdown(true, false)`](Self::shutdown): it waits for all that has been
/// submitted.
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
pub struct ThreadPoolExecutor {
    shared: Arc<Shared>,
}

pub(super) type Initializer = Box<dyn Fn() -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync>;

pub(super) struct Settings {
    pub(super) max_workers: usize,
    pub(super) prefix: String,
    pub(super) initializer: Option<Initializer>,
}

struct Shared {
    settings: Settings,
    state: Mutex<State>,
    /// For workers: there is a task, or an end to it all.
    work: Condvar,
    /// For those who shut down: the last worker has ended.
    ended: Condvar,
}

struct State {
    backlog: VecDeque<Arc<dyn Run>>,
    /// Workers that are starting, running or parked.
    workers: usize,
    /// Workers that are parked.
    idle: usize,
    /// The number in the name of the next worker.
    next_worker: usize,
    handles: Vec<JoinHandle<()>>,
    shut_down: bool,
    broken: Option<Arc<str>>,
}

thread_local! {
    /// The address of the pool that this thread works for; 0 for none.
    static EMPLOYER: Cell<usize> = const { Cell::new(0) };
}

impl ThreadPoolExecutor {
    /// A pool of at most `max_workers` threads, with the default names.
    ///
    /// # Errors
    ///
    /// [`ExecutorError::NoWorkers`] if `max_workers` is 0.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// assert!(ThreadPoolExecutor::new(0).is_err());
    /// ```
    pub fn new(max_workers: usize) -> Result<Self, ExecutorError> {
        Self::builder().max_workers(max_workers).build()
    }

    /// A pool with settings of its own.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::new()
    }

    pub(super) fn start(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                state: Mutex::new(State {
                    backlog: VecDeque::new(),
                    workers: 0,
                    idle: 0,
                    next_worker: 0,
                    handles: Vec::new(),
                    shut_down: false,
                    broken: None,
                }),
                work: Condvar::new(),
                ended: Condvar::new(),
            }),
        }
    }

    /// Has `f` run by a worker. Tasks start in the order in which they are submitted.
    ///
    /// If no thread at all can be started for it, the pool breaks, and the future says so.
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
        let task: Arc<Task<F, T>> = Arc::new(Task::new(f));
        let new_worker = {
            let mut state = self.shared.state.lock();
            if let Some(refusal) = state.refusal() {
                drop(state);
                return Err(SubmitError::new(task.reclaim(), refusal));
            }
            let as_run: Arc<dyn Run> = task.clone();
            state.backlog.push_back(as_run);
            if state.idle > 0 {
                self.shared.work.notify_one();
            }
            state.hire(self.shared.settings.max_workers)
        };
        if let Some(number) = new_worker {
            start_worker(&self.shared, number);
        }
        let as_outcome: Arc<dyn Outcome<T>> = task;
        Ok(Future::new(as_outcome))
    }

    /// The most workers that run at a time.
    pub fn max_workers(&self) -> usize {
        self.shared.settings.max_workers
    }

    /// Takes no more tasks; with `cancel_futures` also cancels those that have not started; with
    /// `wait` returns only when all workers have ended.
    ///
    /// May be called again, also with other arguments. In a worker of this pool (in a task, in a
    /// callback that runs there) it does not wait, for that would be to wait for itself.
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
        let backlog = {
            let mut state = self.shared.state.lock();
            state.shut_down = true;
            self.shared.work.notify_all();
            if cancel_futures { std::mem::take(&mut state.backlog) } else { VecDeque::new() }
        };
        settle_all(backlog, &Verdict::Cancelled);
        if wait && !self.shared.employs_this_thread() {
            self.shared.wait_for_workers();
        }
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.shutdown(true, false);
    }
}

impl fmt::Debug for ThreadPoolExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("ThreadPoolExecutor")
            .field("prefix", &self.shared.settings.prefix)
            .field("max_workers", &self.shared.settings.max_workers)
            .field("workers", &state.workers)
            .field("backlog", &state.backlog.len())
            .field("shut_down", &state.shut_down)
            .field("broken", &state.broken)
            .finish_non_exhaustive()
    }
}

impl State {
    fn refusal(&self) -> Option<SubmitErrorKind> {
        if let Some(reason) = &self.broken {
            Some(SubmitErrorKind::Broken(Arc::clone(reason)))
        } else if self.shut_down {
            Some(SubmitErrorKind::ShutDown)
        } else {
            None
        }
    }

    /// Counts one more worker in, if the parked ones are too few and there may be more.
    fn hire(&mut self, max_workers: usize) -> Option<usize> {
        if self.backlog.len() <= self.idle || self.workers >= max_workers {
            return None;
        }
        self.workers += 1;
        let number = self.next_worker;
        self.next_worker += 1;
        Some(number)
    }
}

impl Shared {
    fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }

    fn employs_this_thread(self: &Arc<Self>) -> bool {
        EMPLOYER.try_with(Cell::get).unwrap_or(0) == self.address()
    }

    fn wait_for_workers(&self) {
        let handles = {
            let mut state = self.state.lock();
            while state.workers > 0 {
                self.ended.wait(&mut state);
            }
            std::mem::take(&mut state.handles)
        };
        for handle in handles {
            // Workers catch every panic; this only waits until the threads are off the list.
            let _ = handle.join();
        }
    }

    /// Ends all that is pending with `reason`, and everything that is submitted from now on.
    fn break_down(&self, reason: String) {
        let reason: Arc<str> = reason.into();
        let backlog = {
            let mut state = self.state.lock();
            state.broken.get_or_insert_with(|| Arc::clone(&reason));
            self.work.notify_all();
            std::mem::take(&mut state.backlog)
        };
        settle_all(backlog, &Verdict::Broken(reason));
    }

    /// Counts a worker out; true if tasks are left and nobody to run them.
    fn worker_ended(&self) -> bool {
        let mut state = self.state.lock();
        state.workers -= 1;
        if state.workers == 0 {
            self.ended.notify_all();
        }
        state.workers == 0 && !state.backlog.is_empty()
    }

    /// The next task; `None` when it is time to end.
    fn next_task(&self) -> Option<Arc<dyn Run>> {
        let mut state = self.state.lock();
        loop {
            if let Some(task) = state.backlog.pop_front() {
                return Some(task);
            }
            if state.shut_down || state.broken.is_some() {
                return None;
            }
            state.idle += 1;
            self.work.wait(&mut state);
            state.idle -= 1;
        }
    }
}

/// Starts the worker that has been counted in under this number.
fn start_worker(shared: &Arc<Shared>, number: usize) {
    let own = Arc::clone(shared);
    let started = thread::Builder::new()
        .name(format!("{}_{number}", shared.settings.prefix))
        .daemon(true)
        .spawn(move || work(&own));
    match started {
        Ok(handle) => shared.state.lock().handles.push(handle),
        Err(error) => {
            if shared.worker_ended() {
                shared.break_down(format!("no thread could be started: {error}"));
            }
        }
    }
}

/// Counts its worker out, whichever way the worker ends.
struct Employed<'a>(&'a Shared);

impl Drop for Employed<'_> {
    fn drop(&mut self) {
        self.0.worker_ended();
    }
}

/// The life of a worker.
fn work(shared: &Arc<Shared>) {
    EMPLOYER.set(shared.address());
    let _employed = Employed(shared);
    if let Err(reason) = initialize(shared) {
        shared.break_down(reason);
    }
    // A pool that has just broken has no backlog, and this loop ends at once.
    while let Some(task) = shared.next_task() {
        // What the last owner of a task drops is user code too.
        let outcome = catch_unwind(AssertUnwindSafe(move || {
            task.run();
            drop(task);
        }));
        if let Err(payload) = outcome {
            drop_quietly(payload);
        }
    }
}

fn initialize(shared: &Shared) -> Result<(), String> {
    let Some(initializer) = &shared.settings.initializer else {
        return Ok(());
    };
    // The error's text and destructor are user code as well.
    let run = || initializer().map_err(|error| error.to_string());
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("the initializer failed: {error}")),
        Err(payload) => {
            let reason = format!("the initializer panicked: {}", panic::message(&*payload));
            drop_quietly(payload);
            Err(reason)
        }
    }
}

/// Makes all of them done first, and then runs their callbacks; `task.rs` says why.
fn settle_all(backlog: VecDeque<Arc<dyn Run>>, verdict: &Verdict) {
    let settled: Vec<Arc<dyn Run>> = backlog.into_iter().filter(|task| task.settle(verdict.clone())).collect();
    for task in settled {
        task.after_settling();
    }
}
