//! Figures and goals as a terminal and as a document show them.

use std::env::consts;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::case::{Row, Trouble};
use crate::chart;
use crate::goal::Goal;
use crate::group::{Group, Scale};
use crate::meter::Figure;
use crate::options::Options;
use crate::system;
use crate::table::{self, Table};

/// A group and what came of it.
pub(crate) struct Measured {
    pub(crate) group: &'static Group,
    pub(crate) rows: Vec<Row>,
    pub(crate) goals: Vec<Goal>,
}

/// Where and when it was measured, without what would name the machine.
pub(crate) struct Facts {
    scale: Scale,
    rounds: usize,
    date: String,
    cpu: String,
    cpus: usize,
    kernel: String,
    rustc: String,
    python: String,
    peers: String,
}

/// The crates that this one is measured against, by their names in `Cargo.lock`.
const PEERS: [&str; 10] = [
    "chili",
    "crossbeam-channel",
    "flume",
    "kanal",
    "oneshot",
    "parking_lot",
    "rayon",
    "rusty_pool",
    "threadpool",
    "tokio",
];

const NOTHING: &str = "–";

/// One group for the terminal.
pub(crate) fn text(measured: &Measured) -> String {
    let group = measured.group;
    format!(
        "\n{}: {}\n\n{}\n{}",
        group.name,
        group.title,
        figures_table(measured, str::to_owned).text(),
        goals_table(&measured.goals).text(),
    )
}

/// Writes the document and its picture.
pub(crate) fn write(facts: &Facts, measured: &[Measured]) -> io::Result<()> {
    let docs = root().join("docs");
    fs::write(docs.join("benchmarks-threads.md"), document(facts, measured))?;
    fs::write(docs.join("benchmarks-threads.svg"), chart::svg(measured))?;
    eprintln!("written: docs/benchmarks-threads.md and docs/benchmarks-threads.svg");
    Ok(())
}

impl Measured {
    /// Whether one of our own rows has no figures although it should.
    pub(crate) fn ours_failed(&self) -> bool {
        self.rows.iter().any(|row| row.ours && matches!(row.trouble, Some(Trouble::Failed(_))))
    }
}

impl Facts {
    pub(crate) fn here(options: &Options) -> Self {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        Self {
            scale: options.scale,
            rounds: options.rounds,
            date: date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
            cpu: system::cpu_model().unwrap_or_else(|| format!("{} processor", consts::ARCH)),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            kernel: system::kernel().unwrap_or_else(|| consts::OS.to_owned()),
            rustc: first_line(Command::new(rustc).arg("--version")).unwrap_or_else(|| "rustc".to_owned()),
            python: first_line(Command::new("python3").arg("--version")).unwrap_or_else(|| "no Python".to_owned()),
            peers: peers(&fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default()),
        }
    }
}

fn document(facts: &Facts, measured: &[Measured]) -> String {
    let Facts { rounds, date, cpu, cpus, kernel, rustc, python, peers, .. } = facts;
    let quick = match facts.scale {
        Scale::Full => "",
        Scale::Quick => "**A quick run, with a twentieth of the work: it shows that all of it runs, no more.**\n\n",
    };
    let mut text = format!(
        "# Speed of the threading toolkit

{quick}`cargo bench -p towline-threads -- --write` wrote this page; \
that run computed every figure and every verdict on a
goal. A ratio within one run says more than an absolute figure: machines differ and are noisy.

| | |
|---|---|
| date | {date} |
| processor | {cpu}; {cpus} for this process |
| system | {kernel} |
| compiler | {rustc}, profile `bench` |
| Python | {python} |
| peers | {peers} |

![Bars: a task submitted and collected, one task at a time, queues](benchmarks-threads.svg)

## How it was measured

Each measurement runs in its own process, so no contender meets another's threads or heap. Pools start their threads and
do a tenth of the work before the clock starts. There are {rounds} rounds; \
each runs every contender once and begins with a
different one, so that a slow minute of the machine affects all of them alike. Figures are medians over the rounds, with
minimum and maximum; less is always better. Every contender collects and checks every result. \
Tokio's tasks are awaited in
one `block_on`, because the cost of entering its runtime for each task would not be its pool's fault.

*Waits* and *preempted* are voluntary and involuntary context switches, as the system counts them.
"
    );
    for one in measured {
        let group = one.group;
        text.push_str(&format!(
            "\n## {} (`{}`)\n\n{}\n\n{}\n{}",
            group.title,
            group.name,
            group.about,
            figures_table(one, |name| format!("**{name}**")).markdown(),
            goals_table(&one.goals).markdown(),
        ));
    }
    text.push_str(
        "
## How to repeat it

`cargo bench -p towline-threads` takes some minutes; `-- --quick` shows that everything works; \
`-- queue` runs one group.
`TOWLINE_BENCH_ROUNDS` sets the number of rounds.
",
    );
    text
}

/// The rows of a group; `mark` makes our own stand out.
fn figures_table(measured: &Measured, mark: impl Fn(&str) -> String) -> Table {
    let group = measured.group;
    let unit = group.unit;
    let mut head = vec!["contender".to_owned(), "setting".to_owned(), format!("median, {}", unit.label)];
    head.extend(["min".to_owned(), "max".to_owned()]);
    head.extend(group.columns.iter().map(|column| column.heading().to_owned()));
    let mut table = Table::new(head, 2);
    for row in &measured.rows {
        let contender = if row.ours { mark(row.contender) } else { row.contender.to_owned() };
        let setting = match &row.trouble {
            Some(trouble) => format!("{} ({trouble})", row.setting),
            None => row.setting.clone(),
        };
        let show = |value: Option<f64>, size: f64| {
            value.map_or_else(|| NOTHING.to_owned(), |value| table::figure(value / size))
        };
        let mut cells = vec![contender, setting];
        for value in [row.median(Figure::Main), row.min(Figure::Main), row.max(Figure::Main)] {
            cells.push(show(value, unit.size));
        }
        for &column in group.columns {
            let size = if column == Figure::P99 { unit.size } else { 1.0 };
            cells.push(show(row.median(column), size));
        }
        table.push(cells);
    }
    table
}

fn goals_table(goals: &[Goal]) -> Table {
    let mut table = Table::new(vec!["goal".to_owned(), "seen".to_owned(), "verdict".to_owned()], 3);
    for goal in goals {
        table.push(vec![goal.text.clone(), goal.seen.clone(), goal.verdict.words().to_owned()]);
    }
    table
}

/// The top of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join("..")
}

/// The first line that a program prints; `None` if it cannot be run.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

/// Names and versions of the peers, from the text of a `Cargo.lock`.
fn peers(lock: &str) -> String {
    let mut found = Vec::new();
    let mut lines = lock.lines();
    while let Some(line) = lines.next() {
        let name = PEERS.into_iter().find(|name| quoted(line, "name = ") == Some(*name));
        if let Some(name) = name
            && let Some(version) = lines.next().and_then(|line| quoted(line, "version = "))
        {
            found.push(format!("{name} {version}"));
        }
    }
    if found.is_empty() { NOTHING.to_owned() } else { found.join(", ") }
}

/// What is in quotes after `key`.
fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

/// The day in UTC, so many seconds after the beginning of 1970.
fn date(seconds: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut days = seconds / 86_400;
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}
