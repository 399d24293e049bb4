//! The queues against models, and under many threads.

use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{self, AtomicUsize};
use std::time::Duration;

use proptest::prelude::*;
use towline_testkit::with_watchdog;
use towline_threads::queue::{GetError, LifoQueue, PriorityQueue, PutError, PutErrorKind, TaskDoneError};
use towline_threads::{Queue, thread};

const LIMIT: Duration = Duration::from_secs(120);

/// Ordered by rank alone; the number tells equal ones apart.
#[derive(Debug, Clone, Copy)]
struct Item {
    rank: u8,
    number: usize,
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

/// A queue under test, and which item it has to give next.
trait Subject: Clone + Send + 'static {
    fn with_capacity(capacity: Option<usize>) -> Self;
    /// Takes the next item out of those inside, which are in the order in which they were put.
    fn next_of(items: &mut Vec<Item>) -> Option<Item>;

    fn put(&self, item: Item) -> Result<(), PutError<Item>>;
    fn try_put(&self, item: Item) -> Result<(), PutError<Item>>;
    fn put_timeout(&self, item: Item, timeout: Duration) -> Result<(), PutError<Item>>;
    fn get(&self) -> Result<Item, GetError>;
    fn try_get(&self) -> Result<Item, GetError>;
    fn get_timeout(&self, timeout: Duration) -> Result<Item, GetError>;
    fn get_many(&self, out: &mut Vec<Item>, max: usize, timeout: Duration) -> Result<usize, GetError>;
    fn task_done(&self) -> Result<(), TaskDoneError>;
    fn join(&self);
    fn join_timeout(&self, timeout: Duration) -> bool;
    fn shutdown(&self);
    fn shutdown_immediate(&self);
    /// Length, unfinished, empty, full.
    fn counts(&self) -> (usize, usize, bool, bool);
}

macro_rules! subject {
    ($Queue:ident, $next_of:expr) => {
        impl Subject for $Queue<Item> {
            fn with_capacity(capacity: Option<usize>) -> Self {
                let queue = capacity.map_or_else($Queue::new, $Queue::bounded);
                assert_eq!(queue.capacity(), capacity);
                queue
            }

            fn next_of(items: &mut Vec<Item>) -> Option<Item> {
                let next_of: fn(&mut Vec<Item>) -> Option<Item> = $next_of;
                next_of(items)
            }

            fn put(&self, item: Item) -> Result<(), PutError<Item>> {
                $Queue::put(self, item)
            }

            fn try_put(&self, item: Item) -> Result<(), PutError<Item>> {
                $Queue::try_put(self, item)
            }

            fn put_timeout(&self, item: Item, timeout: Duration) -> Result<(), PutError<Item>> {
                $Queue::put_timeout(self, item, timeout)
            }

            fn get(&self) -> Result<Item, GetError> {
                $Queue::get(self)
            }

            fn try_get(&self) -> Result<Item, GetError> {
                $Queue::try_get(self)
            }

            fn get_timeout(&self, timeout: Duration) -> Result<Item, GetError> {
                $Queue::get_timeout(self, timeout)
            }

            fn get_many(&self, out: &mut Vec<Item>, max: usize, timeout: Duration) -> Result<usize, GetError> {
                $Queue::get_many(self, out, max, timeout)
            }

            fn task_done(&self) -> Result<(), TaskDoneError> {
                $Queue::task_done(self)
            }

            fn join(&self) {
                $Queue::join(self);
            }

            fn join_timeout(&self, timeout: Duration) -> bool {
                $Queue::join_timeout(self, timeout)
            }

            fn shutdown(&self) {
                $Queue::shutdown(self);
            }

            fn shutdown_immediate(&self) {
                $Queue::shutdown_immediate(self);
            }

            fn counts(&self) -> (usize, usize, bool, bool) {
                (self.len(), self.unfinished(), self.is_empty(), self.is_full())
            }
        }
    };
}

subject!(Queue, |items| (!items.is_empty()).then(|| items.remove(0)));
subject!(LifoQueue, |items| items.pop());
subject!(PriorityQueue, |items| {
    let first = (0..items.len()).min_by_key(|&at| (items[at].rank, at))?;
    Some(items.remove(first))
});

