//! Scopes: tasks that borrow, and nothing of them left behind.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::executor::{
    FutureStatus, ReturnWhen, Scope, ScopedFuture, SubmitErrorKind, TaskError, as_completed, wait,
};
use towline_threads::sync::Event;
use towline_threads::{ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(60);

/// Counts itself out when it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(alive: &'a AtomicUsize) -> Self {
        alive.fetch_add(1, Ordering::AcqRel);
        Self(alive)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Keeps one worker of the pool busy until `go` is set; returns when it is.
fn occupy<'scope>(scope: &'scope Scope<'scope, '_>, go: &'scope Event) -> ScopedFuture<'scope, ()> {
    let busy = Arc::new(Event::new());
    let says = Arc::clone(&busy);
    let future = scope
        .submit(move || {
            says.set();
            go.wait();
        })
        .unwrap();
    busy.wait();
    future
}

#[test]
fn tasks_borrow_and_return_what_they_borrow() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let words = ["one", "three", "seven"].map(String::from);
        let mut lengths = [0; 3];
        let longest: &str = pool.scope(|scope| {
            let longest = scope.submit(|| words.iter().max_by_key(|word| word.len())).unwrap();
            for (length, word) in lengths.iter_mut().zip(&words) {
                let _written = scope.submit(move || *length = word.len()).unwrap();
            }
            longest.result().unwrap().unwrap().as_str()
        });
        assert_eq!(longest.len(), 5);
        assert_eq!(lengths, [3, 5, 5]);
    });
}

#[test]
fn every_task_has_ended_when_scope_returns() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(3).unwrap();
        for _ in 0..50 {
            let ran = AtomicUsize::new(0);
            pool.scope(|scope| {
                for _ in 0..30 {
                    drop(scope.submit(|| ran.fetch_add(1, Ordering::Relaxed)).unwrap());
                }
            });
            assert_eq!(ran.into_inner(), 30);
        }
    });
}

#[test]
fn every_task_has_ended_when_scope_passes_a_panic_on() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (ran, go) = (AtomicUsize::new(0), Event::new());
        let outcome: std::thread::Result<()> = catch_unwind(AssertUnwindSafe(|| {
            pool.scope(|scope| {
                let _busy = occupy(scope, &go);
                for _ in 0..30 {
                    let _counts = scope.submit(|| ran.fetch_add(1, Ordering::Relaxed)).unwrap();
                }
                // From here on nobody but the end of the scope waits for them.
                go.set();
                panic_any("out of here");
            })
        }));
        let payload = outcome.unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"out of here"));
        assert_eq!(ran.into_inner(), 30);
    });
}

#[test]
fn a_panic_in_a_task_is_its_error_and_not_the_scopes() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let text = pool.scope(|scope| {
            let bad = scope.submit(|| -> u8 { panic_any(String::from("kept")) }).unwrap();
            let ignored = scope.submit(|| -> u8 { panic!("nobody asks") }).unwrap();
            let waited = wait([&bad, &ignored], ReturnWhen::AllCompleted, None);
            assert!(waited.done.iter().all(|future| future.status() == FutureStatus::Panicked));
            match bad.result() {
                Err(TaskError::Panicked(payload)) => *payload.downcast::<String>().unwrap(),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(text, "kept");
    });
}

#[test]
fn a_result_is_given_once_and_a_timeout_leaves_it() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let go = Event::new();
        pool.scope(|scope| {
            let mut future = occupy(scope, &go);
            assert!(future.running());
            assert!(matches!(future.result_timeout(Duration::from_millis(1)), Err(TaskError::Timeout)));
            go.set();
            future.result_timeout(LIMIT).unwrap();
            assert!(matches!(future.result_timeout(LIMIT), Err(TaskError::Taken)));
            assert!(matches!(future.result(), Err(TaskError::Taken)));
        });
    });
}

#[test]
fn tasks_submit_tasks_to_their_own_scope() {
    fn grow<'scope>(scope: &'scope Scope<'scope, '_>, ran: &'scope AtomicUsize, depth: usize) {
        ran.fetch_add(1, Ordering::Relaxed);
        for _ in 0..2 * depth.min(1) {
            drop(scope.submit(move || grow(scope, ran, depth - 1)).unwrap());
        }
    }
    with_watchdog(LIMIT, || {
        for workers in [1, 3] {
            let pool = ThreadPoolExecutor::new(workers).unwrap();
            let ran = AtomicUsize::new(0);
            pool.scope(|scope| grow(scope, &ran, 8));
            assert_eq!(ran.into_inner(), (1 << 9) - 1);
        }
    });
}

