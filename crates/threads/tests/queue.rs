//! The queues between threads.
//!
//! What holds for every queue is written once and run for each of the three.

use std::cmp::{Ordering, Reverse};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use towline_testkit::with_watchdog;
use towline_threads::queue::{GetError, LifoQueue, PriorityQueue, PutErrorKind};
use towline_threads::{Queue, thread};

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

macro_rules! every_queue {
    ($($module:ident: $Queue:ident, in_order: $in_order:expr;)+) => {
        $(mod $module {
            use super::*;

            #[test]
            fn bounded_and_unbounded_ones_are_told_apart() {
                let unbounded = $Queue::new();
                let bounded = $Queue::bounded(2);
                assert_eq!((unbounded.capacity(), bounded.capacity()), (None, Some(2)));
                for n in 0..2 {
                    assert!(!bounded.is_full());
                    unbounded.put(n).unwrap();
                    bounded.put(n).unwrap();
                }
                assert_eq!((unbounded.is_full(), bounded.is_full()), (false, true));
                assert_eq!((unbounded.len(), bounded.len()), (2, 2));
                assert_eq!((unbounded.is_empty(), bounded.is_empty()), (false, false));
            }

            #[test]
            fn blocking_calls_wait_for_the_other_side() {
                with_watchdog(LIMIT, || {
                    let (there, back) = ($Queue::bounded(1), $Queue::new());
                    let (jobs, results) = (there.clone(), back.clone());
                    let worker = thread::spawn(move || {
                        for _ in 0..200 {
                            let job: u32 = jobs.get().unwrap();
                            results.put(job + 1).unwrap();
                        }
                    });
                    for n in 0..100 {
                        there.put(n).unwrap();
                        // Has to wait for the first to be taken.
                        there.put(n).unwrap();
                        assert_eq!([back.get(), back.get()], [Ok(n + 1), Ok(n + 1)]);
                    }
                    worker.join().unwrap();
                });
            }

            #[test]
            fn calls_that_do_not_block_say_why_not() {
                let queue = $Queue::bounded(1);
                assert_eq!(queue.try_get(), Err(GetError::Empty));
                queue.try_put(1).unwrap();
                assert_eq!(queue.try_put(2).unwrap_err().kind(), PutErrorKind::Full);
                assert_eq!(queue.try_get(), Ok(1));
                queue.shutdown();
                assert_eq!(queue.try_get(), Err(GetError::ShutDown));
                assert_eq!(queue.try_put(2).unwrap_err().kind(), PutErrorKind::ShutDown);
            }

            #[test]
            fn timed_calls_give_up_when_the_time_is_up_and_not_before() {
                let queue = $Queue::bounded(1);
                let start = Instant::now();
                assert_eq!(queue.get_timeout(MOMENT), Err(GetError::Timeout));
                assert_eq!(queue.get_many(&mut Vec::new(), 4, MOMENT), Err(GetError::Timeout));
                queue.put_timeout(1, MOMENT).unwrap();
                assert_eq!(queue.put_timeout(2, MOMENT).unwrap_err().kind(), PutErrorKind::Timeout);
                assert!(!queue.join_timeout(MOMENT));
                assert!(start.elapsed() >= 4 * MOMENT);
                assert_eq!(queue.get_timeout(MOMENT), Ok(1));
                queue.shutdown();
                assert_eq!(queue.get_timeout(LIMIT), Err(GetError::ShutDown));
                assert_eq!(queue.put_timeout(2, LIMIT).unwrap_err().kind(), PutErrorKind::ShutDown);
            }

            #[test]
            fn a_timed_call_gets_what_comes_in_time() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::bounded(1);
                    let other = queue.clone();
                    let putter = thread::spawn(move || {
                        for n in 0..100 {
                            other.put_timeout(n, LIMIT).unwrap();
                        }
                    });
                    for n in 0..100 {
                        assert_eq!(queue.get_timeout(LIMIT), Ok(n));
                    }
                    putter.join().unwrap();
                });
            }

            #[test]
            fn a_timeout_that_the_clock_cannot_reach_is_none() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::new();
                    let other = queue.clone();
                    let getter = thread::spawn(move || other.get_timeout(Duration::MAX));
                    queue.put(1).unwrap();
                    assert_eq!(getter.join().unwrap(), Ok(1));
                    let other = queue.clone();
                    let joiner = thread::spawn(move || other.join_timeout(Duration::MAX));
                    queue.task_done().unwrap();
                    assert!(joiner.join().unwrap());
                });
            }

            #[test]
            fn task_done_more_often_than_put_is_an_error_that_changes_nothing() {
                let queue = $Queue::new();
                assert!(queue.task_done().is_err());
                for n in 0..3 {
                    queue.put(n).unwrap();
                }
                // It is not asked whether the item has been taken: as in Python.
                for left in (0..3).rev() {
                    queue.task_done().unwrap();
                    assert_eq!(queue.unfinished(), left);
                }
                let error = queue.task_done().unwrap_err();
                assert_eq!(error.to_string(), "task_done was called more often than items were put");
                assert_eq!((queue.len(), queue.unfinished()), (3, 0));
                queue.put(3).unwrap();
                assert_eq!(queue.unfinished(), 1);
                assert!(queue.task_done().is_ok());
                assert!(queue.task_done().is_err());
            }

            #[test]
            fn join_waits_until_nothing_is_unfinished_and_not_for_the_queue_to_be_empty() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::new();
                    queue.join();
                    queue.put(1).unwrap();
                    queue.get().unwrap();
                    assert!(queue.is_empty());
                    assert!(!queue.join_timeout(MOMENT));
                    let other = queue.clone();
                    let worker = thread::spawn(move || other.task_done().unwrap());
                    queue.join();
                    assert_eq!(queue.unfinished(), 0);
                    worker.join().unwrap();
                    assert!(queue.task_done().is_err());
                });
            }

            #[test]
            fn several_threads_join_at_once() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::new();
                    for n in 0..50 {
                        queue.put(n).unwrap();
                    }
                    let joiners: Vec<_> = (0..3)
                        .map(|_| {
                            let queue = queue.clone();
                            thread::spawn(move || {
                                queue.join();
                                queue.unfinished()
                            })
                        })
                        .collect();
                    while queue.try_get().is_ok() {
                        queue.task_done().unwrap();
                    }
                    for joiner in joiners {
                        assert_eq!(joiner.join().unwrap(), 0);
                    }
                });
            }

            #[test]
            fn after_a_shutdown_put_fails_for_blocked_putters_too() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::bounded(1);
                    queue.put(0).unwrap();
                    let putters: Vec<_> = (1..4)
                        .map(|n| {
                            let queue = queue.clone();
                            thread::spawn(move || (n, queue.put(n).unwrap_err()))
                        })
                        .collect();
                    queue.shutdown();
                    for putter in putters {
                        let (n, error) = putter.join().unwrap();
                        assert_eq!(error.kind(), PutErrorKind::ShutDown);
                        assert_eq!(error.into_inner(), n);
                    }
                    assert_eq!((queue.len(), queue.unfinished()), (1, 1));
                });
            }

            #[test]
            fn after_a_shutdown_get_drains_and_then_fails() {
                let queue = $Queue::new();
                for n in 0..3 {
                    queue.put(n).unwrap();
                }
                queue.shutdown();
                queue.shutdown();
                let mut drained = Vec::new();
                while let Ok(n) = queue.get() {
                    drained.push(n);
                }
                assert_eq!(drained, $in_order);
                assert_eq!(queue.get(), Err(GetError::ShutDown));
                assert_eq!(queue.get_many(&mut drained, 1, LIMIT), Err(GetError::ShutDown));
                // The work on them may still be reported.
                assert_eq!(queue.unfinished(), 3);
                assert!(queue.task_done().is_ok());
            }

            #[test]
            fn a_shutdown_wakes_getters_and_lets_what_is_left_be_taken() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::new();
                    let getters: Vec<_> = (0..4)
                        .map(|_| {
                            let queue = queue.clone();
                            thread::spawn(move || {
                                let mut taken = 0;
                                while queue.get().is_ok() {
                                    taken += 1;
                                }
                                taken
                            })
                        })
                        .collect();
                    for n in 0..100 {
                        queue.put(n).unwrap();
                    }
                    queue.shutdown();
                    let taken: u32 = getters.into_iter().map(|getter| getter.join().unwrap()).sum();
                    assert_eq!(taken, 100);
                    assert_eq!(queue.put(1).unwrap_err().kind(), PutErrorKind::ShutDown);
                });
            }

            #[test]
            fn an_immediate_shutdown_drops_what_is_queued_and_join_returns_once_items_in_hand_are_done() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::new();
                    for n in 0..5 {
                        queue.put(n).unwrap();
                    }
                    queue.get().unwrap();
                    queue.shutdown_immediate();
                    queue.shutdown_immediate();
                    assert_eq!(queue.get(), Err(GetError::ShutDown));
                    assert_eq!((queue.len(), queue.unfinished()), (0, 1));
                    assert!(!queue.join_timeout(MOMENT));
                    let other = queue.clone();
                    let worker = thread::spawn(move || other.task_done().unwrap());
                    queue.join();
                    worker.join().unwrap();
                    assert!(queue.task_done().is_err());
                });
            }

            #[test]
            fn an_immediate_shutdown_ends_a_join_if_nothing_is_in_hand() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::new();
                    for n in 0..5 {
                        queue.put(n).unwrap();
                    }
                    // Reported before it was taken: one less to settle.
                    queue.task_done().unwrap();
                    let other = queue.clone();
                    let joiner = thread::spawn(move || other.join());
                    queue.shutdown_immediate();
                    joiner.join().unwrap();
                    assert_eq!(queue.unfinished(), 0);
                });
            }

            #[test]
            fn a_failed_put_hands_the_item_back() {
                let queue = $Queue::bounded(1);
                queue.put("a".to_owned()).unwrap();
                let full = queue.try_put("b".to_owned()).unwrap_err();
                let late = queue.put_timeout("c".to_owned(), MOMENT).unwrap_err();
                queue.shutdown();
                let closed = queue.put("d".to_owned()).unwrap_err();
                assert_eq!(full.kind(), PutErrorKind::Full);
                assert_eq!(late.kind(), PutErrorKind::Timeout);
                assert_eq!(closed.kind(), PutErrorKind::ShutDown);
                assert_eq!([full, late, closed].map(|error| error.into_inner()), ["b", "c", "d"]);
                assert_eq!((queue.len(), queue.unfinished()), (1, 1), "a failed put is not counted");
            }

            #[test]
            fn several_items_are_taken_in_one_go_and_in_the_order_of_get() {
                let queue = $Queue::bounded(3);
                for n in 0..3 {
                    queue.put(n).unwrap();
                }
                let mut batch = Vec::new();
                assert_eq!(queue.get_many(&mut batch, 0, LIMIT), Ok(0));
                assert_eq!(queue.get_many(&mut batch, 2, LIMIT), Ok(2));
                assert_eq!(queue.get_many(&mut batch, usize::MAX, LIMIT), Ok(1));
                assert_eq!(batch, $in_order);
                assert_eq!((queue.len(), queue.unfinished()), (0, 3));
            }

            #[test]
            fn several_items_are_put_in_one_go_and_in_their_order() {
                let queue = $Queue::new();
                let mut items = vec![0, 1, 2];
                assert_eq!(queue.put_many(&mut items), Ok(3));
                assert_eq!((items.len(), queue.len(), queue.unfinished()), (0, 3, 3));
                assert_eq!(queue.put_many(&mut items), Ok(0));
                let mut batch = Vec::new();
                queue.get_many(&mut batch, 3, LIMIT).unwrap();
                assert_eq!(batch, $in_order);
                queue.shutdown();
                let mut items = vec![3, 4];
                assert_eq!(queue.put_many(&mut items), Err(PutErrorKind::ShutDown));
                assert_eq!(items, [3, 4]);
            }

            #[test]
            fn more_items_than_fit_are_put_as_room_comes_and_wake_all_getters() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::bounded(2);
                    let getters: Vec<_> = (0..3)
                        .map(|_| {
                            let queue = queue.clone();
                            thread::spawn(move || [queue.get().unwrap(), queue.get().unwrap()])
                        })
                        .collect();
                    assert_eq!(queue.put_many(&mut (0..6).collect()), Ok(6));
                    let mut taken: Vec<i32> = getters.into_iter().flat_map(|getter| getter.join().unwrap()).collect();
                    taken.sort_unstable();
                    assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
                });
            }

            #[test]
            fn room_for_several_lets_several_putters_in() {
                with_watchdog(LIMIT, || {
                    let queue = $Queue::bounded(3);
                    for n in 0..3 {
                        queue.put(n).unwrap();
                    }
                    let putters: Vec<_> = (3..6)
                        .map(|n| {
                            let queue = queue.clone();
                            thread::spawn(move || queue.put(n).unwrap())
                        })
                        .collect();
                    let mut taken = Vec::new();
                    queue.get_many(&mut taken, 3, LIMIT).unwrap();
                    for putter in putters {
                        putter.join().unwrap();
                    }
                    queue.get_many(&mut taken, 3, LIMIT).unwrap();
                    taken.sort_unstable();
                    assert_eq!(taken, [0, 1, 2, 3, 4, 5]);
                });
            }

            #[test]
            #[should_panic(expected = "room for 0 items")]
            fn one_without_room_is_refused() {
                let _ = $Queue::<u8>::bounded(0);
            }

            #[test]
            fn clones_are_the_same_queue() {
                let queue = $Queue::default();
                let other = queue.clone();
                queue.put('a').unwrap();
                assert_eq!(other.get(), Ok('a'));
                other.shutdown();
                assert_eq!(queue.get(), Err(GetError::ShutDown));
            }

            #[test]
            fn it_shows_its_counts_and_not_its_items() {
                let queue = $Queue::bounded(2);
                queue.put('a').unwrap();
                let text = format!("{queue:?}");
                let counts = "{ len: 1, capacity: Some(2), unfinished: 1, shut_down: false, .. }";
                assert_eq!(text, format!("{} {counts}", stringify!($Queue)));
            }
        })+
    };
}

