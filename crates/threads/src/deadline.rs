//! Deadlines for timed waits. A timeout beyond the clock's range means no deadline.

use std::time::{Duration, Instant};

use crate::facade::{Condvar, MutexGuard};

/// The moment `timeout` from now; `None` if it is beyond the clock's range.
pub(crate) fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Waits on `condvar` until it is notified (true) or until `deadline` has passed (false).
///
/// The caller checks its condition again either way.
pub(crate) fn wait_until<T>(condvar: &Condvar, guard: &mut MutexGuard<'_, T>, deadline: Option<Instant>) -> bool {
    match deadline {
        Some(deadline) => !condvar.wait_until(guard, deadline).timed_out(),
        None => {
            condvar.wait(guard);
            true
        }
    }
}
