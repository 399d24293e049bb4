//! Tasks that borrow.
//!
//! A pool's tasks live as long as they like, so what a pool takes must not borrow. A scope gives it
//! closures that do, as boxes that pretend not to, and keeps them on a short lead.
//!
//! # Why no borrow outlives its owner
//!
//! What could touch borrowed data is the user's closure (by running, or by its destructor) and what
//! it returns (by its destructor).
//!
//! * The pool never holds the closure. It holds a `Runner`, which owns nothing that borrows and
//!   has a share in a *slot*; in the slot is the closure, once.
//! * Whoever wants the closure takes it out, under the slot's lock: the runner when it runs, the
//!   runner when it is dropped unused (refused, cancelled, the pool broken), or the end of the scope,
//!   if the task is settled and its runner has not been dropped yet. The one that finds it uses it
//!   up, by a call or by a drop, with panics caught, and only then takes the *job* off the scope's
//!   list. The others find nothing.
//! * The job is on the list before the pool has heard of it. The scope ends when the list is empty.
//!   Nothing is added after that: what could submit is the scope's closure, which has returned, a
//!   job that runs, which is on the list, or the destructor of a job's closure, and that is too.
//! * The value goes into a place that the closure's box and the [`ScopedFuture`] share. The box's
//!   share ends with the box, before the job is off the list. The future's type has the scope's
//!   lifetime, so it is dropped while that lasts, or leaked, and then its value is never dropped.
//! * The payload of a panic borrows nothing: `Any` is for types without borrows.
//! * That all this happens is not left to destructors that somebody could forget to run: the scope
//!   is entered and left by one function that the user cannot get around. Its end is repeated until
//!   it has come to an end by itself.
//!
//! # Why the end comes
//!
//! A job's end, and a task that is settled, are noted under the list's lock, and the waiting end is
//! woken for them. A settled task's closure is dropped by the thread that settled it, or by the end
//! of the scope: so a callback in that thread that waits for this one does no harm. In a worker of
//! the pool, the end runs what is pending by itself, so a pool of one is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::error::{SubmitError, TaskError};
use super::future::Future;
use super::pool::{PoolHandle, ThreadPoolExecutor};
use super::status::FutureStatus;
use super::waitable::Waitable;
use super::waitable::sealed::{AwaitedRef, Sealed};
use super::watch::Watch;
use crate::facade::{Condvar, Mutex};
use crate::naming::Name;
use crate::panic::{self, Payload, drop_quietly};
use crate::waiting;

/// Takes closures that borrow; from [`ThreadPoolExecutor::scope`].
///
/// Tasks may submit more tasks to the scope that they run in:
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let sum = AtomicU32::new(0);
/// pool.scope(|scope| {
///     let _outer = scope.submit(|| {
///         let _inner = scope.submit(|| sum.fetch_add(1, Ordering::Relaxed)).unwrap();
///         sum.fetch_add(2, Ordering::Relaxed);
///     });
/// });
/// assert_eq!(sum.into_inner(), 3);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    pool: PoolHandle,
    jobs: Arc<Jobs>,
    /// The lifetimes are exactly these, no shorter ones: `'scope` for what tasks may use, which
    /// includes the scope itself, and `'env` for what was there before.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// The result of a task of a [`Scope`], to come. Dropping it lets the task run all the same.
///
/// It can be given to [`wait`](super::wait()) and [`as_completed`](super::as_completed()).
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let words = vec![String::from("a"), String::from("bc")];
/// let longest = pool.scope(|scope| {
///     let longest = scope.submit(|| words.iter().max_by_key(|word| word.len())).unwrap();
///     longest.result().unwrap()
/// });
/// assert_eq!(longest.unwrap(), "bc");
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[must_use = "a task whose future is dropped runs, but nobody learns how it ended"]
pub struct ScopedFuture<'scope, T> {
    /// Nobody takes the result of this one: it only says how the task has ended.
    future: Arc<Future<()>>,
    outcome: Arc<Place<T>>,
    scope: PhantomData<&'scope ()>,
}

