//! A semaphore that reports when more permits are returned than were taken.

use std::fmt;
use std::time::Duration;

use super::permits::Permits;
use crate::deadline;
use crate::facade::const_fn;
use crate::naming::Name;

/// A [`Semaphore`](super::Semaphore) that never has more permits than it began with.
///
/// [`release`](Self::release) returns an error if it would, and then changes nothing.
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
/// A negative number, a run-time error in CPython, does not compile:
///
/// ```compile_fail,E0600
/// use towline_threads::sync::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(-1);
/// ```
///
/// # A permit that is returned twice
///
/// A guard returns its permit when it is dropped. If that permit was already released by hand,
/// dropping the guard changes nothing: a destructor cannot fail, and the count must not exceed its
/// bound. So use `release` for permits that were [forgotten](BoundedPermit::forget); while the
/// guard exists, it lets in one thread more than the bound.
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

/// The right to be in the section; dropping it returns the permit.
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
        /// A semaphore with `permits` permits, which is also its maximum.
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

    /// Returns `permits` permits that were [forgotten](BoundedPermit::forget).
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

    /// How many permits there are now. Other threads may change that at any moment.
    pub fn available(&self) -> usize {
        self.permits.available()
    }

    /// How many permits the semaphore began with, which is also its maximum.
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
    /// Keeps the permit until it is [released](BoundedSemaphore::release) by hand.
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
