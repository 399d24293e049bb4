//! Work that splits itself: each task makes more tasks and waits for them.
//!
//! Nothing is worked off below a certain size, so that the price of a task is all there is to see.

use std::hint::black_box;
use std::num::NonZero;
use std::thread;

use towline_threads::ThreadPoolExecutor;

use crate::case::{Case, OURS, Row};
use crate::goal::Goal;
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures, meter};

pub(crate) static GROUP: Group = Group {
    name: "fork-join",
    title: "Work that splits itself",
    about: "fib: the Fibonacci numbers by their definition; each step hands out one half, computes the other itself \
            and waits. skynet: a tree in which each node has ten children, down to 1,000,000 leaves, whose numbers are \
            added up. There are as many workers as processors. In our pool each half or child is a separate task with \
            a result, and a worker that waits for a task nobody has begun runs it itself; rayon and chili keep theirs \
            on the stack. Milliseconds in total; waits and preempted are total context switches.",
    unit: Unit::MILLISECONDS,
    columns: &[Figure::Voluntary, Figure::Involuntary],
    cases,
    goals,
};

const FIB: &str = "fib";
const SKYNET: &str = "skynet";
const RAYON: &str = "rayon::join";
const CHILI: &str = "chili";
const NO_THREADS: &str = "one thread, no tasks";

/// Children of a node.
const BRANCHES: u64 = 10;

/// How a contender does the two.
struct Contender {
    name: &'static str,
    fib: fn(u32) -> Figures,
    skynet: fn(u64) -> Figures,
}

const CONTENDERS: [Contender; 4] = [
    Contender { name: OURS, fib: ours_fib, skynet: ours_skynet },
    Contender { name: RAYON, fib: rayon_fib, skynet: rayon_skynet },
    Contender { name: CHILI, fib: chili_fib, skynet: chili_skynet },
    Contender { name: NO_THREADS, fib: plain_fib, skynet: plain_skynet },
];

fn cases(scale: Scale) -> Vec<Case> {
    let (number, leaves) = match scale {
        Scale::Full => (27, 1_000_000),
        Scale::Quick => (20, 10_000),
    };
    let mut cases = Vec::new();
    for Contender { name, fib, .. } in CONTENDERS {
        cases.push(Case::new(name, FIB, move || fib(number)));
    }
    for Contender { name, skynet, .. } in CONTENDERS {
        cases.push(Case::new(name, SKYNET, move || skynet(leaves)));
    }
    cases
}

/// Times `fib` of `number`, after a smaller one that wakes everybody.
fn time_fib(number: u32, fib: impl Fn(u32) -> u64) -> Figures {
    black_box(fib(black_box(number - 5)));
    let mut value = 0;
    let figures = meter(1, || value = fib(black_box(number)));
    assert_eq!(black_box(value), fib_by_steps(number));
    figures
}

/// Times the tree with so many leaves, after a smaller one that wakes everybody.
fn time_skynet(leaves: u64, skynet: impl Fn(u64) -> u64) -> Figures {
    black_box(skynet(black_box(leaves / BRANCHES)));
    let mut sum = 0;
    let figures = meter(1, || sum = skynet(black_box(leaves)));
    assert_eq!(black_box(sum), (0..leaves).sum::<u64>());
    figures
}

/// Without the doubled work: what the others must arrive at.
fn fib_by_steps(number: u32) -> u64 {
    let (mut this, mut next) = (0, 1);
    for _ in 0..number {
        (this, next) = (next, this + next);
    }
    this
}

fn processors() -> NonZero<usize> {
    thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

// Ours

/// A pool that tasks can refer to for as long as the process lives.
fn our_pool() -> &'static ThreadPoolExecutor {
    Box::leak(Box::new(ThreadPoolExecutor::new(processors().get()).expect("there is at least one worker")))
}

fn ours_fib(number: u32) -> Figures {
    fn fib(pool: &'static ThreadPoolExecutor, number: u32) -> u64 {
        if number < 2 {
            return u64::from(number);
        }
        let one = pool.submit(move || fib(pool, number - 1)).expect("the pool is open");
        let other = fib(pool, number - 2);
        one.result().expect("the task has a result") + other
    }

    let pool = our_pool();
    time_fib(number, |number| {
        let whole = pool.submit(move || fib(pool, number)).expect("the pool is open");
        whole.result().expect("the task has a result")
    })
}

