//! Semaphores that notice when more is given back than was taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{BoundedSemaphore, Semaphore};
use towline_threads::thread;

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(2);

#[test]
fn an_over_release_is_refused_and_changes_nothing() {
    with_watchdog(LIMIT, || {
        let gate = BoundedSemaphore::new(3);
        assert!(gate.release(1).is_err());
        gate.acquire().forget();
        gate.acquire().forget();
        let error = gate.release(3).unwrap_err();
        assert_eq!(error.to_string(), "cannot release 3: 1 of 3 permits are there already");
        assert_eq!(gate.available(), 1);
        // Nor is there a way round through an overflow.
        assert!(gate.release(usize::MAX).is_err());
        assert_eq!(gate.available(), 1);
        gate.release(2).unwrap();
        assert_eq!((gate.available(), gate.initial()), (3, 3));
    });
}

#[test]
fn a_semaphore_of_nothing_stays_so() {
    with_watchdog(LIMIT, || {
        let gate = BoundedSemaphore::new(0);
        assert!(gate.try_acquire().is_none());
        assert!(gate.acquire_timeout(MOMENT).is_none());
        assert!(gate.release(1).is_err());
        assert!(gate.release(0).is_ok());
        assert_eq!(gate.available(), 0);
    });
}

#[test]
fn a_guard_gives_its_permit_back_once() {
    with_watchdog(LIMIT, || {
        let gate = BoundedSemaphore::new(2);
        let (first, second) = (gate.acquire(), gate.try_acquire());
        assert_eq!(gate.available(), 0);
        drop(first);
        assert_eq!(gate.available(), 1);
        drop(second);
        assert_eq!(gate.available(), 2);
    });
}

#[test]
fn a_guard_whose_permit_was_released_by_hand_is_dropped_in_silence() {
    with_watchdog(LIMIT, || {
        let gate = BoundedSemaphore::new(1);
        let guard = gate.acquire();
        gate.release(1).unwrap();
        assert!(gate.release(1).is_err(), "the guard's own is there already");
        drop(guard);
        assert_eq!(gate.available(), 1);
        // The count is right again.
        let guard = gate.acquire();
        assert!(gate.try_acquire().is_none());
        drop(guard);
        assert_eq!(gate.available(), 1);
    });
}

#[test]
fn no_more_are_let_in_than_there_are_permits() {
    with_watchdog(LIMIT, || {
        let gate = Arc::new(BoundedSemaphore::new(2));
        let inside = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..6)
            .map(|number| {
                let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
                thread::spawn(move || {
                    for round in 0..400 {
                        let permit = if (number + round) % 3 == 0 {
                            // Sometimes too short, sometimes not.
                            gate.acquire_timeout(Duration::from_micros(30))
                        } else {
                            Some(gate.acquire())
                        };
                        let Some(permit) = permit else { continue };
                        assert!(inside.fetch_add(1, Ordering::AcqRel) < 2);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::AcqRel);
                        drop(permit);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(gate.available(), 2);
        assert!(gate.release(1).is_err());
    });
}

#[test]
fn permits_released_by_hand_wake_as_many_waiters() {
    with_watchdog(LIMIT, || {
        let gate = Arc::new(BoundedSemaphore::new(4));
        for _ in 0..4 {
            gate.acquire().forget();
        }
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || gate.acquire().forget())
            })
            .collect();
        gate.release(1).unwrap();
        gate.release(3).unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(gate.available(), 0);
    });
}

#[test]
fn a_semaphore_can_be_a_static() {
    with_watchdog(LIMIT, || {
        static GATE: BoundedSemaphore = BoundedSemaphore::new(1);
        let permit = GATE.acquire();
        assert!(GATE.try_acquire().is_none());
        drop(permit);
        assert_eq!(GATE.available(), 1);
    });
}

#[test]
fn a_semaphore_without_a_bound_is_full_at_the_end_of_numbers_only() {
    with_watchdog(LIMIT, || {
        let gate = Semaphore::new(usize::MAX - 1);
        let permit = gate.acquire();
        gate.release(2);
        assert_eq!(gate.available(), usize::MAX);
        drop(permit); // there is no room for it, and no panic
        assert_eq!(gate.available(), usize::MAX);
    });
}

#[test]
#[should_panic(expected = "at most usize::MAX permits")]
fn more_permits_than_there_are_numbers_are_refused() {
    Semaphore::new(1).release(usize::MAX);
}
