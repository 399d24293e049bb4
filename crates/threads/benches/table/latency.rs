//! One task at a time: from `submit` to its result.

use std::hint::black_box;
use std::time::Instant;

use crate::case::{Case, Row};
use crate::goal::Goal;
use crate::group::{Group, Scale, Unit};
use crate::meter::{Figure, Figures};
use crate::pools::{Pool, pool_cases, workers_text};
use crate::system;

pub(crate) static GROUP: Group = Group {
    name: "latency",
    title: "One task at a time",
    about: "20,000 times: submit a task, wait for its result. Microseconds from before `submit` until the result \
            arrives; each run's median and 99th percentile. Waits and preempted are context switches per task.",
    unit: Unit::MICROSECONDS,
    columns: &[Figure::P99, Figure::Voluntary, Figure::Involuntary],
    cases,
    goals,
};

const TASKS: u64 = 20_000;
const WORKERS: usize = 4;

fn cases(scale: Scale) -> Vec<Case> {
    pool_cases!(measure, scale.of(TASKS), WORKERS, &workers_text(WORKERS))
}

pub(crate) fn measure<P: Pool>(tasks: u64, workers: usize) -> Figures {
    let pool = P::start(workers);
    for number in 0..tasks / 10 {
        time_one(&pool, number);
    }
    let mut times = Vec::with_capacity(tasks as usize);
    let before = system::switches();
    for number in 0..tasks {
        times.push(time_one(&pool, number));
    }
    let after = system::switches();
    times.sort_by(f64::total_cmp);
    let mut figures = Figures(vec![(Figure::Main, percentile(&times, 50)), (Figure::P99, percentile(&times, 99))]);
    figures.add_switches(before, after, tasks as f64);
    figures
}

/// In nanoseconds.
fn time_one<P: Pool>(pool: &P, number: u64) -> f64 {
    let start = Instant::now();
    let result = pool.result(pool.submit(move || black_box(number)));
    let elapsed = start.elapsed();
    assert_eq!(black_box(result), number);
    elapsed.as_nanos() as f64
}

/// The value that so many percent of `sorted`, which is not empty, do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted[rank - 1]
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    vec![Goal::against_best("no slower than the fastest peer", rows, &workers_text(WORKERS), 1.0)]
}
