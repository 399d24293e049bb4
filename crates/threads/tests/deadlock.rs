//! Deadlocks are reported: over locks, re-entrant locks, threads and awaited tasks; and nothing else is.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use towline_testkit::{number, say, with_watchdog};
use towline_threads::deadlock::Deadlock;
use towline_threads::executor::TaskError;
use towline_threads::sync::{Barrier, Condition, Event, Lock, RLock};
use towline_threads::thread::JoinError;
use towline_threads::{Future, ThreadPoolExecutor, thread};

const LIMIT: Duration = Duration::from_secs(120);

/// How often each ring is tried; `TOWLINE_DEADLOCK_RUNS` says otherwise.
fn runs() -> usize {
    number("TOWLINE_DEADLOCK_RUNS").map_or(100, |runs| runs as usize)
}

/// Times of reports: all must be there, and half of them within 100 ms. On a loaded machine, single threads wait for their
/// turn, which says nothing about us.
fn assert_prompt(mut times: Vec<Duration>) {
    times.sort_unstable();
    let middle = times[times.len() / 2];
    assert!(middle <= Duration::from_millis(100), "half of {} reports took up to {middle:?}", times.len());
}

#[test]
fn a_thread_that_waits_for_itself_is_told_at_once() {
    with_watchdog(LIMIT, || {
        let lock = Lock::named("account", 0);
        let held = lock.acquire().unwrap();
        let times = (0..9).map(|_| {
            let began = Instant::now();
            assert!(lock.acquire().is_err());
            began.elapsed()
        });
        assert_prompt(times.collect());
        let deadlock = lock.acquire().unwrap_err();
        assert_eq!(deadlock.links().len(), 1);
        assert_eq!(deadlock.links()[0].waits_for(), "Lock `account`");
        drop(held);
        assert!(lock.acquire().is_ok(), "the lock is as good as before");
    });
}

/// `count` threads; each holds its own lock and wants the next one's. Returns what they were told
/// and how long the first report took.
fn ring(count: usize) -> (Vec<Deadlock>, Duration) {
    let locks: Arc<Vec<Lock<()>>> = Arc::new((0..count).map(|n| Lock::named(format!("lock-{n}"), ())).collect());
    let all_hold = Arc::new(Barrier::new(count).unwrap());
    let threads: Vec<_> = (0..count)
        .map(|n| {
            let locks = Arc::clone(&locks);
            let all_hold = Arc::clone(&all_hold);
            thread::Builder::new()
                .name(format!("philosopher-{n}"))
                .spawn(move || {
                    let own = locks[n].acquire().unwrap();
                    all_hold.wait().unwrap();
                    let began = Instant::now();
                    let next = locks[(n + 1) % count].acquire();
                    let told = next.as_ref().err().cloned().map(|deadlock| (deadlock, began.elapsed()));
                    drop((next, own));
                    told
                })
                .unwrap()
        })
        .collect();
    let told: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    let first = told.iter().map(|(_, time)| *time).min().expect("somebody is told");
    (told.into_iter().map(|(deadlock, _)| deadlock).collect(), first)
}

#[test]
fn two_locks_in_opposite_order_are_reported_every_time() {
    with_watchdog(LIMIT, || {
        let times = (0..runs())
            .map(|_| {
                let (reports, time) = ring(2);
                for report in &reports {
                    let text = report.to_string();
                    for name in ["philosopher-0", "philosopher-1", "`lock-0`", "`lock-1`"] {
                        assert!(text.contains(name), "{name} is missing: {text}");
                    }
                }
                time
            })
            .collect();
        assert_prompt(times);
    });
}

#[test]
fn a_ring_of_five_threads_is_reported_with_all_their_names() {
    with_watchdog(LIMIT, || {
        let times = (0..runs())
            .map(|_| {
                let (reports, time) = ring(5);
                assert_eq!(reports.len(), 1, "one lets go, the others go on");
                for n in 0..5 {
                    let text = reports[0].to_string();
                    assert!(text.contains(&format!("philosopher-{n}")), "{text}");
                    assert!(text.contains(&format!("`lock-{n}`")), "{text}");
                }
                time
            })
            .collect();
        assert_prompt(times);
    });
}

