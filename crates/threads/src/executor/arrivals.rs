//! Which of several tasks are done, in the order in which they ended.
//!
//! One thread waits, many report. A reporter appends its task's key under the lock. It wakes the
//! waiter only once there are as many keys as the waiter asked for, so a thread that waits for a
//! thousand tasks is woken once. The waiter says how many it wants and begins to wait without
//! releasing the lock in between, so no report is missed.

use std::collections::VecDeque;
use std::time::Instant;

use super::watch::Watch;
use crate::deadline;
use crate::facade::{Condvar, Mutex};
use crate::naming::Name;
use crate::waiting;

pub(super) struct Arrivals {
    state: Mutex<State>,
    enough: Condvar,
}

struct State {
    keys: VecDeque<usize>,
    /// How many keys the waiter wants before it is woken; `None` while no thread waits.
    wanted: Option<usize>,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { keys: VecDeque::new(), wanted: None }), enough: Condvar::new() }
    }

    /// Takes the key that arrived first.
    pub(super) fn pop(&self) -> Option<usize> {
        self.state.lock().keys.pop_front()
    }

    /// Waits until there are `wanted` keys (true) or until the deadline has passed (false).
    ///
    /// `place` names the function that waits, for reports. Only one thread at a time may wait.
    pub(super) fn wait(&self, place: &'static str, wanted: usize, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        let mut note = None;
        let mut in_time = true;
        while state.keys.len() < wanted {
            if !in_time {
                return false;
            }
            note.get_or_insert_with(|| waiting::note("tasks in", &Name::given(place)));
            state.wanted = Some(wanted);
            in_time = deadline::wait_until(&self.enough, &mut state, deadline);
            state.wanted = None;
        }
        true
    }
}

impl Watch for Arrivals {
    fn done(&self, key: usize) {
        let mut state = self.state.lock();
        state.keys.push_back(key);
        if state.wanted.is_some_and(|wanted| state.keys.len() >= wanted) {
            self.enough.notify_one();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use towline_testkit::with_watchdog;

    use super::*;

    #[test]
    fn keys_come_out_in_the_order_in_which_they_arrived() {
        let arrivals = Arrivals::new();
        for key in [2, 0, 1] {
            arrivals.done(key);
        }
        assert!(arrivals.wait("a test", 3, None));
        let keys: Vec<usize> = std::iter::from_fn(|| arrivals.pop()).collect();
        assert_eq!(keys, [2, 0, 1]);
        assert!(!arrivals.wait("a test", 1, deadline::after(Duration::from_millis(1))));
    }

    #[test]
    fn a_waiter_is_released_by_the_last_key_that_it_wants() {
        with_watchdog(Duration::from_secs(60), || {
            let arrivals = Arc::new(Arrivals::new());
            let reports = Arc::clone(&arrivals);
            let reporter = std::thread::spawn(move || (0..100).for_each(|key| reports.done(key)));
            assert!(arrivals.wait("a test", 100, None));
            assert_eq!(std::iter::from_fn(|| arrivals.pop()).count(), 100);
            reporter.join().unwrap();
        });
    }
}