every_queue! {
    fifo: Queue, in_order: [0, 1, 2];
    lifo: LifoQueue, in_order: [2, 1, 0];
    priority: PriorityQueue, in_order: [0, 1, 2];
}

#[test]
fn a_queue_gives_the_oldest_first_and_a_lifo_queue_the_newest() {
    let (fifo, lifo) = (Queue::new(), LifoQueue::new());
    for n in [3, 1, 2] {
        fifo.put(n).unwrap();
        lifo.put(n).unwrap();
    }
    assert_eq!([fifo.get(), fifo.get(), fifo.get()], [Ok(3), Ok(1), Ok(2)]);
    assert_eq!([lifo.get(), lifo.get(), lifo.get()], [Ok(2), Ok(1), Ok(3)]);
}

#[test]
fn a_priority_queue_gives_the_smallest_first() {
    let queue = PriorityQueue::new();
    for n in [5, 1, 4, 2, 3, 1] {
        queue.put(n).unwrap();
    }
    let mut taken = Vec::new();
    queue.get_many(&mut taken, 4, LIMIT).unwrap();
    assert_eq!(taken, [1, 1, 2, 3]);
    queue.put(0).unwrap();
    assert_eq!([queue.get(), queue.get(), queue.get()], [Ok(0), Ok(4), Ok(5)]);
    let reversed = PriorityQueue::new();
    for n in [1, 3, 2] {
        reversed.put(Reverse(n)).unwrap();
    }
    assert_eq!(reversed.get(), Ok(Reverse(3)));
}

