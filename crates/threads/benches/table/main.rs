//! What the threading toolkit costs, beside its peers.
//!
//! ```text
//! cargo bench -p towline-threads                        every group
//! cargo bench -p towline-threads -- queue               one group
//! cargo bench -p towline-threads -- --quick             small sizes, two rounds
//! cargo bench -p towline-threads -- --write             also docs/benchmarks-threads.{md,svg}
//! ```
//!
//! `TOWLINE_BENCH_ROUNDS` says how often each contender runs (5 unless it is set).
//!
//! Each measurement runs in a process of its own: this program starts itself again with the name
//! of the group and the number of the case. So no contender meets another's threads or heap, a
//! process can be bound to one processor, and one that hangs is ended and reported.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to a terminal")]

mod allocations;
mod case;
mod chart;
mod cpython;
mod fork_join;
mod goal;
mod group;
mod idle;
mod latency;
mod locks;
mod meter;
mod options;
mod pools;
mod queues;
mod report;
mod runner;
mod submit;
mod system;
mod table;

use std::process::ExitCode;

use crate::allocations::Counting;
use crate::group::GROUPS;
use crate::options::{HELP, Wanted};
use crate::report::{Facts, Measured};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == runner::CHILD
    {
        return runner::child(rest);
    }
    let options = match options::parse(&arguments) {
        Ok(Wanted::Run(options)) => options,
        Ok(Wanted::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Wanted::List) => {
            // In the words of the standard harness, for tools that ask every target for its list.
            for group in GROUPS {
                println!("{}: benchmark", group.name);
            }
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };

    let mut measured = Vec::new();
    for &group in &options.groups {
        let rows = match runner::run(group, &options) {
            Ok(rows) => rows,
            Err(error) => {
                eprintln!("{}: {error}", group.name);
                return ExitCode::FAILURE;
            }
        };
        let goals = (group.goals)(&rows);
        let one = Measured { group, rows, goals };
        println!("{}", report::text(&one));
        measured.push(one);
    }
    if options.write {
        let facts = Facts::here(&options);
        if let Err(error) = report::write(&facts, &measured) {
            eprintln!("the documents were not written: {error}");
            return ExitCode::FAILURE;
        }
    }
    if measured.iter().any(Measured::ours_failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
