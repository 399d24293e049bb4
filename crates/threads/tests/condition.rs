//! Conditions, with a `Lock` and with an `RLock`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{Condition, Lock, RLock};
use towline_threads::thread::{self, JoinHandle};

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(2);

/// Who waits for a call, and who has been woken, in that order.
#[derive(Default)]
struct Room {
    state: Lock<State>,
    called: Condition,
}

#[derive(Default)]
struct State {
    /// How many have begun to wait. They are in the queue when the lock can be had.
    waiting: usize,
    woken: Vec<usize>,
    stop: bool,
}

impl Room {
    /// Starts a thread that waits once; returns when it is in the queue.
    fn enter(self: &Arc<Self>, number: usize) -> JoinHandle<()> {
        let room = Arc::clone(self);
        let waiter = thread::spawn(move || {
            let mut state = room.state.acquire().unwrap();
            state.waiting += 1;
            room.called.wait(&mut state);
            state.woken.push(number);
        });
        self.until(|state| state.waiting == number + 1);
        waiter
    }

    /// Waits until `reached` is true of the state.
    fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let state = self.state.acquire().unwrap();
            if reached(&state) {
                return;
            }
            drop(state);
            std::thread::yield_now();
        }
    }
}

#[test]
fn waiters_are_woken_in_the_order_of_their_arrival() {
    with_watchdog(LIMIT, || {
        let room = Arc::new(Room::default());
        let waiters: Vec<_> = (0..6).map(|number| room.enter(number)).collect();
        for count in 1..=6 {
            room.called.notify_one();
            room.until(|state| state.woken.len() == count);
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(room.state.acquire().unwrap().woken, [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn notify_wakes_so_many_of_those_who_have_waited_longest() {
    with_watchdog(LIMIT, || {
        let room = Arc::new(Room::default());
        let mut waiters: Vec<_> = (0..5).map(|number| room.enter(number)).collect();
        room.called.notify(0);
        room.called.notify(2);
        for waiter in waiters.drain(..2) {
            waiter.join().unwrap();
        }
        let mut first = room.state.acquire().unwrap().woken.clone();
        first.sort_unstable();
        assert_eq!(first, [0, 1]);
        assert!(waiters.iter().all(JoinHandle::is_alive));
        // More than there are.
        room.called.notify(100);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(room.state.acquire().unwrap().woken.len(), 5);
    });
}

#[test]
fn notify_all_wakes_everybody() {
    with_watchdog(LIMIT, || {
        let room = Arc::new(Room::default());
        let waiters: Vec<_> = (0..5).map(|number| room.enter(number)).collect();
        room.called.notify_all();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(room.state.acquire().unwrap().woken.len(), 5);
    });
}

#[test]
fn a_notification_that_nobody_waits_for_is_not_remembered() {
    with_watchdog(LIMIT, || {
        let (lock, changed) = (Lock::new(()), Condition::new());
        changed.notify_one();
        changed.notify_all();
        let mut guard = lock.acquire().unwrap();
        assert!(!changed.wait_timeout(&mut guard, MOMENT));
    });
}

#[test]
fn no_spurious_wake_up_is_visible() {
    const WAITERS: usize = 3;
    with_watchdog(LIMIT, || {
        let room = Arc::new(Room::default());
        let waiters: Vec<_> = (0..WAITERS)
            .map(|number| {
                let room = Arc::clone(&room);
                thread::spawn(move || {
                    let mut state = room.state.acquire().unwrap();
                    while !state.stop {
                        state.waiting += 1;
                        room.called.wait(&mut state);
                        state.waiting -= 1;
                        state.woken.push(number);
                    }
                })
            })
            .collect();
        for calls in 0..500 {
            room.until(|state| {
                assert!(state.woken.len() <= calls, "somebody woke up by itself");
                state.waiting == WAITERS && state.woken.len() == calls
            });
            room.called.notify_one();
        }
        room.until(|state| state.waiting == WAITERS && state.woken.len() == 500);
        room.state.acquire().unwrap().stop = true;
        room.called.notify_all();
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(room.state.acquire().unwrap().woken.len(), 500 + WAITERS);
    });
}

#[test]
fn a_wait_that_times_out_holds_the_lock_again() {
    with_watchdog(LIMIT, || {
        let (lock, changed) = (Arc::new(Lock::new(1)), Condition::new());
        let mut guard = lock.acquire().unwrap();
        assert!(!changed.wait_timeout(&mut guard, MOMENT));
        assert!(!changed.wait_timeout(&mut guard, Duration::ZERO));
        *guard += 1;
        let other = Arc::clone(&lock);
        assert!(thread::spawn(move || other.try_acquire().is_none()).join().unwrap());
        drop(guard);
        assert_eq!(*lock.acquire().unwrap(), 2);
    });
}

#[test]
fn a_waiter_that_is_notified_in_time_says_so() {
    with_watchdog(LIMIT, || {
        let room = Arc::new(Room::default());
        let waits = Arc::clone(&room);
        let waiter = thread::spawn(move || {
            let mut state = waits.state.acquire().unwrap();
            state.waiting += 1;
            waits.called.wait_timeout(&mut state, LIMIT)
        });
        room.until(|state| state.waiting == 1);
        room.called.notify_one();
        assert!(waiter.join().unwrap());
    });
}

#[test]
fn a_waiter_whose_time_is_up_swallows_no_notification() {
    with_watchdog(LIMIT, || {
        let room = Arc::new(Room::default());
        {
            let mut state = room.state.acquire().unwrap();
            assert!(!room.called.wait_timeout(&mut state, MOMENT));
        }
        let waiter = room.enter(0);
        room.called.notify_one();
        waiter.join().unwrap();
    });
}

#[test]
fn wait_for_returns_when_its_predicate_is_true_and_not_before() {
    with_watchdog(LIMIT, || {
        let shared = Arc::new((Lock::new(0), Condition::new()));
        let other = Arc::clone(&shared);
        let waiter = thread::spawn(move || {
            let (count, changed) = &*other;
            let mut count = count.acquire().unwrap();
            changed.wait_for(&mut count, |count| *count >= 3);
            *count
        });
        let (count, changed) = &*shared;
        for _ in 0..3 {
            assert!(waiter.is_alive());
            *count.acquire().unwrap() += 1;
            changed.notify_all();
        }
        assert_eq!(waiter.join().unwrap(), 3);
        // True already: nobody has to call.
        changed.wait_for(&mut count.acquire().unwrap(), |count| *count == 3);
    });
}

#[test]
fn wait_for_with_a_timeout_returns_the_last_value_of_its_predicate() {
    with_watchdog(LIMIT, || {
        let shared = Arc::new((Lock::new(false), Condition::new()));
        let (ready, changed) = &*shared;
        let mut guard = ready.acquire().unwrap();
        let mut looks = 0;
        let waited = changed.wait_for_timeout(&mut guard, MOMENT, |ready| {
            looks += 1;
            *ready
        });
        assert!(!waited);
        assert_eq!(looks, 2, "at the beginning and at the end");

        let other = Arc::clone(&shared);
        let setter = thread::spawn(move || {
            *other.0.acquire().unwrap() = true;
            other.1.notify_one();
        });
        assert!(changed.wait_for_timeout(&mut guard, LIMIT, |ready| *ready));
        assert!(changed.wait_for_timeout(&mut guard, Duration::ZERO, |ready| *ready));
        drop(guard);
        setter.join().unwrap();
    });
}

#[test]
fn waiting_gives_up_the_whole_count_of_an_rlock_and_restores_it() {
    with_watchdog(LIMIT, || {
        let shared = Arc::new((RLock::new(Cell::new(false)), Condition::new()));
        let (flag, changed) = &*shared;
        let first = flag.acquire().unwrap();
        let second = flag.acquire().unwrap();
        let mut third = flag.acquire().unwrap();

        let other = Arc::clone(&shared);
        let setter = thread::spawn(move || {
            // To be had only if all three are given up.
            let flag = other.0.acquire().unwrap();
            flag.set(true);
            other.1.notify_one();
        });
        changed.wait_for(&mut third, Cell::get);
        assert!(third.get());
        setter.join().unwrap();

        let free = || {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.0.try_acquire().is_some()).join().unwrap()
        };
        for guard in [third, second] {
            assert!(!free());
            drop(guard);
        }
        assert!(!free());
        drop(first);
        assert!(free());
    });
}

#[test]
fn a_timed_wait_restores_the_count_of_an_rlock_as_well() {
    with_watchdog(LIMIT, || {
        let lock = Arc::new(RLock::new(()));
        let changed = Condition::new();
        let outer = lock.acquire().unwrap();
        let mut inner = lock.acquire().unwrap();
        assert!(!changed.wait_timeout(&mut inner, MOMENT));
        drop(inner);
        let other = Arc::clone(&lock);
        assert!(thread::spawn(move || other.try_acquire().is_none()).join().unwrap());
        drop(outer);
        assert!(!lock.locked());
    });
}

#[test]
fn a_predicate_that_panics_leaves_the_lock_to_others() {
    with_watchdog(LIMIT, || {
        let (lock, changed) = (Lock::new(5), Condition::new());
        let mut looks = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = lock.acquire().unwrap();
            changed.wait_for_timeout(&mut guard, MOMENT, |_| {
                looks += 1;
                assert!(looks < 2, "the second look, after the wait");
                false
            })
        }));
        assert!(outcome.is_err());
        assert_eq!(lock.try_acquire().map(|guard| *guard), Some(5));
        assert_eq!(format!("{changed:?}"), "Condition { waiting: 0, .. }");
    });
}

#[test]
fn nothing_is_lost_between_producers_and_consumers() {
    const ITEMS: u64 = 900;

    /// The items, and whether no more will come.
    type Stock = (VecDeque<u64>, bool);

    fn ready((items, shut): &Stock) -> bool {
        !items.is_empty() || *shut
    }

    with_watchdog(LIMIT, || {
        let shared = Arc::new((Lock::<Stock>::new((VecDeque::new(), false)), Condition::new()));
        let consumers: Vec<_> = (0..4)
            .map(|seed| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let (items, changed) = &*shared;
                    let mut sum = 0_u64;
                    loop {
                        let mut guard = items.acquire().unwrap();
                        // Some wait in vain now and then: they must leave the queue as it was.
                        if random.bool() {
                            let pause = Duration::from_micros(random.u64(0..100));
                            if !changed.wait_for_timeout(&mut guard, pause, ready) {
                                continue;
                            }
                        } else {
                            changed.wait_for(&mut guard, ready);
                        }
                        match guard.0.pop_front() {
                            Some(item) => sum += item,
                            None => return sum,
                        }
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..3)
            .map(|number| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for item in (1..=ITEMS).filter(|item| item % 3 == number) {
                        shared.0.acquire().unwrap().0.push_back(item);
                        shared.1.notify_one();
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        shared.0.acquire().unwrap().1 = true;
        shared.1.notify_all();
        let sum: u64 = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
        assert_eq!(sum, ITEMS * (ITEMS + 1) / 2);
    });
}
