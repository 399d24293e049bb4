//! Helpers that the tests share.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// Runs `f` on a thread of its own and fails the test if it does not end within `limit`.
///
/// A panic of `f` is the test's panic.
pub(crate) fn with_watchdog<T, F>(limit: Duration, f: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (ended, watch) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let value = f();
        // The other end is gone only if the watchdog has given up already.
        let _ = ended.send(());
        value
    });
    match watch.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("the test did not end within {limit:?}"),
        // Disconnected: `f` panicked and dropped its end of the channel.
        Ok(()) | Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Ok(value) => value,
            Err(payload) => resume_unwind(payload),
        },
    }
}
