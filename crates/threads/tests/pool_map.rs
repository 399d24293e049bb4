//! One function for many items: order, errors, bounds, deadlines.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::ThreadPoolExecutor;
use towline_threads::executor::{Future, MapOptions, SubmitErrorKind, TaskError};
use towline_threads::sync::Event;

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

/// A function that counts how often it was called, and returns what it is given.
fn counting() -> (Arc<AtomicUsize>, impl Fn(usize) -> usize + Send + Sync + 'static) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&calls);
    let f = move |item: usize| {
        counts.fetch_add(1, Ordering::AcqRel);
        item
    };
    (calls, f)
}

#[test]
fn results_come_in_the_order_of_the_items() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let second_is_through = Event::new();
        // The first item ends after the second.
        let f = move |item: usize| {
            match item {
                0 => second_is_through.wait(),
                1 => second_is_through.set(),
                _ => {}
            }
            item * 10
        };
        let results: Vec<usize> = pool.map(f, 0..100).unwrap().map(|result| result.unwrap()).collect();
        assert!(results.into_iter().eq((0..100).map(|item| item * 10)));
    });
}

#[test]
fn an_error_surfaces_at_its_own_place_and_later_results_still_come() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let options = [MapOptions::new(), MapOptions::new().buffersize(2), MapOptions::new().timeout(LIMIT)];
        for options in options {
            let results = pool.map_with(options, |n: u32| 12_u32.checked_div(n).expect("n is not 0"), [3, 0, 4]);
            let results: Vec<_> = results.unwrap().collect();
            assert_eq!(*results[0].as_ref().unwrap(), 4);
            assert_eq!(results[1].as_ref().unwrap_err().panic_message(), Some("n is not 0"));
            assert_eq!(*results[2].as_ref().unwrap(), 3);
        }
    });
}

#[test]
fn map_goes_over_several_inputs_at_once() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (names, ages) = (["ann".to_owned(), "bob".to_owned()], vec![31, 27, 99]);
        let lines = pool.map(|(name, age): (String, u8)| format!("{name} is {age}"), names.into_iter().zip(ages));
        let lines: Vec<String> = lines.unwrap().map(|line| line.unwrap()).collect();
        assert_eq!(lines, ["ann is 31", "bob is 27"]);
    });
}

#[test]
fn without_a_buffersize_all_items_are_submitted_at_once() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (calls, f) = counting();
        let mut read = 0;
        // The input may borrow: it is read before `map` returns.
        let results = pool.map(f, (0..50).inspect(|_| read += 1)).unwrap();
        assert_eq!(read, 50);
        assert_eq!(results.size_hint(), (50, Some(50)));
        assert_eq!(results.count(), 50);
        assert_eq!(calls.load(Ordering::Acquire), 50);
    });
}

#[test]
fn with_a_buffersize_exactly_so_many_are_outstanding() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        for buffersize in [1, 2, 7, 20, 30] {
            let read = Arc::new(AtomicUsize::new(0));
            let counts = Arc::clone(&read);
            let items = (0..20_usize).inspect(move |_| {
                counts.fetch_add(1, Ordering::AcqRel);
            });
            let mut results = pool.map_with(MapOptions::new().buffersize(buffersize), |item| item, items).unwrap();
            for yielded in 0..20 {
                assert_eq!(read.load(Ordering::Acquire), 20_usize.min(yielded + buffersize));
                assert_eq!(results.next().unwrap().unwrap(), yielded);
            }
            assert!(results.next().is_none());
            assert!(results.next().is_none());
        }
    });
}

#[test]
fn a_map_with_a_buffersize_may_have_no_end_of_items() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let results = pool.map_with(MapOptions::new().buffersize(4), |n| n * 2, 0_u64..).unwrap();
        assert_eq!(results.size_hint(), (4, None));
        let results: Vec<u64> = results.take(1000).map(|result| result.unwrap()).collect();
        assert!(results.into_iter().eq((0..1000).map(|n| n * 2)));
    });
}

#[test]
#[should_panic(expected = "a map with a buffersize of 0 would never run anything")]
fn a_buffersize_of_0_is_a_panic() {
    let _ = MapOptions::new().buffersize(0);
}

#[test]
fn after_the_deadline_there_is_one_timeout_and_the_rest_is_cancelled() {
    with_watchdog(LIMIT, || {
        for options in [MapOptions::new(), MapOptions::new().buffersize(3)] {
            let pool = ThreadPoolExecutor::new(1).unwrap();
            let (_busy, go) = occupy(&pool);
            let (calls, f) = counting();
            let mut results = pool.map_with(options.timeout(Duration::from_millis(2)), f, 0..10).unwrap();
            assert!(matches!(results.next(), Some(Err(TaskError::Timeout))));
            assert!(results.next().is_none());
            assert_eq!(results.size_hint(), (0, Some(0)));
            go.set();
            pool.shutdown(true, false);
            assert_eq!(calls.load(Ordering::Acquire), 0);
        }
    });
}

