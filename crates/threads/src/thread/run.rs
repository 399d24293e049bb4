//! A `main` that waits for its threads.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::registry;

/// Runs `main_fn`, then waits for every non-daemon thread of this crate.
///
/// This includes threads that those threads start meanwhile. Daemon threads and threads started
/// without this crate are left behind. CPython does this when the process exits; a Rust program
/// calls `run` in its `main`.
///
/// # Panics
///
/// Resumes a panic of `main_fn` after the threads have ended.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use towline_threads::thread;
///
/// let saved = Arc::new(AtomicBool::new(false));
/// let flag = Arc::clone(&saved);
/// let answer = thread::run(move || {
///     thread::spawn(move || flag.store(true, Ordering::Release)); // nobody joins it
///     42
/// });
/// assert_eq!(answer, 42);
/// assert!(saved.load(Ordering::Acquire));
/// ```
pub fn run<R>(main_fn: impl FnOnce() -> R) -> R {
    let outcome = catch_unwind(AssertUnwindSafe(main_fn));
    registry::wait_for_non_daemons();
    match outcome {
        Ok(value) => value,
        Err(payload) => resume_unwind(payload),
    }
}
