//! The program by itself.

use std::fs;
use std::process::Command;

use super::{Drawing, Goal, Setting, Suite};
use crate::contender::{Program, Programs};
use crate::harness::{Case, Figure, Role, Row};

const VERSION: &str = "--version";
const START_MAX_S: f64 = 0.010;
const SIZE_MAX_MIB: f64 = 12.0;
const SIZE: &str = "stripped binary";

pub(super) const SUITE: Suite = Suite {
    name: "start",
    title: "The program by itself",
    text: "The time that `--version` takes. In the row *stripped binary*, the memory column is the size of the \
           executable without symbols.",
    cases,
    goals,
    rounds_max: usize::MAX,
    drawing: Drawing::None,
};

fn cases(setting: &Setting) -> Vec<Case> {
    let programs = &setting.bench.programs;
    let mut cases: Vec<Case> = [Program::Towline, Program::Curl, Program::Wget2, Program::Aria2]
        .into_iter()
        .filter_map(|program| starting(programs, program))
        .collect();
    cases.push(Case::new(SIZE, "towline", Role::Ours, |bench| {
        let dir = bench.directory(crate::harness::Place::Memory);
        let stripped = dir.path().join("towline");
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(&stripped).arg(&bench.programs.towline);
        let mut usage = bench.run(&strip)?;
        usage.memory_bytes = fs::metadata(&stripped).map_err(|error| error.to_string())?.len();
        Ok(usage)
    }));
    cases
}

fn starting(programs: &Programs, program: Program) -> Option<Case> {
    programs.start(program)?;
    Some(Case::new(VERSION, program.name(), program.role(), move |bench| {
        let mut command = bench.programs.start(program).ok_or("it is not installed any more")?;
        bench.run(command.arg(VERSION))
    }))
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    vec![
        Goal::at_most(rows, VERSION, Figure::Wall, START_MAX_S),
        Goal::at_most(rows, SIZE, Figure::Memory, SIZE_MAX_MIB),
    ]
}
