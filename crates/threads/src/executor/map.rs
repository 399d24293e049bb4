//! One function for many items, with the results in the items' order.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{SubmitErrorKind, TaskError};
use super::future::Future;
use super::pool::{PoolHandle, ThreadPoolExecutor};
use crate::deadline;

/// How far a [`map`](ThreadPoolExecutor::map_with) runs ahead, and how long it may take.
///
/// ```
/// use std::time::Duration;
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::MapOptions;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let options = MapOptions::new().buffersize(8).timeout(Duration::from_secs(60));
/// // There is no end of items; eight are read at first, and one more for each result.
/// let squares = pool.map_with(options, |n| n * n, 1_u64..).unwrap();
/// let first: Vec<u64> = squares.take(3).map(|square| square.unwrap()).collect();
/// assert_eq!(first, [1, 4, 9]);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "options do nothing until `map_with`"]
pub struct MapOptions {
    buffersize: Option<usize>,
    timeout: Option<Duration>,
}

/// The results of a [`map`](ThreadPoolExecutor::map), in the order of the items.
///
/// [`next`](Iterator::next) waits for the next item's result. A task that fails yields an error in
/// its item's place, and later results still follow (in CPython, the first error ends the
/// iteration).
///
/// Dropping it cancels the tasks that have not started.
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let halves = pool.map(|n: u32| if n % 2 == 0 { n / 2 } else { panic!("{n} is odd") }, [2, 3, 4]).unwrap();
/// let halves: Vec<_> = halves.collect();
/// assert_eq!(*halves[0].as_ref().unwrap(), 1);
/// assert_eq!(halves[1].as_ref().unwrap_err().panic_message(), Some("3 is odd"));
/// assert_eq!(*halves[2].as_ref().unwrap(), 2);
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
#[must_use = "dropping it cancels what has not started"]
pub struct Map<T> {
    outstanding: Outstanding<T>,
    /// Where the next items come from; `None` once all have been submitted.
    supply: Option<Box<dyn Supply<T>>>,
    deadline: Option<Instant>,
}

impl MapOptions {
    /// No limits: all items are submitted at once, and the wait for a result has no time limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many items may be submitted before their results are taken.
    ///
    /// As long as there are items, exactly that many are outstanding: `map_with` submits the first
    /// `buffersize`, and each result that is taken makes room for one more (CPython 3.14 has one
    /// more outstanding, [cpython#131466](https://github.com/python/cpython/issues/131466)). Items
    /// are read only then, so there may be more of them than fit in memory.
    ///
    /// # Panics
    ///
    /// If it is 0: such a map would never run anything.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    /// use towline_threads::executor::MapOptions;
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let lengths = pool.map_with(MapOptions::new().buffersize(1), str::len, ["a", "bc"]).unwrap();
    /// assert_eq!(lengths.map(|length| length.unwrap()).sum::<usize>(), 3);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    #[track_caller]
    pub fn buffersize(mut self, buffersize: usize) -> Self {
        assert!(buffersize > 0, "a map with a buffersize of 0 would never run anything");
        self.buffersize = Some(buffersize);
        self
    }

