//! Barriers: places, the action, and the ways in which one breaks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use towline_testkit::with_watchdog;
use towline_threads::sync::{Barrier, BarrierError, BrokenBarrier, Event};
use towline_threads::thread::{self, JoinError, JoinHandle};

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(2);

type Waiter = JoinHandle<Result<usize, BrokenBarrier>>;

fn start(barrier: &Arc<Barrier>) -> Waiter {
    let barrier = Arc::clone(barrier);
    thread::spawn(move || barrier.wait())
}

/// Starts a thread that waits and is not the last; returns when it has been counted in.
fn arrive(barrier: &Arc<Barrier>) -> Waiter {
    let before = barrier.n_waiting();
    let waiter = start(barrier);
    while barrier.n_waiting() == before {
        std::thread::yield_now();
    }
    waiter
}

/// A barrier for two, both of them there, the second (the last handle) in an action that returns
/// when the event is set.
fn acting() -> (Arc<Barrier>, Arc<Event>, Waiter, Waiter) {
    let (busy, go) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (says, waits) = (Arc::clone(&busy), Arc::clone(&go));
    let barrier = Barrier::with_action(2, move || {
        says.set();
        waits.wait();
    });
    let barrier = Arc::new(barrier.unwrap());
    let first = arrive(&barrier);
    let second = start(&barrier);
    busy.wait();
    (barrier, go, first, second)
}

#[test]
fn a_barrier_for_nobody_is_refused() {
    assert_eq!(Barrier::new(0).unwrap_err(), BarrierError::NoParties);
    let error = Barrier::with_action(0, || unreachable!("there is no such barrier")).unwrap_err();
    assert_eq!(error.to_string(), "a barrier needs at least one party");
}

#[test]
fn the_only_party_never_waits() {
    with_watchdog(LIMIT, || {
        let barrier = Barrier::new(1).unwrap();
        assert_eq!(barrier.parties(), 1);
        for _ in 0..3 {
            assert_eq!(barrier.wait(), Ok(0));
            assert_eq!(barrier.wait_timeout(Duration::ZERO), Ok(0));
        }
        assert_eq!(barrier.n_waiting(), 0);
    });
}

#[test]
fn each_thread_gets_its_place_by_arrival() {
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(4).unwrap());
        for _ in 0..3 {
            let waiters: Vec<_> = (0..3).map(|_| arrive(&barrier)).collect();
            assert_eq!(barrier.n_waiting(), 3);
            assert_eq!(barrier.wait(), Ok(3));
            for (place, waiter) in waiters.into_iter().enumerate() {
                assert_eq!(waiter.join().unwrap(), Ok(place));
            }
        }
    });
}

