//! The tables and the goals, as a terminal and as `docs/benchmarks.md` show them.

use std::fs;
use std::io;
use std::path::Path;

use crate::chart;
use crate::harness::{Figure, Row, Spread};
use crate::machine::Machine;
use crate::suite::{Drawing, Goal, Suite};

const NOTHING: &str = "–";

/// A suite and what came of it.
pub struct Measured {
    /// The suite.
    pub suite: Suite,
    /// Its rows, in the order of its cases.
    pub rows: Vec<Row>,
    /// Rounds that were run.
    pub rounds: usize,
}

/// The tables of a suite, in Markdown.
#[must_use]
pub fn section(measured: &Measured) -> String {
    let Measured { suite, rows, rounds } = measured;
    let mut text = format!("## {} (`{}`)\n\n{} {rounds} rounds.\n\n", suite.title, suite.name, suite.text);
    if suite.drawing != Drawing::None {
        text.push_str(&format!("![{}](benchmarks/{}.svg)\n\n", suite.title, suite.name));
    }
    text.push_str(
        "| setting | program | wall, s | CPU, s | memory, MiB | context switches |\n|---|---|--:|--:|--:|--:|\n",
    );
    for row in rows {
        text.push_str(&line(row));
    }
    let goals = (suite.goals)(rows);
    if !goals.is_empty() {
        text.push_str("\n| goal | measured | at most | |\n|---|--:|--:|---|\n");
        for goal in goals {
            text.push_str(&goal_line(&goal));
        }
    }
    text.push('\n');
    text
}

fn line(row: &Row) -> String {
    let program = &row.contender;
    match &row.runs {
        Err(error) => format!("| {} | {program} | failed: {} | | | |\n", row.setting, one_line(error)),
        Ok(_) => format!(
            "| {} | {program} | {} | {} | {} | {} |\n",
            row.setting,
            spread(row, Figure::Wall),
            spread(row, Figure::Cpu),
            row.median(Figure::Memory).map_or(NOTHING.to_owned(), |mib| format!("{mib:.0}")),
            row.median(Figure::Switches).map_or(NOTHING.to_owned(), |count| format!("{count:.0}")),
        ),
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '|'], " ")
}

fn spread(row: &Row, figure: Figure) -> String {
    let Some(Spread { min, median, max }) = row.spread(figure) else { return NOTHING.to_owned() };
    format!("{} · **{}** · {}", seconds(min), seconds(median), seconds(max))
}

/// With about three digits.
fn seconds(value: f64) -> String {
    if value < 0.1 {
        format!("{value:.3}")
    } else if value < 100.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

fn goal_line(goal: &Goal) -> String {
    let value = goal.value.map_or(NOTHING.to_owned(), |value| format!("{value:.2}"));
    let verdict = match goal.is_met() {
        Some(true) => "reached",
        Some(false) => "**not reached**",
        None => "not measured",
    };
    format!("| {} | {value} | {:.2} | {verdict} |\n", goal.text, goal.max)
}

/// The whole page.
#[must_use]
pub fn document(machine: &Machine, measured: &[Measured]) -> String {
    let Machine { date, processor, system, programs } = machine;
    let mut text = format!(
        "# Benchmarks

`cargo run --release -p towline-bench -- --write` wrote this page; that run measured every figure and every verdict on \
a goal. A ratio within one run says more than an absolute figure: machines differ and are noisy.

| | |
|---|---|
| date | {date} |
| processor | {processor} |
| system | {system} |
| programs | {programs} |

Server and client share the processor. Each run is a process of its own in an empty directory, and runs are interleaved: \
each round runs every program once and begins with another one, after a round to warm up. Figures are least · **median** \
· most. CPU is user and system time; memory is the high-water mark. A program counts only if each of its runs exited \
with 0 and every file was compared byte for byte. Peers that are not listed were not installed, or cannot do such work.

What limits the goals that were not reached stands in [Speed](performance.md).

"
    );
    for one in measured {
        text.push_str(&section(one));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// Writes `benchmarks.md` and its pictures to `docs`.
///
/// # Errors
/// Of writing them.
pub fn write(docs: &Path, machine: &Machine, measured: &[Measured]) -> io::Result<()> {
    fs::write(docs.join("benchmarks.md"), document(machine, measured))?;
    fs::create_dir_all(docs.join("benchmarks"))?;
    for one in measured {
        let picture = match one.suite.drawing {
            Drawing::Bars(figure) => chart::bars(one.suite.title, &one.rows, figure),
            Drawing::Curves(figure) => chart::curves(one.suite.title, &one.rows, figure),
            Drawing::None => continue,
        };
        fs::write(docs.join("benchmarks").join(one.suite.name).with_extension("svg"), picture)?;
    }
    Ok(())
}
