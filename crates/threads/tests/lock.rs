//! `Lock` and `RLock`: who gets in, when, and for how long others wait.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{Event, Lock, RLock};
use towline_threads::thread;

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(2);

#[test]
fn a_lock_owns_its_data_and_gives_it_to_one_at_a_time() {
    with_watchdog(LIMIT, || {
        let lock = Arc::new(Lock::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || (0..10_000).for_each(|_| *lock.acquire().unwrap() += 1))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let lock = Arc::into_inner(lock).unwrap();
        assert_eq!(lock.into_inner(), 40_000);
    });
}

#[test]
fn try_acquire_and_acquire_timeout_say_no_while_the_lock_is_held_and_yes_afterwards() {
    with_watchdog(LIMIT, || {
        let lock = Lock::new(1);
        let held = lock.try_acquire().unwrap();
        assert!(lock.locked() && lock.try_acquire().is_none());
        assert!(lock.acquire_timeout(MOMENT).is_none());
        drop(held);
        assert!(!lock.locked());
        assert_eq!(*lock.acquire_timeout(MOMENT).unwrap(), 1);
    });
}

#[test]
fn a_lock_that_becomes_free_within_the_timeout_is_taken() {
    with_watchdog(LIMIT, || {
        let lock = Arc::new(Lock::new(1));
        let held = lock.acquire().unwrap();
        let (wants, begun) = (Arc::clone(&lock), Arc::new(Event::new()));
        let tell = Arc::clone(&begun);
        let waiter = thread::spawn(move || {
            tell.set();
            wants.acquire_timeout(LIMIT).map(|data| *data)
        });
        begun.wait();
        drop(held);
        assert_eq!(waiter.join().unwrap(), Some(1));
    });
}

#[test]
fn a_held_lock_goes_to_another_thread_which_releases_it() {
    with_watchdog(LIMIT, || {
        static LOCK: Lock<Vec<u8>> = Lock::new(Vec::new());
        let mut held = LOCK.acquire().unwrap();
        held.push(1);
        let sent = held.into_send();
        assert!(LOCK.locked() && LOCK.try_acquire().is_none());
        let waiter = thread::spawn(|| LOCK.acquire().unwrap().len());
        let finisher = thread::spawn(move || sent.take().push(2));
        finisher.join().unwrap();
        assert_eq!(waiter.join().unwrap(), 2);
        // Dropped on its way, it releases the lock too.
        let sent = LOCK.acquire().unwrap().into_send();
        thread::spawn(move || drop(sent)).join().unwrap();
        assert!(!LOCK.locked());
    });
}

#[test]
fn a_lock_that_was_sent_is_part_of_a_ring_again_once_it_is_taken() {
    with_watchdog(LIMIT, || {
        static FIRST: Lock<()> = Lock::new(());
        static SECOND: Lock<()> = Lock::new(());
        let sent = FIRST.acquire().unwrap().into_send();
        let (has_taken, goes_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let other = {
            let (has_taken, goes_on) = (Arc::clone(&has_taken), Arc::clone(&goes_on));
            thread::spawn(move || {
                let _first = sent.take();
                has_taken.set();
                goes_on.wait();
                SECOND.acquire().map(drop)
            })
        };
        has_taken.wait();
        let second = SECOND.acquire().unwrap();
        goes_on.set();
        let here = FIRST.acquire().map(drop);
        drop(second);
        let there = other.join().unwrap();
        assert_eq!([here.is_err(), there.is_err()].into_iter().filter(|is_ring| *is_ring).count(), 1);
    });
}

#[test]
fn whoever_waits_for_a_lock_on_its_way_is_in_no_ring() {
    with_watchdog(LIMIT, || {
        static LOCK: Lock<u8> = Lock::new(7);
        let sent = LOCK.acquire().unwrap().into_send();
        let goes_on = Arc::new(Event::new());
        // Even the thread that had it may wait for it: another one may release it.
        let releaser = {
            let goes_on = Arc::clone(&goes_on);
            thread::spawn(move || {
                goes_on.wait();
                drop(sent);
            })
        };
        let waiter = thread::spawn(|| *LOCK.acquire().unwrap());
        // Long enough for a ring to be reported.
        assert!(LOCK.acquire_timeout(Duration::from_millis(150)).is_none());
        goes_on.set();
        assert_eq!(waiter.join().unwrap(), 7);
        releaser.join().unwrap();
    });
}

#[test]
fn a_thread_that_panics_with_the_guard_releases_the_lock_without_poisoning_it() {
    with_watchdog(LIMIT, || {
        let lock = Lock::new(5);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _held = lock.acquire().unwrap();
            panic!("with the guard in hand");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.acquire().unwrap(), 5);
    });
}

#[test]
fn an_rlock_counts_and_another_thread_waits_until_the_count_is_zero() {
    with_watchdog(LIMIT, || {
        let lock = Arc::new(RLock::new(Cell::new(0)));
        let first = lock.acquire().unwrap();
        let second = lock.acquire().unwrap();
        let third = lock.try_acquire().unwrap();
        third.set(3);
        let is_free_elsewhere = |lock: &Arc<RLock<Cell<i32>>>| {
            let wants = Arc::clone(lock);
            thread::spawn(move || wants.try_acquire().map(|data| data.get())).join().unwrap()
        };
        assert_eq!(is_free_elsewhere(&lock), None);
        drop((first, third));
        assert_eq!(is_free_elsewhere(&lock), None, "one guard is left, whichever");
        drop(second);
        assert_eq!(is_free_elsewhere(&lock), Some(3));
    });
}

#[test]
fn an_rlock_is_waited_for_no_longer_than_the_timeout_and_taken_if_it_becomes_free() {
    with_watchdog(LIMIT, || {
        let lock = Arc::new(RLock::new(Cell::new(7)));
        let held = lock.acquire().unwrap();
        assert!(lock.acquire_timeout(MOMENT).is_some(), "its holder need not wait");
        let wants = Arc::clone(&lock);
        let early = thread::spawn(move || wants.acquire_timeout(MOMENT).is_none());
        assert!(early.join().unwrap());
        let (wants, begun) = (Arc::clone(&lock), Arc::new(Event::new()));
        let tell = Arc::clone(&begun);
        let waiter = thread::spawn(move || {
            tell.set();
            wants.acquire_timeout(LIMIT).map(|data| data.get())
        });
        begun.wait();
        drop(held);
        assert_eq!(waiter.join().unwrap(), Some(7));
    });
}

#[test]
fn a_foreign_thread_that_is_called_main_is_not_the_main_thread() {
    with_watchdog(LIMIT, || {
        let lock = Arc::new(RLock::new(Cell::new(0)));
        let held = lock.acquire().unwrap();
        for _ in 0..2 {
            let wants = Arc::clone(&lock);
            let other = std::thread::Builder::new().name("main".into()).spawn(move || wants.try_acquire().is_none());
            assert!(other.unwrap().join().unwrap(), "two threads in one RLock");
        }
        drop(held);
    });
}