#[test]
fn nobody_passes_before_everybody_has_arrived() {
    const THREADS: usize = 4;
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(THREADS).unwrap());
        let rounds: Arc<[AtomicUsize; THREADS]> = Arc::default();
        let workers: Vec<_> = (0..THREADS)
            .map(|own| {
                let (barrier, rounds) = (Arc::clone(&barrier), Arc::clone(&rounds));
                thread::spawn(move || {
                    for round in 1..=300 {
                        rounds[own].store(round, Ordering::Release);
                        barrier.wait().unwrap();
                        for other in rounds.iter() {
                            let other = other.load(Ordering::Acquire);
                            // The next barrier cannot be passed without this thread.
                            assert!(other == round || other == round + 1, "{other} in round {round}");
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn the_action_is_run_once_a_cycle_by_the_last_to_arrive_before_anybody_passes() {
    with_watchdog(LIMIT, || {
        let runs = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&runs);
        let action = move || notes.lock().unwrap().push(thread::current().id());
        let barrier = Arc::new(Barrier::with_action(3, action).unwrap());
        for cycle in 1..=5 {
            let others: Vec<_> = (0..2)
                .map(|_| {
                    let before = barrier.n_waiting();
                    let (waits, runs) = (Arc::clone(&barrier), Arc::clone(&runs));
                    let other = thread::spawn(move || {
                        waits.wait().unwrap();
                        runs.lock().unwrap().len()
                    });
                    while barrier.n_waiting() == before {
                        std::thread::yield_now();
                    }
                    other
                })
                .collect();
            assert_eq!(barrier.wait(), Ok(2));
            let seen = runs.lock().unwrap().clone();
            assert_eq!(seen, vec![thread::current().id(); cycle]);
            for other in others {
                assert_eq!(other.join().unwrap(), cycle);
            }
        }
    });
}

#[test]
fn a_panic_in_the_action_breaks_the_barrier_for_all_and_is_kept_by_its_thread() {
    with_watchdog(LIMIT, || {
        let healthy = Arc::new(AtomicBool::new(false));
        let asks = Arc::clone(&healthy);
        let action = move || assert!(asks.load(Ordering::Acquire), "not today");
        let barrier = Arc::new(Barrier::with_action(3, action).unwrap());

        let others: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
        match start(&barrier).join() {
            Err(error @ JoinError::Panicked(_)) => assert_eq!(error.panic_message(), Some("not today")),
            other => panic!("{other:?}"),
        }
        for other in others {
            assert_eq!(other.join().unwrap(), Err(BrokenBarrier));
        }
        assert!(barrier.broken());
        assert_eq!(barrier.wait(), Err(BrokenBarrier));

        // The action is still there after its panic.
        healthy.store(true, Ordering::Release);
        barrier.reset();
        let others: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
        assert_eq!(barrier.wait(), Ok(2));
        for (place, other) in others.into_iter().enumerate() {
            assert_eq!(other.join().unwrap(), Ok(place));
        }
    });
}

#[test]
fn a_timeout_breaks_the_barrier_for_all_until_it_is_reset() {
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(3).unwrap());
        let other = arrive(&barrier);
        assert_eq!(barrier.wait_timeout(MOMENT), Err(BrokenBarrier));
        assert_eq!(other.join().unwrap(), Err(BrokenBarrier));
        assert!(barrier.broken());
        // At once, whatever the timeout.
        assert_eq!(barrier.wait_timeout(Duration::MAX), Err(BrokenBarrier));
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        barrier.reset();
        assert!(!barrier.broken());
    });
}

#[test]
fn an_abort_breaks_the_barrier_for_all_until_it_is_reset() {
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(3).unwrap());
        let others: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
        barrier.abort();
        for other in others {
            assert_eq!(other.join().unwrap(), Err(BrokenBarrier));
        }
        barrier.abort();
        assert!(barrier.broken());
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        assert_eq!(barrier.n_waiting(), 0);

        barrier.reset();
        let others: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
        assert_eq!(barrier.wait(), Ok(2));
        assert!(others.into_iter().all(|other| other.join().unwrap().is_ok()));
    });
}

#[test]
fn a_reset_breaks_todays_waiters_and_then_starts_clean() {
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(3).unwrap());
        barrier.reset(); // nobody is there: nothing happens
        for _ in 0..20 {
            let others: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
            barrier.reset();
            assert!(!barrier.broken());
            // These come while those of before may still be leaving.
            let late: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
            assert_eq!(barrier.wait(), Ok(2));
            for other in others {
                assert_eq!(other.join().unwrap(), Err(BrokenBarrier));
            }
            for (place, late) in late.into_iter().enumerate() {
                assert_eq!(late.join().unwrap(), Ok(place));
            }
        }
    });
}

#[test]
fn an_abort_followed_by_a_reset_breaks_all_who_waited() {
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(3).unwrap());
        for _ in 0..20 {
            let others: Vec<_> = (0..2).map(|_| arrive(&barrier)).collect();
            barrier.abort();
            barrier.reset();
            for other in others {
                assert_eq!(other.join().unwrap(), Err(BrokenBarrier));
            }
            assert!(!barrier.broken());
        }
    });
}

#[test]
fn a_late_arrival_waits_until_the_cycle_before_has_drained() {
    with_watchdog(LIMIT, || {
        let (barrier, go, first, second) = acting();
        let late = start(&barrier);
        assert_eq!(barrier.n_waiting(), 0, "nobody is counted into a full cycle");
        go.set();
        assert_eq!(first.join().unwrap(), Ok(0));
        assert_eq!(second.join().unwrap(), Ok(1));
        let mut places = [barrier.wait().unwrap(), late.join().unwrap().unwrap()];
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
    });
}

#[test]
fn a_late_arrival_that_gives_up_breaks_the_next_cycle_and_not_the_full_one() {
    with_watchdog(LIMIT, || {
        let (barrier, go, first, second) = acting();
        assert_eq!(barrier.wait_timeout(MOMENT), Err(BrokenBarrier));
        assert!(barrier.broken());
        assert_eq!(barrier.wait(), Err(BrokenBarrier));
        go.set();
        assert_eq!(first.join().unwrap(), Ok(0));
        assert_eq!(second.join().unwrap(), Ok(1));
        assert!(barrier.broken());
    });
}

