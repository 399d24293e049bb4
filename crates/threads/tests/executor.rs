//! The pool: results, cancellation, callbacks, shutdown, and pools that break.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::executor::{Future, FutureStatus, SubmitErrorKind, TaskError};
use towline_threads::sync::Event;
use towline_threads::{Queue, ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(60);

/// Keeps one worker of the pool busy until the event is set; returns when it is.
fn occupy(pool: &ThreadPoolExecutor) -> (Future<()>, Arc<Event>) {
    let (busy, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (says, waits) = (Arc::clone(&busy), Arc::clone(&go));
    let future = pool
        .submit(move || {
            says.set();
            waits.wait();
        })
        .unwrap();
    busy.wait();
    (future, go)
}

#[test]
fn results_come_back_through_their_futures() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(3).unwrap();
        let futures: Vec<_> = (0..1000_u64).map(|n| pool.submit(move || n * 2).unwrap()).collect();
        for (n, future) in (0..1000_u64).zip(futures) {
            assert_eq!(future.result().unwrap(), n * 2);
        }
    });
}

#[test]
fn a_cancelled_task_is_done_for_everybody_at_once_and_never_runs() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (first, go) = occupy(&pool);
        assert!(first.running());
        assert!(!first.cancel(), "it is running");

        let ran = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&ran);
        let mut second = pool.submit(move || counts.fetch_add(1, Ordering::AcqRel)).unwrap();
        let (tells, hears) = mpsc::channel();
        second.add_done_callback(move |status| tells.send(status).unwrap());
        assert!(!second.done());
        assert!(second.cancel());
        // The only worker is still busy: nobody had to find the task first.
        assert!(second.done() && second.cancelled());
        assert_eq!(hears.try_recv(), Ok(FutureStatus::Cancelled));
        assert!(second.cancel(), "still true");
        let result = second.result_timeout(LIMIT);
        assert!(matches!(result, Err(TaskError::Cancelled)));

        go.set();
        first.result().unwrap();
        pool.shutdown(true, false);
        assert_eq!(ran.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_result_can_be_asked_for_again_after_a_timeout_and_is_given_once() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (mut future, go) = occupy(&pool);
        let early = future.result_timeout(Duration::from_millis(1));
        assert!(matches!(early, Err(TaskError::Timeout)));
        go.set();
        assert!(future.result_timeout(LIMIT).is_ok());
        assert!(matches!(future.result(), Err(TaskError::Taken)));
    });
}

#[test]
fn a_panic_is_the_error_of_its_task_and_the_worker_lives_on() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let name = || thread::current().id();
        let before = pool.submit(name).unwrap().result().unwrap();
        let bad = pool.submit(|| -> u8 { panic!("task {}", std::hint::black_box(3)) }).unwrap();
        match bad.result() {
            Err(TaskError::Panicked(payload)) => {
                assert_eq!(payload.downcast_ref::<String>().unwrap(), "task 3");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.submit(name).unwrap().result().unwrap(), before);
    });
}

#[test]
fn threads_start_when_none_is_idle_and_are_listed_by_name() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::builder().max_workers(2).thread_name_prefix("lazy").build().unwrap();
        let listed = || thread::enumerate().iter().filter(|thread| thread.name().starts_with("lazy_")).count();
        assert_eq!(listed(), 0);
        let (_one, go_one) = occupy(&pool);
        assert_eq!(listed(), 1);
        let (_two, go_two) = occupy(&pool);
        assert_eq!(listed(), 2);
        let third = pool.submit(|| thread::current().name().to_owned()).unwrap();
        assert_eq!(listed(), 2);
        go_one.set();
        go_two.set();
        let name = third.result().unwrap();
        assert!(name == "lazy_0" || name == "lazy_1", "{name}");
        pool.shutdown(true, false);
        assert_eq!(listed(), 0);
    });
}

#[test]
fn callbacks_run_in_order_and_one_that_panics_does_not_stop_the_rest() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (future, go) = occupy(&pool);
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..4 {
            let order = Arc::clone(&order);
            future.add_done_callback(move |status| {
                order.lock().unwrap().push((number, status));
                assert_ne!(number, 1, "this one panics after it has been noted");
            });
        }
        // Its turn comes after all of those: one worker does everything.
        go.set();
        future.result().unwrap();
        pool.submit(|| ()).unwrap().result().unwrap();
        let seen = order.lock().unwrap().clone();
        let expected: Vec<_> = (0..4).map(|n| (n, FutureStatus::Finished)).collect();
        assert_eq!(seen, expected);
    });
}

