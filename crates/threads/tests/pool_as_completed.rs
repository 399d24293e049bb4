//! Futures in the order in which their tasks come to an end.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use towline_testkit::with_watchdog;
use towline_threads::executor::{AsCompleted, Future, FutureStatus, TaskError, as_completed, as_completed_timeout};
use towline_threads::sync::Event;
use towline_threads::{Queue, ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(60);

/// As many tasks as workers, each of which returns its number when its event is set; all run.
fn gated(pool: &ThreadPoolExecutor) -> (Vec<Future<usize>>, Vec<Arc<Event>>) {
    let running = Arc::new(Barrier::new(pool.max_workers() + 1));
    let (futures, gates) = (0..pool.max_workers())
        .map(|number| {
            let (gate, all_run) = (Arc::new(Event::new()), Arc::clone(&running));
            let waits = Arc::clone(&gate);
            let future = pool.submit(move || {
                all_run.wait();
                waits.wait();
                number
            });
            (future.unwrap(), gate)
        })
        .unzip();
    running.wait();
    (futures, gates)
}

/// Lets a task end, and returns when all who wait for it have been told.
fn finish(future: &Future<usize>, gate: &Event) {
    let told = Arc::new(Event::new());
    let tells = Arc::clone(&told);
    // Callbacks come after those who wait.
    future.add_done_callback(move |_| tells.set());
    gate.set();
    told.wait();
}

#[test]
fn futures_come_in_the_order_in_which_their_tasks_are_done() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(4).unwrap();
        let (futures, gates) = gated(&pool);
        let mut completed = as_completed(futures);
        for number in [2, 0, 3, 1] {
            gates[number].set();
            assert_eq!(completed.next().unwrap().result().unwrap(), number);
        }
        assert!(completed.next().is_none());
    });
}

#[test]
fn futures_that_are_done_later_come_in_order_though_nobody_asked_meanwhile() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(4).unwrap();
        let (futures, gates) = gated(&pool);
        let completed = as_completed(&futures);
        for number in [2, 0, 3, 1] {
            finish(&futures[number], &gates[number]);
        }
        let place = |future: &Future<usize>| futures.iter().position(|other| std::ptr::eq(other, future));
        let order: Vec<_> = completed.map(place).collect();
        assert_eq!(order, [Some(2), Some(0), Some(3), Some(1)]);
    });
}

#[test]
fn those_that_are_done_already_come_first() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(3).unwrap();
        let (futures, gates) = gated(&pool);
        for number in [2, 1] {
            gates[number].set();
            assert!(futures[number].exception().is_none());
        }
        let mut completed = as_completed(futures);
        for expected in [1, 2] {
            assert_eq!(completed.next().unwrap().result().unwrap(), expected);
        }
        gates[0].set();
        assert_eq!(completed.next().unwrap().result().unwrap(), 0);
    });
}

#[test]
fn as_completed_says_how_many_are_left_and_stays_at_its_end() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let futures: Vec<_> = (0..3).map(|n| pool.submit(move || n).unwrap()).collect();
        let mut completed = as_completed(futures.iter().chain(&futures));
        for left in [3, 2, 1] {
            assert_eq!(completed.size_hint(), (left, Some(left)));
            assert!(completed.next().is_some());
        }
        assert_eq!(completed.len(), 0);
        assert!(completed.next().is_none());
        assert!(completed.next().is_none());
        assert!(as_completed(Vec::<Future<u8>>::new()).next().is_none());
    });
}

#[test]
fn a_deadline_that_passes_says_how_many_of_how_many_were_unfinished() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(3).unwrap();
        let (futures, gates) = gated(&pool);
        gates[1].set();
        assert!(futures[1].exception().is_none());
        let mut completed = as_completed_timeout(futures, Duration::from_millis(2));
        assert_eq!(completed.size_hint(), (1, Some(3)));
        assert_eq!(completed.next().unwrap().unwrap().result().unwrap(), 1);
        let error = completed.next().unwrap().unwrap_err();
        assert_eq!((error.unfinished(), error.total()), (2, 3));
        assert_eq!(error.to_string(), "2 of 3 tasks were not done when the time was up");
        assert!(completed.next().is_none());
        assert_eq!(completed.size_hint(), (0, Some(0)));

        gates[0].set();
        gates[2].set();
        let values: Vec<_> = completed.into_remaining().into_iter().map(|future| future.result().unwrap()).collect();
        assert_eq!(values, [0, 2]);
    });
}

#[test]
fn the_deadline_counts_from_the_call() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (futures, gates) = gated(&pool);
        let timeout = Duration::from_millis(500);
        let mut completed = as_completed_timeout(&futures, timeout);
        // The time passes while nobody asks.
        assert!(!Event::new().wait_timeout(timeout));
        let asked = Instant::now();
        assert!(completed.next().unwrap().is_err());
        assert!(asked.elapsed() < timeout, "{:?}", asked.elapsed());
        gates.iter().for_each(|gate| gate.set());
    });
}

