//! Queues with four threads at each end.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;

use towline_threads::Queue;

use crate::case::{Case, OURS, Row};
use crate::goal::Goal;
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures, meter};

pub(crate) static GROUP: Group = Group {
    name: "queue",
    title: "A queue, four threads at each end",
    about: "Four threads put 1,000,000 numbers, four take them and add them up; the clock stops when the last number \
            has been counted. With our queue, every number is also reported with `task_done`, and `join` waits for all \
            of them; the other queues do no such accounting. Nanoseconds per number; waits and preempted are context \
            switches per number.",
    unit: Unit::NANOSECONDS,
    columns: &[Figure::Voluntary, Figure::Involuntary],
    cases,
    goals,
};

const ITEMS: u64 = 1_000_000;
const PUTTERS: u64 = 4;
const GETTERS: u64 = 4;
const BOUND: usize = 1024;
pub(crate) const BOUNDED: &str = "bounded(1024)";
pub(crate) const UNBOUNDED: &str = "unbounded";

/// How much longer than the fastest peer we may take.
const RATIO_MAX: f64 = 1.2;

/// A queue under test; an end of it may be cloned for each thread.
trait Ends: 'static {
    const NAME: &'static str;

    type Putter: Clone + Send + 'static;
    type Getter: Clone + Send + 'static;

    fn open(capacity: Option<usize>) -> (Self::Putter, Self::Getter);
    fn put(putter: &Self::Putter, item: u64);

    /// The next number, once it has been added to `sum`; false when there are no more.
    fn take(getter: &Self::Getter, sum: &mut u64) -> bool;

    /// All numbers have been put: getters are to find out.
    fn close(putter: Self::Putter);
}

fn cases(scale: Scale) -> Vec<Case> {
    let items = scale.of(ITEMS);
    let mut cases = Vec::new();
    for (setting, capacity) in [(BOUNDED, Some(BOUND)), (UNBOUNDED, None)] {
        cases.push(case::<Ours>(setting, items, capacity));
        cases.push(case::<Crossbeam>(setting, items, capacity));
        cases.push(case::<Flume>(setting, items, capacity));
        cases.push(case::<Kanal>(setting, items, capacity));
        cases.push(case::<Std>(setting, items, capacity));
    }
    cases
}

fn case<Q: Ends>(setting: &str, items: u64, capacity: Option<usize>) -> Case {
    Case::new(Q::NAME, setting, move || measure::<Q>(items, capacity))
}

/// Our queue, bounded as it is in the group.
pub(crate) fn measure_ours(items: u64) -> Figures {
    measure::<Ours>(items, Some(BOUND))
}

fn measure<Q: Ends>(items: u64, capacity: Option<usize>) -> Figures {
    pass::<Q>(items / 10, capacity);
    pass::<Q>(items, capacity)
}

fn pass<Q: Ends>(items: u64, capacity: Option<usize>) -> Figures {
    let (putter, getter) = Q::open(capacity);
    let each = items / PUTTERS;
    let items = each * PUTTERS;
    let start = Arc::new(Barrier::new((PUTTERS + GETTERS + 1) as usize));

    let mut putters = Vec::new();
    for number in 0..PUTTERS {
        let (putter, start) = (putter.clone(), Arc::clone(&start));
        putters.push(thread::spawn(move || {
            start.wait();
            for item in number * each..(number + 1) * each {
                Q::put(&putter, item);
            }
        }));
    }
    let mut getters = Vec::new();
    for _ in 0..GETTERS {
        let (getter, start) = (getter.clone(), Arc::clone(&start));
        getters.push(thread::spawn(move || {
            start.wait();
            let mut sum = 0;
            while Q::take(&getter, &mut sum) {}
            sum
        }));
    }
    drop(getter);

    let mut sum = 0;
    let figures = meter(items, || {
        start.wait();
        for thread in putters {
            thread.join().expect("putters do not panic");
        }
        Q::close(putter);
        for thread in getters {
            sum += thread.join().expect("getters do not panic");
        }
    });
    assert_eq!(black_box(sum), (0..items).sum::<u64>(), "each number was taken once");
    figures
}

struct Ours;

impl Ends for Ours {
    const NAME: &'static str = OURS;

    type Putter = Queue<u64>;
    type Getter = Queue<u64>;

    fn open(capacity: Option<usize>) -> (Queue<u64>, Queue<u64>) {
        let queue = capacity.map_or_else(Queue::new, Queue::bounded);
        (queue.clone(), queue)
    }