fn ours_skynet(leaves: u64) -> Figures {
    fn node(pool: &'static ThreadPoolExecutor, first: u64, leaves: u64) -> u64 {
        if leaves == 1 {
            return first;
        }
        let each = leaves / BRANCHES;
        let mut children = Vec::with_capacity(BRANCHES as usize);
        for child in 0..BRANCHES {
            let task = move || node(pool, first + child * each, each);
            children.push(pool.submit(task).expect("the pool is open"));
        }
        children.into_iter().map(|child| child.result().expect("the task has a result")).sum()
    }

    let pool = our_pool();
    time_skynet(leaves, |leaves| {
        let whole = pool.submit(move || node(pool, 0, leaves)).expect("the pool is open");
        whole.result().expect("the task has a result")
    })
}

// rayon

fn rayon_pool() -> rayon::ThreadPool {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(processors().get()).build();
    pool.expect("threads can be started")
}

fn rayon_fib(number: u32) -> Figures {
    fn fib(number: u32) -> u64 {
        if number < 2 {
            return u64::from(number);
        }
        let (one, other) = rayon::join(|| fib(number - 1), || fib(number - 2));
        one + other
    }

    let pool = rayon_pool();
    time_fib(number, |number| pool.install(|| fib(number)))
}

fn rayon_skynet(leaves: u64) -> Figures {
    fn node(first: u64, leaves: u64) -> u64 {
        if leaves == 1 { first } else { children(first, leaves / BRANCHES, BRANCHES) }
    }

    /// `count` children of a node, with `each` leaves.
    fn children(first: u64, each: u64, count: u64) -> u64 {
        if count == 1 {
            return node(first, each);
        }
        let half = count / 2;
        let (one, other) =
            rayon::join(|| children(first, each, half), || children(first + half * each, each, count - half));
        one + other
    }

    let pool = rayon_pool();
    time_skynet(leaves, |leaves| pool.install(|| node(0, leaves)))
}

// chili

fn chili_pool() -> chili::ThreadPool {
    // The thread that asks is one of them.
    chili::ThreadPool::with_config(chili::Config { thread_count: Some(processors()), ..Default::default() })
}

fn chili_fib(number: u32) -> Figures {
    fn fib(scope: &mut chili::Scope<'_>, number: u32) -> u64 {
        if number < 2 {
            return u64::from(number);
        }
        let (one, other) = scope.join(|scope| fib(scope, number - 1), |scope| fib(scope, number - 2));
        one + other
    }

    let pool = chili_pool();
    time_fib(number, |number| fib(&mut pool.scope(), number))
}

fn chili_skynet(leaves: u64) -> Figures {
    fn node(scope: &mut chili::Scope<'_>, first: u64, leaves: u64) -> u64 {
        if leaves == 1 { first } else { children(scope, first, leaves / BRANCHES, BRANCHES) }
    }

    /// `count` children of a node, with `each` leaves.
    fn children(scope: &mut chili::Scope<'_>, first: u64, each: u64, count: u64) -> u64 {
        if count == 1 {
            return node(scope, first, each);
        }
        let half = count / 2;
        let (one, other) = scope.join(
            |scope| children(scope, first, each, half),
            |scope| children(scope, first + half * each, each, count - half),
        );
        one + other
    }

    let pool = chili_pool();
    time_skynet(leaves, |leaves| node(&mut pool.scope(), 0, leaves))
}

// Neither threads nor tasks

fn plain_fib(number: u32) -> Figures {
    #[inline(never)]
    fn fib(number: u32) -> u64 {
        if number < 2 { u64::from(number) } else { fib(number - 1) + fib(number - 2) }
    }

    time_fib(number, fib)
}

fn plain_skynet(leaves: u64) -> Figures {
    #[inline(never)]
    fn node(first: u64, leaves: u64) -> u64 {
        if leaves == 1 {
            return black_box(first);
        }
        let each = leaves / BRANCHES;
        (0..BRANCHES).map(|child| node(first + child * each, each)).sum()
    }

    time_skynet(leaves, |leaves| node(0, leaves))
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for setting in [FIB, SKYNET] {
        for peer in [RAYON, CHILI] {
            goals.push(Goal::none(format!("{setting}, beside {peer}"), rows, setting, peer));
        }
    }
    goals
}
