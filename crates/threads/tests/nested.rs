//! A task may wait for a task of the same pool, however small the pool and however deep the chain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{Event, RLock};
use towline_threads::{Future, ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(60);

fn chain(pool: &Arc<ThreadPoolExecutor>, depth: usize) -> Future<usize> {
    let inner = Arc::clone(pool);
    let task = move || if depth == 0 { 0 } else { chain(&inner, depth - 1).result().unwrap() + 1 };
    pool.submit(task).unwrap()
}

#[test]
fn a_pool_of_one_runs_a_chain_of_1000_tasks_that_await_each_other() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        assert_eq!(chain(&pool, 1000).result().unwrap(), 1000);
    });
}

/// It took 83 s when each search for a ring looked at each task of each thread.
#[test]
fn a_chain_of_32_000_tasks_takes_time_in_proportion() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
        assert_eq!(chain(&pool, 32_000).result().unwrap(), 32_000);
    });
}

/// A chain of tasks that use much stack each.
fn heavy(pool: &Arc<ThreadPoolExecutor>, depth: usize) -> Future<usize> {
    let inner = Arc::clone(pool);
    let task = move || {
        let ballast = std::hint::black_box([1_u8; 300 * 1024]);
        let below = if depth == 0 { 0 } else { heavy(&inner, depth - 1).result().unwrap() };
        below + usize::from(ballast[depth])
    };
    pool.submit(task).unwrap()
}

#[test]
fn tasks_that_use_much_stack_go_to_compensating_threads() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        assert_eq!(heavy(&pool, 40).result().unwrap(), 41);
    });
}

#[test]
fn compensating_threads_end_with_their_task() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("comp").build().unwrap());
        let count = || thread::enumerate().iter().filter(|thread| thread.name().starts_with("comp_")).count();
        // Debug builds need several threads for that depth; release builds may need one.
        chain(&pool, 5000).result().unwrap();
        while count() > 1 {
            std::thread::yield_now(); // they are on their way out, while the pool lives
        }
        pool.shutdown(true, false);
        assert_eq!(count(), 0);
    });
}

#[test]
fn no_more_tasks_run_at_a_time_than_there_are_workers() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(2).unwrap());
        let running = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        fn leaf(running: &AtomicUsize, most: &AtomicUsize) {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
        }
        let outer: Vec<_> = (0..50)
            .map(|_| {
                let (inner, running, most) = (Arc::clone(&pool), Arc::clone(&running), Arc::clone(&most));
                pool.submit(move || {
                    let futures: Vec<_> = (0..4)
                        .map(|_| {
                            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                            inner.submit(move || leaf(&running, &most)).unwrap()
                        })
                        .collect();
                    futures.into_iter().for_each(|future| future.result().unwrap());
                })
                .unwrap()
            })
            .collect();
        outer.into_iter().for_each(|future| future.result().unwrap());
        assert!(most.load(Ordering::SeqCst) <= 2, "{} at a time", most.load(Ordering::SeqCst));
    });
}

#[test]
fn a_slow_initializer_of_a_compensating_thread_is_no_deadlock() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::builder().max_workers(1).initializer(|| {
            // Longer than a wait that nobody looks at.
            assert!(!Event::new().wait_timeout(Duration::from_millis(40)));
            Ok(())
        });
        let pool = Arc::new(pool.build().unwrap());
        assert_eq!(heavy(&pool, 4).result().unwrap(), 5);
    });
}

#[test]
fn a_worker_never_runs_a_stranger_while_it_waits() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let inner = Arc::clone(&pool);
        let stranger_ran = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&stranger_ran);
        let outer = pool
            .submit(move || {
                let counted = Arc::clone(&counts);
                let stranger = inner.submit(move || counted.fetch_add(1, Ordering::SeqCst)).unwrap();
                let awaited = inner.submit(|| 1).unwrap();
                let value = awaited.result().unwrap();
                (value, counts.load(Ordering::SeqCst), stranger)
            })
            .unwrap();
        let (value, ran_meanwhile, stranger) = outer.result().unwrap();
        assert_eq!((value, ran_meanwhile), (1, 0));
        assert_eq!(stranger.result().unwrap(), 0);
    });
}

#[test]
fn a_wait_with_a_timeout_never_claims() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let inner = Arc::clone(&pool);
        let outer = pool
            .submit(move || {
                let mut pending = inner.submit(|| 5).unwrap();
                let early = pending.result_timeout(Duration::from_millis(20)).is_err();
                (early, pending.result().unwrap())
            })
            .unwrap();
        assert_eq!(outer.result().unwrap(), (true, 5));
    });
}

#[test]
fn claimed_tasks_do_not_pile_up_in_the_backlog() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let inner = Arc::clone(&pool);
        let outer = pool
            .submit(move || {
                let mut longest = 0;
                for n in 0..10_000 {
                    let future = inner.submit(move || n).unwrap();
                    assert_eq!(future.result().unwrap(), n);
                    let text = format!("{inner:?}");
                    let backlog: usize =
                        text.split("backlog: ").nth(1).unwrap().split(',').next().unwrap().parse().unwrap();
                    longest = longest.max(backlog);
                }
                longest
            })
            .unwrap();
        let longest = outer.result().unwrap();
        assert!(longest < 10, "{longest} shells in the backlog");
    });
}

#[test]
fn a_callback_of_a_claimed_task_does_not_get_into_its_waiters_locks() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let lock = Arc::new(RLock::new(()));
        let (inner, own) = (Arc::clone(&pool), Arc::clone(&lock));
        let outer = pool
            .submit(move || {
                let _held = own.acquire().unwrap();
                let got_in = Arc::new(AtomicUsize::new(0));
                let awaited = inner.submit(|| ()).unwrap();
                let (wants, counts) = (Arc::clone(&own), Arc::clone(&got_in));
                awaited.add_done_callback(move |_| {
                    counts.fetch_add(usize::from(wants.try_acquire().is_some()), Ordering::SeqCst);
                });
                awaited.result().unwrap();
                got_in.load(Ordering::SeqCst)
            })
            .unwrap();
        assert_eq!(outer.result().unwrap(), 0);
    });
}
