//! Tasks that borrow.
//!
//! A pool's tasks may outlive their submitter, so a pool accepts only closures that do not borrow.
//! A scope gives it closures that do, in boxes that hide the borrow, and ensures that they are gone
//! before what they borrow.
//!
//! # Why no borrow outlives its owner
//!
//! Borrowed data can be accessed by the user's closure (when it runs, or by its destructor) and by
//! what it returns (by its destructor).
//!
//! * The pool never holds the closure. It holds a `Runner`, which owns nothing that borrows and
//!   shares a *slot*; the slot holds the only copy of the closure.
//! * The closure is taken out under the slot's lock: by the runner when it runs, by the runner when
//!   it is dropped unused (refused, cancelled, the pool broken), or by the end of the scope, if the
//!   task is settled and its runner has not been dropped yet. The one that finds it uses it up, by
//!   a call or by a drop, with panics caught, and only then removes the *job* from the scope's
//!   list. The others find nothing.
//! * The job is on the list before the pool learns of it. The scope ends when the list is empty.
//!   Nothing is added after that: only the scope's closure could submit, which has returned, or a
//!   running job, which is on the list, or the destructor of a job's closure, whose job is on the
//!   list too.
//! * The value goes into a place that the closure's box and the [`ScopedFuture`] share. The box
//!   gives up its share when it is dropped, before the job leaves the list. The future's type has
//!   the scope's lifetime, so it is dropped within that lifetime, or it is leaked and its value is
//!   never dropped.
//! * The payload of a panic borrows nothing: `Any` requires `'static`.
//! * None of this relies on a destructor that could be forgotten: one function, which the user
//!   cannot bypass, enters and leaves the scope. It repeats the end of the scope until that returns
//!   without a panic.
//!
//! # Why the scope ends
//!
//! The end of a job and the settling of a task are noted under the list's lock, and wake the end of
//! the scope if it waits. A settled task's closure is dropped by the thread that settled it or by
//! the end of the scope, so a callback in that thread that waits for this one does no harm. In a
//! worker of the pool, the end of the scope runs pending tasks itself, so a pool of one is enough.

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

/// Accepts closures that borrow; from [`ThreadPoolExecutor::scope`].
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
    /// Makes the lifetimes invariant: `'scope` for what tasks may use, which includes the scope
    /// itself, and `'env` for what existed before.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// The result of a task of a [`Scope`], available once it is done. Dropping this does not stop the
/// task.
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
    /// Its result is never taken: it only says how the task has ended.
    future: Arc<Future<()>>,
    outcome: Arc<Place<T>>,
    scope: PhantomData<&'scope ()>,
}

impl ThreadPoolExecutor {
    /// Runs `f`, which may submit closures that borrow data from outside, and returns when all of
    /// them are done.
    ///
    /// When it returns, or resumes a panic of `f`, every task of the scope has ended or will never
    /// run, and every submitted closure has been dropped. A panic in a task is that task's error,
    /// not the scope's ([`std::thread::scope`] would panic).
    ///
    /// In a worker of this pool, the end of the scope runs tasks that no worker has begun.
    /// Elsewhere it waits for the workers.
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
    /// Two tasks cannot change the same data:
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
    /// A task can borrow what outlives the scope, but not the locals of the scope's closure:
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
        // A panic here would come from elsewhere (a destructor that a worker runs in passing), and
        // must not end the scope early.
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
    /// Submits `f` for a worker to run before the scope ends.
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
        // Stored separately, so that it can be returned if the pool refuses it.
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
                // This drops the runner, which removes the job from the list.
                drop(refused);
                match f {
                    Some(f) => Err(SubmitError::new(f, kind)),
                    None => unreachable!("a task that was refused has not run"),
                }
            }
        }
    }

    /// Adds a job to the list.
    #[expect(unsafe_code, reason = "a pool takes nothing that borrows, and only the lifetime is in the way")]
    fn enter(&'scope self, work: Work<'scope>) -> Runner {
        // SAFETY: only the lifetime changes. The box, and so all that it borrows, is used and
        // dropped within `'scope`, because
        // * it is in the slot below from the start, and the code that takes it out (`Runner::run`
        //   or `Jobs::discard`) calls it or drops it at once, and removes the job from the list
        //   only after that;
        // * only `ThreadPoolExecutor::scope` creates scopes, and it neither returns nor unwinds
        //   before it has seen the list empty, when nothing was left that could add to it;
        // * `'scope` contains all of that call: the caller has a `&'scope Scope<'scope, '_>`, which
        //   borrows that call's own variable for exactly the lifetime that the box borrows for.
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

    /// Whether the task has ended, in any way.
    pub fn done(&self) -> bool {
        self.future.done()
    }

    /// Whether the task is running now.
    pub fn running(&self) -> bool {
        self.future.running()
    }

    /// Whether the task was cancelled.
    pub fn cancelled(&self) -> bool {
        self.future.cancelled()
    }

    /// The status of the task.
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

/// Runs the user's closure and stores its result; returns the text of a panic, if it was one.
type Work<'a> = Box<dyn FnOnce() -> Option<String> + Send + 'a>;

/// Where a job's work is until it is taken out and used up.
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

/// The pool's part of a job.
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
        // Passed on so that the pool knows how the task has ended; the panic hook has already run.
        match outcome {
            Ok(None) => {}
            Ok(Some(text)) => resume_unwind(Box::new(text)),
            // A value that nothing wanted panicked when it was dropped.
            Err(payload) => resume_unwind(payload),
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.jobs.discard(self.key, &self.slot);
    }
}

/// The jobs that a scope waits for.
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
    /// The job that the end of the scope ran last, perhaps through another thread.
    awaited: Option<usize>,
    /// The end of the scope is waiting.
    parked: bool,
}

struct Job {
    slot: Arc<Slot>,
    /// Set from when the pool has accepted the task until the end of the scope offers to run it.
    future: Option<Arc<Future<()>>>,
}

/// What the end of a scope does next.
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

    /// Adds a job to the list, and returns its key.
    fn enter(&self, slot: &Arc<Slot>) -> usize {
        let mut list = self.list.lock();
        let key = list.next_key;
        list.next_key += 1;
        list.live.insert(key, Job { slot: Arc::clone(slot), future: None });
        key
    }

    /// Notes that the pool has accepted this job.
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

    /// Removes a job from the list. Only for the code that has used up its work.
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
            // One after the other: while another thread runs a task for this one, this one waits,
            // so no more tasks run at a time than there are workers.
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
    /// Jobs that have run are no longer on the list.
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
