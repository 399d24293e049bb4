//! The queue between threads, and against a model.

mod common;

use std::collections::VecDeque;
use std::time::Duration;

use common::with_watchdog;
use proptest::prelude::*;
use towline_threads::queue::{GetError, PutErrorKind};
use towline_threads::{Queue, thread};

const LIMIT: Duration = Duration::from_secs(60);
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_full_queue_hands_the_item_back() {
    let queue = Queue::bounded(1);
    assert_eq!(queue.capacity(), Some(1));
    queue.put("a").unwrap();
    let error = queue.put_timeout("b", MOMENT).unwrap_err();
    assert_eq!(error.kind(), PutErrorKind::Timeout);
    assert_eq!(error.into_inner(), "b");
    assert_eq!(queue.try_put("c").unwrap_err().kind(), PutErrorKind::Full);
    assert_eq!((queue.len(), queue.unfinished()), (1, 1));
}

#[test]
fn an_empty_queue_says_why_it_gives_nothing() {
    let queue: Queue<u8> = Queue::new();
    assert_eq!(queue.try_get(), Err(GetError::Empty));
    assert_eq!(queue.get_timeout(MOMENT), Err(GetError::Timeout));
    let mut batch = Vec::new();
    assert_eq!(queue.get_many(&mut batch, 4, MOMENT), Err(GetError::Timeout));
    queue.shutdown();
    assert_eq!(queue.try_get(), Err(GetError::ShutDown));
    assert_eq!(queue.get_timeout(MOMENT), Err(GetError::ShutDown));
    assert_eq!(queue.get(), Err(GetError::ShutDown));
}

#[test]
#[should_panic(expected = "room for 0 items")]
fn a_queue_without_room_is_refused() {
    let _ = Queue::<u8>::bounded(0);
}

#[test]
fn join_waits_for_the_work_and_not_for_the_queue_to_be_empty() {
    with_watchdog(LIMIT, || {
        let queue = Queue::new();
        queue.put(1).unwrap();
        queue.get().unwrap();
        assert!(queue.is_empty());
        assert!(!queue.join_timeout(MOMENT));
        let other = queue.clone();
        let worker = thread::spawn(move || other.task_done().unwrap());
        queue.join();
        worker.join().unwrap();
        assert!(queue.task_done().is_err());
    });
}

#[test]
fn a_shutdown_wakes_getters_and_lets_what_is_left_be_taken() {
    with_watchdog(LIMIT, || {
        let queue: Queue<u32> = Queue::new();
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
        queue.shutdown();
        let taken: u32 = getters.into_iter().map(|g| g.join().unwrap()).sum();
        assert_eq!(taken, 100);
        assert_eq!(queue.put(1).unwrap_err().kind(), PutErrorKind::ShutDown);
    });
}

#[test]
fn an_immediate_shutdown_settles_what_it_drops_and_leaves_what_is_in_hand() {
    with_watchdog(LIMIT, || {
        let queue = Queue::new();
        for n in 0..5 {
            queue.put(n).unwrap();
        }
        assert_eq!(queue.get(), Ok(0));
        queue.shutdown_immediate();
        assert_eq!(queue.get(), Err(GetError::ShutDown));
        assert_eq!(queue.unfinished(), 1);
        assert!(!queue.join_timeout(MOMENT));
        queue.task_done().unwrap();
        queue.join();
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

#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    Get,
    GetMany(usize),
    TaskDone,
    Shutdown,
    ShutdownImmediate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => any::<u8>().prop_map(Step::Put),
        4 => Just(Step::Get),
        2 => (0..4_usize).prop_map(Step::GetMany),
        4 => Just(Step::TaskDone),
        1 => Just(Step::Shutdown),
        1 => Just(Step::ShutdownImmediate),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn a_queue_does_as_its_model(steps in steps(), capacity in prop::option::of(1..5_usize)) {
        let queue = capacity.map_or_else(Queue::new, Queue::bounded);
        let mut model: VecDeque<u8> = VecDeque::new();
        let mut unfinished = 0_usize;
        let mut shut_down = false;
        for step in steps {
            match step {
                Step::Put(item) => {
                    let expected = if shut_down {
                        Err(PutErrorKind::ShutDown)
                    } else if capacity.is_some_and(|capacity| model.len() >= capacity) {
                        Err(PutErrorKind::Full)
                    } else {
                        model.push_back(item);
                        unfinished += 1;
                        Ok(())
                    };
                    prop_assert_eq!(queue.try_put(item).map_err(|error| error.kind()), expected);
                }
                Step::Get => {
                    let why = if shut_down { GetError::ShutDown } else { GetError::Empty };
                    prop_assert_eq!(queue.try_get(), model.pop_front().ok_or(why));
                }
                Step::GetMany(max) => {
                    let mut batch = Vec::new();
                    let got = queue.get_many(&mut batch, max, Duration::ZERO);
                    if max > 0 && model.is_empty() {
                        let why = if shut_down { GetError::ShutDown } else { GetError::Timeout };
                        prop_assert_eq!(got, Err(why));
                    } else {
                        let count = max.min(model.len());
                        let expected: Vec<u8> = model.drain(..count).collect();
                        prop_assert_eq!(got, Ok(count));
                        prop_assert_eq!(batch, expected);
                    }
                }
                Step::TaskDone => {
                    prop_assert_eq!(queue.task_done().is_ok(), unfinished > 0);
                    unfinished = unfinished.saturating_sub(1);
                }
                Step::Shutdown => {
                    queue.shutdown();
                    shut_down = true;
                }
                Step::ShutdownImmediate => {
                    queue.shutdown_immediate();
                    shut_down = true;
                    unfinished = unfinished.saturating_sub(model.len());
                    model.clear();
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.unfinished(), unfinished);
            prop_assert_eq!(queue.join_timeout(Duration::ZERO), unfinished == 0);
        }
    }
}
