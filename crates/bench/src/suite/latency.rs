//! Small files from a server that is far away.

use std::time::Duration;

use towline_origin::{Fault, Origin};

use super::throttled::served;
use super::{Drawing, Goal, Setting, Suite, plain};
use crate::contender::{Program, Shape};
use crate::content::Content;
use crate::harness::{Case, Figure, Row};

const LATENCY: Duration = Duration::from_millis(100);
const SIZE_BYTES: u64 = 16 << 10;
const COUNT: u64 = 1000;
const AT_ONCE: u32 = 32;
const SEED: u64 = 5;
const PLAIN: &str = "32 at a time";

pub(super) const SUITE: Suite = Suite {
    name: "latency",
    title: "1,000 files of 16 KiB, 100 ms to the first byte",
    text: "Every response begins 100 ms after its request. The ideal is 1,000 / 32 × 100 ms.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::Bars(Figure::Wall),
};

fn cases(setting: &Setting) -> Vec<Case> {
    let count = setting.extent.pick(COUNT, 64);
    let serve = move || {
        let fault = Fault::Latency(LATENCY);
        // All have the same content.
        Origin::builder()
            .threads(2)
            .files_with("/{}.bin", count, |_| towline_origin::Resource::new("/", SEED, SIZE_BYTES))
            .fault(fault)
            .start()
    };
    let content = Content::Seeded { seed: SEED, size: SIZE_BYTES };
    let all = [Program::Towline, Program::Curl, Program::Wget2, Program::Aria2, Program::Aria2Next, Program::Requests];
    served(setting, PLAIN, Shape::Many(AT_ONCE), &plain(&all), content, count, serve)
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let ideal = COUNT as f64 / f64::from(AT_ONCE) * LATENCY.as_secs_f64();
    vec![Goal::beside_ideal(rows, PLAIN, ideal, 1.1), Goal::beside(rows, PLAIN, "aria2c", Figure::Wall, 1.0)]
}
