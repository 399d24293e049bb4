//! Beside Python's own `threading`, `queue` and `concurrent.futures`.
//!
//! `benches/cpython.py` does the same work as the other groups and prints its figures as a child
//! of this program does.

use crate::case::{Case, OURS, Row};
use crate::goal::Goal;
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures};
use crate::pools::Ours;
use crate::{latency, queues, submit};

pub(crate) static GROUP: Group = Group {
    name: "cpython",
    title: "CPython",
    about: "The same work in CPython (`ThreadPoolExecutor`, `queue.Queue`), with 100,000 tasks or numbers and 20,000 \
            single tasks. Four workers; four threads at each end of a queue of 1,024. Microseconds per task or number; \
            for single tasks, each run's median.",
    unit: Unit::MICROSECONDS,
    columns: &[Figure::P99, Figure::Voluntary, Figure::Involuntary],
    cases,
    goals,
};

const CPYTHON: &str = "CPython";
const WORKERS: usize = 4;

/// One kind of work: its setting, its name in the script, how much of it, and how we do it.
struct Kind {
    setting: &'static str,
    word: &'static str,
    size: u64,
    ours: fn(u64) -> Figures,
}

const KINDS: [Kind; 3] = [
    Kind { setting: "submit, then collect", word: "submit", size: 100_000, ours: our_submit },
    Kind { setting: "one task at a time", word: "latency", size: 20_000, ours: our_latency },
    Kind { setting: "queue", word: "queue", size: 100_000, ours: queues::measure_ours },
];

fn cases(scale: Scale) -> Vec<Case> {
    let mut cases = Vec::new();
    for Kind { setting, word, size, ours } in KINDS {
        let size = scale.of(size);
        cases.push(Case::new(OURS, setting, move || ours(size)));
        cases.push(Case::python(CPYTHON, setting, vec![word.to_owned(), size.to_string(), WORKERS.to_string()]));
    }
    cases
}

fn our_submit(tasks: u64) -> Figures {
    submit::measure::<Ours>(tasks, WORKERS)
}

fn our_latency(tasks: u64) -> Figures {
    latency::measure::<Ours>(tasks, WORKERS)
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let goal = |kind: Kind| Goal::against(format!("faster, {}", kind.setting), rows, kind.setting, CPYTHON, 1.0);
    KINDS.into_iter().map(goal).collect()
}
