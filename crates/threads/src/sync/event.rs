//! A flag that threads wait for.

use std::fmt;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::{Condvar, Mutex, const_fn};
use crate::naming::Name;
use crate::waiting;

/// A flag that is set or clear; threads wait until it is set.
///
/// A thread that is waiting when the flag is set wakes up even if the flag is cleared before the
/// thread runs: it checks how often the flag was set, not the flag itself.
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::{sync::Event, thread};
///
/// let ready = Arc::new(Event::new());
/// let waits = Arc::clone(&ready);
/// let worker = thread::spawn(move || {
///     waits.wait();
///     "off we go"
/// });
/// ready.set();
/// assert_eq!(worker.join().unwrap(), "off we go");
/// ```
pub struct Event {
    state: Mutex<State>,
    changed: Condvar,
    name: Name,
}

struct State {
    set: bool,
    /// How often the flag went from clear to set.
    generation: u64,
    waiters: usize,
}

impl Event {
    const_fn! {
        /// An event whose flag is clear.
        #[track_caller]
        pub const fn new() -> Self {
            Self {
                state: Mutex::new(State { set: false, generation: 0, waiters: 0 }),
                changed: Condvar::new(),
                name: Name::here(),
            }
        }
    }

    /// Sets the flag and wakes every thread that waits.
    pub fn set(&self) {
        let mut state = self.state.lock();
        if !state.set {
            state.set = true;
            state.generation = state.generation.wrapping_add(1);
            if state.waiters > 0 {
                self.changed.notify_all();
            }
        }
    }

    /// Clears the flag: waits from now on block.
    pub fn clear(&self) {
        self.state.lock().set = false;
    }

    /// Whether the flag is set now.
    pub fn is_set(&self) -> bool {
        self.state.lock().set
    }

    /// Waits until the flag is set; returns at once if it is.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Waits until the flag is set, but no longer than `timeout`.
    ///
    /// True if the flag was set, at the call or at any moment since, even if it has been cleared
    /// again.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::Event;
    ///
    /// let event = Event::new();
    /// assert!(!event.wait_timeout(Duration::from_millis(1)));
    /// event.set();
    /// assert!(event.wait_timeout(Duration::ZERO));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(deadline::after(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if state.set {
            return true;
        }
        let generation = state.generation;
        state.waiters += 1;
        let _note = waiting::note("Event", &self.name);
        let mut in_time = true;
        while in_time && state.generation == generation {
            in_time = deadline::wait_until(&self.changed, &mut state, deadline);
        }
        state.waiters -= 1;
        state.generation != generation
    }
}

impl Default for Event {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use towline_testkit::with_watchdog;

    use super::*;

    #[test]
    fn a_waiter_is_released_even_if_the_flag_is_cleared_before_it_runs() {
        with_watchdog(Duration::from_secs(60), || {
            let event = Arc::new(Event::new());
            let waits = Arc::clone(&event);
            let waiter = std::thread::spawn(move || waits.wait_timeout(Duration::from_secs(60)));
            while event.state.lock().waiters == 0 {
                std::thread::yield_now();
            }
            {
                // Set and cleared in one go: the waiter cannot run in between.
                let mut state = event.state.lock();
                state.set = true;
                state.generation += 1;
                event.changed.notify_all();
                state.set = false;
            }
            assert!(waiter.join().unwrap());
            assert!(!event.is_set());
        });
    }
}
