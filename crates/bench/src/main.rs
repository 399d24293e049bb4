//! Runs suites and shows what came of them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that is used in a terminal")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use clap::Parser as _;
use towline_bench::contender::Programs;
use towline_bench::floor::{FLOOR, run_floor};
use towline_bench::harness::{Bench, Role, measure};
use towline_bench::launch::{LAUNCH, run_launcher};
use towline_bench::machine::Machine;
use towline_bench::options::Options;
use towline_bench::page::{self, Measured};
use towline_bench::python::Python;
use towline_bench::server::Nginx;
use towline_bench::suite::{Extent, SUITES, Setting, Suite};

fn main() -> ExitCode {
    // Commands of the harness itself, not for people.
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(LAUNCH) => return run_launcher(&arguments[1..]),
        Some(FLOOR) => return run_floor(&arguments[1..]),
        _ => {}
    }
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all of our own rows count.
fn run(options: &Options) -> Result<bool, String> {
    let suites = suites(options)?;
    let bench = bench(options)?;
    let nginx = Nginx::start(&options.memory).ok_or("nginx and openssl are needed")?;
    let extent = if options.quick { Extent::Quick } else { Extent::Full };
    let setting = Setting { bench: &bench, nginx: Arc::new(nginx), extent };
    let (docs, machine) = (root().join("docs"), Machine::here(&bench.programs));
    let mut measured = Vec::new();
    for suite in suites {
        let one = run_suite(&setting, suite, if options.quick { 1 } else { options.rounds.max(1) });
        println!("{}", page::section(&one));
        measured.push(one);
        if options.write {
            // After each suite: the whole takes long, and may be stopped.
            page::write(&docs, &machine, &measured).map_err(|error| error.to_string())?;
            eprintln!("written: docs/benchmarks.md and docs/benchmarks/");
        }
    }
    Ok(measured.iter().flat_map(|one| &one.rows).all(|row| row.role != Role::Ours || row.runs.is_ok()))
}

fn suites(options: &Options) -> Result<Vec<Suite>, String> {
    if options.suites.is_empty() {
        return Ok(SUITES.to_vec());
    }
    let named = |name: &String| {
        let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
        Suite::named(name).ok_or_else(|| format!("there is no suite {name}; there are {}", names.join(", ")))
    };
    options.suites.iter().map(named).collect()
}

fn bench(options: &Options) -> Result<Bench, String> {
    let target = root().join("target");
    let python = if options.python { Some(Python::install(&target.join("bench-python"))?) } else { None };
    let towline = match &options.towline {
        Some(path) => path.clone(),
        None => build()?,
    };
    let bench = env::current_exe().map_err(|error| error.to_string())?;
    let programs = Programs { towline, beside: options.beside.clone(), bench, python };
    Ok(Bench { programs, memory: options.memory.clone(), disk: target.join("bench-disk") })
}

/// Builds `towline` with the profile that users get.
fn build() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "towline"])
        .current_dir(root())
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !status.success() {
        return Err("towline cannot be built".to_owned());
    }
    // Beside this program, wherever builds go.
    let here = env::current_exe().map_err(|error| error.to_string())?;
    let target = here.parent().and_then(Path::parent).ok_or("this program lies in no target directory")?;
    Ok(target.join("release").join("towline"))
}

fn run_suite(setting: &Setting, suite: Suite, rounds: usize) -> Measured {
    let rounds = rounds.min(suite.rounds_max);
    let cases = (suite.cases)(setting);
    let rows = measure(setting.bench, cases, rounds, |what| eprintln!("{}: {what}", suite.name));
    Measured { suite, rows, rounds }
}

/// The workspace. Some peers refuse paths with `..`.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}