/// Compared by its rank alone.
struct Job {
    rank: u8,
    name: &'static str,
    /// Its comparisons panic.
    spoilt: bool,
    /// Asked for its length when the job is dropped.
    queue: Option<PriorityQueue<Self>>,
}

impl Job {
    fn new(rank: u8, name: &'static str) -> Self {
        Self { rank, name, spoilt: false, queue: None }
    }
}

impl Ord for Job {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.spoilt || other.spoilt {
            // As a panic, but without its message.
            resume_unwind(Box::new("no order"));
        }
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Job {}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            // Would wait for ever if the lock were held.
            queue.len();
        }
    }
}

#[test]
fn equal_items_leave_a_priority_queue_in_the_order_in_which_they_came() {
    let queue = PriorityQueue::new();
    for (rank, name) in [(1, "a"), (0, "b"), (1, "c"), (0, "d"), (1, "e"), (0, "f"), (1, "g")] {
        queue.put(Job::new(rank, name)).unwrap();
    }
    let names: Vec<_> = (0..7).map(|_| queue.get().unwrap().name).collect();
    assert_eq!(names, ["b", "d", "f", "a", "c", "e", "g"]);
}

#[test]
fn a_put_whose_comparison_panics_changes_nothing_and_drops_its_item_outside_of_the_lock() {
    with_watchdog(LIMIT, || {
        let queue = PriorityQueue::bounded(2);
        queue.put(Job::new(1, "sound")).unwrap();
        let spoilt = Job { rank: 0, name: "spoilt", spoilt: true, queue: Some(queue.clone()) };
        assert!(catch_unwind(AssertUnwindSafe(|| queue.put(spoilt))).is_err());
        assert_eq!((queue.len(), queue.unfinished()), (1, 1));
        queue.put(Job::new(0, "first")).unwrap();
        assert_eq!(queue.get().unwrap().name, "first");
        assert_eq!(queue.get().unwrap().name, "sound");
        queue.task_done().unwrap();
        queue.task_done().unwrap();
        queue.join();
    });
}