#[test]
fn a_task_may_open_a_scope_on_its_own_pool() {
    fn sum(pool: &ThreadPoolExecutor, numbers: &[u64]) -> u64 {
        if let [number] = numbers {
            return *number;
        }
        let (low, high) = numbers.split_at(numbers.len() / 2);
        let (mut left, mut right) = (0, 0);
        pool.scope(|scope| {
            // Nobody waits for these but the end of the scope.
            let _left = scope.submit(|| left = sum(pool, low)).unwrap();
            let _right = scope.submit(|| right = sum(pool, high)).unwrap();
        });
        left + right
    }
    with_watchdog(LIMIT, || {
        for workers in [1, 2] {
            let pool = Arc::new(ThreadPoolExecutor::new(workers).unwrap());
            let own = Arc::clone(&pool);
            let numbers: Vec<u64> = (0..128).collect();
            let outer = pool.submit(move || sum(&own, &numbers)).unwrap();
            assert_eq!(outer.result().unwrap(), 127 * 64);
        }
    });
}

#[test]
fn a_scope_in_a_worker_awaits_its_tasks_one_by_one_and_runs_no_stranger() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let stranger = own.submit(|| ()).unwrap();
            let here = thread::current().id();
            let order = Mutex::new(Vec::new());
            own.scope(|scope| {
                for number in 0..5 {
                    let order = &order;
                    let _noted = scope.submit(move || order.lock().unwrap().push((number, thread::current().id())));
                }
            });
            assert!(order.into_inner().unwrap().into_iter().eq((0..5).map(|number| (number, here))));
            stranger.status()
        });
        assert_eq!(outer.unwrap().result().unwrap(), FutureStatus::Pending);
    });
}

#[test]
fn a_task_awaits_another_task_of_the_scope() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let text = String::from("towline");
        let outer = pool.submit(move || {
            own.scope(|scope| {
                let length = scope.submit(|| text.len()).unwrap();
                let double = scope.submit(move || length.result().unwrap() * 2).unwrap();
                double.result().unwrap()
            })
        });
        assert_eq!(outer.unwrap().result().unwrap(), 14);
    });
}

#[test]
fn a_cancelled_task_has_dropped_its_closure_when_cancel_returns() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (alive, go) = (AtomicUsize::new(0), Event::new());
        pool.scope(|scope| {
            let _busy = occupy(scope, &go);
            let counted = Counted::new(&alive);
            let future = scope.submit(move || drop(counted)).unwrap();
            assert_eq!(alive.load(Ordering::Acquire), 1);
            assert!(future.cancel() && future.cancelled() && future.done());
            assert_eq!(alive.load(Ordering::Acquire), 0);
            assert!(matches!(future.result(), Err(TaskError::Cancelled)));
            go.set();
        });
    });
}

#[test]
fn a_shutdown_that_cancels_ends_the_scope_and_drops_its_closures() {
    with_watchdog(LIMIT, || {
        for _ in 0..100 {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let (alive, go) = (AtomicUsize::new(0), Event::new());
            std::thread::scope(|threads| {
                pool.scope(|scope| {
                    let _busy = occupy(scope, &go);
                    for _ in 0..20 {
                        let counted = Counted::new(&alive);
                        let _never = scope.submit(move || drop(counted)).unwrap();
                    }
                    // At the same time as the end of the scope.
                    threads.spawn(|| {
                        pool.shutdown(false, true);
                        go.set();
                    });
                });
                assert_eq!(alive.load(Ordering::Acquire), 0);
            });
        }
    });
}

#[test]
fn a_callback_that_waits_for_the_scope_while_its_tasks_are_cancelled_does_no_harm() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (alive, go) = (AtomicUsize::new(0), Event::new());
        let (left, waits) = (Arc::new(Event::new()), Arc::new(Event::new()));
        std::thread::scope(|threads| {
            pool.scope(|scope| {
                let _busy = occupy(scope, &go);
                // Cancelled first; its callback keeps the thread that cancels from the rest.
                let first = pool.submit(|| ()).unwrap();
                let (scope_left, in_callback) = (Arc::clone(&left), Arc::clone(&waits));
                first.add_done_callback(move |_| {
                    in_callback.set();
                    scope_left.wait();
                });
                let counted = Counted::new(&alive);
                let _never = scope.submit(move || drop(counted)).unwrap();
                threads.spawn(|| pool.shutdown(false, true));
                waits.wait();
                go.set();
            });
            assert_eq!(alive.load(Ordering::Acquire), 0);
            left.set();
        });
    });
}

#[test]
fn a_pool_that_breaks_ends_the_scope_and_drops_its_closures() {
    with_watchdog(LIMIT, || {
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(1)
            .initializer(move || {
                waits.wait();
                Err("no licence".into())
            })
            .build()
            .unwrap();
        let alive = AtomicUsize::new(0);
        pool.scope(|scope| {
            let futures: Vec<_> = (0..10)
                .map(|_| {
                    let counted = Counted::new(&alive);
                    scope.submit(move || drop(counted)).unwrap()
                })
                .collect();
            go.set();
            for future in futures {
                match future.result() {
                    Err(TaskError::Broken(reason)) => assert!(reason.contains("no licence")),
                    other => panic!("{other:?}"),
                }
            }
        });
        assert_eq!(alive.into_inner(), 0);
    });
}