#[test]
fn a_callback_added_late_runs_at_once_in_the_caller() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let mut future = pool.submit(|| -> u8 { panic!("bad") }).unwrap();
        assert!(future.result_timeout(LIMIT).is_err());
        let (tells, hears) = mpsc::channel();
        let here = thread::current().id();
        future.add_done_callback(move |status| {
            tells.send((status, thread::current().id())).unwrap();
        });
        assert_eq!(hears.try_recv(), Ok((FutureStatus::Panicked, here)));
        future.add_done_callback(|_| panic!("reported, not passed on"));
    });
}

#[test]
fn an_initializer_that_fails_breaks_the_pool_and_every_pending_future_says_so() {
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
        let futures: Vec<_> = (0..10).map(|n| pool.submit(move || n).unwrap()).collect();
        go.set();
        for future in futures {
            match future.result() {
                Err(TaskError::Broken(reason)) => assert!(reason.contains("no licence")),
                other => panic!("{other:?}"),
            }
        }
        let refused = pool.submit(|| 11).unwrap_err();
        assert!(matches!(refused.kind(), SubmitErrorKind::Broken(_)));
        assert_eq!((refused.into_inner())(), 11);
    });
}

#[test]
fn an_initializer_that_panics_breaks_the_pool() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::builder().max_workers(2).initializer(|| panic!("not today")).build().unwrap();
        let outcome = pool.submit(|| ()).unwrap().result();
        match outcome {
            Err(TaskError::Broken(reason)) => assert!(reason.contains("not today")),
            other => panic!("{other:?}"),
        }
        pool.shutdown(true, true);
    });
}

#[test]
fn an_initializer_runs_once_in_each_worker() {
    with_watchdog(LIMIT, || {
        let runs = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&runs);
        let pool = ThreadPoolExecutor::builder()
            .max_workers(2)
            .initializer(move || {
                counts.fetch_add(1, Ordering::AcqRel);
                Ok(())
            })
            .build()
            .unwrap();
        let (one, go_one) = occupy(&pool);
        let (two, go_two) = occupy(&pool);
        go_one.set();
        go_two.set();
        one.result().unwrap();
        two.result().unwrap();
        pool.shutdown(true, false);
        assert_eq!(runs.load(Ordering::Acquire), 2);
    });
}

#[test]
fn a_shutdown_finishes_the_backlog_unless_it_is_told_to_cancel_it() {
    with_watchdog(LIMIT, || {
        for cancel_futures in [false, true] {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let (first, go) = occupy(&pool);
            let pending: Vec<_> = (0..500).map(|n| pool.submit(move || n).unwrap()).collect();
            pool.shutdown(false, cancel_futures);
            if cancel_futures {
                assert!(pending.iter().all(Future::cancelled));
            }
            assert!(pool.submit(|| ()).is_err());
            go.set();
            pool.shutdown(true, cancel_futures);
            first.result().unwrap();
            for (n, future) in pending.into_iter().enumerate() {
                assert!(future.done());
                match future.result() {
                    Ok(value) => assert_eq!((value, cancel_futures), (n, false)),
                    Err(TaskError::Cancelled) => assert!(cancel_futures),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
}

#[test]
fn a_pool_that_is_dropped_finishes_what_it_has() {
    with_watchdog(LIMIT, || {
        let ran = Arc::new(AtomicUsize::new(0));
        let pool = ThreadPoolExecutor::new(2).unwrap();
        for _ in 0..100 {
            let counts = Arc::clone(&ran);
            drop(pool.submit(move || counts.fetch_add(1, Ordering::AcqRel)).unwrap());
        }
        drop(pool);
        assert_eq!(ran.load(Ordering::Acquire), 100);
    });
}

#[test]
fn a_worker_may_shut_its_own_pool_down_and_drop_the_last_handle() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let (go, own) = (Arc::new(Event::new()), Arc::clone(&pool));
        let waits = Arc::clone(&go);
        let first = pool
            .submit(move || {
                waits.wait();
                own.shutdown(true, true);
                own.shutdown(true, false);
                own.submit(|| ()).is_err()
            })
            .unwrap();
        let second = pool.submit(|| ()).unwrap();
        // The task has the last handle when it ends, or this thread has: both must work.
        drop(pool);
        go.set();
        assert!(first.result().unwrap());
        assert!(matches!(second.result(), Err(TaskError::Cancelled)));
    });
}

#[test]
fn a_callback_may_shut_the_pool_down_from_a_worker_and_from_a_canceller() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let (first, go) = occupy(&pool);
        let own = Arc::clone(&pool);
        first.add_done_callback(move |_| own.shutdown(true, false));
        let second = pool.submit(|| ()).unwrap();
        let own = Arc::clone(&pool);
        let (starts, (tells, hears)) = (Arc::clone(&go), mpsc::channel());
        second.add_done_callback(move |_| {
            // In the thread that cancels: this waits for the worker, so let that go first.
            starts.set();
            own.shutdown(true, true);
            tells.send(()).unwrap();
        });
        assert!(second.cancel());
        assert_eq!(hears.try_recv(), Ok(()));
        first.result().unwrap();
        pool.shutdown(true, true);
    });
}