/// A ring of five: two locks, two re-entrant locks, and an awaited task.
///
/// `keeper` awaits the task and holds lock 0; the task wants RLock 1, whose holder wants lock 2,
/// whose holder wants RLock 3, whose holder wants lock 0.
#[test]
fn a_ring_over_locks_re_entrant_locks_and_an_awaited_task_is_reported() {
    with_watchdog(LIMIT, || {
        let times = (0..runs()).map(|_| mixed_ring()).collect();
        assert_prompt(times);
    });
}

struct Locks {
    zero: Lock<()>,
    one: RLock<Cell<u8>>,
    two: Lock<()>,
    three: RLock<Cell<u8>>,
}

type Work = fn(&Locks, &Barrier) -> Result<(), Deadlock>;

fn hold_one(locks: &Locks, ready: &Barrier) -> Result<(), Deadlock> {
    let _one = locks.one.acquire()?;
    let _again = locks.one.acquire()?;
    ready.wait().unwrap();
    locks.two.acquire().map(drop)
}

fn hold_two(locks: &Locks, ready: &Barrier) -> Result<(), Deadlock> {
    let _two = locks.two.acquire()?;
    ready.wait().unwrap();
    locks.three.acquire().map(drop)
}

fn hold_three(locks: &Locks, ready: &Barrier) -> Result<(), Deadlock> {
    let _three = locks.three.acquire()?;
    ready.wait().unwrap();
    locks.zero.acquire().map(drop)
}

fn mixed_ring() -> Duration {
    let locks = Arc::new(Locks {
        zero: Lock::named("zero", ()),
        one: RLock::named("one", Cell::new(1)),
        two: Lock::named("two", ()),
        three: RLock::named("three", Cell::new(3)),
    });
    let ready = Arc::new(Barrier::new(5).unwrap());
    let pool = ThreadPoolExecutor::builder().max_workers(1).thread_name_prefix("mixed").build().unwrap();
    let began = Instant::now();
    let told: Arc<Lock<Vec<(String, Duration)>>> = Arc::default();
    let tell = {
        let told = Arc::clone(&told);
        move |text: String| told.acquire().unwrap().push((text, began.elapsed()))
    };

    let task = {
        let (locks, ready, tell) = (Arc::clone(&locks), Arc::clone(&ready), tell.clone());
        pool.submit(move || {
            ready.wait().unwrap();
            if let Err(deadlock) = locks.one.acquire() {
                tell(deadlock.to_string());
            }
        })
        .unwrap()
    };
    let holder = |name: &str, work: Work| {
        let (locks, ready, tell) = (Arc::clone(&locks), Arc::clone(&ready), tell.clone());
        thread::Builder::new()
            .name(name)
            .spawn(move || {
                if let Err(deadlock) = work(&locks, &ready) {
                    tell(deadlock.to_string());
                }
            })
            .unwrap()
    };
    let holders = [("of-one", hold_one as Work), ("of-two", hold_two as Work), ("of-three", hold_three as Work)];
    let threads = holders.map(|(name, work)| holder(name, work));
    let keeper = {
        let (locks, ready, tell) = (Arc::clone(&locks), Arc::clone(&ready), tell.clone());
        thread::Builder::new()
            .name("keeper")
            .spawn(move || {
                let _zero = locks.zero.acquire().unwrap();
                ready.wait().unwrap();
                if let Err(TaskError::Deadlock(deadlock)) = task.result() {
                    tell(deadlock.to_string());
                }
            })
            .unwrap()
    };
    for thread in threads {
        thread.join().unwrap();
    }
    keeper.join().unwrap();
    drop(pool);
    let told = told.acquire().unwrap();
    assert!(!told.is_empty(), "nobody was told");
    for name in ["keeper", "mixed_0", "of-one", "of-two", "of-three", "`zero`", "`one`", "`two`", "`three`"] {
        assert!(told[0].0.contains(name), "{name} is missing: {}", told[0].0);
    }
    told[0].1
}

