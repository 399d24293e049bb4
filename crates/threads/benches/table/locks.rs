//! Taking and giving back a lock.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use parking_lot::ReentrantMutex;
use towline_threads::sync::{Lock, RLock};

use crate::case::{Case, Row};
use crate::goal::Goal;
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures, meter};

pub(crate) static GROUP: Group = Group {
    name: "lock",
    title: "A lock",
    about: "A counter behind a lock: acquire the lock, add one, release it. Uncontended: one thread, 20,000,000 times. \
            Contended: four threads, 2,000,000 times in all. Nanoseconds per iteration; waits and preempted are \
            context switches per iteration.",
    unit: Unit::NANOSECONDS,
    columns: &[Figure::Voluntary, Figure::Involuntary],
    cases,
    goals,
};

const TIMES_UNCONTENDED: u64 = 20_000_000;
const TIMES_CONTENDED: u64 = 2_000_000;
const THREADS: u64 = 4;
const UNCONTENDED: &str = "uncontended";
const CONTENDED: &str = "4 threads";

const PARKING_LOT: &str = "parking_lot Mutex";

/// How much longer than `parking_lot`'s mutex ours may take.
const RATIO_MAX: f64 = 1.3;

/// A counter behind the lock under test.
trait Counter: Send + Sync + 'static {
    const NAME: &'static str;
    const OURS: bool = false;

    fn start() -> Self;
    fn add_one(&self);
    fn value(&self) -> u64;
}

fn cases(scale: Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    for contended in [false, true] {
        cases.push(case::<Lock<u64>>(scale, contended));
        cases.push(case::<parking_lot::Mutex<u64>>(scale, contended));
        cases.push(case::<Mutex<u64>>(scale, contended));
        cases.push(case::<RLock<Cell<u64>>>(scale, contended));
        cases.push(case::<ReentrantMutex<Cell<u64>>>(scale, contended));
    }
    cases
}

fn case<C: Counter>(scale: Scale, contended: bool) -> Case {
    let case = if contended {
        let times = scale.of(TIMES_CONTENDED);
        Case::new(C::NAME, CONTENDED, move || measure_contended::<C>(times))
    } else {
        let times = scale.of(TIMES_UNCONTENDED);
        Case::new(C::NAME, UNCONTENDED, move || measure_uncontended::<C>(times))
    };
    if C::OURS { case.ours() } else { case }
}

fn measure_uncontended<C: Counter>(times: u64) -> Figures {
    let counter = C::start();
    let count = |times: u64| {
        for _ in 0..times {
            black_box(&counter).add_one();
        }
    };
    count(times / 10);
    let figures = meter(times, || count(times));
    assert_eq!(counter.value(), times / 10 + times);
    figures
}

fn measure_contended<C: Counter>(times: u64) -> Figures {
    let counter = Arc::new(C::start());
    let each = times / THREADS;
    let start = Arc::new(Barrier::new((THREADS + 1) as usize));
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let (counter, start) = (Arc::clone(&counter), Arc::clone(&start));
        threads.push(thread::spawn(move || {
            start.wait();
            for _ in 0..each {
                black_box(&*counter).add_one();
            }
        }));
    }
    let figures = meter(each * THREADS, || {
        start.wait();
        for thread in threads {
            thread.join().expect("they only count");
        }
    });
    assert_eq!(counter.value(), each * THREADS);
    figures
}

impl Counter for Lock<u64> {
    const NAME: &'static str = "towline-threads Lock";
    const OURS: bool = true;

    fn start() -> Self {
        Self::new(0)
    }

    fn add_one(&self) {
        *self.acquire().expect("nobody waits in a ring") += 1;
    }

    fn value(&self) -> u64 {
        *self.acquire().expect("nobody waits in a ring")
    }
}

impl Counter for RLock<Cell<u64>> {
    const NAME: &'static str = "towline-threads RLock";
    const OURS: bool = true;

    fn start() -> Self {
        Self::new(Cell::new(0))
    }

    fn add_one(&self) {
        let count = self.acquire().expect("nobody waits in a ring");
        count.set(count.get() + 1);
    }

    fn value(&self) -> u64 {
        self.acquire().expect("nobody waits in a ring").get()
    }
}

impl Counter for parking_lot::Mutex<u64> {
    const NAME: &'static str = PARKING_LOT;

    fn start() -> Self {
        Self::new(0)
    }

    fn add_one(&self) {
        *self.lock() += 1;
    }

    fn value(&self) -> u64 {
        *self.lock()
    }
}

impl Counter for ReentrantMutex<Cell<u64>> {
    const NAME: &'static str = "parking_lot ReentrantMutex";

    fn start() -> Self {
        Self::new(Cell::new(0))
    }

    fn add_one(&self) {
        let count = self.lock();
        count.set(count.get() + 1);
    }

    fn value(&self) -> u64 {
        self.lock().get()
    }
}

impl Counter for Mutex<u64> {
    const NAME: &'static str = "std Mutex";

    fn start() -> Self {
        Self::new(0)
    }

    fn add_one(&self) {
        *self.lock().expect("nobody panics here") += 1;
    }

    fn value(&self) -> u64 {
        *self.lock().expect("nobody panics here")
    }
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    // Of our rows at a setting `Lock` is the first.
    vec![
        Goal::against(
            format!("`Lock` at most {RATIO_MAX} × `parking_lot::Mutex`, {UNCONTENDED}"),
            rows,
            UNCONTENDED,
            PARKING_LOT,
            RATIO_MAX,
        ),
        Goal::none(format!("`Lock` beside `parking_lot::Mutex`, {CONTENDED}"), rows, CONTENDED, PARKING_LOT),
    ]
}