#[derive(Debug, Clone)]
enum Step {
    Put(u8),
    PutTimeout(u8),
    Get,
    GetTimeout,
    GetMany(usize),
    TaskDone,
    Shutdown,
    ShutdownImmediate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        24 => (0..6_u8).prop_map(Step::Put),
        8 => (0..6_u8).prop_map(Step::PutTimeout),
        10 => Just(Step::Get),
        4 => Just(Step::GetTimeout),
        6 => (0..4_usize).prop_map(Step::GetMany),
        12 => Just(Step::TaskDone),
        1 => Just(Step::Shutdown),
        1 => Just(Step::ShutdownImmediate),
    ];
    prop::collection::vec(step, 0..100)
}

/// What a queue should be: items in the order in which they were put, and the counts.
struct Model {
    items: Vec<Item>,
    capacity: Option<usize>,
    unfinished: usize,
    shut_down: bool,
    puts: usize,
}

impl Model {
    /// What a put of `rank` leads to, and the item.
    fn put(&mut self, rank: u8, when_full: PutErrorKind) -> (Item, Result<(), PutErrorKind>) {
        let item = Item { rank, number: self.puts };
        self.puts += 1;
        if self.shut_down {
            return (item, Err(PutErrorKind::ShutDown));
        }
        if self.is_full() {
            return (item, Err(when_full));
        }
        self.items.push(item);
        self.unfinished += 1;
        (item, Ok(()))
    }

    fn why_nothing(&self, when_empty: GetError) -> GetError {
        if self.shut_down { GetError::ShutDown } else { when_empty }
    }

    fn is_full(&self) -> bool {
        self.capacity.is_some_and(|capacity| self.items.len() >= capacity)
    }
}

/// Only the number says that it is the very item.
fn number(got: Result<Item, GetError>) -> Result<usize, GetError> {
    got.map(|item| item.number)
}

fn returned(put: Result<(), PutError<Item>>) -> Result<(), (PutErrorKind, usize)> {
    put.map_err(|error| (error.kind(), error.into_inner().number))
}

