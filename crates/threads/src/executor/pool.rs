//! The pool: a backlog of tasks and the workers that take from it.
//!
//! Why no pending task is forgotten, besides what `backlog.rs` argues:
//!
//! * A submission that nobody heard hires a worker as long as there may be another; it is counted
//!   from that moment.
//! * If a thread cannot be started and no worker is left (so nobody would ever look at the
//!   backlog), the pool breaks, which settles the backlog.
//! * A pool that breaks and a shutdown that cancels take the backlog under its locks, so each task
//!   in it is either taken by a worker or settled.
//!
//! No user code runs under a lock.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64 as PlainU64;
use std::sync::{Arc, LazyLock, Weak};

use parking_lot::Mutex as PlainMutex;

use super::backlog::{Backlog, Pushed};
use super::builder::ThreadPoolBuilder;
use super::cell::Verdict;
use super::error::{ExecutorError, SubmitError, SubmitErrorKind};
use super::future::Future;
use super::help;
use super::task::{Run, Task};
use super::watch::Callback;
use crate::agent;
use crate::deadlock::Progress;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::{Condvar, Mutex};
use crate::panic::{self, drop_quietly};
use crate::registry::Waiting;
use crate::thread::{self, JoinHandle};
use crate::waiting;

/// A pool of threads that run tasks.
///
/// Threads start one by one, when a task comes and none is idle. They are daemons with names
/// `prefix_0`, `prefix_1`, … and are listed by [`thread::enumerate`]. A task that panics is that
/// task's error; its worker lives on. A task may wait for other tasks of the same pool
/// ([`Future::result`]), however small the pool is.
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
///
/// A task cannot borrow what may be gone when it runs; [`scope`](Self::scope) is for that:
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
}

/// Submits to a pool without keeping it alive: once the pool is gone, submissions are refused.
#[derive(Clone)]
pub(super) struct PoolHandle {
    shared: Arc<Shared>,
}

pub(super) type Initializer = Box<dyn Fn() -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync>;

pub(super) struct Settings {
    pub(super) max_workers: usize,
    pub(super) prefix: String,
    pub(super) initializer: Option<Initializer>,
}

/// What the pool, its workers and its tasks have in common.
pub(super) struct Shared {
    id: u64,
    settings: Settings,
    backlog: Backlog<Arc<dyn Run>>,
    staff: Mutex<Staff>,
    /// `staff.workers`, for submitters that only want to know whether there may be more.
    workers: AtomicUsize,
    /// For those who shut down: a thread has ended.
    ended: Condvar,
}

struct Staff {
    /// Workers that are starting, running or parked.
    workers: usize,
    /// Threads that run one awaited task and end.
    compensating: usize,
    /// The number in the name of the next thread.
    next_worker: usize,
    /// The workers that have begun, by the numbers of their threads.
    threads: Vec<u32>,
    /// The compensating threads that have begun, likewise.
    standing_in: Vec<u32>,
    handles: Vec<JoinHandle<()>>,
    broken: Option<Arc<str>>,
}

/// All pools by number, for those who look for deadlocks.
static POOLS: PlainMutex<BTreeMap<u64, Weak<Shared>>> = PlainMutex::new(BTreeMap::new());

/// The stack of a worker: the standard library's, but never so small that `help.rs` would use it up.
static STACK_BYTES: LazyLock<usize> = LazyLock::new(|| {
    let asked = std::env::var("RUST_MIN_STACK").ok().and_then(|bytes| bytes.parse().ok());
    asked.unwrap_or(0).max(4 * help::STACK_BEFORE_COMPENSATING)
});

/// 0 is no pool's number.
static NEXT_ID: PlainU64 = PlainU64::new(1);

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
        let shared = Arc::new(Shared {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            settings,
            backlog: Backlog::new(),
            staff: Mutex::new(Staff {
                workers: 0,
                compensating: 0,
                next_worker: 0,
                threads: Vec::new(),
                standing_in: Vec::new(),
                handles: Vec::new(),
                broken: None,
            }),
            workers: AtomicUsize::new(0),
            ended: Condvar::new(),
        });
        POOLS.lock().insert(shared.id, Arc::downgrade(&shared));
        Self { shared }
    }

    pub(super) fn handle(&self) -> PoolHandle {
        PoolHandle { shared: Arc::clone(&self.shared) }
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
        self.shared.submit(f)
    }

    /// The most workers that run at a time.
    pub fn max_workers(&self) -> usize {
        self.shared.settings.max_workers
    }

    /// Takes no more tasks; with `cancel_futures` also cancels those that have not started; with
    /// `wait` returns only when all workers have ended.
    ///
    /// May be called again, also with other arguments, and from several threads at once. In a
    /// worker of this pool (in a task, in a callback that runs there) it does not wait, for that
    /// would be to wait for itself.
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
        let cancelled = self.shared.backlog.close(cancel_futures);
        settle_all(cancelled, &Verdict::Cancelled);
        if wait && !help::may_help(self.shared.id) {
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
        // What `f` writes to is not ours: not under the lock.
        let (workers, broken) = {
            let staff = self.shared.staff.lock();
            (staff.workers, staff.broken.clone())
        };
        f.debug_struct("ThreadPoolExecutor")
            .field("prefix", &self.shared.settings.prefix)
            .field("max_workers", &self.shared.settings.max_workers)
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
        self.shared.submit(f)
    }
}

