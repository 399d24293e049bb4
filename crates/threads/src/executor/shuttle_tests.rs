//! The pool as a whole, under thousands of random schedules.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p towline-threads --release --lib shuttle_tests`
//!
//! A failing schedule is printed; `shuttle::replay` runs it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::thread;

use crate::sync::Event;

use super::{FutureStatus, ReturnWhen, TaskError, ThreadPoolExecutor, as_completed, wait};

/// How many schedules; `TOWLINE_SHUTTLE_SCHEDULES` says otherwise.
fn check(f: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("TOWLINE_SHUTTLE_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    shuttle::check_random(f, schedules);
}

fn pool(workers: usize) -> Arc<ThreadPoolExecutor> {
    Arc::new(ThreadPoolExecutor::new(workers).unwrap())
}

#[test]
fn every_task_is_run_and_every_result_is_had() {
    check(|| {
        let pool = pool(2);
        let futures: Vec<_> = (0..4).map(|n| pool.submit(move || n).unwrap()).collect();
        let sum: i32 = futures.into_iter().map(|future| future.result().unwrap()).sum();
        assert_eq!(sum, 6);
        pool.shutdown(true, false);
    });
}

#[test]
fn a_task_runs_or_is_cancelled_and_is_done_for_everybody() {
    check(|| {
        let pool = pool(1);
        let ran = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&ran);
        let future = Arc::new(pool.submit(move || counts.fetch_add(1, Ordering::SeqCst)).unwrap());
        let cancels = Arc::clone(&future);
        let canceller = thread::spawn(move || cancels.cancel());
        let waited = wait([&*future], ReturnWhen::AllCompleted, None);
        assert_eq!(waited.done.len(), 1);
        let cancelled = canceller.join().unwrap();
        assert_eq!(cancelled, ran.load(Ordering::SeqCst) == 0);
        pool.shutdown(true, false);
    });
}

#[test]
fn a_pool_of_one_runs_tasks_that_await_tasks() {
    check(|| {
        let pool = pool(1);
        let inner = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let innermost = Arc::clone(&inner);
            let middle = inner.submit(move || innermost.submit(|| 1).unwrap().result().unwrap() + 1).unwrap();
            middle.result().unwrap() + 1
        });
        assert_eq!(outer.unwrap().result().unwrap(), 3);
        pool.shutdown(true, false);
    });
}

#[test]
fn a_shutdown_that_cancels_leaves_no_future_without_an_end() {
    check(|| {
        let pool = pool(2);
        let futures: Vec<_> = (0..3).map(|n| pool.submit(move || n).unwrap()).collect();
        let ends = Arc::clone(&pool);
        let other = thread::spawn(move || ends.shutdown(true, true));
        pool.shutdown(true, true);
        for future in as_completed(futures) {
            match future.result() {
                Ok(_) | Err(TaskError::Cancelled) => {}
                Err(other) => panic!("{other}"),
            }
        }
        other.join().unwrap();
    });
}

#[test]
fn callbacks_run_once_each_and_in_order() {
    check(|| {
        let pool = pool(1);
        let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
        // The task cannot be done before both have been added; one that comes late runs at once.
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let future = pool.submit(move || waits.wait()).unwrap();
        for n in 0..2 {
            let order = Arc::clone(&order);
            future.add_done_callback(move |status| {
                assert_eq!(status, FutureStatus::Finished);
                order.lock().push(n);
            });
        }
        go.set();
        pool.shutdown(true, false);
        assert_eq!(*order.lock(), [0, 1]);
    });
}

#[test]
fn a_shutdown_from_a_worker_and_from_outside_both_return() {
    check(|| {
        let pool = pool(1);
        let inner = Arc::clone(&pool);
        let future = pool.submit(move || inner.shutdown(true, false)).unwrap();
        pool.shutdown(true, false);
        assert!(future.done());
    });
}
