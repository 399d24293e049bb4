//! Runs the cases of a suite in turn, round after round, and keeps what counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::contender::{Contender, Programs, Shape};
use crate::launch::{Usage, launch};
use crate::source::Source;

/// A run that takes longer is ended, and its case has failed.
const TIME_MAX: Duration = Duration::from_secs(600);

/// Where files are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file system in memory, for the cost of the program itself.
    Memory,
    /// The disk, for the truth.
    Disk,
}

/// What the cases run in.
#[derive(Debug)]
pub struct Bench {
    /// The programs that are there.
    pub programs: Programs,
    /// Parent of the directories in memory.
    pub memory: PathBuf,
    /// Parent of the directories on the disk.
    pub disk: PathBuf,
}

type Run = Box<dyn Fn(&Bench) -> Result<Usage, String>>;

/// A contender in a setting.
pub struct Case {
    /// Which of the suite's settings, such as `plain`.
    pub setting: String,
    /// What the tables call the contender.
    pub contender: String,
    /// Whose it is.
    pub role: Role,
    run: Run,
}

/// Whose a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Towline's.
    Ours,
    /// Another program's.
    Peer,
    /// Another build of ours, which no goal is about.
    Beside,
    /// A bare loop's.
    Floor,
}

/// The figures of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// As in [`Case`].
    pub setting: String,
    /// As in [`Case`].
    pub contender: String,
    /// As in [`Case`].
    pub role: Role,
    /// One for each round, or why the case does not count.
    pub runs: Result<Vec<Usage>, String>,
}

/// Which figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Seconds from start to end.
    Wall,
    /// Seconds of user and system time.
    Cpu,
    /// MiB of resident memory at most.
    Memory,
    /// Context switches.
    Switches,
}

/// The least, the median and the most of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The upper median where the number of runs is even.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Case {
    /// A case that runs `run` each round.
    pub fn new(
        setting: impl Into<String>,
        contender: impl Into<String>,
        role: Role,
        run: impl Fn(&Bench) -> Result<Usage, String> + 'static,
    ) -> Self {
        Self { setting: setting.into(), contender: contender.into(), role, run: Box::new(run) }
    }

    /// Runs it once.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn run(&self, bench: &Bench) -> Result<Usage, String> {
        (self.run)(bench)
    }

    /// Fetches `source` into an empty directory; `None` if the contender is not installed or cannot do
    /// that.
    #[must_use]
    pub fn fetch(
        bench: &Bench,
        setting: &str,
        contender: Contender,
        source: &Source,
        shape: Shape,
        place: Place,
    ) -> Option<Self> {
        let source = source.clone();
        // A list is written once.
        let scratch = bench.directory(place);
        contender.command(&bench.programs, &source, shape, Path::new("out"), scratch.path())?;
        Some(Self::new(setting, contender.label(), contender.program.role(), move |bench| {
            let out = bench.directory(place);
            let command = contender
                .command(&bench.programs, &source, shape, out.path(), scratch.path())
                .ok_or("it is not installed any more")?;
            let usage = bench.run(&command)?;
            source.check(out.path())?;
            Ok(usage)
        }))
    }
}

impl Bench {
    /// A new directory that is removed when it is dropped.
    ///
    /// # Panics
    /// If it cannot be created.
    #[must_use]
    pub fn directory(&self, place: Place) -> TempDir {
        let parent = match place {
            Place::Memory => &self.memory,
            Place::Disk => &self.disk,
        };
        fs::create_dir_all(parent).unwrap();
        tempfile::Builder::new().prefix("towline-bench").tempdir_in(parent).unwrap()
    }

    /// Runs a command; what it used.
    ///
    /// # Errors
    /// If it fails, in words.
    pub fn run(&self, command: &std::process::Command) -> Result<Usage, String> {
        let said = self.directory(Place::Memory);
        launch(&self.programs.bench, command, &said.path().join("said"), TIME_MAX)
    }
}

/// Runs all cases once to warm up, then `rounds` times, each round beginning with another one. A case
/// that fails is not run again.
pub fn measure(bench: &Bench, cases: Vec<Case>, rounds: usize, mut progress: impl FnMut(&str)) -> Vec<Row> {
    let mut rows: Vec<Row> = cases.iter().map(Row::empty).collect();
    for round in 0..=rounds {
        progress(&if round == 0 { "warming up".to_owned() } else { format!("round {round} of {rounds}") });
        for step in 0..cases.len() {
            let index = (round + step) % cases.len();
            let (case, row) = (&cases[index], &mut rows[index]);
            let Ok(runs) = &mut row.runs else { continue };
            match case.run(bench) {
                Ok(usage) if round > 0 => runs.push(usage),
                Ok(_) => {}
                Err(error) => {
                    progress(&format!("{} ({}) failed: {error}", case.contender, case.setting));
                    row.runs = Err(error);
                }
            }
        }
    }
    rows
}

impl Row {
    fn empty(case: &Case) -> Self {
        let Case { setting, contender, role, .. } = case;
        Self { setting: setting.clone(), contender: contender.clone(), role: *role, runs: Ok(Vec::new()) }
    }

    /// The spread of a figure; `None` if the case does not count.
    #[must_use]
    pub fn spread(&self, figure: Figure) -> Option<Spread> {
        let mut values: Vec<f64> = self.runs.as_ref().ok()?.iter().map(|usage| figure.of(usage)).collect();
        values.sort_by(f64::total_cmp);
        Some(Spread { min: *values.first()?, median: values[values.len() / 2], max: *values.last()? })
    }

    /// The median of a figure; `None` if the case does not count.
    #[must_use]
    pub fn median(&self, figure: Figure) -> Option<f64> {
        self.spread(figure).map(|spread| spread.median)
    }
}

impl Figure {
    fn of(self, usage: &Usage) -> f64 {
        match self {
            Self::Wall => usage.wall_s,
            Self::Cpu => usage.cpu_s,
            Self::Memory => usage.memory_bytes as f64 / (1 << 20) as f64,
            Self::Switches => usage.switches as f64,
        }
    }
}
