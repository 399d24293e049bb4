//! Waiting for several tasks: for the first, for the first that fails, for all.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use towline_testkit::with_watchdog;
use towline_threads::executor::{Future, FutureStatus, ReturnWhen, Waitable, Waited, wait};
use towline_threads::sync::Event;
use towline_threads::{ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(60);

const ALL: [ReturnWhen; 3] = [ReturnWhen::FirstCompleted, ReturnWhen::FirstException, ReturnWhen::AllCompleted];

/// Keeps one worker of the pool busy until the event is set; returns when it is.
fn occupy(pool: &ThreadPoolExecutor) -> (Future<usize>, Arc<Event>) {
    let (busy, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (says, waits) = (Arc::clone(&busy), Arc::clone(&go));
    let future = pool
        .submit(move || {
            says.set();
            waits.wait();
            0
        })
        .unwrap();
    busy.wait();
    (future, go)
}

#[test]
fn wait_for_nothing_returns_at_once() {
    with_watchdog(LIMIT, || {
        for when in ALL {
            let Waited { done, not_done } = wait(Vec::<Future<u8>>::new(), when, None);
            assert!(done.is_empty() && not_done.is_empty());
        }
    });
}

#[test]
fn all_completed_waits_for_every_task_and_keeps_their_order() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(3).unwrap();
        let futures: Vec<_> = (0..200_usize).map(|n| pool.submit(move || n).unwrap()).collect();
        let waited = wait(futures, ReturnWhen::AllCompleted, None);
        assert!(waited.not_done.is_empty());
        let values: Vec<usize> = waited.done.into_iter().map(|future| future.result().unwrap()).collect();
        assert!(values.into_iter().eq(0..200));
    });
}

#[test]
fn first_completed_returns_while_others_run() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(3).unwrap();
        let (one, go_one) = occupy(&pool);
        let (two, go_two) = occupy(&pool);
        let (three, go_three) = occupy(&pool);
        let opens = thread::spawn(move || go_two.set());
        let waited = wait([&one, &two, &three], ReturnWhen::FirstCompleted, None);
        assert_eq!((waited.done.len(), waited.not_done.len()), (1, 2));
        assert!(two.done() && !one.done() && !three.done());
        opens.join().unwrap();
        go_one.set();
        go_three.set();
        assert!(wait(waited.not_done, ReturnWhen::AllCompleted, None).not_done.is_empty());
    });
}

#[test]
fn a_task_that_is_done_already_is_the_first_completed() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (busy, go) = occupy(&pool);
        let quick = pool.submit(|| 1).unwrap();
        assert!(quick.exception().is_none());
        let waited = wait([&busy, &quick], ReturnWhen::FirstCompleted, None);
        assert!(waited.done[0].done() && !waited.not_done[0].done());
        go.set();
    });
}

#[test]
fn first_exception_returns_when_a_task_panics() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (busy, go) = occupy(&pool);
        let good = pool.submit(|| 1).unwrap();
        let bad = pool.submit(|| -> usize { panic!("no luck") }).unwrap();
        let waited = wait([&busy, &good, &bad], ReturnWhen::FirstException, None);
        assert_eq!((waited.done.len(), waited.not_done.len()), (2, 1));
        assert_eq!(bad.status(), FutureStatus::Panicked);
        assert!(!busy.done());
        go.set();
    });
}

#[test]
fn first_exception_returns_when_a_pool_breaks() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (busy, go) = occupy(&pool);
        let breaks =
            ThreadPoolExecutor::builder().max_workers(1).initializer(|| Err("no licence".into())).build().unwrap();
        let broken = breaks.submit(|| 1).unwrap();
        let waited = wait([&busy, &broken], ReturnWhen::FirstException, None);
        assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
        assert_eq!(broken.status(), FutureStatus::Broken);
        go.set();
    });
}

