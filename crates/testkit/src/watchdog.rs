//! A watchdog: a test that would hang fails instead. The test runs on a thread of its own, which is
//! abandoned when time is up.

use std::panic::resume_unwind;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Runs a test on another thread, under the same thread name, and returns its result. Its panics are
/// passed on.
///
/// ```
/// use std::time::Duration;
///
/// let sum = towline_testkit::with_watchdog(Duration::from_secs(10), || 2 + 3);
/// assert_eq!(sum, 5);
/// ```
///
/// # Panics
/// If it takes longer than `limit`.
#[track_caller]
pub fn with_watchdog<T: Send + 'static>(limit: Duration, test: impl FnOnce() -> T + Send + 'static) -> T {
    let (tells, ended) = mpsc::channel();
    // With `--test-threads=1` the caller is the main thread, and the toolkit knows that one by its name.
    let name = thread::current().name().filter(|name| *name != "main").unwrap_or("test").to_owned();
    let running = thread::Builder::new()
        .name(name)
        .spawn(move || {
            let value = test();
            // After a timeout nobody receives this.
            let _ = tells.send(());
            value
        })
        .unwrap();
    if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        panic!("still running after {limit:?}");
    }
    // The test has ended: a panic drops its end of the channel.
    match running.join() {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}
