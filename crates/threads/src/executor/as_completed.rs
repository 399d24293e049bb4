//! Futures in the order in which their tasks end.

use std::fmt;
use std::iter::FusedIterator;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::vec;

use super::arrivals::Arrivals;
use super::waitable::{Waitable, distinct, task};
use super::watch::Watch;
use crate::deadline;
use crate::facade::thread::{self, ThreadId};

/// Yields each future when its task is done; created by [`as_completed`].
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::as_completed;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let mut completed = as_completed(["a", "b"].map(|word| pool.submit(move || word).unwrap()));
/// assert_eq!(completed.len(), 2);
/// assert_eq!(completed.next().unwrap().result().unwrap(), "a");
/// let rest = completed.into_remaining();
/// assert_eq!(rest.len(), 1);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[must_use = "an iterator waits for nothing until it is asked for the next item"]
pub struct AsCompleted<F: Waitable> {
    tasks: Tasks<F>,
}

/// Yields each future when its task is done, until the time is up; created by
/// [`as_completed_timeout`].
///
/// ```
/// use std::time::Duration;
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::as_completed_timeout;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let future = pool.submit(|| "in time").unwrap();
/// let mut completed = as_completed_timeout([future], Duration::from_secs(60));
/// assert_eq!(completed.next().unwrap()?.result().unwrap(), "in time");
/// assert!(completed.next().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an iterator waits for nothing until it is asked for the next item"]
pub struct AsCompletedTimed<F: Waitable> {
    tasks: Tasks<F>,
    deadline: Option<Instant>,
    total: usize,
    ended: bool,
}

/// Tasks were not done when the time was up; from [`as_completed_timeout`].
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::as_completed_timeout;
/// use towline_threads::sync::Event;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let go = Arc::new(Event::new());
/// let waits = Arc::clone(&go);
/// let slow = pool.submit(move || waits.wait()).unwrap();
/// let error = as_completed_timeout([slow], Duration::ZERO).next().unwrap().unwrap_err();
/// assert_eq!((error.unfinished(), error.total()), (1, 1));
/// go.set();
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{unfinished} of {total} tasks were not done when the time was up")]
#[non_exhaustive]
pub struct AsCompletedTimeout {
    unfinished: usize,
    total: usize,
}

/// Yields the futures in the order in which their tasks end: first those that are already done, in
/// the order given, then each as it ends.
///
/// Takes futures or references to them. A task given twice is yielded once. A cancelled task is
/// done from that moment on, even if a shutdown cancels it (in CPython, such a task may never be
/// yielded, [cpython#109934](https://github.com/python/cpython/issues/109934)).
///
/// In a worker of the tasks' pool, [`next`](Iterator::next) runs a task that no worker has begun
/// instead of just waiting. It runs no other task.
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::as_completed;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let futures: Vec<_> = (1..=3).map(|n| pool.submit(move || n * n).unwrap()).collect();
/// let mut squares: Vec<u32> = as_completed(futures).map(|future| future.result().unwrap()).collect();
/// squares.sort_unstable(); // they came in any order
/// assert_eq!(squares, [1, 4, 9]);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator,
    I::Item: Waitable,
{
    AsCompleted { tasks: Tasks::new(distinct(futures)) }
}

/// Like [`as_completed`], but waits no longer than `timeout` after this call.
///
/// If tasks are not done when the time is up, the iterator yields [`AsCompletedTimeout`] and then
/// ends. Tasks that are done are yielded before that, even if the time is up. The others keep
/// running, and [`into_remaining`](AsCompletedTimed::into_remaining) returns their futures.
///
/// It runs no task itself, because that could take longer.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::as_completed_timeout;
/// use towline_threads::sync::Event;
///
/// let pool = ThreadPoolExecutor::new(1)?;
/// let go = Arc::new(Event::new());
/// let waits = Arc::clone(&go);
/// let slow = pool.submit(move || waits.wait()).unwrap();
///
/// let mut completed = as_completed_timeout([slow], Duration::from_millis(1));
/// let error = completed.next().unwrap().unwrap_err();
/// assert_eq!(error.to_string(), "1 of 1 tasks were not done when the time was up");
/// assert!(completed.next().is_none());
/// go.set();
/// for slow in completed.into_remaining() {
///     slow.result().unwrap();
/// }
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub fn as_completed_timeout<I>(futures: I, timeout: Duration) -> AsCompletedTimed<I::Item>
where
    I: IntoIterator,
    I::Item: Waitable,
{
    let deadline = deadline::after(timeout);
    let futures = distinct(futures);
    let total = futures.len();
    AsCompletedTimed { tasks: Tasks::new(futures), deadline, total, ended: false }
}