#[test]
fn first_exception_does_not_count_a_cancelled_task() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (busy, go) = occupy(&pool);
        let cancelled = pool.submit(|| 1).unwrap();
        assert!(cancelled.cancel());
        // If it counted, this would return at once.
        let (timeout, began) = (Duration::from_millis(20), Instant::now());
        let waited = wait([&busy, &cancelled], ReturnWhen::FirstException, Some(timeout));
        assert!(began.elapsed() >= timeout);
        assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
        go.set();
    });
}

#[test]
fn first_exception_waits_for_all_if_none_fails() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (busy, go) = occupy(&pool);
        let cancelled = pool.submit(|| 1).unwrap();
        cancelled.cancel();
        let opens = thread::spawn(move || go.set());
        let waited = wait([busy, cancelled], ReturnWhen::FirstException, None);
        assert_eq!((waited.done.len(), waited.not_done.len()), (2, 0));
        opens.join().unwrap();
    });
}

/// In CPython such a wait may hang (cpython#92001).
#[test]
fn a_cancelled_future_is_done_for_wait_at_once() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (busy, go) = occupy(&pool);
        for when in ALL {
            let before = pool.submit(|| 1).unwrap();
            assert!(before.cancel());
            assert_eq!(wait([&before], when, None).done.len(), 1);
        }
        // Now and then cancelled before the wait begins, now and then while it lasts.
        for round in 0..300 {
            let pending = Arc::new(pool.submit(|| 1).unwrap());
            let (waits, both) = (Arc::clone(&pending), Arc::new(Barrier::new(2)));
            let starts = Arc::clone(&both);
            let waiter = thread::spawn(move || {
                starts.wait();
                wait([&*waits], ALL[round % 3], None).done.len()
            });
            both.wait();
            assert!(pending.cancel());
            assert_eq!(waiter.join().unwrap(), 1);
        }
        assert!(!busy.done(), "the only worker never had to look");
        go.set();
    });
}

/// In CPython such a wait hangs (cpython#87893, cpython#109934).
#[test]
fn wait_sees_a_shutdown_that_cancels() {
    with_watchdog(LIMIT, || {
        for _ in 0..50 {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let (busy, go) = occupy(&pool);
            let pending: Vec<_> = (0..20_usize).map(|n| pool.submit(move || n).unwrap()).collect();
            let both = Arc::new(Barrier::new(2));
            let starts = Arc::clone(&both);
            let waiter = thread::spawn(move || {
                starts.wait();
                wait(pending, ReturnWhen::AllCompleted, None)
            });
            both.wait();
            pool.shutdown(false, true);
            let waited = waiter.join().unwrap();
            assert!(waited.not_done.is_empty());
            assert!(waited.done.iter().all(Future::cancelled));
            assert!(!busy.done());
            go.set();
        }
    });
}

#[test]
fn a_task_that_is_given_twice_is_returned_once() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (busy, go) = occupy(&pool);
        let quick = pool.submit(|| 1).unwrap();
        let waited = wait([&busy, &quick, &busy, &quick], ReturnWhen::AllCompleted, Some(Duration::from_millis(1)));
        assert_eq!((waited.done.len(), waited.not_done.len()), (0, 2));
        go.set();
        let waited = wait([&busy, &quick, &busy, &quick], ReturnWhen::AllCompleted, None);
        assert_eq!((waited.done.len(), waited.not_done.len()), (2, 0));
    });
}

#[test]
fn a_wait_ends_when_its_time_is_up_and_can_be_repeated() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (busy, go) = occupy(&pool);
        for round in 0..1000 {
            let waited = wait([&busy], ALL[round % 3], Some(Duration::ZERO));
            assert_eq!((waited.done.len(), waited.not_done.len()), (0, 1));
        }
        go.set();
        assert_eq!(wait([&busy], ReturnWhen::AllCompleted, Some(Duration::MAX)).done.len(), 1);
    });
}

