//! What can be waited for together.

use std::collections::HashSet;
use std::sync::Arc;

use super::future::Future;
use super::status::FutureStatus;
use super::watch::Watch;

use sealed::{AwaitedRef, Sealed};

/// A future, or a reference to one: what [`wait`](super::wait()) and
/// [`as_completed`](super::as_completed()) take.
///
/// It is implemented for [`Future`], for [`ScopedFuture`](super::ScopedFuture), and for references
/// to them, boxes and [`Arc`]s of them; other types cannot implement it. Futures with results of different
/// types are waited for together as `&dyn Waitable`:
///
/// ```
/// use towline_threads::ThreadPoolExecutor;
/// use towline_threads::executor::{ReturnWhen, Waitable, wait};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let number = pool.submit(|| 7).unwrap();
/// let word = pool.submit(|| "seven").unwrap();
/// let both: [&dyn Waitable; 2] = [&number, &word];
/// assert_eq!(wait(both, ReturnWhen::AllCompleted, None).done.len(), 2);
/// assert_eq!(number.result().unwrap(), 7);
/// assert_eq!(word.result().unwrap(), "seven");
/// # Ok::<(), towline_threads::executor::ExecutorError>(())
/// ```
pub trait Waitable: Sealed {}

impl<T> Waitable for Future<T> {}
impl<W: Waitable + ?Sized> Waitable for &W {}
impl<W: Waitable + ?Sized> Waitable for Box<W> {}
impl<W: Waitable + ?Sized> Waitable for Arc<W> {}

pub(super) mod sealed {
    /// Keeps other crates from implementing [`Waitable`](super::Waitable), and gives access to the
    /// task.
    pub trait Sealed {
        #[doc(hidden)]
        fn awaited(&self) -> AwaitedRef<'_>;
    }

    /// A task, without the types of its closure and its result.
    pub struct AwaitedRef<'a>(pub(in crate::executor) &'a dyn super::Awaited);
}

/// What a wait for several tasks needs from each of them.
pub(super) trait Awaited {
    /// Identifies the task among all live tasks.
    fn number(&self) -> usize;

    fn state(&self) -> FutureStatus;

    /// Calls `watch.done(key)` when the task is done; at once, if it already is.
    fn report_to(&self, watch: &Arc<dyn Watch>, key: usize);

    /// Removes every registration of `watch`.
    fn no_more_to(&self, watch: &Arc<dyn Watch>);

    /// In a worker of the task's pool: runs the task if it is pending. True if it was: then it is
    /// done, or another thread is running it.
    fn run_here(&self) -> bool;
}

impl<T> Awaited for Future<T> {
    fn number(&self) -> usize {
        self.identity()
    }

    fn state(&self) -> FutureStatus {
        self.status()
    }

    fn report_to(&self, watch: &Arc<dyn Watch>, key: usize) {
        self.watch(Arc::clone(watch), key);
    }

    fn no_more_to(&self, watch: &Arc<dyn Watch>) {
        self.unwatch(watch);
    }

    fn run_here(&self) -> bool {
        self.help()
    }
}

impl<T> Sealed for Future<T> {
    fn awaited(&self) -> AwaitedRef<'_> {
        AwaitedRef(self)
    }
}

impl<W: Sealed + ?Sized> Sealed for &W {
    fn awaited(&self) -> AwaitedRef<'_> {
        (**self).awaited()
    }
}

impl<W: Sealed + ?Sized> Sealed for Arc<W> {
    fn awaited(&self) -> AwaitedRef<'_> {
        (**self).awaited()
    }
}

impl<W: Sealed + ?Sized> Sealed for Box<W> {
    fn awaited(&self) -> AwaitedRef<'_> {
        (**self).awaited()
    }
}

/// The task behind `future`.
pub(super) fn task<F: Waitable>(future: &F) -> &dyn Awaited {
    future.awaited().0
}

/// The futures, each task once.
pub(super) fn distinct<I>(futures: I) -> Vec<I::Item>
where
    I: IntoIterator,
    I::Item: Waitable,
{
    let mut seen = HashSet::new();
    futures.into_iter().filter(|future| seen.insert(task(future).number())).collect()
}
