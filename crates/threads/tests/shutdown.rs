//! A shutdown never hangs, wherever it comes from, and every future ends in a state that `wait` sees.

use std::sync::Arc;
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::executor::{ReturnWhen, TaskError, wait};
use towline_threads::supervisor::{Interrupt, ManualInterrupt, Outcome, Supervised, Supervisor};
use towline_threads::sync::Event;
use towline_threads::{Future, ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(60);
const PENDING: usize = 100_000;

/// A pool whose only worker is held up, with 100,000 tasks behind it.
fn laden() -> (Arc<ThreadPoolExecutor>, Arc<Event>, Vec<Future<()>>) {
    let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
    let go = Arc::new(Event::new());
    let (waits, begun) = (Arc::clone(&go), Arc::new(Event::new()));
    let tell = Arc::clone(&begun);
    let mut futures = vec![
        pool.submit(move || {
            tell.set();
            waits.wait();
        })
        .unwrap(),
    ];
    begun.wait();
    futures.extend((0..PENDING).map(|_| pool.submit(|| ()).unwrap()));
    (pool, go, futures)
}

/// All are done; so many were cancelled.
fn assert_ended(futures: Vec<Future<()>>, cancelled: usize) {
    let waited = wait(futures, ReturnWhen::AllCompleted, Some(LIMIT));
    assert!(waited.not_done.is_empty());
    let counted = waited.done.into_iter().filter(|future| future.cancelled()).count();
    assert_eq!(counted, cancelled);
}

#[test]
fn a_shutdown_runs_100_000_pending_tasks() {
    with_watchdog(LIMIT, || {
        let (pool, go, futures) = laden();
        go.set();
        pool.shutdown(true, false);
        assert_ended(futures, 0);
    });
}

#[test]
fn a_shutdown_cancels_100_000_pending_tasks() {
    with_watchdog(LIMIT, || {
        let (pool, go, futures) = laden();
        pool.shutdown(false, true);
        assert!(futures[PENDING].cancelled(), "at once, while the worker is still held up");
        go.set();
        pool.shutdown(true, false);
        assert_ended(futures, PENDING);
    });
}

#[test]
fn a_shutdown_from_a_worker_does_not_wait_for_itself() {
    for cancel_futures in [false, true] {
        with_watchdog(LIMIT, move || {
            let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
            let inner = Arc::clone(&pool);
            let ends = pool.submit(move || inner.shutdown(true, cancel_futures)).unwrap();
            ends.result().unwrap();
            assert!(pool.submit(|| ()).is_err());
        });
    }
}

#[test]
fn a_shutdown_from_a_callback_does_not_wait_for_itself() {
    for cancel_futures in [false, true] {
        with_watchdog(LIMIT, move || {
            let (pool, go, mut futures) = laden();
            let inner = Arc::clone(&pool);
            futures[0].add_done_callback(move |_| inner.shutdown(true, cancel_futures));
            go.set();
            let first = futures.remove(0);
            first.result().unwrap();
            pool.shutdown(true, false);
            assert_ended(futures, if cancel_futures { PENDING } else { 0 });
        });
    }
}

#[test]
fn a_shutdown_from_a_nested_task_does_not_wait_for_itself() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let inner = Arc::clone(&pool);
        let outer = pool
            .submit(move || {
                let innermost = Arc::clone(&inner);
                inner.submit(move || innermost.shutdown(true, true)).unwrap().result()
            })
            .unwrap();
        outer.result().unwrap().unwrap();
    });
}

#[test]
fn two_shutdowns_at_once_both_return() {
    for cancel_futures in [false, true] {
        with_watchdog(LIMIT, move || {
            let (pool, go, futures) = laden();
            let other = Arc::clone(&pool);
            let second = thread::spawn(move || other.shutdown(true, cancel_futures));
            go.set();
            pool.shutdown(true, cancel_futures);
            second.join().unwrap();
            assert!(wait(futures, ReturnWhen::AllCompleted, Some(LIMIT)).not_done.is_empty());
        });
    }
}

#[test]
fn a_shutdown_from_the_hook_of_an_interrupted_run_returns() {
    struct Run {
        pool: Arc<ThreadPoolExecutor>,
        go: Arc<Event>,
    }
    impl Supervised for Run {
        fn init_threads(&mut self, crew: &towline_threads::supervisor::Crew) -> std::io::Result<()> {
            let token = crew.cancel_token().clone();
            crew.spawn("waits", move || {
                token.wait();
            })
        }
        fn run_interrupt(&mut self, _: Interrupt) {
            self.pool.shutdown(false, true);
            self.go.set();
            self.pool.shutdown(true, true);
        }
    }
    with_watchdog(LIMIT, || {
        let (pool, go, futures) = laden();
        let (source, trigger) = ManualInterrupt::new();
        trigger.send(Interrupt::Signal(15));
        let outcome = Supervisor::new(1).interrupts(source).run(&mut Run { pool, go }).unwrap();
        assert_eq!(outcome, Outcome::Interrupted(Interrupt::Signal(15)));
        assert_ended(futures, PENDING);
    });
}

#[test]
fn a_submission_after_the_shutdown_gets_its_closure_back() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        pool.shutdown(false, false);
        let refused = pool.submit(|| 5).unwrap_err();
        assert_eq!(refused.to_string(), "the pool has been shut down");
        assert_eq!(refused.into_inner()(), 5);
    });
}

#[test]
fn a_future_whose_pool_breaks_says_why() {
    with_watchdog(LIMIT, || {
        let pool =
            ThreadPoolExecutor::builder().max_workers(1).initializer(|| Err("no licence".into())).build().unwrap();
        let futures: Vec<_> = (0..10).filter_map(|_| pool.submit(|| ()).ok()).collect();
        let waited = wait(futures, ReturnWhen::AllCompleted, None);
        for future in waited.done {
            match future.result() {
                Err(TaskError::Broken(reason)) => assert!(reason.contains("no licence"), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    });
}