fn does_as_its_model<Q: Subject>(steps: Vec<Step>, capacity: Option<usize>) -> Result<(), TestCaseError> {
    let queue = Q::with_capacity(capacity);
    let mut model = Model { items: Vec::new(), capacity, unfinished: 0, shut_down: false, puts: 0 };
    for step in steps {
        match step {
            Step::Put(rank) => {
                let (item, expected) = model.put(rank, PutErrorKind::Full);
                prop_assert_eq!(returned(queue.try_put(item)), expected.map_err(|kind| (kind, item.number)));
            }
            Step::PutTimeout(rank) => {
                let (item, expected) = model.put(rank, PutErrorKind::Timeout);
                let put = queue.put_timeout(item, Duration::ZERO);
                prop_assert_eq!(returned(put), expected.map_err(|kind| (kind, item.number)));
            }
            Step::Get => {
                let expected = Q::next_of(&mut model.items).ok_or(model.why_nothing(GetError::Empty));
                prop_assert_eq!(number(queue.try_get()), number(expected));
            }
            Step::GetTimeout => {
                let expected = Q::next_of(&mut model.items).ok_or(model.why_nothing(GetError::Timeout));
                prop_assert_eq!(number(queue.get_timeout(Duration::ZERO)), number(expected));
            }
            Step::GetMany(max) => {
                let mut batch = Vec::new();
                let got = queue.get_many(&mut batch, max, Duration::ZERO);
                if max > 0 && model.items.is_empty() {
                    prop_assert_eq!(got, Err(model.why_nothing(GetError::Timeout)));
                    prop_assert!(batch.is_empty());
                } else {
                    let count = max.min(model.items.len());
                    let expected: Vec<usize> =
                        (0..count).filter_map(|_| Q::next_of(&mut model.items)).map(|item| item.number).collect();
                    prop_assert_eq!(got, Ok(count));
                    prop_assert_eq!(batch.iter().map(|item| item.number).collect::<Vec<_>>(), expected);
                }
            }
            Step::TaskDone => {
                prop_assert_eq!(queue.task_done().is_ok(), model.unfinished > 0);
                model.unfinished = model.unfinished.saturating_sub(1);
            }
            Step::Shutdown => {
                queue.shutdown();
                model.shut_down = true;
            }
            Step::ShutdownImmediate => {
                queue.shutdown_immediate();
                model.shut_down = true;
                model.unfinished = model.unfinished.saturating_sub(model.items.len());
                model.items.clear();
            }
        }
        let expected = (model.items.len(), model.unfinished, model.items.is_empty(), model.is_full());
        prop_assert_eq!(queue.counts(), expected);
        prop_assert_eq!(queue.join_timeout(Duration::ZERO), model.unfinished == 0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_queue_does_as_its_model(steps in steps(), capacity in prop::option::of(1..5_usize)) {
        does_as_its_model::<Queue<Item>>(steps, capacity)?;
    }

    #[test]
    fn a_lifo_queue_does_as_its_model(steps in steps(), capacity in prop::option::of(1..5_usize)) {
        does_as_its_model::<LifoQueue<Item>>(steps, capacity)?;
    }

    #[test]
    fn a_priority_queue_does_as_its_model(steps in steps(), capacity in prop::option::of(1..8_usize)) {
        does_as_its_model::<PriorityQueue<Item>>(steps, capacity)?;
    }
}

/// Long enough that threads do sleep, short enough that some waits end without an item.
const SHORT: Duration = Duration::from_micros(200);

/// Puts one item in one of the three ways, and again if it comes back.
fn put_somehow<Q: Subject>(queue: &Q, mut item: Item, random: &mut fastrand::Rng) {
    loop {
        let put = match random.u8(0..4) {
            0 => queue.try_put(item),
            1 => queue.put_timeout(item, SHORT),
            _ => queue.put(item),
        };
        let Err(error) = put else { return };
        assert!(matches!(error.kind(), PutErrorKind::Full | PutErrorKind::Timeout), "{error}");
        item = error.into_inner();
        yield_at_times(random);
    }
}

/// Takes and reports items in one of the four ways until the queue is shut down.
fn get_all_somehow<Q: Subject>(queue: &Q, done: &AtomicUsize, random: &mut fastrand::Rng) -> Vec<usize> {
    let mut taken = Vec::new();
    let mut batch = Vec::new();
    loop {
        let got = match random.u8(0..5) {
            0 => queue.try_get().map(|item| batch.push(item)),
            1 => queue.get_timeout(SHORT).map(|item| batch.push(item)),
            2 => queue.get_many(&mut batch, random.usize(1..5), SHORT).map(|_| ()),
            _ => queue.get().map(|item| batch.push(item)),
        };
        if got == Err(GetError::ShutDown) {
            return taken;
        }
        for item in batch.drain(..) {
            taken.push(item.number);
            yield_at_times(random);
            done.fetch_add(1, atomic::Ordering::Relaxed);
            queue.task_done().unwrap();
        }
    }
}

fn yield_at_times(random: &mut fastrand::Rng) {
    if random.u8(0..8) == 0 {
        std::thread::yield_now();
    }
}

/// Passes items on between some threads, and checks that each arrives once and `join` returns when
/// all are done, not before.
fn stress<Q: Subject>(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let capacity = random.bool().then(|| random.usize(1..6));
    let (putters, getters, each) = (random.usize(1..5), random.usize(1..5), 250);
    let setting = format!("seed {seed}: {putters} to {getters}, capacity {capacity:?}");
    let queue = Q::with_capacity(capacity);
    let done = Arc::new(AtomicUsize::new(0));

    let getters: Vec<_> = (0..getters)
        .map(|_| {
            let (queue, done, mut random) = (queue.clone(), Arc::clone(&done), random.fork());
            thread::spawn(move || get_all_somehow(&queue, &done, &mut random))
        })
        .collect();
    let putters: Vec<_> = (0..putters)
        .map(|putter| {
            let (queue, mut random) = (queue.clone(), random.fork());
            thread::spawn(move || {
                for n in 0..each {
                    let item = Item { rank: random.u8(0..4), number: putter * each + n };
                    put_somehow(&queue, item, &mut random);
                }
            })
        })
        .collect();

    let total = putters.len() * each;
    for putter in putters {
        putter.join().unwrap();
    }
    let joiners: Vec<_> = (0..2)
        .map(|_| {
            let (queue, done) = (queue.clone(), Arc::clone(&done));
            thread::spawn(move || {
                queue.join();
                done.load(atomic::Ordering::Relaxed)
            })
        })
        .collect();
    for joiner in joiners {
        assert_eq!(joiner.join().unwrap(), total, "done when `join` returned, {setting}");
    }
    assert_eq!(queue.counts(), (0, 0, true, false), "{setting}");
    assert!(queue.task_done().is_err(), "{setting}");

    queue.shutdown();
    let mut numbers: Vec<usize> = getters.into_iter().flat_map(|getter| getter.join().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..total).collect::<Vec<_>>(), "{setting}");
}

#[test]
fn every_item_of_a_queue_arrives_once_and_join_returns_when_all_are_done() {
    with_watchdog(LIMIT, || (0..30).for_each(stress::<Queue<Item>>));
}

#[test]
fn every_item_of_a_lifo_queue_arrives_once_and_join_returns_when_all_are_done() {
    with_watchdog(LIMIT, || (100..130).for_each(stress::<LifoQueue<Item>>));
}

#[test]
fn every_item_of_a_priority_queue_arrives_once_and_join_returns_when_all_are_done() {
    with_watchdog(LIMIT, || (200..230).for_each(stress::<PriorityQueue<Item>>));
}

/// Shuts a busy queue down and checks that what was put was taken or dropped, and nothing else.
fn shut_down_while_busy<Q: Subject>(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (capacity, immediate) = (random.usize(1..6), random.bool());
    let queue = Q::with_capacity(Some(capacity));
    let putters: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut put = 0;
                while queue.put(Item { rank: 0, number: put }).is_ok() {
                    put += 1;
                }
                put
            })
        })
        .collect();
    let getters: Vec<_> = (0..2)
        .map(|_| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut taken = 0;
                while queue.get().is_ok() {
                    taken += 1;
                    queue.task_done().unwrap();
                }
                taken
            })
        })
        .collect();
    for _ in 0..random.u32(0..200) {
        std::thread::yield_now();
    }
    if immediate {
        queue.shutdown_immediate();
    } else {
        queue.shutdown();
    }
    // Everything is taken or dropped now, so this ends.
    queue.join();
    let put: usize = putters.into_iter().map(|putter| putter.join().unwrap()).sum();
    let taken: usize = getters.into_iter().map(|getter| getter.join().unwrap()).sum();
    let dropped = put - taken;
    assert!(if immediate { dropped <= capacity } else { dropped == 0 }, "seed {seed}: {dropped} dropped");
    let (len, unfinished, ..) = queue.counts();
    assert_eq!((len, unfinished), (0, 0), "seed {seed}");
}