#[test]
fn threads_that_join_each_other_are_reported() {
    with_watchdog(LIMIT, || {
        let (hand, take) = std::sync::mpsc::channel::<thread::JoinHandle<()>>();
        let told = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&told);
        let first = thread::Builder::new()
            .name("first")
            .spawn(move || {
                let second = take.recv().unwrap();
                if let Err(JoinError::Deadlock(deadlock)) = second.join() {
                    assert!(deadlock.to_string().contains("thread second to end"), "{deadlock}");
                    counts.fetch_add(1, Ordering::Relaxed);
                }
            })
            .unwrap();
        let counts = Arc::clone(&told);
        let (done, is_done) = std::sync::mpsc::channel();
        let second = thread::Builder::new()
            .name("second")
            .spawn(move || {
                if let Err(JoinError::Deadlock(_)) = first.join() {
                    counts.fetch_add(1, Ordering::Relaxed);
                }
                done.send(()).unwrap();
            })
            .unwrap();
        hand.send(second).unwrap();
        is_done.recv().unwrap();
        assert!(told.load(Ordering::Relaxed) >= 1);
    });
}

/// Where a task finds the other's future.
type Place = Arc<(Lock<Option<Future<usize>>>, Event)>;

#[test]
fn futures_that_await_each_other_in_a_ring_are_reported() {
    with_watchdog(LIMIT, || {
        for workers in [1, 2] {
            let pool = ThreadPoolExecutor::new(workers).unwrap();
            let places: [Place; 2] = std::array::from_fn(|_| Arc::default());
            let told = Arc::new(AtomicUsize::new(0));
            let task = |place: &Place| {
                let (place, told) = (Arc::clone(place), Arc::clone(&told));
                move || {
                    place.1.wait();
                    let other = place.0.acquire().unwrap().take().expect("it was put there");
                    match other.result() {
                        Ok(value) => value + 1,
                        Err(TaskError::Deadlock(deadlock)) => {
                            assert!(deadlock.links().len() >= 2, "{deadlock}");
                            told.fetch_add(1, Ordering::Relaxed);
                            0
                        }
                        Err(other) => panic!("{other}"),
                    }
                }
            };
            let first = pool.submit(task(&places[0])).unwrap();
            let second = pool.submit(task(&places[1])).unwrap();
            *places[0].0.acquire().unwrap() = Some(second);
            *places[1].0.acquire().unwrap() = Some(first);
            places[0].1.set();
            places[1].1.set();
            pool.shutdown(true, false);
            assert!(told.load(Ordering::Relaxed) >= 1, "with {workers} workers");
        }
    });
}

#[test]
fn a_claimed_task_that_wants_its_waiters_re_entrant_lock_is_told() {
    with_watchdog(LIMIT, || {
        let pool = Arc::new(ThreadPoolExecutor::new(1).unwrap());
        let lock = Arc::new(RLock::named("shared", Cell::new(0)));
        let (inner_pool, inner_lock) = (Arc::clone(&pool), Arc::clone(&lock));
        let outer = pool
            .submit(move || {
                let held = inner_lock.acquire().unwrap();
                held.set(1); // half of a change
                let lock = Arc::clone(&inner_lock);
                let inner = inner_pool.submit(move || lock.acquire().map(|data| data.get()).map_err(|d| d.to_string()));
                inner.unwrap().result()
            })
            .unwrap();
        let told = outer.result().unwrap().unwrap().unwrap_err();
        assert!(told.contains("`shared`"), "{told}");
    });
}