#[test]
fn a_task_waiting_for_a_task_that_a_shutdown_cancels_is_released_before_the_callbacks_run() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let (inbox, busy) = (Queue::<Future<u8>>::new(), Arc::new(Event::new()));
        let (reads, says) = (inbox.clone(), Arc::clone(&busy));
        let waiting = pool
            .submit(move || {
                says.set();
                reads.get().unwrap().result().is_err()
            })
            .unwrap();
        busy.wait();
        let eager = pool.submit(|| 1_u8).unwrap();
        let awaited = pool.submit(|| 2_u8).unwrap();
        let own = Arc::clone(&pool);
        // Cancelled first, and waits for the worker, which waits for what is cancelled second.
        eager.add_done_callback(move |_| own.shutdown(true, true));
        inbox.put(awaited).unwrap();
        pool.shutdown(true, true);
        assert!(waiting.result().unwrap());
        assert!(eager.cancelled());
    });
}

#[test]
fn many_submitters_share_a_pool() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(4).unwrap());
        let submitters: Vec<_> = (0..4_u64)
            .map(|_| {
                let pool = Arc::clone(&pool);
                thread::spawn(move || -> u64 {
                    let futures: Vec<_> = (0..300_u64).map(|n| pool.submit(move || n).unwrap()).collect();
                    futures
                        .into_iter()
                        .map(|future| {
                            // Now and then too late, now and then in time.
                            let cancelled = fastrand::u8(..4) == 0 && future.cancel();
                            match future.result() {
                                Ok(_) => u64::from(!cancelled),
                                Err(TaskError::Cancelled) => u64::from(cancelled),
                                Err(error) => panic!("{error:?}"),
                            }
                        })
                        .sum()
                })
            })
            .collect();
        for submitter in submitters {
            assert_eq!(submitter.join().unwrap(), 300);
        }
    });
}

#[test]
fn idle_workers_are_reused_before_another_is_started() {
    with_watchdog(Duration::from_secs(60), || {
        let pool = ThreadPoolExecutor::builder().max_workers(8).thread_name_prefix("reused").build().unwrap();
        let sleeps = || {
            thread::dump()
                .to_string()
                .lines()
                .any(|line| line.starts_with("reused_0 ") && line.ends_with("waits for work"))
        };
        for _ in 0..200 {
            let name = pool.submit(|| thread::current().name().to_owned()).unwrap().result().unwrap();
            assert_eq!(name, "reused_0");
            while !sleeps() {
                std::thread::yield_now();
            }
        }
    });
}

#[test]
fn an_exception_is_told_without_taking_the_result() {
    with_watchdog(Duration::from_secs(60), || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let future = pool
            .submit(move || {
                waits.wait();
                panic!("no luck");
            })
            .unwrap();
        assert!(matches!(future.exception_timeout(Duration::from_millis(2)), Some(TaskError::Timeout)));
        go.set();
        for _ in 0..2 {
            assert_eq!(future.exception_timeout(Duration::from_secs(60)).unwrap().panic_message(), Some("no luck"));
        }
        let taken: Result<(), _> = future.result();
        assert_eq!(taken.unwrap_err().panic_message(), Some("no luck"));
    });
}
