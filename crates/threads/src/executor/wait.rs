//! Waiting for several tasks at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::status::FutureStatus;
use super::waitable::{Waitable, distinct, task};
use super::watch::Watch;
use crate::deadline;

/// What [`wait`] waits for.
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::{ReturnWhen, wait};
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let good = pool.submit(|| 1).unwrap();
/// let bad = pool.submit(|| -> i32 { panic!("no luck") }).unwrap();
/// let waited = wait([&good, &bad], ReturnWhen::FirstException, None);
/// assert!(waited.done.iter().any(|future| future.exception().is_some()));
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// One task is done, in any way.
    FirstCompleted,
    /// One task has panicked, or its pool broke before it ran; or all are done. A cancelled task is
    /// done, but is no exception.
    FirstException,
    /// All tasks are done.
    AllCompleted,
}

/// The futures given to [`wait`], in the order in which they were given, each task once.
///
/// ```
/// use std::time::Duration;
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::{ReturnWhen, Waited, wait};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let futures = ["a", "bc"].map(|word| pool.submit(move || word.len()).unwrap());
/// let Waited { done, not_done } = wait(futures, ReturnWhen::AllCompleted, Some(Duration::from_secs(60)));
/// let lengths: Vec<_> = done.into_iter().map(|future| future.result().unwrap()).collect();
/// assert_eq!(lengths, [1, 2]);
/// assert!(not_done.is_empty());
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[derive(Debug)]
pub struct Waited<F> {
    /// Those that had ended when `wait` returned: finished, panicked, cancelled or broken.
    pub done: Vec<F>,
    /// Those that were pending or running.
    pub not_done: Vec<F>,
}

/// Waits for several tasks: for the first to end, for the first to fail, or for all; no longer than
/// `timeout`, if given.
///
/// Takes futures or references to them. A task given twice is waited for and returned once. If
/// there is nothing to wait for, it returns at once.
///
/// A cancelled task is done from that moment on, whoever cancels it (in CPython, a wait for it may
/// never end, [cpython#92001](https://github.com/python/cpython/issues/92001)).
///
/// In a worker of the tasks' pool, and without a timeout, this runs tasks that no worker has begun:
/// all of them for [`AllCompleted`](ReturnWhen::AllCompleted), otherwise one at a time until enough
/// are done. It runs no other task. A wait with a timeout never runs tasks, because that could take
/// longer. (In CPython, a task that waits for its own pool can hang.)
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::{ReturnWhen, wait};
/// use towline_threads::sync::Event;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let go = Arc::new(Event::new());
/// let waits = Arc::clone(&go);
/// let slow = pool.submit(move || waits.wait()).unwrap();
/// let quick = pool.submit(|| ()).unwrap();
///
/// let waited = wait([slow, quick], ReturnWhen::FirstCompleted, None);
/// assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
/// go.set();
/// let waited = wait(waited.not_done, ReturnWhen::AllCompleted, None);
/// assert_eq!((waited.done.len(), waited.not_done.len()), (1, 0));
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub fn wait<I>(futures: I, when: ReturnWhen, timeout: Option<Duration>) -> Waited<I::Item>
where
    I: IntoIterator,
    I::Item: Waitable,
{
    let deadline = timeout.and_then(deadline::after);
    let futures = distinct(futures);
    wait_until(&futures, when, deadline);
    let (done, not_done) = futures.into_iter().partition(|future| task(future).state().is_done());
    Waited { done, not_done }
}

fn wait_until<F: Waitable>(futures: &[F], when: ReturnWhen, deadline: Option<Instant>) {
    let mut progress = Progress { when, open: futures.len(), met: false };
    let mut open = Vec::new();
    for (key, future) in futures.iter().enumerate() {
        let state = task(future).state();
        if state.is_done() {
            progress.count(state);
        } else {
            open.push(key);
        }
    }
    if progress.is_enough() {
        return;
    }

    let arrivals = Arc::new(Arrivals::new());
    let watch: Arc<dyn Watch> = Arc::clone(&arrivals) as Arc<dyn Watch>;
    for &key in &open {
        task(&futures[key]).report_to(&watch, key);
    }
    // Without a timeout, or with one beyond the clock's range.
    if deadline.is_none() {
        run_pending(futures, &open, &mut progress, &arrivals);
    }
    let mut in_time = true;
    while in_time && !progress.is_enough() {
        in_time = arrivals.wait("wait", progress.wanted(), deadline);
        progress.count_arrivals(futures, &arrivals);
    }
    for &key in &open {
        let task = task(&futures[key]);
        if !task.state().is_done() {
            task.no_more_to(&watch);
        }
    }
}

/// In a worker of their pool, runs tasks that no worker has begun, until enough are done.
fn run_pending<F: Waitable>(futures: &[F], open: &[usize], progress: &mut Progress, arrivals: &Arrivals) {
    for &key in open {
        progress.count_arrivals(futures, arrivals);
        if progress.is_enough() {
            return;
        }
        if task(&futures[key]).run_here() {
            // Normally, this gets its report. If another thread runs it (when much of the stack is
            // used), this one does nothing meanwhile, so no more tasks run at a time than there are
            // workers.
            arrivals.wait("wait", 1, None);
        }
    }
    progress.count_arrivals(futures, arrivals);
}

/// How far a wait has come.
struct Progress {
    when: ReturnWhen,
    open: usize,
    met: bool,
}

impl Progress {
    /// Counts a task that is done.
    fn count(&mut self, state: FutureStatus) {
        self.open -= 1;
        self.met |= match self.when {
            ReturnWhen::FirstCompleted => true,
            ReturnWhen::FirstException => matches!(state, FutureStatus::Panicked | FutureStatus::Broken),
            ReturnWhen::AllCompleted => false,
        };
    }

    fn count_arrivals<F: Waitable>(&mut self, futures: &[F], arrivals: &Arrivals) {
        while let Some(key) = arrivals.pop() {
            self.count(task(&futures[key]).state());
        }
    }

    fn is_enough(&self) -> bool {
        self.met || self.open == 0
    }

    /// How many more must arrive before it could be enough.
    fn wanted(&self) -> usize {
        match self.when {
            ReturnWhen::FirstCompleted | ReturnWhen::FirstException => 1,
            ReturnWhen::AllCompleted => self.open,
        }
    }
}
