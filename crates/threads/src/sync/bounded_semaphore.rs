//! A semaphore that notices when more is given back than was taken.

use std::fmt;
use std::time::Duration;

use super::permits::Permits;
use crate::deadline;
use crate::facade::const_fn;
use crate::naming::Name;

/// A [`Semaphore`](super::Semaphore) that never has more permits than it began with.
///
/// [`release`](Self::release) says so if it would, and changes nothing then.
///
/// ```
/// use towline_threads::sync::BoundedSemaphore;
///
/// let connections = BoundedSemaphore::new(2);
/// connections.acquire().forget(); // to be given back by hand
/// assert!(connections.release(1).is_ok());
/// assert!(connections.release(1).is_err());
/// assert_eq!(connections.available(), 2);
/// ```
///
/// What is an error at run time in CPython, a negative number, does not compile:
///
/// ```compile_fail,E0600
/// use towline_threads::sync::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(-1);
/// ```
///
/// # A permit that is given back twice
///
/// A guard gives its permit back when it is dropped. If somebody has released that permit by hand
/// before, it is there already, and dropping the guard changes nothing: a destructor cannot fail,
/// and the count must not exceed its bound. So `release` is for permits that were
/// [forgotten](BoundedPermit::forget); with a guard still there it lets one more thread in than the
/// bound says.
///
/// ```
/// use towline_threads::sync::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(1);
/// let permit = semaphore.acquire();
/// semaphore.release(1)?; // by hand, although the guard is there
/// drop(permit);
/// assert_eq!(semaphore.available(), 1);
/// # Ok::<(), towline_threads::sync::OverRelease>(())
/// ```
pub struct BoundedSemaphore {
    permits: Permits,
}

/// The right to be in the section; dropping it gives the permit back.
#[must_use = "a permit that is dropped is given back at once"]
pub struct BoundedPermit<'a> {
    semaphore: &'a BoundedSemaphore,
}

/// More permits were released than had been taken; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot release {released}: {available} of {initial} permits are there already")]
pub struct OverRelease {
    released: usize,
    available: usize,
    initial: usize,
}

impl BoundedSemaphore {
    const_fn! {
        /// A semaphore with `permits` permits, now and at most.
        #[track_caller]
        pub const fn new(permits: usize) -> Self {
            Self { permits: Permits::new(permits, permits, "BoundedSemaphore", Name::here()) }
        }
    }

    /// Takes a permit; waits until there is one.
    pub fn acquire(&self) -> BoundedPermit<'_> {
        self.permits.take();
        BoundedPermit { semaphore: self }
    }

    /// Takes a permit if there is one now.
    ///
    /// ```
    /// use towline_threads::sync::BoundedSemaphore;
    ///
    /// let semaphore = BoundedSemaphore::new(1);
    /// let permit = semaphore.try_acquire();
    /// assert!(permit.is_some());
    /// assert!(semaphore.try_acquire().is_none());
    /// ```
    pub fn try_acquire(&self) -> Option<BoundedPermit<'_>> {
        self.permits.try_take().then(|| BoundedPermit { semaphore: self })
    }

    /// Takes a permit; waits for it no longer than `timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::BoundedSemaphore;
    ///
    /// let semaphore = BoundedSemaphore::new(1);
    /// let permit = semaphore.acquire();
    /// assert!(semaphore.acquire_timeout(Duration::from_millis(1)).is_none());
    /// # drop(permit);
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<BoundedPermit<'_>> {
        self.permits.take_until(deadline::after(timeout)).then(|| BoundedPermit { semaphore: self })
    }

    /// Gives back `permits` permits that were [forgotten](BoundedPermit::forget).
    ///
    /// # Errors
    ///
    /// [`OverRelease`] if there would be more than [`initial`](Self::initial); nothing changes
    /// then.
    ///
    /// ```
    /// use towline_threads::sync::BoundedSemaphore;
    ///
    /// let semaphore = BoundedSemaphore::new(3);
    /// semaphore.acquire().forget();
    /// let error = semaphore.release(2).unwrap_err();
    /// assert_eq!(error.to_string(), "cannot release 2: 2 of 3 permits are there already");
    /// assert_eq!(semaphore.available(), 2);
    /// ```
    pub fn release(&self, permits: usize) -> Result<(), OverRelease> {
        self.permits.add(permits).map_err(|available| OverRelease {
            released: permits,
            available,
            initial: self.initial(),
        })
    }

    /// How many permits there are now. Other threads may change that at once.
    pub fn available(&self) -> usize {
        self.permits.available()
    }

    /// How many permits the semaphore began with, and has at most.
    pub fn initial(&self) -> usize {
        self.permits.limit()
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedSemaphore")
            .field("available", &self.available())
            .field("initial", &self.initial())
            .finish_non_exhaustive()
    }
}

impl BoundedPermit<'_> {
    /// Keeps the permit until somebody [releases](BoundedSemaphore::release) it by hand.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for BoundedPermit<'_> {
    fn drop(&mut self) {
        self.semaphore.permits.give_back();
    }
}

impl fmt::Debug for BoundedPermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedPermit").finish_non_exhaustive()
    }
}
