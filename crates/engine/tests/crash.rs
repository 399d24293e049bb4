//! Crash enumeration: the power fails after each operation of a download, and only some of the unsynced data
//! survives. No journal claims missing data, no final name has wrong bytes, files reported as fetched exist,
//! and the next run completes the file.
//!
//! `TOWLINE_CRASH_SEEDS=n` tries n outcomes of each crash. A failure prints the line that replays it:
//! `TOWLINE_CRASH=NAME:CALL:SEED`.

#[expect(dead_code, reason = "the torture test uses the rest")]
mod support;

use std::fs;
use std::time::Instant;

use fastrand::Rng;
use towline_testkit::{number, say};

use crate::support::storage::TestStorage;
use crate::support::{Expected, NESTED, REPLACED, SEGMENTED, SINGLE, STORED, STORED_NAMED, Scenario, Urls};
use crate::support::{batch, each};

/// How many outcomes of each crash to check.
const SEEDS: u64 = 8;
/// One in this many is resumed as well.
const RESUMED_OF: u64 = 8;
/// Threads interleave differently each time, so a replay records the download up to this many times.
const REPLAYS: u64 = 20;
/// At how many points a batch is stopped.
const STOPS: usize = 24;
const STOPS_SEED: u64 = 9;

#[test]
fn a_stored_file_survives_a_crash_at_each_call() {
    crash_at_each_call(&STORED);
}

#[test]
fn a_stored_file_survives_a_crash_at_each_call_where_every_file_has_a_name() {
    crash_at_each_call(&STORED_NAMED);
}

#[test]
fn a_file_over_one_connection_survives_a_crash_at_each_call() {
    crash_at_each_call(&SINGLE);
}

#[test]
fn a_file_in_pieces_survives_a_crash_at_each_call() {
    crash_at_each_call(&SEGMENTED);
}

#[test]
fn a_file_that_replaces_another_survives_a_crash_at_each_call() {
    crash_at_each_call(&REPLACED);
}

#[test]
fn a_file_in_a_new_directory_survives_a_crash_at_each_call() {
    crash_at_each_call(&NESTED);
}

/// The whole program stops here, not just the disk: what its ledger records must be on disk by then, and a
/// trusted ledger must not hide missing files.
#[test]
fn a_batch_survives_a_crash_and_its_ledger_is_never_ahead() {
    let began = Instant::now();
    let (_origin, list) = batch::serve();
    let cases = match Replay::asked("batch") {
        Asked::Another => return,
        Asked::This(case) => vec![case; REPLAYS as usize],
        Asked::Nothing => stops(&list),
    };
    let check = |case: &Case| stop_batch(&list, *case).map_err(|what| replay("batch", *case, &what));
    let stopped = each(&cases, check);
    assert!(stopped > 0);
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("crash batch: {stopped} runs stopped and resumed, {seconds:.1} s"));
}

/// After which operation the power fails, and what survives.
#[derive(Clone, Copy)]
struct Case {
    call: u64,
    seed: u64,
}

/// The request in `TOWLINE_CRASH`.
struct Replay;

enum Asked {
    Nothing,
    This(Case),
    /// For another test.
    Another,
}

impl Replay {
    fn asked(name: &str) -> Asked {
        let Ok(text) = std::env::var("TOWLINE_CRASH") else { return Asked::Nothing };
        let parts: Vec<&str> = text.split(':').collect();
        let [asked, call, seed] = parts[..] else { panic!("TOWLINE_CRASH is NAME:CALL:SEED, not {text}") };
        match (call.parse(), seed.parse()) {
            (Ok(call), Ok(seed)) if asked == name => Asked::This(Case { call, seed }),
            (Ok(_), Ok(_)) => Asked::Another,
            _ => panic!("TOWLINE_CRASH is NAME:CALL:SEED, not {text}"),
        }
    }
}

fn replay(name: &str, case: Case, what: &str) -> String {
    let Case { call, seed } = case;
    format!("{what}\nreplay: TOWLINE_CRASH={name}:{call}:{seed} cargo test -p towline-engine --test crash")
}

/// For a new download, and for one resumed after a crash.
fn crash_at_each_call(scenario: &Scenario) {
    let (_origin, urls) = scenario.serve();
    crash_from(scenario.name, scenario, &urls, || Ok(scenario.storage()));
    crash_from(&format!("{}-again", scenario.name), scenario, &urls, || {
        let first = Recorded::new(scenario, &urls, scenario.storage())?;
        Ok(first.storage.crashed_after(first.calls / 2, 5))
    });
}

