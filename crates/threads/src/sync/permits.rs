//! The count of permits behind [`Semaphore`](super::Semaphore) and
//! [`BoundedSemaphore`](super::BoundedSemaphore).
//!
//! No wake-up is lost: permits are added under the lock, and each one added notifies a waiting
//! thread. If a thread that does not wait takes that permit first, the notified one waits again,
//! which is right, because the permit is gone. A notified thread counts as waiting until it runs
//! again, so the count of waiting threads may be too high (an extra notification is harmless),
//! never too low. A timed wait that ends checks the permits once more, so it cannot use up a
//! notification without taking the permit.

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
        // Without a deadline, the wait ends only with a permit.
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

    /// Takes a permit; false if there was none before `deadline`.
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

    /// Adds the permit of a guard, unless the limit is already reached.
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
