//! Waits for a condition instead of a fixed time. One that never comes true fails the test, with its
//! name in the message.

use std::thread;
use std::time::{Duration, Instant};

/// Much longer than any condition needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two checks, which grows.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Waits until `look` finds something, and returns it.
///
/// ```
/// let mut looks = 0;
/// let found = towline_testkit::wait_for("the third look", || {
///     looks += 1;
///     (looks == 3).then_some("it")
/// });
/// assert_eq!(found, "it");
/// ```
///
/// # Panics
/// If it finds nothing within a minute.
#[track_caller]
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    found_within(PATIENCE, what, look)
}

/// Waits until `holds` is true.
///
/// # Panics
/// If it is not within a minute.
#[track_caller]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_at_most(PATIENCE, what, holds);
}

/// Waits until `holds` is true, but no longer than `limit`. For tests whose watchdog has less patience
/// than [`wait_until`].
///
/// # Panics
/// If it is not true by then.
#[track_caller]
pub fn wait_at_most(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    found_within(limit, what, || holds().then_some(()));
}

#[track_caller]
fn found_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for {what}");
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