impl ThreadPoolExecutor {
    /// Runs `f`, which may submit closures that borrow what lives outside, and returns when all of
    /// them are through.
    ///
    /// When it returns, or passes on a panic of `f`, every task of the scope has ended, or will
    /// never run; and every closure that was submitted is gone. A task that panics is that task's
    /// error, and not one of the scope (ours: [`std::thread::scope`] panics then).
    ///
    /// In a worker of this pool, tasks that no worker has begun are run here at the end. Elsewhere
    /// the end waits for the workers.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let mut numbers = [1, 2, 3, 4];
    /// let (low, high) = numbers.split_at_mut(2);
    /// let sum = pool.scope(|scope| {
    ///     let _doubled = scope.submit(|| low.iter_mut().for_each(|n| *n *= 2)).unwrap();
    ///     let sum = scope.submit(|| high.iter().sum::<i32>()).unwrap();
    ///     sum.result().unwrap()
    /// });
    /// assert_eq!(sum, 7);
    /// assert_eq!(numbers, [2, 4, 3, 4]);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    ///
    /// Two tasks cannot change the same thing:
    ///
    /// ```compile_fail
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2).unwrap();
    /// let mut count = 0;
    /// pool.scope(|scope| {
    ///     let _one = scope.submit(|| count += 1);
    ///     let _two = scope.submit(|| count += 1);
    /// });
    /// ```
    ///
    /// What belongs to the scope stays in it:
    ///
    /// ```compile_fail
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2).unwrap();
    /// let future = pool.scope(|scope| scope.submit(|| 1).unwrap());
    /// ```
    ///
    /// A task borrows what outlives the scope, not what the scope's closure has of its own:
    ///
    /// ```compile_fail
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2).unwrap();
    /// pool.scope(|scope| {
    ///     let word = String::from("short-lived");
    ///     let _length = scope.submit(|| word.len());
    /// });
    /// ```
    pub fn scope<'env, F, R>(&self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        let scope = Scope { pool: self.handle(), jobs: Arc::new(Jobs::new()), scope: PhantomData, env: PhantomData };
        let outcome = catch_unwind(AssertUnwindSafe(|| f(&scope)));
        // A panic in there would be another's (a destructor that a worker runs in passing), and must
        // not let us out before the end.
        while let Err(payload) = catch_unwind(AssertUnwindSafe(|| scope.jobs.finish())) {
            drop_quietly(payload);
        }
        match outcome {
            Ok(value) => value,
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Has `f` run by a worker, before the scope ends.
    ///
    /// # Errors
    ///
    /// [`SubmitError`], with the closure, if the pool has been shut down or is broken.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// pool.shutdown(true, false);
    /// let word = String::from("towline");
    /// let length = pool.scope(|scope| match scope.submit(|| word.len()) {
    ///     Ok(future) => future.result().unwrap(),
    ///     Err(refused) => refused.into_inner()(), // run it here instead
    /// });
    /// assert_eq!(length, 7);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn submit<F, T>(&'scope self, f: F) -> Result<ScopedFuture<'scope, T>, SubmitError<F>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        // In a place of its own, so that it can be had back from a pool that refuses it.
        let closure = Arc::new(Mutex::new(Some(f)));
        let outcome: Arc<Place<T>> = Arc::new(Mutex::new(None));
        let runner = {
            let (closure, outcome) = (Arc::clone(&closure), Arc::clone(&outcome));
            self.enter(Box::new(move || call(&closure, &outcome)))
        };
        let key = runner.key;
        match self.pool.submit(move || runner.run()) {
            Ok(future) => {
                let future = Arc::new(future);
                self.jobs.submitted(key, &future);
                future.watch(Arc::clone(&self.jobs) as Arc<dyn Watch>, key);
                Ok(ScopedFuture { future, outcome, scope: PhantomData })
            }
            Err(refused) => {
                let kind = refused.kind().clone();
                let f = closure.lock().take();
                // With the runner, which takes the job off the list.
                drop(refused);
                match f {
                    Some(f) => Err(SubmitError::new(f, kind)),
                    None => unreachable!("a task that was refused has not run"),
                }
            }
        }
    }

    /// Puts a job on the list.
    #[expect(unsafe_code, reason = "a pool takes nothing that borrows, and only the lifetime is in the way")]
    fn enter(&'scope self, work: Work<'scope>) -> Runner {
        // SAFETY: only the lifetime changes. The box, and so all that it borrows, is used and
        // dropped while `'scope` lasts, because
        // * it is in the slot below from the start, and whoever takes it out of there (`Runner::run`,
        //   or `Jobs::discard`) calls it or drops it at once, and takes the job off the list only
        //   after that;
        // * the only maker of scopes, `ThreadPoolExecutor::scope`, does not return, by any way,
        //   before the list has been seen empty, when nobody was left who could make it longer;
        // * `'scope` contains all of that call: the caller has a `&'scope Scope<'scope, '_>`, which
        //   is a borrow of that call's own variable, of exactly the lifetime that the box borrows for.
        let work = unsafe { mem::transmute::<Work<'scope>, Work<'static>>(work) };
        let slot = Arc::new(Mutex::new(Some(work)));
        Runner { key: self.jobs.enter(&slot), slot, jobs: Arc::clone(&self.jobs) }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let jobs = self.jobs.list.lock().live.len();
        f.debug_struct("Scope").field("jobs", &jobs).finish_non_exhaustive()
    }
}

