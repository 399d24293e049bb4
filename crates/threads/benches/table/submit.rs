//! Many empty tasks: all are submitted, then every result is collected.

use std::hint::black_box;

use crate::case::{Case, Row};
use crate::goal::{Goal, our_row, ours};
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures, meter};
use crate::pools::{Pool, pool_cases, workers_text};
use crate::table;

pub(crate) static GROUP: Group = Group {
    name: "submit-collect",
    title: "Submit, then collect",
    about: "One thread outside the pool submits 1,000,000 tasks that return their number, then collects every result \
            in order and adds them up. Nanoseconds per task. Waits and preempted are context switches per task, over \
            all threads of the process; allocations per task are counted in a separate run.",
    unit: Unit::NANOSECONDS,
    columns: &[Figure::Voluntary, Figure::Involuntary, Figure::Allocations],
    cases,
    goals,
};

const TASKS: u64 = 1_000_000;
const WORKERS: [usize; 4] = [1, 2, 4, 8];
const WORKERS_ON_ONE_CPU: usize = 4;

/// A task in the plan's limit.
const NANOSECONDS_MAX: f64 = 150.0;
/// One a task; what the backlog needs to grow is spread over all.
const ALLOCATIONS_MAX: f64 = 1.01;

fn cases(scale: Scale) -> Vec<Case> {
    let tasks = scale.of(TASKS);
    let mut cases = Vec::new();
    for workers in WORKERS {
        cases.extend(pool_cases!(measure, tasks, workers, &workers_text(workers)));
    }
    let bound = pool_cases!(measure, tasks, WORKERS_ON_ONE_CPU, &one_cpu_text());
    cases.extend(bound.into_iter().map(|case| case.on_one_cpu(true)));
    cases
}

pub(crate) fn measure<P: Pool>(tasks: u64, workers: usize) -> Figures {
    let pool = P::start(workers);
    // Threads are up and the heap has grown before it counts.
    pass(&pool, tasks / 10);
    pass(&pool, tasks)
}

fn pass<P: Pool>(pool: &P, tasks: u64) -> Figures {
    let mut handles = Vec::with_capacity(tasks as usize);
    let mut sum = 0;
    let figures = meter(tasks, || {
        for number in 0..tasks {
            handles.push(pool.submit(move || black_box(number)));
        }
        sum = pool.sum(handles);
    });
    assert_eq!(black_box(sum), (0..tasks).sum::<u64>(), "each result is its task's number");
    figures
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let settings: Vec<String> = WORKERS.into_iter().map(workers_text).chain([one_cpu_text()]).collect();
    for setting in &settings {
        goals.push(Goal::at_most(
            format!("at most {NANOSECONDS_MAX} ns a task, {setting}"),
            ours(rows, setting),
            NANOSECONDS_MAX,
            |nanoseconds| format!("{} ns", table::figure(nanoseconds)),
        ));
    }
    for setting in &settings {
        goals.push(Goal::against_best(format!("no slower than the fastest peer, {setting}"), rows, setting, 1.0));
    }
    for setting in &settings {
        let allocations = our_row(rows, setting).and_then(|row| row.median(Figure::Allocations));
        goals.push(Goal::at_most(
            format!("one allocation a task, {setting}"),
            allocations,
            ALLOCATIONS_MAX,
            table::figure,
        ));
    }
    goals
}

fn one_cpu_text() -> String {
    format!("{}, one CPU", workers_text(WORKERS_ON_ONE_CPU))
}
