//! Long lists, and finished lists again.

use std::cell::OnceCell;
use std::process::Command;
use std::rc::Rc;

use tempfile::TempDir;

use super::{Drawing, Goal, Setting, Suite, fetches, plain};
use crate::contender::{Contender, Program, Shape};
use crate::content::Content;
use crate::floor;
use crate::harness::{Bench, Case, Figure, Place, Role, Row};
use crate::server::SAME;
use crate::source::Source;

const AT_ONCE: u32 = 32;
const COUNTS: [u64; 3] = [10_000, 100_000, 1_000_000];
const COUNTS_QUICK: [u64; 3] = [100, 200, 400];
/// Peers that hold the whole list in memory, or take minutes, fetch no more than this many.
const COUNT_PEERS_MAX: u64 = 100_000;
const MEMORY_MAX_MIB: f64 = 64.0;

pub(super) const SUITE: Suite = Suite {
    name: "scale",
    title: "Lists of 10,000 to 1,000,000 tiny files, to memory",
    text: "All files are 24 bytes. *Again* is the same command once more: all files are there, and the server is not \
           asked. The bare loop calls `stat` for each. Peers get lists of up to 100,000.",
    cases,
    goals,
    rounds_max: 3,
    drawing: Drawing::Curves(Figure::Wall),
};

fn cases(setting: &Setting) -> Vec<Case> {
    let counts = setting.extent.pick(COUNTS, COUNTS_QUICK);
    counts.into_iter().flat_map(|count| cases_of(setting, count)).collect()
}

fn cases_of(setting: &Setting, count: u64) -> Vec<Case> {
    let source = Source {
        base: setting.nginx.base(),
        folder: SAME.to_owned(),
        count,
        content: Content::One(setting.nginx.files().join("same.bin")),
        ca_file: None,
    };
    let mut contenders = plain(&[Program::Towline]);
    if count <= COUNT_PEERS_MAX {
        contenders.extend(plain(&[Program::Curl, Program::Wget2, Program::Aria2]));
    }
    let mut cases = fetches(setting, &first(count), &source, Shape::Many(AT_ONCE), Place::Memory, &contenders);
    let finished: Rc<OnceCell<Finished>> = Rc::default();
    let towline = Rc::clone(&finished);
    let served = source.clone();
    cases.push(Case::new(again(count), "towline", Role::Ours, move |bench| {
        let finished = Finished::of(&towline, bench, &served)?;
        bench.run(&finished.command(bench, &served)?)
    }));
    cases.push(Case::new(again(count), "bare loop", Role::Floor, move |bench| {
        let finished = Finished::of(&finished, bench, &source)?;
        let mut command = Command::new(&bench.programs.bench);
        command.args([floor::FLOOR, floor::LOOK, &source.count.to_string()]).arg(finished.out.path());
        bench.run(&command)
    }));
    cases
}

/// A list that is finished.
struct Finished {
    out: TempDir,
    scratch: TempDir,
}

impl Finished {
    /// Fetches it, the first time.
    fn of<'a>(cell: &'a OnceCell<Self>, bench: &Bench, source: &Source) -> Result<&'a Self, String> {
        if let Some(finished) = cell.get() {
            return Ok(finished);
        }
        let finished = Self { out: bench.directory(Place::Memory), scratch: bench.directory(Place::Memory) };
        bench.run(&finished.command(bench, source)?)?;
        source.check(finished.out.path())?;
        Ok(cell.get_or_init(|| finished))
    }

    fn command(&self, bench: &Bench, source: &Source) -> Result<Command, String> {
        Contender::plain(Program::Towline)
            .command(&bench.programs, source, Shape::Many(AT_ONCE), self.out.path(), self.scratch.path())
            .ok_or_else(|| "towline is not there".to_owned())
    }
}

fn first(count: u64) -> String {
    format!("{} files", grouped(count))
}

fn again(count: u64) -> String {
    format!("{} files, again", grouped(count))
}

/// `1,000,000`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for count in COUNTS {
        goals.push(Goal::at_most(rows, &first(count), Figure::Memory, MEMORY_MAX_MIB));
    }
    for pair in COUNTS.windows(2) {
        goals.push(marginal(rows, pair[0], pair[1]));
    }
    for count in COUNTS {
        goals.push(second_run(rows, count));
    }
    goals
}

/// The time for each further file, divided by the time for each of the first 10,000.
fn marginal(rows: &[Row], less: u64, more: u64) -> Goal {
    let seconds = |count| super::goal::ours(rows, &first(count), Figure::Wall);
    let value = || {
        let further = (seconds(more)? - seconds(less)?) / (more - less) as f64;
        Some(further / (seconds(COUNTS[0])? / COUNTS[0] as f64))
    };
    let text = format!(
        "{} → {}: time for a further file, divided by that for one of the first 10,000",
        grouped(less),
        grouped(more)
    );
    Goal { text, value: value(), max: 1.2 }
}

/// The second run, beside four times the bare loop and half a second.
fn second_run(rows: &[Row], count: u64) -> Goal {
    let setting = again(count);
    let ours = super::goal::ours(rows, &setting, Figure::Wall);
    let floor = rows.iter().find(|row| row.setting == setting && row.role == Role::Floor);
    let limit = floor.and_then(|floor| floor.median(Figure::Wall)).map(|floor| 4.0 * floor + 0.5);
    let value = ours.zip(limit).map(|(ours, limit)| ours / limit);
    Goal { text: format!("{setting}: wall time, divided by 4 × the bare loop and 0.5 s"), value, max: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_grouped_in_threes() {
        for (number, text) in [(1, "1"), (999, "999"), (1000, "1,000"), (1_000_000, "1,000,000")] {
            assert_eq!(grouped(number), text);
        }
    }
}