impl<T> ScopedFuture<'_, T> {
    /// Waits until the task is done and returns its value; see [`Future::result`].
    ///
    /// # Errors
    ///
    /// As [`Future::result`].
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let text = String::from("no luck");
    /// pool.scope(|scope| {
    ///     let bad = scope.submit(|| -> u32 { panic!("{text}") }).unwrap();
    ///     assert_eq!(bad.result().unwrap_err().panic_message(), Some("no luck"));
    /// });
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn result(self) -> Result<T, TaskError> {
        let error = self.future.exception();
        self.take(error)
    }

    /// Waits until the task is done, but no longer than `timeout`; see [`Future::result_timeout`].
    ///
    /// # Errors
    ///
    /// As [`Future::result_timeout`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::ThreadPoolExecutor;
    /// use towline_threads::executor::TaskError;
    /// use towline_threads::sync::Event;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let go = Event::new();
    /// pool.scope(|scope| {
    ///     let mut future = scope.submit(|| go.wait()).unwrap();
    ///     let early = future.result_timeout(Duration::from_millis(1));
    ///     assert!(matches!(early, Err(TaskError::Timeout)));
    ///     go.set();
    ///     future.result_timeout(Duration::from_secs(60)).unwrap();
    /// });
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn result_timeout(&mut self, timeout: Duration) -> Result<T, TaskError> {
        let error = self.future.exception_timeout(timeout);
        self.take(error)
    }

    /// Cancels the task if no worker has taken it, and drops its closure; see [`Future::cancel`].
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// pool.scope(|scope| {
    ///     let future = scope.submit(|| ()).unwrap();
    ///     assert_eq!(future.cancel(), future.cancelled());
    /// });
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.future.cancel()
    }

    /// Whether the task has ended, in whichever way.
    pub fn done(&self) -> bool {
        self.future.done()
    }

    /// Whether a worker runs the task now.
    pub fn running(&self) -> bool {
        self.future.running()
    }

    /// Whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.future.cancelled()
    }

    /// How far the task has come.
    pub fn status(&self) -> FutureStatus {
        self.future.status()
    }

    /// The result, if `error` says that the task has run.
    fn take(&self, error: Option<TaskError>) -> Result<T, TaskError> {
        match error {
            None | Some(TaskError::Panicked(_)) => {
                let outcome = self.outcome.lock().take();
                outcome.ok_or(TaskError::Taken)?.map_err(TaskError::Panicked)
            }
            Some(error) => Err(error),
        }
    }
}

impl<T> Waitable for ScopedFuture<'_, T> {}

impl<T> Sealed for ScopedFuture<'_, T> {
    fn awaited(&self) -> AwaitedRef<'_> {
        AwaitedRef(&*self.future)
    }
}

impl<T> fmt::Debug for ScopedFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedFuture").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Runs the user's closure and leaves a result; what it returns is the text of a panic, if it was one.
type Work<'a> = Box<dyn FnOnce() -> Option<String> + Send + 'a>;

/// Where a job's work is until somebody takes it to use it up.
type Slot = Mutex<Option<Work<'static>>>;

/// Where a task leaves its result.
type Place<T> = Mutex<Option<Result<T, Payload>>>;

fn call<F, T>(closure: &Mutex<Option<F>>, outcome: &Place<T>) -> Option<String>
where
    F: FnOnce() -> T,
{
    let f = closure.lock().take()?;
    let result = catch_unwind(AssertUnwindSafe(f));
    let text = result.as_ref().err().map(|payload| panic::message(&**payload).to_owned());
    *outcome.lock() = Some(result);
    text
}

/// What the pool has of a job.
struct Runner {
    slot: Arc<Slot>,
    jobs: Arc<Jobs>,
    key: usize,
}

