//! The kill loop: the real binary gets SIGKILL at a random moment, again and again, until its files are
//! there. After each kill, what has a final name is whole and right, a journal claims only bytes that
//! are there and right, nothing is gone that was kept before, and the ledger is not ahead of the files.
//! In the end the origin has sent hardly anything twice.
//!
//! `TOWLINE_KILLS=700` kills so often in all. The moments follow from a seed, which a failure prints;
//! `TOWLINE_KILL_SEED` takes it.
//!
//! # What may come twice
//!
//! All connections together bring 4 MB/s, and progress is saved each 200 ms: a step's worth is 800 kB.
//! A kill comes anywhere between two saves, so it loses half of that on average. The other half is
//! room for what else lies between the network and the disk: a save counts only when it is synced,
//! files that are in their first half step are not saved yet, and of files that have come the ledger
//! knows up to 100 ms later, so that the next run asks for them once more.
//!
//! To a step's worth comes a buffer for each connection, 64 KiB: four of the origin's chunks (16 KiB
//! at these rates), of which one each may be in its HTTP stack, in the socket, with the client, and on
//! the way to a client that has gone; and as much as the client keeps of a small file until it is
//! whole. That is 1.06 MB a kill with four connections and 1.32 MB with eight.
//!
//! If nothing were kept, a kill would lose all that came since the start: 600 ms on average, or 2.4 MB.
//! So the bound tells a journal that works from none, and leaves slow disks some room.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the tests of the command use the rest")]
mod common;

use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use towline_engine::feed::ledger_status;
use towline_origin::{Fault, Origin, Resource, fill, first_difference};
use towline_testkit::{Journal, MIB, number, say};

use crate::common::{Outcome, Place, Running};

/// By both tests together, if nobody says how often.
const KILLS: u64 = 40;
/// How long a run lives; it needs some 50 ms until the first byte comes.
const LIFE_MS: RangeInclusive<u64> = 100..=1200;
const LOOK_EVERY: Duration = Duration::from_millis(5);

const STEP_MS: u64 = 200;
/// Of all connections together.
const RATE_BPS: u64 = 4_000_000;
/// What may be under way on each connection.
const BUFFER_BYTES: u64 = 64 << 10;

#[test]
fn a_file_is_there_in_the_end_however_often_it_is_killed() {
    kill_loop("a_file_is_there_in_the_end_however_often_it_is_killed", "files", 4, single);
}

#[test]
fn a_batch_is_there_in_the_end_however_often_it_is_killed() {
    kill_loop("a_batch_is_there_in_the_end_however_often_it_is_killed", "batches", 8, batch);
}

/// Begins rounds until there were enough kills, and ends the last one.
fn kill_loop(test: &'static str, what: &str, connections: u64, begin: fn(&mut Dice, u64) -> Round) {
    let began = Instant::now();
    let mut dice = Dice::new(test);
    let kills_wanted = (number("TOWLINE_KILLS").unwrap_or(KILLS) / 2).max(1);
    let (mut kills, mut files, mut twice_bytes) = (0, 0, 0);
    while kills < kills_wanted {
        let round = begin(&mut dice, connections);
        kills += round.run(&mut dice, kills_wanted - kills);
        round.check();
        files += round.files.len();
        let size_bytes: u64 = round.files.iter().map(|file| file.size).sum();
        twice_bytes += round.origin.stats().body_bytes.saturating_sub(size_bytes);
    }
    let each_bytes = twice_bytes / kills;
    let most_bytes = RATE_BPS * STEP_MS / 1000 + connections * BUFFER_BYTES;
    let seconds = began.elapsed().as_secs_f64();
    // What is lost or wrong has failed by now.
    say(&format!(
        "kill {what}: {kills} kills, {files} files, {each_bytes} bytes twice a kill (at most {most_bytes}), \
         lost 0, wrong 0, {seconds:.1} s"
    ));
    assert!(each_bytes <= most_bytes, "{each_bytes} bytes came twice for each kill, at most {most_bytes} are right");
}

/// A file in pieces.
fn single(dice: &mut Dice, connections: u64) -> Round {
    let file = Wanted { name: "a.bin".to_owned(), seed: dice.roll(0..=1 << 40), size: dice.roll(3 * MIB..=6 * MIB) };
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", file.seed, file.size))
        .fault(Fault::RatePerConnection(RATE_BPS / connections))
        .start()
        .unwrap();
    let args = ["-x", &connections.to_string(), "--piece-size", "256k", &origin.url("/a.bin")].map(str::to_owned);
    Round { origin, place: Place::new(), args: args.into(), files: vec![file] }
}

/// Some dozens of files: two of three come whole within a step, the others take several.
fn batch(dice: &mut Dice, connections: u64) -> Round {
    const FILES: u64 = 48;
    let size_of = |number: u64| if number.is_multiple_of(3) { (256 + 16 * number) << 10 } else { 1000 + 1200 * number };
    let seed = dice.roll(0..=1 << 40);
    let origin = Origin::builder()
        .files_sized("/{}.bin", FILES, size_of, seed)
        .fault(Fault::RatePerServer(RATE_BPS))
        .start()
        .unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..FILES).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    let wanted =
        |number| Wanted { name: format!("{number}.bin"), seed: seed.wrapping_add(number), size: size_of(number) };
    let most = connections.to_string();
    let args = ["-j", &most, "--max-per-host", &most, "-i", "list.txt"].map(str::to_owned);
    Round { origin, place, args: args.into(), files: (0..FILES).map(wanted).collect() }
}

