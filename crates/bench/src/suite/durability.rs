//! Files on the disk.

use super::{Drawing, Goal, Setting, Suite, big, fetches, plain, small};
use crate::contender::{Contender, Program, Shape};
use crate::harness::{Case, Figure, Place, Row};

const SMALL: &str = "5,000 small";
const BIG: &str = "1 GiB";
const PROCESS: Contender = Contender { program: Program::Towline, options: &["--durability=process"] };

pub(super) const SUITE: Suite = Suite {
    name: "durability",
    title: "To the disk",
    text: "Towline syncs data before a name or a journal claims it, unless it is told `--durability process`. The peers \
           never sync.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::Bars(Figure::Wall),
};

fn cases(setting: &Setting) -> Vec<Case> {
    let mut all = plain(&[Program::Towline, Program::Curl, Program::Wget2, Program::Aria2]);
    all.insert(1, PROCESS);
    let (small_files, _) = small::sources(setting);
    let (big_file, _) = big::sources(setting, big::bytes(setting.extent));
    let mut cases = fetches(setting, SMALL, &small_files, Shape::Many(32), Place::Disk, &all);
    cases.extend(fetches(setting, BIG, &big_file, Shape::One(None), Place::Disk, &all));
    cases
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    vec![
        Goal::beside(rows, SMALL, "curl", Figure::Wall, 1.0),
        Goal::beside(rows, BIG, "curl", Figure::Wall, 1.0),
        Goal::beside(rows, BIG, &PROCESS.label(), Figure::Wall, 1.05),
    ]
}
