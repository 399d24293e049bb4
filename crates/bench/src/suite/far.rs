//! A server that is far away and limits each connection.

use std::time::Duration;

use towline_origin::Fault;

use super::throttled::paced;
use super::{Drawing, Goal, Setting, Suite, plain};
use crate::contender::{Contender, Program};
use crate::harness::{Case, Figure, Row};

const LATENCY: Duration = Duration::from_millis(100);
const RATE_BYTES_PER_S: u64 = 4_000_000;
const SIZE_BYTES: u64 = 256 << 20;
const CONNECTIONS: u32 = 16;
const CONNECTIONS_BY_ITSELF: u32 = 8;
const PEERS: [Program; 5] = [Program::Towline, Program::Aria2, Program::Aria2Next, Program::Axel, Program::Pypdl];
const EIGHT: Contender = Contender { program: Program::Towline, options: &["-x8"] };
const FIXED: &str = "16 connections";
const FREE: &str = "by default";

pub(super) const SUITE: Suite = Suite {
    name: "far",
    title: "256 MiB, 100 ms to the first byte, 4 MB/s for each connection",
    text: "Every response begins 100 ms after its request. The ideal is the time at the sum of all rates, and once the \
           latency.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::Bars(Figure::Wall),
};

fn cases(setting: &Setting) -> Vec<Case> {
    let size = setting.extent.pick(SIZE_BYTES, 16 << 20);
    let faults = || vec![Fault::Latency(LATENCY).into(), Fault::RatePerConnection(RATE_BYTES_PER_S).into()];
    let mut cases = paced(setting, FIXED, size, Some(CONNECTIONS), &plain(&PEERS), faults);
    let mut free = plain(&PEERS);
    free.insert(1, EIGHT);
    cases.extend(paced(setting, FREE, size, None, &free, faults));
    cases
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let ideal = |connections: u32| {
        SIZE_BYTES as f64 / (RATE_BYTES_PER_S as f64 * f64::from(connections)) + LATENCY.as_secs_f64()
    };
    vec![
        Goal::beside_ideal(rows, FIXED, ideal(CONNECTIONS), 1.0 / 0.95),
        Goal::beside_ideal(rows, FREE, ideal(CONNECTIONS_BY_ITSELF), 1.0 / 0.9),
        Goal::beside(rows, FREE, &EIGHT.label(), Figure::Wall, 1.0 / 0.9),
        Goal::beside(rows, FIXED, "aria2c", Figure::Wall, 1.0),
        Goal::beside(rows, FREE, "aria2c", Figure::Wall, 1.0),
    ]
}