impl Runner {
    fn run(&self) {
        let work = self.slot.lock().take();
        let Some(work) = work else { return };
        let outcome = catch_unwind(AssertUnwindSafe(work));
        self.jobs.ended(self.key);
        // Passed on so that the pool knows how the task has ended; the hook has been called before.
        match outcome {
            Ok(None) => {}
            Ok(Some(text)) => resume_unwind(Box::new(text)),
            // A value that nobody wanted has panicked when it was dropped.
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.jobs.discard(self.key, &self.slot);
    }
}

/// What a scope has to wait for.
struct Jobs {
    list: Mutex<List>,
    changed: Condvar,
}

struct List {
    next_key: usize,
    /// The jobs whose work has not been used up.
    live: BTreeMap<usize, Job>,
    /// Keys of live jobs whose tasks will not run.
    settled: BTreeSet<usize>,
    /// The end of the scope has offered to run the jobs with lower keys.
    offered: usize,
    /// The end of the scope has had this one run, perhaps by another thread.
    awaited: Option<usize>,
    /// The end of the scope waits.
    parked: bool,
}

struct Job {
    slot: Arc<Slot>,
    /// There from when the pool has taken the task until the end of the scope offers to run it.
    future: Option<Arc<Future<()>>>,
}

/// What the end of a scope has to do.
enum Step {
    Discard(usize, Arc<Slot>),
    Run(usize, Arc<Future<()>>),
}

impl Jobs {
    fn new() -> Self {
        let (live, settled) = (BTreeMap::new(), BTreeSet::new());
        let list = List { next_key: 0, live, settled, offered: 0, awaited: None, parked: false };
        Self { list: Mutex::new(list), changed: Condvar::new() }
    }

    /// Puts a job on the list, and returns its key.
    fn enter(&self, slot: &Arc<Slot>) -> usize {
        let mut list = self.list.lock();
        let key = list.next_key;
        list.next_key += 1;
        list.live.insert(key, Job { slot: Arc::clone(slot), future: None });
        key
    }

    /// The pool has taken this job.
    fn submitted(&self, key: usize, future: &Arc<Future<()>>) {
        let mut list = self.list.lock();
        // It may have ended already.
        if let Some(job) = list.live.get_mut(&key) {
            job.future = Some(Arc::clone(future));
            list.offered = list.offered.min(key);
            if list.parked {
                self.changed.notify_all();
            }
        }
    }

    /// Drops a job's work, if it is still there.
    fn discard(&self, key: usize, slot: &Slot) {
        let work = slot.lock().take();
        if let Some(work) = work {
            drop_quietly(work);
            self.ended(key);
        }
    }

    /// Takes a job off the list. Only for whoever has used its work up.
    fn ended(&self, key: usize) {
        let mut list = self.list.lock();
        let job = list.live.remove(&key);
        list.settled.remove(&key);
        if list.parked && (list.live.is_empty() || list.awaited == Some(key)) {
            self.changed.notify_all();
        }
        drop(list);
        drop(job);
    }

    /// Returns when the list is empty.
    fn finish(&self) {
        while let Some(step) = self.next_step() {
            match step {
                Step::Discard(key, slot) => self.discard(key, &slot),
                Step::Run(key, future) => {
                    if future.help() {
                        self.list.lock().awaited = Some(key);
                    }
                }
            }
        }
    }

    /// Waits until there is something to do; `None` when the list is empty.
    fn next_step(&self) -> Option<Step> {
        let mut list = self.list.lock();
        let mut note = None;
        while !list.live.is_empty() {
            if let Some(key) = list.settled.pop_first() {
                if let Some(job) = list.live.get(&key) {
                    return Some(Step::Discard(key, Arc::clone(&job.slot)));
                }
                continue;
            }
            // One after the other: while another thread runs one for this thread, this one waits, so
            // that no more run at a time than there are workers.
            let busy = list.awaited.is_some_and(|key| list.live.contains_key(&key));
            if !busy && let Some((key, future)) = list.next_offer() {
                return Some(Step::Run(key, future));
            }
            note.get_or_insert_with(|| waiting::note("tasks in", &Name::given("scope")));
            list.parked = true;
            self.changed.wait(&mut list);
            list.parked = false;
        }
        None
    }
}

impl Watch for Jobs {
    /// Of those that have run, nothing is on the list any more.
    fn done(&self, key: usize) {
        let mut list = self.list.lock();
        if list.live.contains_key(&key) {
            list.settled.insert(key);
            if list.parked {
                self.changed.notify_all();
            }
        }
    }
}

impl List {
    /// The next job that the end of the scope has not offered to run.
    fn next_offer(&mut self) -> Option<(usize, Arc<Future<()>>)> {
        let next = self.live.range_mut(self.offered..).find_map(|(&key, job)| Some((key, job.future.take()?)));
        self.offered = next.as_ref().map_or(self.next_key, |(key, _)| key + 1);
        next
    }
}