#[test]
fn a_pending_task_that_only_stuck_workers_could_run_is_reported() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(1).unwrap();
        let lock = Arc::new(Lock::named("wanted", ()));
        let held = lock.acquire().unwrap();
        let begun = Arc::new(Event::new());
        let (inner, tell) = (Arc::clone(&lock), Arc::clone(&begun));
        let stuck = pool
            .submit(move || {
                tell.set();
                inner.acquire().is_ok()
            })
            .unwrap();
        begun.wait();
        let pending = pool.submit(|| 1).unwrap();
        match pending.result() {
            // This thread was told ...
            Err(TaskError::Deadlock(deadlock)) => {
                assert!(deadlock.to_string().contains("could run"), "{deadlock}");
                drop(held);
                assert!(stuck.result().unwrap());
            }
            // ... or the worker was, and went on to the pending task.
            Ok(1) => assert!(!stuck.result().unwrap()),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_pending_task_is_no_deadlock_while_one_worker_is_free_to_come() {
    with_watchdog(LIMIT, || {
        let pool = ThreadPoolExecutor::new(2).unwrap();
        let lock = Arc::new(Lock::named("wanted", ()));
        let held = lock.acquire().unwrap();
        let go = Arc::new(Event::new());
        let begun = Arc::new(Barrier::new(3).unwrap());
        let (inner, all) = (Arc::clone(&lock), Arc::clone(&begun));
        let stuck = pool
            .submit(move || {
                all.wait().unwrap();
                inner.acquire().is_ok()
            })
            .unwrap();
        let (waits, all) = (Arc::clone(&go), Arc::clone(&begun));
        let busy = pool
            .submit(move || {
                all.wait().unwrap();
                waits.wait();
            })
            .unwrap();
        begun.wait().unwrap();
        let pending = pool.submit(|| 7).unwrap();
        let releases = thread::spawn(move || {
            // Long enough for a hasty report.
            assert!(!Event::new().wait_timeout(Duration::from_millis(60)));
            go.set();
        });
        assert_eq!(pending.result().unwrap(), 7);
        busy.result().unwrap();
        drop(held);
        assert!(stuck.result().unwrap());
        releases.join().unwrap();
    });
}

#[test]
fn waits_with_a_time_limit_are_no_part_of_a_ring() {
    with_watchdog(LIMIT, || {
        let first = Arc::new(Lock::named("first", ()));
        let second = Arc::new(Lock::named("second", ()));
        let both = Arc::new(Barrier::new(2).unwrap());
        let (a, b, ready) = (Arc::clone(&first), Arc::clone(&second), Arc::clone(&both));
        let patient = thread::spawn(move || {
            let _first = a.acquire().unwrap();
            ready.wait().unwrap();
            b.acquire().map(drop)
        });
        let _second = second.acquire().unwrap();
        both.wait().unwrap();
        assert!(first.acquire_timeout(Duration::from_millis(50)).is_none(), "held by the other");
        drop(_second);
        assert!(patient.join().unwrap().is_ok(), "the timed wait ended by itself");
    });
}

/// Nothing is reported where nobody is stuck: locks taken in one order, conditions, and re-entry.
#[test]
fn lock_heavy_work_without_a_ring_is_never_reported() {
    let seconds = number("TOWLINE_DEADLOCK_SECONDS").unwrap_or(3);
    with_watchdog(Duration::from_secs(seconds + 60), move || {
        let locks: Arc<Vec<Lock<u64>>> = Arc::new((0..4).map(|_| Lock::new(0)).collect());
        let nested = Arc::new(RLock::new(Cell::new(0_u64)));
        let condition = Arc::new((Lock::new(0_u64), Condition::new()));
        let until = Instant::now() + Duration::from_secs(seconds);
        let threads: Vec<_> = (0..8_u64)
            .map(|seed| {
                let (locks, nested, condition) = (Arc::clone(&locks), Arc::clone(&nested), Arc::clone(&condition));
                thread::spawn(move || {
                    let mut random = fastrand::Rng::with_seed(seed);
                    let mut rounds = 0_u64;
                    while Instant::now() < until {
                        let low = random.usize(0..3);
                        let mut first = locks[low].acquire().unwrap();
                        let mut second = locks[random.usize(low + 1..4)].acquire().unwrap();
                        *first += 1;
                        *second += 1;
                        if random.u8(..) == 0 {
                            // Long enough that the others' waits are published.
                            std::thread::sleep(Duration::from_millis(12));
                        }
                        drop((first, second));
                        let outer = nested.acquire().unwrap();
                        let inner = nested.acquire().unwrap();
                        inner.set(outer.get() + 1);
                        drop((outer, inner));
                        let mut count = condition.0.acquire().unwrap();
                        *count += 1;
                        condition.1.notify_one();
                        if random.u8(..) < 32 {
                            condition.1.wait_timeout(&mut count, Duration::from_micros(500));
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let rounds: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!(rounds > 0);
        say(&format!("{rounds} rounds of lock-heavy work in {seconds} s, no report"));
    });
}
