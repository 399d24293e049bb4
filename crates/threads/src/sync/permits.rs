//! The count of permits behind [`Semaphore`](super::Semaphore) and
//! [`BoundedSemaphore`](super::BoundedSemaphore).
//!
//! No wake-up is lost: a permit is added under the lock, and for each one added a waiting thread
//! is notified. If a thread that does not wait takes that permit first, the notified one waits
//! again and nothing is owed to anybody, for the permit is gone. A notified thread is counted
//! until it runs again, so the count of those who wait may be too high (a notification too many is
//! harmless), never too low. A timed wait that ends looks at the permits once more, so it cannot
//! leave with a notification and without the permit.

use std::time::Instant;

use crate::deadline;
use crate::facade::{Condvar, Mutex, const_fn};
use crate::naming::Name;
use crate::waiting;

/// A number of permits that never exceeds its limit.
pub(super) struct Permits {
    state: Mutex<State>,
    added: Condvar,
    limit: usize,
    kind: &'static str,
    name: Name,
}

struct State {
    available: usize,
    waiters: usize,
}

impl Permits {
    const_fn! {
        /// `kind` and `name` are for reports.
        pub(super) const fn new(available: usize, limit: usize, kind: &'static str, name: Name) -> Self {
            Self { state: Mutex::new(State { available, waiters: 0 }), added: Condvar::new(), limit, kind, name }
        }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    pub(super) fn available(&self) -> usize {
        self.state.lock().available
    }

    /// Takes a permit; waits until there is one.
    pub(super) fn take(&self) {
        // Without a deadline the wait ends with a permit only.
        while !self.take_until(None) {}
    }

    /// Takes a permit if there is one now.
    pub(super) fn try_take(&self) -> bool {
        let mut state = self.state.lock();
        let there = state.available > 0;
        if there {
            state.available -= 1;
        }
        there
    }

    /// Takes a permit; false if there was none until `deadline`.
    pub(super) fn take_until(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if state.available == 0 {
            let _note = waiting::note(self.kind, &self.name);
            let mut in_time = true;
            while state.available == 0 {
                if !in_time {
                    return false;
                }
                state.waiters += 1;
                in_time = deadline::wait_until(&self.added, &mut state, deadline);
                state.waiters -= 1;
            }
        }
        state.available -= 1;
        true
    }

    /// Adds permits.
    ///
    /// # Errors
    ///
    /// How many there are, if the limit would be exceeded; nothing changes then.
    pub(super) fn add(&self, permits: usize) -> Result<(), usize> {
        let mut state = self.state.lock();
        match state.available.checked_add(permits) {
            Some(sum) if sum <= self.limit => {
                state.available = sum;
                self.wake(&state, permits);
                Ok(())
            }
            _ => Err(state.available),
        }
    }

    /// Adds the permit of a guard, unless the limit has been reached without it.
    pub(super) fn give_back(&self) {
        let mut state = self.state.lock();
        if state.available < self.limit {
            state.available += 1;
            self.wake(&state, 1);
        }
    }

    fn wake(&self, state: &State, permits: usize) {
        for _ in 0..permits.min(state.waiters) {
            self.added.notify_one();
        }
    }
}