    /// Sets how long all results together may take, from the call of `map_with`.
    ///
    /// After that, finished results are still yielded in their turn. The first that is not finished
    /// yields [`TaskError::Timeout`]; tasks that have not started are cancelled, and the iteration
    /// ends.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use towline_threads::ThreadPoolExecutor;
    /// use towline_threads::executor::{MapOptions, TaskError};
    /// use towline_threads::sync::Event;
    ///
    /// let pool = ThreadPoolExecutor::new(1)?;
    /// let go = Arc::new(Event::new());
    /// let waits = Arc::clone(&go);
    /// let options = MapOptions::new().timeout(Duration::from_millis(1));
    /// let mut results = pool.map_with(options, move |()| waits.wait(), [(), ()]).unwrap();
    /// assert!(matches!(results.next(), Some(Err(TaskError::Timeout))));
    /// assert!(results.next().is_none());
    /// go.set();
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl ThreadPoolExecutor {
    /// Calls `f` with each item, in the workers, and yields the results in the items' order.
    ///
    /// All items are read and submitted before this returns; [`map_with`](Self::map_with) can set a
    /// bound and a deadline. To map over several inputs at once, [`zip`](Iterator::zip) them.
    ///
    /// In a worker of this pool, and without a deadline, the iterator itself runs the next task if
    /// no worker has begun it, so a task may map over its own pool.
    ///
    /// # Errors
    ///
    /// [`SubmitErrorKind`] if the pool has been shut down or is broken; the tasks submitted by then
    /// are cancelled, as they are if `items` panics.
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let (bases, exponents) = ([2_u32, 3, 4], [5, 2, 1]);
    /// let powers = pool.map(|(base, exponent)| base.pow(exponent), bases.into_iter().zip(exponents)).unwrap();
    /// let powers: Vec<u32> = powers.map(|power| power.unwrap()).collect();
    /// assert_eq!(powers, [32, 9, 4]);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn map<I, F, T>(&self, f: F, items: I) -> Result<Map<T>, SubmitErrorKind>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let mut submitter = Submitter::new(self, f, items);
        let (outstanding, _) = submitter.submit_first(usize::MAX)?;
        Ok(Map { outstanding, supply: None, deadline: None })
    }

    /// Like [`map`](Self::map), with a bound on how far it runs ahead, a deadline, or both.
    ///
    /// With a bound, the thread that takes a result reads and submits the next item, so an input
    /// that blocks also blocks [`next`](Iterator::next). If the pool refuses an item, its result is
    /// [`TaskError::ShutDown`] or [`TaskError::Broken`], and no more items are read. If the input
    /// panics, the outstanding tasks are cancelled, and the iteration ends.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    ///
    /// ```
    /// use towline_threads::ThreadPoolExecutor;
    /// use towline_threads::executor::MapOptions;
    ///
    /// let pool = ThreadPoolExecutor::new(2)?;
    /// let words = ["one", "two", "three"].into_iter().cycle();
    /// let lengths = pool.map_with(MapOptions::new().buffersize(4), str::len, words).unwrap();
    /// assert_eq!(lengths.take(6).map(|length| length.unwrap()).sum::<usize>(), 22);
    /// # Ok::<(), towline_threads::executor::ExecutorError>(())
    /// ```
    pub fn map_with<I, F, T>(&self, options: MapOptions, f: F, items: I) -> Result<Map<T>, SubmitErrorKind>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let deadline = options.timeout.and_then(deadline::after);
        let mut submitter = Submitter::new(self, f, items);
        let (outstanding, exhausted) = submitter.submit_first(options.buffersize.unwrap_or(usize::MAX))?;
        let supply: Option<Box<dyn Supply<T>>> = if exhausted { None } else { Some(Box::new(submitter)) };
        Ok(Map { outstanding, supply, deadline })
    }
}

impl<T> Map<T> {
    fn wait_for(&mut self, mut future: Future<T>) -> Result<T, TaskError> {
        let Some(deadline) = self.deadline else {
            return future.result();
        };
        let result = future.result_timeout(deadline.saturating_duration_since(Instant::now()));
        if matches!(result, Err(TaskError::Timeout)) {
            future.cancel();
            self.supply = None;
            self.outstanding = Outstanding::new();
        }
        result
    }

    /// Submits one more item, if there is one.
    fn refill(&mut self) {
        let Some(mut supply) = self.supply.take() else {
            return;
        };
        // If the input panics, both are dropped: the outstanding tasks are cancelled, and the
        // iteration ends.
        let mut outstanding = mem::replace(&mut self.outstanding, Outstanding::new());
        let too_late = self.deadline.is_some_and(|deadline| deadline <= Instant::now());
        if let Some(slot) = supply.next(too_late) {
            if matches!(slot, Slot::Task(_)) {
                self.supply = Some(supply);
            }
            outstanding.0.push_back(slot);
        }
        self.outstanding = outstanding;
    }
}

