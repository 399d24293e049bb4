//! Events and semaphores between threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{Event, Semaphore};
use towline_threads::thread;

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn an_event_releases_everybody_who_waits() {
    with_watchdog(LIMIT, || {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let event = Arc::clone(&event);
                thread::spawn(move || event.wait_timeout(LIMIT))
            })
            .collect();
        event.set();
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
        event.clear();
        assert!(!event.is_set());
        assert!(!event.wait_timeout(Duration::from_millis(1)));
    });
}

#[test]
fn a_semaphore_never_lets_more_in_than_it_has_permits() {
    with_watchdog(LIMIT, || {
        let gate = Arc::new(Semaphore::new(3));
        let inside = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                thread::spawn(move || {
                    for _ in 0..500 {
                        let _permit = gate.acquire();
                        assert!(inside.fetch_add(1, Ordering::AcqRel) < 3);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::AcqRel);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(gate.available(), 3);
    });
}

#[test]
fn released_permits_wake_as_many_waiters() {
    with_watchdog(LIMIT, || {
        let gate = Arc::new(Semaphore::new(0));
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || gate.acquire().forget())
            })
            .collect();
        gate.release(2);
        gate.release(3);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(gate.available(), 0);
    });
}

#[test]
fn timed_waits_do_not_swallow_permits_under_stress() {
    with_watchdog(LIMIT, || {
        let gate = Arc::new(Semaphore::new(1));
        let workers: Vec<_> = (0..6)
            .map(|_| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || {
                    for _ in 0..300 {
                        // Sometimes too short, sometimes not.
                        drop(gate.acquire_timeout(Duration::from_micros(20)));
                        drop(gate.try_acquire());
                        drop(gate.acquire());
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(gate.available(), 1);
    });
}
