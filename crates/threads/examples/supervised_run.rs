//! Workers that save their progress and survive Ctrl-C.
//!
//! ```text
//! cargo run -p towline-threads --example supervised_run -- --workers 4 --items 2000 --out progress.json
//! ```
//!
//! Press Ctrl-C, look at the file, and run the same command again: it goes on where it stopped.
//! Press Ctrl-C twice and the process ends at once, whatever its workers do (`--stubborn` makes
//! one that refuses to stop; `--grace SECONDS` says how long it is waited for).

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use towline_threads::supervisor::signals::Signals;
use towline_threads::supervisor::{Crew, Interrupt, Outcome, Supervised, Supervisor};
use towline_threads::{CancelToken, Queue};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    // Early, so that no signal is lost from here on.
    let signals = Signals::install()?;
    let options = Options::from_args(std::env::args().skip(1))?;
    let mut work = Work::load(&options)?;
    say(&format!("{} of {} items are done", work.done.len(), options.items));

    let outcome = Supervisor::new(options.workers)
        .run_sleep(Duration::from_millis(50))
        .grace(options.grace)
        .interrupts(signals)
        .run(&mut work)?;

    if let Some(error) = work.save_error {
        return Err(error.into());
    }
    say(&format!("saved {} items", work.done.len()));
    match outcome {
        Outcome::Interrupted(interrupt) => {
            say("Interrupted");
            interrupt.raise_default()
        }
        _ => {
            say("Finished");
            Ok(())
        }
    }
}

struct Options {
    workers: usize,
    items: u64,
    out: PathBuf,
    grace: Duration,
    stubborn: bool,
}

struct Work {
    out: PathBuf,
    items: u64,
    stubborn: bool,
    done: BTreeSet<u64>,
    jobs: Queue<u64>,
    results: Queue<u64>,
    save_error: Option<io::Error>,
}

impl Supervised for Work {
    fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
        for number in 0..crew.threads_number() {
            let (jobs, results) = (self.jobs.clone(), self.results.clone());
            let token = crew.cancel_token().clone();
            crew.spawn(format!("worker-{number}"), move || {
                work(&token, &jobs, &results);
            })?;
        }
        if self.stubborn {
            crew.spawn("stubborn", || {
                loop {
                    std::thread::sleep(Duration::from_secs(1));
                }
            })?;
        }
        say("working");
        Ok(())
    }

    fn run_step(&mut self) {
        while let Ok(item) = self.results.try_get() {
            self.done.insert(item);
        }
        self.save_error = save(&self.out, self.items, &self.done).err();
    }

    fn run_interrupt(&mut self, interrupt: Interrupt) {
        say(&format!("interrupted by {interrupt}: the items in hand are finished first"));
    }
}

impl Work {
    fn load(options: &Options) -> Result<Self, Failure> {
        let done = match fs::read_to_string(&options.out) {
            Ok(text) => done_items(&serde_json::from_str(&text)?)
                .ok_or("the progress file has no list of items that are done")?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error.into()),
        };
        let jobs = Queue::new();
        for item in (0..options.items).filter(|item| !done.contains(item)) {
            jobs.put(item)?;
        }
        jobs.shutdown();
        Ok(Self {
            out: options.out.clone(),
            items: options.items,
            stubborn: options.stubborn,
            done,
            jobs,
            results: Queue::new(),
            save_error: None,
        })
    }
}

impl Options {
    fn from_args(mut args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self {
            workers: 4,
            items: 1000,
            out: PathBuf::from("progress.json"),
            grace: Duration::from_secs(2),
            stubborn: false,
        };
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or(format!("{flag} needs a value"));
            match flag.as_str() {
                "--workers" => options.workers = value()?.parse()?,
                "--items" => options.items = value()?.parse()?,
                "--out" => options.out = value()?.into(),
                "--grace" => options.grace = Duration::from_secs(value()?.parse()?),
                "--stubborn" => options.stubborn = true,
                _ => return Err(format!("unknown option {flag}").into()),
            }
        }
        Ok(options)
    }
}

/// Works on items, each in a few small units, until there are none or the token says stop.
fn work(token: &CancelToken, jobs: &Queue<u64>, results: &Queue<u64>) {
    while !token.is_cancelled()
        && let Ok(item) = jobs.get()
    {
        for _unit in 0..4 {
            std::thread::sleep(Duration::from_millis(2));
        }
        if results.put(item).is_err() {
            return;
        }
    }
}

fn done_items(progress: &Value) -> Option<BTreeSet<u64>> {
    progress.get("done")?.as_array()?.iter().map(Value::as_u64).collect()
}

/// Replaces the file in one step: whoever reads it sees the old progress or the new.
fn save(out: &Path, items: u64, done: &BTreeSet<u64>) -> io::Result<()> {
    let draft = out.with_extension("tmp");
    let mut file = fs::File::create(&draft)?;
    writeln!(file, "{}", json!({ "items": items, "done": done }))?;
    file.sync_all()?;
    fs::rename(&draft, out)
}

fn say(line: &str) {
    // A reader that has gone away does not stop the work.
    let _ = writeln!(io::stdout(), "{line}");
}
