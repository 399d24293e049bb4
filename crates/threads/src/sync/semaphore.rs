//! A number of permits that threads take and give back.

use std::fmt;
use std::time::Duration;

use super::permits::Permits;
use crate::deadline;
use crate::facade::const_fn;
use crate::naming::Name;

/// Limits how many threads are in a section at a time.
///
/// A permit is returned when its guard is dropped. Threads are not served in order of arrival.
///
/// ```
/// use towline_threads::sync::Semaphore;
///
/// let connections = Semaphore::new(2);
/// let first = connections.acquire();
/// let second = connections.acquire();
/// assert!(connections.try_acquire().is_none());
/// drop(first);
/// assert_eq!(connections.available(), 1);
/// # drop(second);
/// ```
///
/// A permit can be returned only once:
///
/// ```compile_fail,E0382
/// use towline_threads::sync::Semaphore;
///
/// let semaphore = Semaphore::new(1);
/// let permit = semaphore.acquire();
/// drop(permit);
/// drop(permit);
/// ```
///
/// A negative number, a run-time error in CPython, does not compile:
///
/// ```compile_fail,E0600
/// use towline_threads::sync::Semaphore;
///
/// let semaphore = Semaphore::new(-1);
/// ```
pub struct Semaphore {
    permits: Permits,
}

/// The right to be in the section; dropping it returns the permit.
#[must_use = "a permit that is dropped is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

impl Semaphore {
    const_fn! {
        /// A semaphore with `permits` permits; it may start with none.
        #[track_caller]
        pub const fn new(permits: usize) -> Self {
            Self { permits: Permits::new(permits, usize::MAX, "Semaphore", Name::here()) }
        }
    }

    /// Takes a permit; waits until there is one.
    pub fn acquire(&self) -> Permit<'_> {
        self.permits.take();
        Permit { semaphore: self }
    }

    /// Takes a permit if there is one now.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        self.permits.try_take().then(|| Permit { semaphore: self })
    }

    /// Takes a permit; waits for it no longer than `timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::Semaphore;
    ///
    /// let empty = Semaphore::new(0);
    /// assert!(empty.acquire_timeout(Duration::from_millis(1)).is_none());
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<Permit<'_>> {
        self.permits.take_until(deadline::after(timeout)).then(|| Permit { semaphore: self })
    }

    /// Adds `permits` permits, in addition to those that guards return.
    ///
    /// # Panics
    ///
    /// If there would be more than [`usize::MAX`] permits; nothing changes then. (A guard's permit
    /// that would exceed this number is silently discarded.)
    ///
    /// ```
    /// use towline_threads::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.release(3);
    /// assert_eq!(semaphore.available(), 3);
    /// ```
    pub fn release(&self, permits: usize) {
        if self.permits.add(permits).is_err() {
            panic!("a semaphore holds at most usize::MAX permits");
        }
    }

    /// How many permits there are now. Other threads may change that at any moment.
    pub fn available(&self) -> usize {
        self.permits.available()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

impl Permit<'_> {
    /// Keeps the permit for good: the semaphore has one permit less.
    ///
    /// ```
    /// use towline_threads::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// semaphore.acquire().forget();
    /// assert_eq!(semaphore.available(), 1);
    /// ```
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.permits.give_back();
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