#[test]
fn a_shutdown_of_a_busy_queue_loses_nothing_and_leaves_nobody_behind() {
    with_watchdog(LIMIT, || {
        for seed in 0..60 {
            shut_down_while_busy::<Queue<Item>>(seed);
            shut_down_while_busy::<LifoQueue<Item>>(seed);
            shut_down_while_busy::<PriorityQueue<Item>>(seed);
        }
    });
}

/// An item whose comparisons panic every now and then.
#[derive(Clone)]
struct Fickle(usize);

impl Ord for Fickle {
    fn cmp(&self, other: &Self) -> Ordering {
        if fastrand::u8(0..16) == 0 {
            // As a panic, but without its message.
            resume_unwind(Box::new("no order today"));
        }
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Fickle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Fickle {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Fickle {}

#[test]
fn comparisons_that_panic_lose_no_item_and_no_wake_up() {
    const EACH: usize = 300;

    fn run(seed: u64) {
        let queue = PriorityQueue::bounded(12);
        let putters: Vec<_> = (0..3)
            .map(|putter| {
                let queue = queue.clone();
                thread::spawn(move || {
                    fastrand::seed(seed * 10 + putter as u64);
                    for n in 0..EACH {
                        let item = Fickle(putter * EACH + n);
                        while catch_unwind(AssertUnwindSafe(|| queue.put(item.clone()).unwrap())).is_err() {}
                    }
                })
            })
            .collect();
        let getters: Vec<_> = (0..3)
            .map(|getter| {
                let queue = queue.clone();
                thread::spawn(move || {
                    fastrand::seed(seed * 10 + 5 + getter);
                    let mut taken = Vec::new();
                    loop {
                        match catch_unwind(AssertUnwindSafe(|| queue.get())) {
                            Ok(Ok(item)) => {
                                taken.push(item.0);
                                queue.task_done().unwrap();
                            }
                            Ok(Err(_)) => return taken,
                            Err(_) => {}
                        }
                    }
                })
            })
            .collect();
        for putter in putters {
            putter.join().unwrap();
        }
        queue.join();
        assert_eq!((queue.len(), queue.unfinished()), (0, 0), "seed {seed}");
        queue.shutdown();
        let mut numbers: Vec<usize> = getters.into_iter().flat_map(|getter| getter.join().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..3 * EACH).collect::<Vec<_>>(), "seed {seed}");
    }

    with_watchdog(LIMIT, || (0..10).for_each(run));
}
