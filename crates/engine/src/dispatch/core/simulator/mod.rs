//! A simulator: the core, the opener and the committer against servers, a clock and a disk that are all
//! derived from one seed. Servers break off, stall, refuse, move and change their files; a user pauses,
//! resumes, cancels and changes limits; the disk or the power fails, and another life of the program
//! resumes what is left. The last life is calm and must fetch everything.
//!
//! `TOWLINE_SIM_SEED=n` replays one seed, `TOWLINE_SIM_SEEDS=n` tries `n` of them.

mod checks;
mod network;
mod script;
#[expect(dead_code, reason = "the tests of whole sessions use the rest")]
#[path = "../../../../tests/support/storage/mod.rs"]
mod storage;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use towline_testkit::{number, say};

use self::script::{Accident, DIR, Script};
use self::storage::{Fault, FaultError, TestStorage};
use self::world::{Lived, World};
use crate::message::Time;

/// This many seeds are tried, unless that takes too long.
const SEEDS: u64 = 2000;
const SEEDS_MIN: u64 = 50;
const WITHIN: Duration = Duration::from_secs(7);

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    worlds: u64,
    lives: u64,
    crashes: u64,
    failed_calls: u64,
    requests: u64,
    steps: u64,
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.lives += other.lives;
        self.crashes += other.crashes;
        self.failed_calls += other.failed_calls;
        self.requests += other.requests;
        self.steps += other.steps;
    }
}

#[test]
fn every_simulated_world_keeps_the_promises() {
    let began = Instant::now();
    let (one, asked) = (number("TOWLINE_SIM_SEED"), number("TOWLINE_SIM_SEEDS"));
    let first = one.unwrap_or(0);
    let end = first + if one.is_some() { 1 } else { asked.unwrap_or(SEEDS) };
    let is_asked = one.is_some() || asked.is_some();
    let next = AtomicU64::new(first);
    let figures = Mutex::new(Figures::default());
    let work = || {
        while is_asked || began.elapsed() < WITHIN {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
                Ok(world) => figures.lock().add(world),
                Err(panic) => {
                    next.store(end, Ordering::Relaxed);
                    say(&format!("replay: TOWLINE_SIM_SEED={seed} cargo test -p towline-engine --lib simulated"));
                    resume_unwind(panic);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let figures = figures.into_inner();
    assert!(is_asked || figures.worlds >= SEEDS_MIN, "only {} seeds in {WITHIN:?}", figures.worlds);
    let Figures { worlds, lives, crashes, failed_calls, requests, steps } = figures;
    let seconds = began.elapsed().as_secs_f64();
    say(&format!(
        "simulator: {worlds} seeds, {lives} lives, {crashes} crashes, {failed_calls} failing calls, \
         {requests} requests, {steps} steps, {seconds:.1} s"
    ));
}

/// Runs all lives of one world.
fn simulate(seed: u64) -> Figures {
    let script = Script::new(seed);
    let mut storage = TestStorage::new(Path::new(DIR));
    let mut figures = Figures { worlds: 1, ..Figures::default() };
    let mut epoch = Time::ZERO;
    let mut is_troubled = false;
    for life in 0..=script.accidents.len() {
        let accident = script.accidents.get(life);
        let is_last = accident.is_none();
        if is_last {
            epoch = epoch.max(script.calm_from);
        }
        for stranger in script.stranger.iter().filter(|stranger| stranger.before_life == life) {
            storage.plant(&stranger.path, &stranger.content);
        }
        for (_, unwritten) in script.copied.iter().filter(|(before, _)| *before == life) {
            storage.replace_by_copies(".towline", unwritten);
        }
        arm(&storage, accident.copied().unwrap_or_default());
        let lived = World::new(&script, storage.clone(), seed, life, epoch).live();
        epoch += lived.lasted;
        let failed_calls = storage.failed_calls();
        is_troubled |= failed_calls > 0 || lived.is_crashed || lived.is_interrupted;
        is_troubled |= lived.cancelled > 0 || !lived.failures.is_empty();
        figures.add(of_life(&lived));
        storage.look(|disk| checks::all(&script, disk));
        storage.look(|disk| checks::strangers(&script, disk, life));
        // What would be found if the power failed now.
        for outcome in [0, seed.wrapping_add(2)] {
            storage.crashed(outcome).look(|disk| checks::all(&script, disk));
        }
        if lived.is_crashed {
            figures.failed_calls += failed_calls;
            let outcome = [0, 1, seed.wrapping_add(3), seed.wrapping_add(4)][(seed as usize + life) % 4];
            storage = storage.crashed(outcome);
            storage.look(|disk| checks::all(&script, disk));
        }
        if is_last {
            check_last(&script, &lived, &storage, is_troubled);
        }
    }
    figures.failed_calls += storage.failed_calls();
    figures
}

fn of_life(lived: &Lived) -> Figures {
    let crashes = u64::from(lived.is_crashed);
    Figures { lives: 1, crashes, requests: lived.requests, steps: lived.steps, ..Figures::default() }
}

/// Sets the faults of the storage for the coming life.
fn arm(storage: &TestStorage, accident: Accident) {
    let (calls, writes) = (storage.calls(), storage.writes());
    storage.set_fault(accident.fault.map(|fault| {
        let before = if fault.error == FaultError::Short { writes } else { calls };
        Fault { at: before + fault.at, ..fault }
    }));
    storage.stop_at(accident.stop_at.map(|at| calls + at));
}

/// Checks that the calm last life fetched everything that can be fetched.
fn check_last(script: &Script, lived: &Lived, storage: &TestStorage, is_troubled: bool) {
    assert!(!lived.is_crashed && !lived.is_interrupted && lived.cancelled == 0);
    for (file, kind) in &lived.failures {
        assert!(script.may_fail(*file), "file {file} failed although nothing was wrong: {kind:?}");
    }
    for (number, file) in script.files.iter().enumerate().filter(|(number, _)| !script.may_fail(*number)) {
        // Under the name that the server gives, or the one that an earlier life took from the URL.
        let names = [file.given_name.clone().unwrap_or_default(), format!("f{number}.bin")];
        let is_it = |content: &[u8]| checks::is_version(file, content);
        let is_there = |name: &String| storage.look(|disk| disk.content(&Path::new(DIR).join(name)).is_some_and(is_it));
        assert!(names.iter().any(is_there), "file {number} is not there at the end");
    }
    if !is_troubled && script.stranger.is_none() {
        storage.look(|disk| {
            let left = checks::leftovers(disk);
            assert!(left.is_empty(), "nothing went wrong, and these are left: {left:?}");
        });
    }
}