fn crash_from(name: &str, scenario: &Scenario, urls: &Urls, start: impl Fn() -> Result<TestStorage, String>) {
    let began = Instant::now();
    let (asked, recordings) = match Replay::asked(name) {
        Asked::Another => return,
        Asked::This(case) => (Some(case), REPLAYS),
        Asked::Nothing => (None, 1),
    };
    for _ in 0..recordings {
        let recorded = start().and_then(|storage| Recorded::new(scenario, urls, storage)).unwrap();
        let cases = asked.map_or_else(|| recorded.cases(), |case| vec![case]);
        let check = |case: &Case| {
            let is_resumed = asked.is_some() || (case.call + case.seed).is_multiple_of(RESUMED_OF);
            recorded.check(scenario, urls, *case, is_resumed).map_err(|what| replay(name, *case, &what))
        };
        let resumed = each(&cases, check);
        let (calls, crashes, seconds) = (recorded.calls, cases.len(), began.elapsed().as_secs_f64());
        say(&format!("crash {name}: {calls} calls, {crashes} crashes, {resumed} resumed, {seconds:.1} s"));
    }
}

/// A download with the recorded state of the disk after each operation.
struct Recorded {
    storage: TestStorage,
    expected: Expected,
    calls: u64,
    /// How many operations had run when it was reported as fetched.
    fetched_after: u64,
}

impl Recorded {
    fn new(scenario: &Scenario, urls: &Urls, storage: TestStorage) -> Result<Self, String> {
        let expected = scenario.expected();
        expected.watch(&storage);
        storage.record();
        let run = scenario.run(&storage, &urls.slow)?;
        if run.summary.done_files != 1 {
            return Err(format!("the download failed: {:?}", run.summary.failures));
        }
        if let Some(complaint) = storage.violation() {
            return Err(complaint);
        }
        let calls = storage.calls();
        Ok(Self { storage, expected, calls, fetched_after: run.fetched_after.unwrap_or(calls) })
    }

    fn cases(&self) -> Vec<Case> {
        let seeds = number("TOWLINE_CRASH_SEEDS").unwrap_or(SEEDS);
        (0..=self.calls).flat_map(|call| (0..seeds).map(move |seed| Case { call, seed })).collect()
    }

    /// Checks what one crash leaves, and resumes from there if asked; 1 if it did.
    fn check(&self, scenario: &Scenario, urls: &Urls, case: Case, is_resumed: bool) -> Result<u64, String> {
        if case.call > self.calls {
            return Ok(0);
        }
        let storage = self.storage.crashed_after(case.call, case.seed);
        if let Some(complaint) = storage.look(|disk| self.expected.wrong(disk)) {
            return Err(format!("after the crash, {complaint}"));
        }
        let there = storage.look(|disk| self.expected.durable_files(disk));
        if case.call >= self.fetched_after && there == 0 {
            return Err("it was said to be fetched, and is gone after the crash".to_owned());
        }
        if !is_resumed {
            return Ok(0);
        }
        self.expected.watch(&storage);
        let run = scenario.run(&storage, &urls.fast)?;
        let complaint = storage.violation().or_else(|| storage.look(|disk| self.expected.incomplete(disk)));
        if let Some(complaint) = complaint {
            return Err(format!("after the next run, {complaint}"));
        }
        if run.summary.done_files != 1 {
            return Err(format!("the next run did not bring it: {:?}", run.summary.failures));
        }
        Ok(1)
    }
}

/// Points to stop a batch at: a sample, or each of them several times.
fn stops(list: &str) -> Vec<Case> {
    let place = batch::Place::new(list);
    let storage = place.storage();
    let run = place.run(Some(&storage)).unwrap();
    assert_eq!(run.summary.done_files, batch::FILES, "{:?}", run.summary.failures);
    let seeds = number("TOWLINE_CRASH_SEEDS");
    let all = (1..=storage.calls()).flat_map(|call| (0..seeds.unwrap_or(SEEDS)).map(move |seed| Case { call, seed }));
    let mut cases: Vec<Case> = all.collect();
    if seeds.is_none() {
        Rng::with_seed(STOPS_SEED).shuffle(&mut cases);
        cases.truncate(STOPS);
    }
    cases
}

/// Stops a batch and runs it again on this machine's file system with what survived; 1 if it had not ended by
/// then.
fn stop_batch(list: &str, case: Case) -> Result<u64, String> {
    let place = batch::Place::new(list);
    let (storage, expected) = (place.storage(), place.expected());
    storage.stop_at(Some(case.call));
    place.run(Some(&storage))?;
    if !storage.is_stopped() {
        return Ok(0);
    }
    let (done, durable) = (place.done_in_ledger(), storage.look(|disk| expected.durable_files(disk)));
    if done > durable {
        return Err(format!("the ledger has {done} files, the disk {durable}"));
    }
    let survivor = storage.crashed(case.seed);
    if let Some(complaint) = survivor.look(|disk| expected.wrong(disk)) {
        return Err(format!("after the crash, {complaint}"));
    }
    survivor.write_out().map_err(|error| error.to_string())?;
    let run = place.run(None)?;
    if run.summary.done_files != batch::FILES {
        return Err(format!("the next run did not bring all: {:?}", run.summary.failures));
    }
    for file in expected.files() {
        let found = fs::read(&file.path).map_err(|error| format!("{}: {error}", file.path.display()))?;
        if found != file.content {
            return Err(format!("{} has wrong bytes", file.path.display()));
        }
    }
    Ok(1)
}