#[test]
fn what_is_done_is_yielded_even_if_the_time_is_up() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (futures, gates) = gated(&pool);
        let mut completed = as_completed_timeout(&futures, Duration::ZERO);
        finish(&futures[1], &gates[1]);
        assert!(std::ptr::eq(completed.next().unwrap().unwrap(), &futures[1]));
        assert_eq!(completed.next().unwrap().unwrap_err().unfinished(), 1);
        gates[0].set();
    });
}

#[test]
fn tasks_that_are_done_in_time_are_no_error() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        for timeout in [LIMIT, Duration::MAX] {
            let futures: Vec<_> = (0..50_u64).map(|n| pool.submit(move || n).unwrap()).collect();
            let sum: u64 = as_completed_timeout(futures, timeout).map(|future| future.unwrap().result().unwrap()).sum();
            assert_eq!(sum, 49 * 25);
        }
    });
}

/// In CPython a task that a shutdown cancels may never come (cpython#87893, cpython#109934).
#[test]
fn as_completed_sees_a_shutdown_that_cancels() {
    with_watchdog(LIMIT, || {
        for _ in 0..50 {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let (_running, gates) = gated(&pool);
            let pending: Vec<_> = (0..20).map(|n| pool.submit(move || n).unwrap()).collect();
            let both = Arc::new(Barrier::new(2));
            let starts = Arc::clone(&both);
            let waiter = thread::spawn(move || {
                starts.wait();
                as_completed(pending).filter(Future::cancelled).count()
            });
            both.wait();
            pool.shutdown(false, true);
            // The only worker is still busy.
            assert_eq!(waiter.join().unwrap(), 20);
            gates[0].set();
        }
    });
}

/// In CPython a wait for it may hang (cpython#92001).
#[test]
fn a_cancelled_future_comes_at_once() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (running, gates) = gated(&pool);
        let pending: Vec<_> = (0..3).map(|n| pool.submit(move || n).unwrap()).collect();
        assert!(pending[1].cancel());
        let mut completed = as_completed(running.iter().chain(&pending));
        assert!(completed.next().unwrap().cancelled());
        assert!(pending[2].cancel());
        assert!(completed.next().unwrap().cancelled());
        assert!(!running[0].done());
        gates[0].set();
        assert_eq!(completed.count(), 2);
        for future in pending.into_iter().skip(1) {
            assert!(matches!(future.result(), Err(TaskError::Cancelled)));
        }
    });
}

#[test]
fn an_iterator_that_is_dropped_leaves_its_tasks_alone() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (futures, gates) = gated(&pool);
        for _ in 0..1000 {
            drop(as_completed(&futures));
            assert!(as_completed_timeout(&futures, Duration::ZERO).next().unwrap().is_err());
        }
        gates.iter().for_each(|gate| gate.set());
        assert_eq!(as_completed(futures).count(), 2);
    });
}

#[test]
fn a_task_may_ask_for_tasks_of_its_own_pool_as_they_complete() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let stranger = own.submit(|| 0).unwrap();
            let children: Vec<_> = (0..10).map(|n| own.submit(move || n).unwrap()).collect();
            let mut completed = as_completed(&children);
            assert!(completed.next().unwrap().done());
            // One at a time, and no stranger.
            assert_eq!(children.iter().filter(|child| child.done()).count(), 1);
            assert_eq!(completed.count(), 9);
            stranger.status()
        });
        assert_eq!(outer.unwrap().result().unwrap(), FutureStatus::Pending);
    });
}

#[test]
fn an_iterator_may_move_to_the_worker_that_can_run_its_tasks() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let (running, gates) = gated(&pool);
        // In the middle of the backlog is a task that asks for those behind it.
        let inbox = Queue::<AsCompleted<Future<usize>>>::new();
        let asks = inbox.clone();
        let outer = pool.submit(move || asks.get().unwrap().count()).unwrap();
        let behind: Vec<_> = (0..3).map(|_| pool.submit(|| 0).unwrap()).collect();
        let mut completed = as_completed(running.into_iter().chain(behind));
        // This thread has offered to run them, in vain: it is no worker.
        gates[0].set();
        assert_eq!(completed.next().unwrap().result().unwrap(), 0);
        inbox.put(completed).unwrap();
        assert_eq!(outer.result().unwrap(), 3);
    });
}

#[test]
fn an_iterator_with_a_deadline_never_runs_a_task() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let own = Arc::clone(&pool);
        let outer = pool.submit(move || {
            let child = own.submit(|| ()).unwrap();
            let error = as_completed_timeout([&child], Duration::from_millis(5)).next().unwrap().unwrap_err();
            assert_eq!(error.unfinished(), 1);
            child.status()
        });
        assert_eq!(outer.unwrap().result().unwrap(), FutureStatus::Pending);
    });
}
