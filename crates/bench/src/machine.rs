//! What a figure depends on, without what would name the machine.

use std::fs;
use std::thread;

use crate::contender::{Program, Programs, version};

/// Where and when it was measured.
#[derive(Debug)]
pub struct Machine {
    /// `2026-11-29`.
    pub date: String,
    /// The processor's own name, and how many there are.
    pub processor: String,
    /// The kernel's version.
    pub system: String,
    /// Names and versions of the programs that took part.
    pub programs: String,
}

impl Machine {
    /// This machine, now.
    #[must_use]
    pub fn here(programs: &Programs) -> Self {
        let versions = [Program::Towline].into_iter().chain(Program::PEERS).filter_map(|program| {
            let version = version(programs, program)?;
            Some(format!("{} {version}", program.name()))
        });
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            date: jiff::Timestamp::now().to_string().chars().take(10).collect(),
            processor: format!("{}, {cores} cores", model().unwrap_or_else(|| std::env::consts::ARCH.to_owned())),
            system: kernel().unwrap_or_else(|| std::env::consts::OS.to_owned()),
            programs: versions.collect::<Vec<_>>().join(", "),
        }
    }
}

fn model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, model) = text.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(model.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The kernel and its version, without what its builder has added.
fn kernel() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let version: String = release.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(format!("Linux {}", version.trim_end_matches('.')))
}