/// Files of an origin of their own, fetched into a directory of their own.
struct Round {
    origin: Origin,
    place: Place,
    args: Vec<String>,
    files: Vec<Wanted>,
}

impl Round {
    /// Kills it until it has everything, but at most so often; says how often.
    fn run(&self, dice: &mut Dice, kills_max: u64) -> u64 {
        let mut kept_bytes = 0;
        for kills in 0..kills_max {
            let life = Duration::from_millis(dice.roll(LIFE_MS));
            if let Some(outcome) = self.run_for(life) {
                outcome.code(0);
                return kills;
            }
            let before_bytes = kept_bytes;
            kept_bytes = self.kept_bytes();
            assert!(kept_bytes >= before_bytes, "{before_bytes} bytes were kept, and after a kill {kept_bytes}");
        }
        self.start().finish().code(0);
        kills_max
    }

    fn start(&self) -> Running {
        let step = format!("{STEP_MS}ms");
        let common = ["-d", "out", "--save-interval", &step];
        let args: Vec<&str> = common.into_iter().chain(self.args.iter().map(String::as_str)).collect();
        self.place.towline(&args).start()
    }

    /// Runs it for so long; how it ended if it did so by itself.
    fn run_for(&self, life: Duration) -> Option<Outcome> {
        let mut running = self.start();
        let moment = Instant::now() + life;
        while running.is_running() {
            let left = moment.saturating_duration_since(Instant::now());
            if left.is_zero() {
                running.signal(libc::SIGKILL);
                break;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
        let outcome = running.finish();
        let is_killed = outcome.status.signal() == Some(libc::SIGKILL);
        (!is_killed).then_some(outcome)
    }

    /// What a kill left. Fails if something is wrong with it.
    fn kept_bytes(&self) -> u64 {
        let complete = self.files.iter().filter(|file| self.place.out(&file.name).exists()).count() as u64;
        let noted = ledger_status(&self.place.out("")).unwrap().map_or(0, |status| status.done);
        assert!(noted <= complete, "the ledger has {noted} files, the directory {complete}");
        self.files.iter().map(|file| file.kept_bytes(&self.place)).sum()
    }

    /// Fails unless all files are there and right, and nothing else.
    fn check(&self) {
        for file in &self.files {
            self.place.check(&file.name, file.seed, file.size);
        }
        let is_wanted = |name: &str| self.files.iter().any(|file| file.name == name) || name == ".towline";
        // A kill may leave a journal that was being written; the next one that is saved overwrites it.
        let is_temporary = |name: &str| name.ends_with(".towline.json.tmp");
        let mut left = self.place.leftovers();
        left.retain(|name| !is_wanted(name) && !is_temporary(name));
        assert!(left.is_empty(), "{left:?} is left");
    }
}

/// A file that is to be fetched.
struct Wanted {
    name: String,
    seed: u64,
    size: u64,
}

impl Wanted {
    /// How many bytes of it the next run need not fetch. Fails if one of them is wrong.
    fn kept_bytes(&self, place: &Place) -> u64 {
        if place.out(&self.name).exists() {
            place.check(&self.name, self.seed, self.size);
            return self.size;
        }
        let Ok(journal) = fs::read(place.out(&format!("{}.towline.json", self.name))) else { return 0 };
        let journal = Journal::parse(&journal).expect("a journal is whole whenever it is there");
        let part = fs::read(place.out(&format!("{}.towline", self.name))).unwrap();
        for (start, end) in &journal.done {
            let claimed = part.get(*start as usize..*end as usize);
            let wrong = claimed.map(|claimed| first_difference(self.seed, *start, claimed));
            assert_eq!(wrong, Some(None), "{}: {start}..{end} is claimed, and wrong or not there", self.name);
        }
        journal.done_bytes()
    }
}

/// Random numbers that follow from a seed. If the test fails, it says which.
struct Dice {
    test: &'static str,
    seed: u64,
    rolls: u64,
}

impl Dice {
    fn new(test: &'static str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seed = number("TOWLINE_KILL_SEED").unwrap_or(u64::from(now.subsec_nanos()));
        Self { test, seed, rolls: 0 }
    }

    fn roll(&mut self, range: RangeInclusive<u64>) -> u64 {
        // The content of a file is as random as anything.
        let mut bytes = [0; 8];
        fill(self.seed, 8 * self.rolls, &mut bytes);
        self.rolls += 1;
        range.start() + u64::from_le_bytes(bytes) % (range.end() - range.start() + 1)
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if thread::panicking() {
            say(&format!("again: TOWLINE_KILL_SEED={} cargo test -p towline --test kill {}", self.seed, self.test));
        }
    }
}