#[test]
fn results_that_are_there_are_given_after_the_deadline_but_no_more_items_are_read() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let (calls, f) = counting();
        let options = MapOptions::new().buffersize(3).timeout(Duration::ZERO);
        let mut results = pool.map_with(options, f, 0..).unwrap();
        pool.shutdown(true, false);
        for expected in 0..3 {
            assert_eq!(results.next().unwrap().unwrap(), expected);
        }
        assert!(matches!(results.next(), Some(Err(TaskError::Timeout))));
        assert!(results.next().is_none());
        assert_eq!(calls.load(Ordering::Acquire), 3);

        // Where there were no more items, nothing is missing.
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let results = pool.map_with(options, |item| item, 0..3_usize).unwrap();
        pool.shutdown(true, false);
        assert!(results.map(|result| result.unwrap()).eq(0..3));
    });
}

#[test]
fn dropping_the_iterator_cancels_what_has_not_started() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (_busy, go) = occupy(&pool);
        let (calls, f) = counting();
        drop(pool.map(f, 0..100).unwrap());
        go.set();
        pool.shutdown(true, false);
        assert_eq!(calls.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_refusal_in_the_middle_cancels_what_was_submitted() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (_busy, go) = occupy(&pool);
        let (calls, f) = counting();
        let items = (0..10).inspect(|&item| {
            if item == 5 {
                pool.shutdown(false, false);
            }
        });
        assert_eq!(pool.map(f, items).unwrap_err(), SubmitErrorKind::ShutDown);
        go.set();
        pool.shutdown(true, false);
        assert_eq!(calls.load(Ordering::Acquire), 0);
    });
}

#[test]
fn a_broken_pool_refuses_a_map_with_its_reason() {
    with_watchdog(LIMIT, || {
        let pool =
            ThreadPoolExecutor::builder().max_workers(1).initializer(|| Err("no licence".into())).build().unwrap();
        assert!(pool.submit(|| ()).unwrap().result().is_err());
        match pool.map(|item: u8| item, [1, 2]) {
            Err(SubmitErrorKind::Broken(reason)) => assert!(reason.contains("no licence")),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_input_that_panics_cancels_what_was_submitted() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (_busy, go) = occupy(&pool);
        let (calls, f) = counting();
        let items = (0..10).inspect(|&item| assert_ne!(item, 5, "the input ends here"));
        assert!(catch_unwind(AssertUnwindSafe(|| pool.map(f, items))).is_err());
        go.set();
        pool.shutdown(true, false);
        assert_eq!(calls.load(Ordering::Acquire), 0);
    });
}

#[test]
fn an_input_that_panics_later_cancels_the_rest_and_ends_the_iteration() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let (calls, f) = counting();
        let (busy, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let (says, waits) = (Arc::clone(&busy), Arc::clone(&go));
        // The second item keeps the only worker busy, so that the third has not started.
        let f = move |item: usize| {
            if item == 1 {
                says.set();
                waits.wait();
            }
            f(item)
        };
        let held_until_busy = Arc::clone(&busy);
        let items = (0..10_usize).inspect(move |&item| {
            if item == 3 {
                held_until_busy.wait();
                panic!("the input ends here");
            }
        });
        let mut results = pool.map_with(MapOptions::new().buffersize(3), f, items).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| results.next())).is_err());
        assert!(results.next().is_none());
        go.set();
        pool.shutdown(true, false);
        assert_eq!(calls.load(Ordering::Acquire), 2, "the third was cancelled");
    });
}

#[test]
fn a_refused_refill_is_an_error_at_its_own_place() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let mut results = pool.map_with(MapOptions::new().buffersize(2), |item| item, 0..5).unwrap();
        pool.shutdown(true, false);
        assert_eq!(results.next().unwrap().unwrap(), 0);
        assert_eq!(results.next().unwrap().unwrap(), 1);
        assert!(matches!(results.next(), Some(Err(TaskError::ShutDown))));
        assert!(results.next().is_none());
    });
}

#[test]
fn a_map_outlives_its_pool() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let results = pool.map_with(MapOptions::new().buffersize(2), |item| item, 0..5_usize).unwrap();
        drop(pool);
        let results: Vec<_> = results.map(Result::ok).collect();
        assert_eq!(results, [Some(0), Some(1), None]);
    });
}

#[test]
fn a_task_may_map_over_its_own_pool() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        for options in [MapOptions::new(), MapOptions::new().buffersize(3)] {
            let own = Arc::clone(&pool);
            let outer = pool.submit(move || {
                let results = own.map_with(options, |n| n * n, 1..=10_u32).unwrap();
                results.map(|result| result.unwrap()).sum::<u32>()
            });
            assert_eq!(outer.unwrap().result().unwrap(), 385);
        }
    });
}

#[test]
fn an_empty_input_is_an_empty_map() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        assert_eq!(pool.map(|item: u8| item, Vec::new()).unwrap().count(), 0);
        let mut results = pool.map_with(MapOptions::new().buffersize(3), |item: u8| item, Vec::new()).unwrap();
        assert!(results.next().is_none());
    });
}