#[test]
fn a_pool_that_refuses_hands_the_closure_back() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        pool.shutdown(true, false);
        let alive = AtomicUsize::new(0);
        let value = pool.scope(|scope| {
            let counted = Counted::new(&alive);
            let refused = scope
                .submit(move || {
                    drop(counted);
                    5
                })
                .unwrap_err();
            assert_eq!(*refused.kind(), SubmitErrorKind::ShutDown);
            assert_eq!(alive.load(Ordering::Acquire), 1);
            refused.into_inner()()
        });
        assert_eq!((value, alive.into_inner()), (5, 0));
    });
}

#[test]
fn a_future_that_is_forgotten_holds_nothing_up() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let (ran, alive) = (AtomicUsize::new(0), AtomicUsize::new(0));
            own.scope(|scope| {
                for number in 0..10 {
                    let (counted, ran) = (Counted::new(&alive), &ran);
                    let future = scope
                        .submit(move || {
                            drop(counted);
                            ran.fetch_add(1, Ordering::AcqRel)
                        })
                        .unwrap();
                    // Some of them never run: their closures are gone all the same.
                    if number % 2 == 0 {
                        future.cancel();
                    }
                    mem::forget(future);
                }
            });
            (ran.into_inner(), alive.into_inner())
        });
        assert_eq!(outer.unwrap().result().unwrap(), (5, 0));
    });
}

#[test]
fn a_value_that_nobody_takes_is_dropped_before_scope_returns() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        for _ in 0..50 {
            let alive = AtomicUsize::new(0);
            pool.scope(|scope| {
                for number in 0..10 {
                    let alive = &alive;
                    let future = scope.submit(move || Counted::new(alive)).unwrap();
                    match number % 3 {
                        0 => drop(future),
                        1 => drop(future.result().unwrap()),
                        _ => {
                            let _unread = scope.submit(move || future.done()).unwrap();
                        }
                    }
                }
            });
            assert_eq!(alive.into_inner(), 0);
        }
    });
}

#[test]
fn a_destructor_that_panics_harms_nobody_else() {
    struct Bad<'a>(&'a AtomicUsize);
    impl Drop for Bad<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::AcqRel);
            panic!("in drop");
        }
    }
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (dropped, go) = (AtomicUsize::new(0), Event::new());
        pool.scope(|scope| {
            let _busy = occupy(scope, &go);
            // A closure that is dropped by the canceller.
            let bad = Bad(&dropped);
            let cancelled = scope.submit(move || mem::forget(bad)).unwrap();
            assert!(cancelled.cancel());
            assert_eq!(dropped.load(Ordering::Acquire), 1);
            // A value that is dropped by the worker.
            let dropped = &dropped;
            drop(scope.submit(move || Bad(dropped)).unwrap());
            go.set();
        });
        assert_eq!(dropped.into_inner(), 2);
        assert_eq!(pool.submit(|| 1).unwrap().result().unwrap(), 1);
    });
}

#[test]
fn as_completed_and_wait_take_the_futures_of_a_scope() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let words = ["one", "three", "seven"].map(String::from);
        pool.scope(|scope| {
            let futures: Vec<_> = words.iter().map(|word| scope.submit(move || word.len()).unwrap()).collect();
            assert_eq!(wait(&futures, ReturnWhen::AllCompleted, None).done.len(), 3);
            assert_eq!(as_completed(futures).map(|future| future.result().unwrap()).sum::<usize>(), 13);
        });
    });
}

#[test]
fn nothing_of_a_scope_is_left_whoever_cancels_shuts_down_or_panics() {
    with_watchdog(LIMIT, || {
        for round in 0..300 {
            let pool = ThreadPoolExecutor::new(1 + round % 3).unwrap();
            let (alive, both) = (AtomicUsize::new(0), Barrier::new(2));
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    both.wait();
                    (0..fastrand::u32(..200)).for_each(|_| std::hint::spin_loop());
                    pool.shutdown(fastrand::bool(), fastrand::bool());
                });
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    pool.scope(|scope| {
                        both.wait();
                        for number in 0..20 {
                            let (counted, alive) = (Counted::new(&alive), &alive);
                            let submitted = scope.submit(move || {
                                drop(counted);
                                Counted::new(alive)
                            });
                            // The others run on, or are refused and dropped here.
                            if let (0, Ok(future)) = (number % 3, submitted) {
                                future.cancel();
                            }
                        }
                        if round % 2 == 0 {
                            panic_any("out of here");
                        }
                    });
                    assert_eq!(alive.load(Ordering::Acquire), 0);
                }));
                assert_eq!(outcome.is_err(), round % 2 == 0);
                assert_eq!(alive.load(Ordering::Acquire), 0);
            });
        }
    });
}