#[test]
fn an_immediate_shutdown_drops_items_outside_of_the_lock() {
    with_watchdog(LIMIT, || {
        let queue = PriorityQueue::new();
        let job = Job { rank: 0, name: "nosy", spoilt: false, queue: Some(queue.clone()) };
        queue.put(job).unwrap();
        queue.shutdown_immediate();
        assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    });
}

#[test]
fn a_bounded_queue_passes_everything_on_between_many_threads() {
    with_watchdog(LIMIT, || {
        let queue: Queue<u64> = Queue::bounded(3);
        let putters: Vec<_> = (0..4_u64)
            .map(|putter| {
                let queue = queue.clone();
                thread::spawn(move || {
                    for n in 0..500 {
                        queue.put(putter * 500 + n).unwrap();
                    }
                })
            })
            .collect();
        let getters: Vec<_> = (0..4)
            .map(|number| {
                let queue = queue.clone();
                thread::spawn(move || {
                    let mut taken = Vec::new();
                    loop {
                        let got = if number % 2 == 0 {
                            queue.get().map(|item| taken.push(item))
                        } else {
                            queue.get_many(&mut taken, 2, LIMIT).map(|_| ())
                        };
                        if got.is_err() {
                            return taken;
                        }
                    }
                })
            })
            .collect();
        for putter in putters {
            putter.join().unwrap();
        }
        queue.shutdown();
        let mut all: Vec<u64> = getters.into_iter().flat_map(|getter| getter.join().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..2000).collect::<Vec<u64>>());
    });
}
