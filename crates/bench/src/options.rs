//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Times Towline beside its peers and beside bare loops.
#[derive(Debug, Parser)]
#[command(name = "towline-bench")]
pub struct Options {
    /// Suites to run [default: all]
    #[arg(value_name = "SUITE")]
    pub suites: Vec<String>,
    /// Rounds of each suite; some suites have a maximum of their own
    #[arg(long, default_value_t = 7)]
    pub rounds: usize,
    /// Run a small part of the work once, to see that all of it runs
    #[arg(long)]
    pub quick: bool,
    /// Include peers that are Python packages, in an environment of their own
    #[arg(long)]
    pub python: bool,
    /// Write docs/benchmarks.md and its pictures, of all suites
    #[arg(long, conflicts_with_all = ["suites", "quick", "beside"])]
    pub write: bool,
    /// The `towline` to measure [default: the release build, which is built first]
    #[arg(long, value_name = "FILE")]
    pub towline: Option<PathBuf>,
    /// Another build of `towline` to measure beside it, to compare two versions
    #[arg(long, value_name = "FILE")]
    pub beside: Option<PathBuf>,
    /// Directory in memory for servers and downloads
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub memory: PathBuf,
}