#[test]
fn an_abort_does_not_wait_for_the_action_and_breaks_its_cycle() {
    with_watchdog(LIMIT, || {
        let (barrier, go, first, second) = acting();
        barrier.abort();
        // The action still runs.
        assert_eq!(first.join().unwrap(), Err(BrokenBarrier));
        go.set();
        assert_eq!(second.join().unwrap(), Err(BrokenBarrier));
        assert!(barrier.broken());
    });
}

#[test]
fn a_reset_while_the_action_runs_breaks_its_cycle_and_the_next_one_is_clean() {
    with_watchdog(LIMIT, || {
        let (barrier, go, first, second) = acting();
        barrier.reset();
        assert_eq!(first.join().unwrap(), Err(BrokenBarrier));
        let late = start(&barrier);
        go.set();
        assert_eq!(second.join().unwrap(), Err(BrokenBarrier));
        let mut places = [barrier.wait().unwrap(), late.join().unwrap().unwrap()];
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
    });
}

#[test]
fn a_timeout_is_kept_even_if_the_action_takes_longer() {
    with_watchdog(LIMIT, || {
        let (tells, hears) = std::sync::mpsc::channel();
        let go = Arc::new(Event::new());
        let waits = Arc::clone(&go);
        let barrier = Barrier::with_action(2, move || {
            tells.send(()).unwrap();
            waits.wait();
        });
        let barrier = Arc::new(barrier.unwrap());
        let timed = Arc::clone(&barrier);
        let impatient = thread::spawn(move || timed.wait_timeout(Duration::from_millis(200)));
        while barrier.n_waiting() == 0 && !barrier.broken() {
            std::thread::yield_now();
        }
        let last = start(&barrier);
        // On a machine so slow that the last came too late there is no action, and the same outcome.
        let _ = hears.recv_timeout(Duration::from_secs(5));
        assert_eq!(impatient.join().unwrap(), Err(BrokenBarrier));
        go.set();
        assert_eq!(last.join().unwrap(), Err(BrokenBarrier));
        assert!(barrier.broken());
    });
}

#[test]
fn a_cycle_passes_for_all_or_for_none_when_the_barrier_is_aborted() {
    const PARTIES: usize = 3;
    with_watchdog(LIMIT, || {
        for round in 0..60 {
            let cycles = Arc::new(AtomicUsize::new(0));
            let counts = Arc::clone(&cycles);
            let action = move || {
                counts.fetch_add(1, Ordering::AcqRel);
            };
            let barrier = Arc::new(Barrier::with_action(PARTIES, action).unwrap());
            let passed: Arc<[AtomicUsize; PARTIES]> = Arc::default();
            // Twice as many as there is room for: half of them come late.
            let workers: Vec<_> = (0..2 * PARTIES)
                .map(|_| {
                    let (barrier, passed) = (Arc::clone(&barrier), Arc::clone(&passed));
                    thread::spawn(move || {
                        while let Ok(place) = barrier.wait() {
                            passed[place].fetch_add(1, Ordering::AcqRel);
                        }
                    })
                })
                .collect();
            while cycles.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
            barrier.abort();
            for worker in workers {
                worker.join().unwrap();
            }
            let passed: Vec<_> = passed.iter().map(|count| count.load(Ordering::Acquire)).collect();
            assert_eq!(passed, [passed[0]; PARTIES]);
            // The last action may have been overtaken by the abort.
            let cycles = cycles.load(Ordering::Acquire);
            assert!(cycles - passed[0] <= 1, "{cycles} actions, {passed:?} passed");
        }
    });
}

#[test]
fn timeouts_and_resets_under_stress_leave_no_cycle_half_passed() {
    const PARTIES: usize = 3;
    with_watchdog(LIMIT, || {
        let barrier = Arc::new(Barrier::new(PARTIES).unwrap());
        let passed: Arc<[AtomicUsize; PARTIES]> = Arc::default();
        let workers: Vec<_> = (0..2 * PARTIES as u64)
            .map(|seed| {
                let (barrier, passed) = (Arc::clone(&barrier), Arc::clone(&passed));
                thread::spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    for _ in 0..500 {
                        match barrier.wait_timeout(Duration::from_micros(random.u64(0..400))) {
                            Ok(place) => {
                                passed[place].fetch_add(1, Ordering::AcqRel);
                            }
                            Err(BrokenBarrier) => barrier.reset(),
                        }
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        let passed: Vec<_> = passed.iter().map(|count| count.load(Ordering::Acquire)).collect();
        assert_eq!(passed, [passed[0]; PARTIES]);
        assert_eq!(barrier.n_waiting(), 0);
    });
}
