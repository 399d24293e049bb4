//! The command line.

use std::env;

use crate::group::{GROUPS, Group, Scale};

const ROUNDS: &str = "TOWLINE_BENCH_ROUNDS";
const ROUNDS_FULL: usize = 5;
const ROUNDS_QUICK: usize = 2;

pub(crate) const HELP: &str = "\
cargo bench -p towline-threads -- [--quick] [--write] [GROUP...]

  GROUP     only these: submit-collect, latency, idle, queue, lock, fork-join, cpython
  --quick   a twentieth of the work, two rounds
  --write   also write docs/benchmarks-threads.md and .svg (of all groups)
  --list    the names of the groups

TOWLINE_BENCH_ROUNDS is the number of rounds. Without the `--bench` that `cargo bench` passes, the
run is a quick one.
";

pub(crate) enum Wanted {
    Run(Options),
    Help,
    List,
}

pub(crate) struct Options {
    pub(crate) scale: Scale,
    pub(crate) rounds: usize,
    pub(crate) write: bool,
    pub(crate) groups: Vec<&'static Group>,
}

/// Reads the arguments, and the number of rounds from the environment.
pub(crate) fn parse(arguments: &[String]) -> Result<Wanted, String> {
    let mut bench = false;
    let mut quick = false;
    let mut write = false;
    let mut groups: Vec<&'static Group> = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--bench" => bench = true,
            "--quick" => quick = true,
            "--write" => write = true,
            "--help" | "-h" => return Ok(Wanted::Help),
            "--list" => return Ok(Wanted::List),
            flag if flag.starts_with('-') => return Err(format!("unknown option {flag}\n\n{HELP}")),
            name => match Group::named(name) {
                Some(group) => groups.push(group),
                None => return Err(format!("there is no group {name}\n\n{HELP}")),
            },
        }
    }
    if groups.is_empty() {
        groups.extend(GROUPS);
    } else if write {
        return Err("--write is for a run of all groups: the document would lack the others".to_owned());
    }
    let scale = if quick || !bench { Scale::Quick } else { Scale::Full };
    Ok(Wanted::Run(Options { scale, rounds: rounds(scale)?, write, groups }))
}

fn rounds(scale: Scale) -> Result<usize, String> {
    match env::var(ROUNDS) {
        Ok(text) => match text.parse() {
            Ok(rounds) if rounds > 0 => Ok(rounds),
            _ => Err(format!("{ROUNDS} must be a number from 1, not {text:?}")),
        },
        Err(env::VarError::NotPresent) => Ok(match scale {
            Scale::Full => ROUNDS_FULL,
            Scale::Quick => ROUNDS_QUICK,
        }),
        Err(error) => Err(format!("{ROUNDS}: {error}")),
    }
}
