//! A number of permits that threads take and give back.
//!
//! No wake-up is lost: a permit is added under the lock, and for each one added a waiting thread
//! is notified. If a thread that does not wait takes that permit first, the notified one waits
//! again and nothing is owed to anybody, for the permit is gone. A timed wait that ends looks at
//! the count once more, so it cannot leave with a notification and without the permit.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::deadline;

/// Lets at most so many threads at a time into a section.
///
/// Permits go back when their guard is dropped. Threads are not served in the order of their
/// arrival.
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
/// What nobody holds cannot be given back; a permit is released once:
///
/// ```compile_fail
/// use towline_threads::sync::Semaphore;
///
/// let semaphore = Semaphore::new(1);
/// let permit = semaphore.acquire();
/// drop(permit);
/// drop(permit);
/// ```
pub struct Semaphore {
    state: Mutex<State>,
    added: Condvar,
}

/// The right to be in the section; dropping it gives the permit back.
#[must_use = "a permit that is dropped is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
}

struct State {
    permits: usize,
    waiters: usize,
}

impl Semaphore {
    /// A semaphore with `permits` permits; it may start with none.
    pub const fn new(permits: usize) -> Self {
        Self { state: Mutex::new(State { permits, waiters: 0 }), added: Condvar::new() }
    }

    /// Takes a permit; waits until there is one.
    pub fn acquire(&self) -> Permit<'_> {
        loop {
            if let Some(permit) = self.acquire_until(None) {
                return permit;
            }
        }
    }

    /// Takes a permit if there is one now.
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        state.permits = state.permits.checked_sub(1)?;
        Some(Permit { semaphore: self })
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
        self.acquire_until(deadline::after(timeout))
    }

    /// Adds `permits` permits, on top of those that guards give back.
    ///
    /// # Panics
    ///
    /// If there would be more than [`usize::MAX`].
    ///
    /// ```
    /// use towline_threads::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(0);
    /// semaphore.release(3);
    /// assert_eq!(semaphore.available(), 3);
    /// ```
    pub fn release(&self, permits: usize) {
        let mut state = self.state.lock();
        state.permits = match state.permits.checked_add(permits) {
            Some(sum) => sum,
            None => panic!("a semaphore holds at most usize::MAX permits"),
        };
        for _ in 0..permits.min(state.waiters) {
            self.added.notify_one();
        }
    }

    /// How many permits there are now. Other threads may change that at once.
    pub fn available(&self) -> usize {
        self.state.lock().permits
    }

    fn acquire_until(&self, deadline: Option<Instant>) -> Option<Permit<'_>> {
        let mut state = self.state.lock();
        let mut in_time = true;
        while state.permits == 0 {
            if !in_time {
                return None;
            }
            state.waiters += 1;
            in_time = deadline::wait_until(&self.added, &mut state, deadline);
            state.waiters -= 1;
        }
        state.permits -= 1;
        Some(Permit { semaphore: self })
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

impl Permit<'_> {
    /// Keeps the permit for good: the semaphore has one less.
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
        self.semaphore.release(1);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
