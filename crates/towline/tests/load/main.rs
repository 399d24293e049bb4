//! Load: very many small files in one batch, over two hundred connections at once, with memory and
//! open files watched; and the same where few files may be open.
//!
//! `TOWLINE_LOAD_FILES=100000` is the long form.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the tests of the command use the rest")]
mod common;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use towline_origin::{Fault, Origin};
use towline_testkit::{number, say, wait_for};

use crate::common::{BINARY, Place, Towline};

const FILES: u64 = 5_000;
const FILE_BYTES: u64 = 1024;
const SEED: u64 = 500;
const CONNECTIONS: u64 = 200;
/// So many at least are open at one moment: the last may be late.
const CONNECTIONS_MIN: u64 = CONNECTIONS * 9 / 10;
const MEMORY_KIB_MAX: u64 = 96 << 10;
/// A connection and a file for each place, the files that may wait for a slow disk at once, and what is open
/// anyway. That is far from one for each file.
const DESCRIPTORS_MAX: u64 = 2 * CONNECTIONS + UNSTORED_MAX + 64;
/// The engine lets so many small files wait for the disk at once (`UNSTORED_FILES_MAX`).
const UNSTORED_MAX: u64 = 1024;
/// Two hundred requests are under way at once only if an answer takes its time.
const LATENCY: Duration = Duration::from_millis(20);
const FEW_DESCRIPTORS: u64 = 64;
/// Some hundreds of files a second are little even for a debug build.
const RUN_MAX: Duration = Duration::from_secs(1200);

#[test]
fn very_many_files_take_little_memory_and_few_descriptors() {
    let files = number("TOWLINE_LOAD_FILES").unwrap_or(FILES);
    let (origin, place) = served(files);
    let began = Instant::now();
    let mut running = towline(&place, None, CONNECTIONS).start();
    let process = wait_for("the number of the process", || {
        fs::read_to_string(place.root().join("pid")).ok()?.trim().parse::<u32>().ok()
    });
    let mut seen = Seen::default();
    running.while_running(|| {
        seen.look(process);
        assert!(began.elapsed() < RUN_MAX, "still running after {RUN_MAX:?}");
    });
    running.finish().code(0);
    let seconds = began.elapsed().as_secs_f64();

    for number in 0..files {
        place.check(&format!("{number}.bin"), SEED + number, FILE_BYTES);
    }
    assert_eq!(place.leftovers().len() as u64, files + 1, "files and the ledger's directory");
    let stats = origin.stats();
    let (peak, Seen { memory_kib, descriptors }) = (stats.connections_peak, seen);
    let memory_mib = memory_kib as f64 / 1024.0;
    say(&format!(
        "load: {files} files, {peak} connections at once, {memory_mib:.1} MiB, {descriptors} descriptors, \
         {seconds:.1} s"
    ));
    assert_eq!(stats.body_bytes, files * FILE_BYTES, "something was sent twice");
    assert!(peak >= CONNECTIONS_MIN, "only {peak} connections were open at once");
    assert!((1..=MEMORY_KIB_MAX).contains(&memory_kib), "{memory_mib:.1} MiB of memory");
    assert!((1..=DESCRIPTORS_MAX).contains(&descriptors), "{descriptors} descriptors were open at once");
}

#[test]
fn where_few_files_may_be_open_it_makes_do_or_says_so() {
    const FILES: u64 = 400;
    let (_origin, place) = served(FILES);
    let outcome = towline(&place, Some(FEW_DESCRIPTORS), CONNECTIONS).run();
    let complete = (0..FILES).filter(|number| place.out(&format!("{number}.bin")).exists());
    for number in complete {
        place.check(&format!("{number}.bin"), SEED + number, FILE_BYTES);
    }
    if outcome.status.code() != Some(0) {
        // It is this machine's fault, and in plain words.
        outcome.code(3).says(&["too many open files"]);
    }
    towline(&place, Some(FEW_DESCRIPTORS), 4).run().code(0);
    for number in 0..FILES {
        place.check(&format!("{number}.bin"), SEED + number, FILE_BYTES);
    }
    assert_eq!(place.leftovers().len() as u64, FILES + 1, "files and the ledger's directory");
}

/// An origin with so many files, and a place with the list of them.
fn served(files: u64) -> (Origin, Place) {
    let origin =
        Origin::builder().files("/{}.bin", files, FILE_BYTES, SEED).fault(Fault::Latency(LATENCY)).start().unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..files).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    (origin, place)
}

/// A run that may open so many files, and leaves the number of its process in `pid`.
fn towline(place: &Place, descriptors_max: Option<u64>, jobs: u64) -> Towline {
    let limit = descriptors_max.map_or_else(String::new, |max| format!("ulimit -n {max} && "));
    let script = format!("{limit}echo $$ >pid && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, BINARY, "-j", &jobs.to_string(), "-i", "list.txt", "-d", "out"]);
    Towline::new(command, place)
}

/// The most that was seen of a process.
#[derive(Clone, Copy, Default)]
struct Seen {
    memory_kib: u64,
    descriptors: u64,
}

impl Seen {
    /// What is left of a process that has just ended says nothing, and changes nothing.
    fn look(&mut self, process: u32) {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak_kib = peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok());
        self.memory_kib = self.memory_kib.max(peak_kib.unwrap_or(0));
        let open = fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
        self.descriptors = self.descriptors.max(open as u64);
    }
}