impl<T> Iterator for Map<T> {
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = match self.outstanding.0.pop_front()? {
            Slot::Task(future) => self.wait_for(future),
            Slot::Never(error) => Err(error),
        };
        // Its place is free now, before the caller sees the result.
        self.refill();
        Some(result)
    }

    /// The lower bound is conservative with a deadline, and while there are items to read.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let there = self.outstanding.0.len();
        let to_come = self.supply.as_ref().map_or(Some(0), |supply| supply.at_most());
        let least = if self.deadline.is_some() { there.min(1) } else { there };
        (least, to_come.and_then(|to_come| there.checked_add(to_come)))
    }
}

impl<T> FusedIterator for Map<T> {}

impl<T> fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("outstanding", &self.outstanding.0.len())
            .field("exhausted", &self.supply.is_none())
            .finish_non_exhaustive()
    }
}

/// The submitted items that have not been yielded, in order. Dropping it cancels the tasks that
/// have not started.
struct Outstanding<T>(VecDeque<Slot<T>>);

enum Slot<T> {
    Task(Future<T>),
    /// The item at this place was not submitted.
    Never(TaskError),
}

impl<T> Outstanding<T> {
    fn new() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Drop for Outstanding<T> {
    fn drop(&mut self) {
        for slot in &self.0 {
            if let Slot::Task(future) = slot {
                future.cancel();
            }
        }
    }
}

/// Where items come from, with the types of the items and the function erased.
trait Supply<T>: Send {
    /// Reads the next item, and submits it unless it is too late; `None` if there is none.
    fn next(&mut self, too_late: bool) -> Option<Slot<T>>;

    /// How many items are left at most, if known.
    fn at_most(&self) -> Option<usize>;
}

struct Submitter<I, F> {
    items: I,
    f: Arc<F>,
    pool: PoolHandle,
}

impl<I, F> Submitter<I, F>
where
    I: Iterator,
    I::Item: Send + 'static,
{
    fn new(pool: &ThreadPoolExecutor, f: F, items: impl IntoIterator<IntoIter = I>) -> Self {
        Self { items: items.into_iter(), f: Arc::new(f), pool: pool.handle() }
    }

    /// Submits as many items as there are, but at most `most`; true if there are no more.
    fn submit_first<T>(&mut self, most: usize) -> Result<(Outstanding<T>, bool), SubmitErrorKind>
    where
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        // An error or a panic of the input drops this, which cancels the tasks.
        let mut outstanding = Outstanding::new();
        while outstanding.0.len() < most {
            match self.items.next() {
                Some(item) => outstanding.0.push_back(Slot::Task(self.submit(item)?)),
                None => return Ok((outstanding, true)),
            }
        }
        Ok((outstanding, false))
    }

    fn submit<T>(&self, item: I::Item) -> Result<Future<T>, SubmitErrorKind>
    where
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let f = Arc::clone(&self.f);
        self.pool.submit(move || (*f)(item)).map_err(|refused| refused.kind().clone())
    }
}

impl<I, F, T> Supply<T> for Submitter<I, F>
where
    I: Iterator + Send,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    fn next(&mut self, too_late: bool) -> Option<Slot<T>> {
        let item = self.items.next()?;
        if too_late {
            return Some(Slot::Never(TaskError::Timeout));
        }
        Some(match self.submit(item) {
            Ok(future) => Slot::Task(future),
            Err(SubmitErrorKind::ShutDown) => Slot::Never(TaskError::ShutDown),
            Err(SubmitErrorKind::Broken(reason)) => Slot::Never(TaskError::Broken(reason)),
        })
    }

    fn at_most(&self) -> Option<usize> {
        self.items.size_hint().1
    }
}