/// Who could begin a pending task of this pool.
pub(super) fn who_could_begin(pool: u64) -> Progress {
    let shared = POOLS.lock().get(&pool).and_then(Weak::upgrade);
    match shared {
        Some(shared) => shared.who_could_begin(),
        None => Progress::Free,
    }
}

impl Shared {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Takes up to four tasks off the backlog's end that somebody has run in place.
    pub(super) fn take_shells(&self) -> [Option<Arc<dyn Run>>; 4] {
        self.backlog.take_shells(|task| !task.is_pending())
    }

    fn submit<F, T>(self: &Arc<Self>, f: F) -> Result<Future<T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let task = Arc::new(Task::new(f, self.id));
        match self.backlog.push(Arc::clone(&task) as Arc<dyn Run>) {
            Ok(Pushed::Heard) => {}
            Ok(Pushed::Unheard) => {
                if self.workers.load(Ordering::Relaxed) < self.settings.max_workers {
                    self.hire();
                }
            }
            Err(refused) => {
                drop(refused);
                let Some(task) = Arc::into_inner(task) else {
                    unreachable!("a task that was refused has one owner");
                };
                return Err(SubmitError::new(task.reclaim(), self.refusal()));
            }
        }
        Ok(Future::new(task))
    }

    fn refusal(&self) -> SubmitErrorKind {
        match &self.staff.lock().broken {
            Some(reason) => SubmitErrorKind::Broken(Arc::clone(reason)),
            None => SubmitErrorKind::ShutDown,
        }
    }

    /// Starts another worker, if there may be one more.
    #[cold]
    fn hire(self: &Arc<Self>) {
        let number = {
            let mut staff = self.staff.lock();
            if staff.workers >= self.settings.max_workers {
                return;
            }
            staff.workers += 1;
            self.workers.store(staff.workers, Ordering::Relaxed);
            staff.next_number()
        };
        let own = Arc::clone(self);
        if let Err(error) = self.start_thread(number, move || work(&own))
            && self.worker_ended()
        {
            self.break_down(format!("no thread could be started: {error}"));
        }
    }

    /// Has `task` run by a thread of its own; by this one if there cannot be another.
    #[cold]
    pub(super) fn compensate(self: &Arc<Self>, task: Arc<dyn Run>) {
        let number = {
            let mut staff = self.staff.lock();
            staff.compensating += 1;
            staff.next_number()
        };
        let own = Arc::clone(self);
        let awaited = Arc::clone(&task);
        if self.start_thread(number, move || compensate_here(&own, &awaited)).is_err() {
            self.compensating_ended(None);
            task.run();
        }
    }

    fn start_thread(&self, number: usize, f: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let name = format!("{}_{number}", self.settings.prefix);
        let handle = thread::Builder::new().name(name).daemon(true).stack_size(*STACK_BYTES).spawn(f)?;
        // Whoever waits for the workers takes these when the last of them has ended. One that ends
        // before its handle is here is off the list of threads by then all the same, or nearly.
        let mut staff = self.staff.lock();
        staff.handles.retain(JoinHandle::is_alive);
        staff.handles.push(handle);
        Ok(())
    }

    fn wait_for_workers(&self) {
        let handles = {
            let mut staff = self.staff.lock();
            // A task that was pushed before the end may be waiting for its worker to be hired.
            while staff.workers > 0 || staff.compensating > 0 || self.backlog.len() > 0 {
                self.ended.wait(&mut staff);
            }
            std::mem::take(&mut staff.handles)
        };
        for handle in handles {
            // Workers catch every panic; this only waits until the threads are off the list.
            let _ = handle.join();
        }
    }

    /// Ends all that is pending with `reason`, and everything that is submitted from now on.
    fn break_down(&self, reason: String) {
        let reason: Arc<str> = reason.into();
        self.staff.lock().broken.get_or_insert_with(|| Arc::clone(&reason));
        let backlog = self.backlog.close(true);
        settle_all(backlog, &Verdict::Broken(reason));
        // Under the lock, so that whoever waits has either looked before or is told.
        let _staff = self.staff.lock();
        self.ended.notify_all();
    }

    /// Counts a worker out; true if tasks are left and nobody to run them.
    fn worker_ended(&self) -> bool {
        let mut staff = self.staff.lock();
        staff.workers -= 1;
        self.workers.store(staff.workers, Ordering::Relaxed);
        self.ended.notify_all();
        staff.workers == 0 && self.backlog.len() > 0
    }

    /// Counts a compensating thread out; `thread` is its number if it had begun.
    fn compensating_ended(&self, thread: Option<u32>) {
        let mut staff = self.staff.lock();
        staff.standing_in.retain(|&other| Some(other) != thread);
        staff.compensating -= 1;
        self.ended.notify_all();
    }

    fn who_could_begin(&self) -> Progress {
        let staff = self.staff.lock();
        // A compensating thread that has not begun is about to run what is awaited.
        let all_have_begun = staff.threads.len() == staff.workers && staff.standing_in.len() == staff.compensating;
        if !all_have_begun || staff.workers < self.settings.max_workers {
            return Progress::Free;
        }
        Progress::PendingFor(staff.threads.iter().chain(&staff.standing_in).copied().collect())
    }

    fn initialize(&self) -> Result<(), String> {
        let Some(initializer) = &self.settings.initializer else {
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
}

impl Drop for Shared {
    fn drop(&mut self) {
        POOLS.lock().remove(&self.id);
    }
}

impl Staff {
    fn next_number(&mut self) -> usize {
        let number = self.next_worker;
        self.next_worker += 1;
        number
    }
}

/// Counts its worker out, whichever way the worker ends.
struct Employed<'a> {
    shared: &'a Shared,
    thread: u32,
}