    fn put(queue: &Queue<u64>, item: u64) {
        queue.put(item).expect("the queue is open");
    }

    fn take(queue: &Queue<u64>, sum: &mut u64) -> bool {
        let Ok(item) = queue.get() else {
            return false;
        };
        *sum += item;
        queue.task_done().expect("an item was taken");
        true
    }

    fn close(queue: Queue<u64>) {
        queue.join();
        queue.shutdown();
    }
}

struct Crossbeam;

impl Ends for Crossbeam {
    const NAME: &'static str = "crossbeam-channel";

    type Putter = crossbeam_channel::Sender<u64>;
    type Getter = crossbeam_channel::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Putter, Self::Getter) {
        capacity.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded)
    }

    fn put(putter: &Self::Putter, item: u64) {
        putter.send(item).expect("there are receivers");
    }

    fn take(getter: &Self::Getter, sum: &mut u64) -> bool {
        add(getter.recv().ok(), sum)
    }

    fn close(putter: Self::Putter) {
        drop(putter);
    }
}

struct Flume;

impl Ends for Flume {
    const NAME: &'static str = "flume";

    type Putter = flume::Sender<u64>;
    type Getter = flume::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Putter, Self::Getter) {
        capacity.map_or_else(flume::unbounded, flume::bounded)
    }

    fn put(putter: &Self::Putter, item: u64) {
        putter.send(item).expect("there are receivers");
    }

    fn take(getter: &Self::Getter, sum: &mut u64) -> bool {
        add(getter.recv().ok(), sum)
    }

    fn close(putter: Self::Putter) {
        drop(putter);
    }
}

struct Kanal;

impl Ends for Kanal {
    const NAME: &'static str = "kanal";

    type Putter = kanal::Sender<u64>;
    type Getter = kanal::Receiver<u64>;

    fn open(capacity: Option<usize>) -> (Self::Putter, Self::Getter) {
        capacity.map_or_else(kanal::unbounded, kanal::bounded)
    }

    fn put(putter: &Self::Putter, item: u64) {
        putter.send(item).expect("there are receivers");
    }

    fn take(getter: &Self::Getter, sum: &mut u64) -> bool {
        add(getter.recv().ok(), sum)
    }

    fn close(putter: Self::Putter) {
        drop(putter);
    }
}

/// What one writes by hand: a `VecDeque` in a mutex, and two condition variables.
struct Std;

struct StdQueue {
    state: Mutex<StdState>,
    capacity: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

struct StdState {
    items: VecDeque<u64>,
    closed: bool,
}

impl Ends for Std {
    const NAME: &'static str = "std Mutex, Condvar, VecDeque";

    type Putter = Arc<StdQueue>;
    type Getter = Arc<StdQueue>;

    fn open(capacity: Option<usize>) -> (Arc<StdQueue>, Arc<StdQueue>) {
        let queue = Arc::new(StdQueue {
            state: Mutex::new(StdState { items: VecDeque::new(), closed: false }),
            capacity: capacity.unwrap_or(usize::MAX),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
        });
        (Arc::clone(&queue), queue)
    }

    fn put(queue: &Arc<StdQueue>, item: u64) {
        let state = queue.state.lock().expect("nobody panics here");
        let full = |state: &mut StdState| state.items.len() >= queue.capacity;
        let mut state = queue.not_full.wait_while(state, full).expect("nobody panics here");
        state.items.push_back(item);
        drop(state);
        queue.not_empty.notify_one();
    }

    fn take(queue: &Arc<StdQueue>, sum: &mut u64) -> bool {
        let state = queue.state.lock().expect("nobody panics here");
        let nothing = |state: &mut StdState| state.items.is_empty() && !state.closed;
        let mut state = queue.not_empty.wait_while(state, nothing).expect("nobody panics here");
        let item = state.items.pop_front();
        drop(state);
        if item.is_some() {
            queue.not_full.notify_one();
        }
        add(item, sum)
    }

    fn close(queue: Arc<StdQueue>) {
        queue.state.lock().expect("nobody panics here").closed = true;
        queue.not_empty.notify_all();
    }
}

fn add(item: Option<u64>, sum: &mut u64) -> bool {
    match item {
        Some(item) => {
            *sum += item;
            true
        }
        None => false,
    }
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    [BOUNDED, UNBOUNDED]
        .into_iter()
        .map(|setting| {
            let text = format!("at most {RATIO_MAX} × the fastest peer, {setting}");
            Goal::against_best(text, rows, setting, RATIO_MAX)
        })
        .collect()
}