#[test]
fn futures_of_different_types_are_waited_for_together() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let number = pool.submit(|| 7).unwrap();
        let word = Box::new(pool.submit(|| "seven").unwrap());
        let all: Vec<&dyn Waitable> = vec![&number, &word, &number];
        assert_eq!(wait(all, ReturnWhen::AllCompleted, None).done.len(), 2);
        let owned: Vec<Box<dyn Waitable>> = vec![Box::new(number), word];
        assert_eq!(wait(owned, ReturnWhen::FirstCompleted, None).done.len(), 2);
    });
}

#[test]
fn a_task_may_wait_for_tasks_of_its_own_pool() {
    with_watchdog(LIMIT, || {
        for when in ALL {
            let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
            let own = Arc::clone(&pool);
            let here = pool.submit(move || {
                let children: Vec<_> = (0..10).map(|_| own.submit(|| thread::current().id()).unwrap()).collect();
                let waited = wait(children, when, None);
                let expected = if when == ReturnWhen::FirstCompleted { (1, 9) } else { (10, 0) };
                assert_eq!((waited.done.len(), waited.not_done.len()), expected);
                let here = thread::current().id();
                waited.done.into_iter().all(|child| child.result().unwrap() == here)
            });
            assert!(here.unwrap().result().unwrap());
        }
    });
}

#[test]
fn a_task_that_waits_for_the_first_exception_runs_no_more_than_it_takes() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let children = [1, 0, 2].map(|n| own.submit(move || 6 / n).unwrap());
            let waited = wait(&children, ReturnWhen::FirstException, None);
            (waited.done.len(), waited.not_done.len())
        });
        assert_eq!(outer.unwrap().result().unwrap(), (2, 1));
    });
}

#[test]
fn a_task_that_waits_runs_no_stranger() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let stranger = own.submit(|| ()).unwrap();
            let awaited = own.submit(|| ()).unwrap();
            assert_eq!(wait([&awaited], ReturnWhen::AllCompleted, None).done.len(), 1);
            stranger.status()
        });
        assert_eq!(outer.unwrap().result().unwrap(), FutureStatus::Pending);
    });
}

#[test]
fn a_task_that_waits_for_a_pending_task_of_another_pool_does_not_run_it() {
    with_watchdog(LIMIT, || {
        let (pool, other) = (ThreadPoolExecutor::new(1).unwrap(), ThreadPoolExecutor::new(1).unwrap());
        let (_busy, go) = occupy(&other);
        let awaited = other.submit(|| thread::current().id()).unwrap();
        let waits = Arc::new(Event::new());
        let about_to_wait = Arc::clone(&waits);
        let outer = pool.submit(move || {
            about_to_wait.set();
            let awaited = wait([awaited], ReturnWhen::AllCompleted, None).done.remove(0);
            awaited.result().unwrap() != thread::current().id()
        });
        waits.wait();
        go.set();
        assert!(outer.unwrap().result().unwrap());
    });
}

#[test]
fn a_wait_with_a_timeout_never_runs_a_task() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let child = own.submit(|| ()).unwrap();
            let waited = wait([&child], ReturnWhen::FirstCompleted, Some(Duration::from_millis(5)));
            assert_eq!((waited.done.len(), waited.not_done.len()), (0, 1));
            child.status()
        });
        assert_eq!(outer.unwrap().result().unwrap(), FutureStatus::Pending);
    });
}

#[test]
fn many_threads_wait_for_the_same_tasks() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        for _ in 0..50 {
            let futures: Arc<Vec<_>> = Arc::new(
                (0..20)
                    .map(|_| {
                        let counts = Arc::clone(&ran);
                        pool.submit(move || counts.fetch_add(1, Ordering::Relaxed)).unwrap()
                    })
                    .collect(),
            );
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let futures = Arc::clone(&futures);
                    thread::spawn(move || wait(futures.iter(), ReturnWhen::AllCompleted, None).done.len())
                })
                .collect();
            let cancelled = futures.iter().filter(|future| fastrand::bool() && future.cancel()).count();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), 20);
            }
            assert_eq!(ran.swap(0, Ordering::Relaxed) + cancelled, 20);
        }
    });
}