impl Drop for Employed<'_> {
    fn drop(&mut self) {
        self.shared.staff.lock().threads.retain(|&thread| thread != self.thread);
        self.shared.worker_ended();
    }
}

/// Does the same for a compensating thread.
struct StandingIn<'a> {
    shared: &'a Shared,
    thread: u32,
}

impl Drop for StandingIn<'_> {
    fn drop(&mut self) {
        self.shared.compensating_ended(Some(self.thread));
    }
}

/// The life of a worker.
fn work(shared: &Arc<Shared>) {
    let _employment = help::employ(shared);
    let thread = agent::current().thread();
    shared.staff.lock().threads.push(thread);
    let _employed = Employed { shared, thread };
    if let Err(reason) = shared.initialize() {
        shared.break_down(reason);
    }
    // A pool that has just broken has no backlog, and this loop ends at once.
    while let Some(task) = shared.backlog.pop(|| waiting::write(Waiting::Work)) {
        run_quietly(task);
    }
}

/// The life of a thread that stands in for a worker which waits.
fn compensate_here(shared: &Arc<Shared>, awaited: &Arc<dyn Run>) {
    let _employment = help::employ(shared);
    let thread = agent::current().thread();
    shared.staff.lock().standing_in.push(thread);
    let _standing_in = StandingIn { shared, thread };
    match shared.initialize() {
        Ok(()) => run_quietly(Arc::clone(awaited)),
        Err(reason) => {
            shared.break_down(reason.clone());
            settle_all(VecDeque::from([Arc::clone(awaited)]), &Verdict::Broken(reason.into()));
        }
    }
}

/// What the last owner of a task drops is user code too.
fn run_quietly(task: Arc<dyn Run>) {
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        task.run();
        drop(task);
    }));
    if let Err(payload) = outcome {
        drop_quietly(payload);
    }
}

/// Makes all of them done first, and then runs their callbacks; `task.rs` says why.
fn settle_all(backlog: VecDeque<Arc<dyn Run>>, verdict: &Verdict) {
    let settled: Vec<(Arc<dyn Run>, Vec<Callback>)> = backlog
        .into_iter()
        .filter_map(|task| match task.settle(verdict.clone()) {
            Some(callbacks) => Some((task, callbacks)),
            None => {
                // It has run in place, and this may be its last owner.
                drop_quietly(task);
                None
            }
        })
        .collect();
    for (task, callbacks) in settled {
        task.after_settling(callbacks);
        drop_quietly(task);
    }
}