impl<F: Waitable> AsCompleted<F> {
    /// The futures that have not been yielded, in the order in which they were given.
    pub fn into_remaining(self) -> Vec<F> {
        self.tasks.into_remaining()
    }
}

impl<F: Waitable> Iterator for AsCompleted<F> {
    type Item = F;

    fn next(&mut self) -> Option<F> {
        if self.tasks.left == 0 { None } else { self.tasks.next(None) }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.tasks.left, Some(self.tasks.left))
    }
}

impl<F: Waitable> ExactSizeIterator for AsCompleted<F> {}

impl<F: Waitable> FusedIterator for AsCompleted<F> {}

impl<F: Waitable> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").field("left", &self.tasks.left).finish_non_exhaustive()
    }
}

impl<F: Waitable> AsCompletedTimed<F> {
    /// The futures that have not been yielded, in the order in which they were given.
    pub fn into_remaining(self) -> Vec<F> {
        self.tasks.into_remaining()
    }
}

impl<F: Waitable> Iterator for AsCompletedTimed<F> {
    type Item = Result<F, AsCompletedTimeout>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || self.tasks.left == 0 {
            return None;
        }
        let next = self.tasks.next(self.deadline);
        self.ended = next.is_none();
        Some(next.ok_or(AsCompletedTimeout { unfinished: self.tasks.left, total: self.total }))
    }

    /// The upper bound is exact if the tasks end in time.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = if self.ended { 0 } else { self.tasks.left };
        (left.min(1), Some(left))
    }
}

impl<F: Waitable> FusedIterator for AsCompletedTimed<F> {}

impl<F: Waitable> fmt::Debug for AsCompletedTimed<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompletedTimed")
            .field("left", &self.tasks.left)
            .field("total", &self.total)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl AsCompletedTimeout {
    /// How many tasks were not done.
    pub fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// How many tasks there were in all.
    pub fn total(&self) -> usize {
        self.total
    }
}

/// The tasks that have not been yielded.
struct Tasks<F: Waitable> {
    /// By key; those that have been yielded are gone.
    futures: Vec<Option<F>>,
    left: usize,
    /// Those that were done when the iterator was created.
    early: vec::IntoIter<usize>,
    arrivals: Arc<Arrivals>,
    /// The same as `arrivals`, as the tasks know it.
    watch: Arc<dyn Watch>,
    /// The thread that has offered to run the tasks with keys below `offered`. Another thread
    /// starts again: it may be a worker where this one is not.
    helper: Option<ThreadId>,
    offered: usize,
}

impl<F: Waitable> Tasks<F> {
    fn new(futures: Vec<F>) -> Self {
        let arrivals = Arc::new(Arrivals::new());
        let watch: Arc<dyn Watch> = Arc::clone(&arrivals) as Arc<dyn Watch>;
        // Backwards, so that tasks given in the order in which they end do not overtake each other.
        let mut early: Vec<usize> =
            (0..futures.len()).rev().filter(|&key| task(&futures[key]).state().is_done()).collect();
        early.reverse();
        for (key, future) in futures.iter().enumerate() {
            if early.binary_search(&key).is_err() {
                task(future).report_to(&watch, key);
            }
        }
        Self {
            left: futures.len(),
            futures: futures.into_iter().map(Some).collect(),
            early: early.into_iter(),
            arrivals,
            watch,
            helper: None,
            offered: 0,
        }
    }

    /// The next task that is done; at least one must be left. `None` if the deadline has passed.
    fn next(&mut self, deadline: Option<Instant>) -> Option<F> {
        loop {
            while let Some(key) = self.early.next().or_else(|| self.arrivals.pop()) {
                if let Some(future) = self.futures[key].take() {
                    self.left -= 1;
                    return Some(future);
                }
            }
            if deadline.is_none() {
                self.run_one();
            }
            if !self.arrivals.wait("as_completed", 1, deadline) {
                return None;
            }
        }
    }

    /// In a worker of their pool, runs the next task that no worker has begun, if there is one.
    fn run_one(&mut self) {
        let here = Some(thread::current().id());
        if self.helper != here {
            self.helper = here;
            self.offered = 0;
        }
        while let Some(future) = self.futures.get(self.offered) {
            self.offered += 1;
            if future.as_ref().is_some_and(|future| task(future).run_here()) {
                return;
            }
        }
    }

    fn into_remaining(mut self) -> Vec<F> {
        self.take_back();
        mem::take(&mut self.futures).into_iter().flatten().collect()
    }

    /// Removes the registrations, so that repeated waits leave nothing behind on the tasks.
    fn take_back(&self) {
        for future in self.futures.iter().flatten() {
            let task = task(future);
            if !task.state().is_done() {
                task.no_more_to(&self.watch);
            }
        }
    }
}

impl<F: Waitable> Drop for Tasks<F> {
    fn drop(&mut self) {
        self.take_back();
    }
}
