//! Signals: one ends in order and says how to go on, two end at once, one that was ignored at the
//! start does nothing. Nobody who does not read or write holds up the end.

use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use towline_origin::{Fault, Origin, Resource};
use towline_testkit::{MIB, journal_bytes, json_lines, wait_until};

use crate::common::{Outcome, Place, Running, full_pipe};

const SIZE: u64 = 16 * MIB;
const SEED: u64 = 11;
const SOON: Duration = Duration::from_secs(2);
/// It is two seconds where something holds it up; a loaded machine may need longer. Without an end it
/// would be for ever.
const AT_LAST: Duration = Duration::from_secs(20);

/// A file that takes its time, and a run that has begun to fetch it.
struct Slow {
    origin: Origin,
    place: Place,
}

impl Slow {
    fn new() -> Self {
        let origin = Origin::builder()
            .resource(Resource::new("/slow.bin", SEED, SIZE))
            .fault(Fault::RatePerConnection(400_000))
            .start()
            .unwrap();
        Self { origin, place: Place::new() }
    }

    fn begun(&self, ignored: Option<libc::c_int>) -> Running {
        let url = self.origin.url("/slow.bin");
        let mut towline = self.place.towline(&["-x", "8", "-d", "out", &url]);
        if let Some(signal) = ignored {
            towline = towline.ignoring(signal);
        }
        let running = towline.start();
        wait_until("a tenth in the journal", || self.journal_bytes() >= SIZE / 10);
        running
    }

    fn journal_bytes(&self) -> u64 {
        journal_bytes(&self.place.out("slow.bin.towline.json"))
    }

    /// The same command without the slowness goes on where the other one was.
    fn goes_on(&self) {
        assert_eq!(self.place.leftovers(), ["slow.bin.towline", "slow.bin.towline.json"]);
        self.origin.set_faults([]);
        let before = self.origin.stats().body_bytes;
        let kept = self.journal_bytes();
        assert!(kept >= SIZE / 10);
        let url = self.origin.url("/slow.bin");
        self.place.towline(&["-x", "8", "-d", "out", &url]).run().code(0).says(&["the rest was already there"]);
        self.place.check("slow.bin", SEED, SIZE);
        assert_eq!(self.place.leftovers(), ["slow.bin"]);
        let sent = self.origin.stats().body_bytes - before;
        assert!(sent < SIZE, "{sent} bytes were sent after an interrupt that kept {kept} of {SIZE}");
    }
}

/// How it ends when it gets the signals, and that this is soon.
fn ended_by(running: Running, signals: &[libc::c_int]) -> Outcome {
    let sent = Instant::now();
    for signal in signals {
        running.signal(*signal);
    }
    let outcome = running.finish();
    assert!(sent.elapsed() < SOON, "it took {:?} to end: {outcome}", sent.elapsed());
    outcome
}

/// The same where something that never comes is waited for.
fn ended_at_last_by(running: Running, signal: libc::c_int) -> Outcome {
    let sent = Instant::now();
    running.signal(signal);
    let outcome = running.finish().signal(signal);
    assert!(sent.elapsed() < AT_LAST, "it took {:?} to end: {outcome}", sent.elapsed());
    outcome
}

/// The number before ` %` in the sentence.
fn percent(outcome: &Outcome) -> u64 {
    let sentence = outcome.stderr.lines().find(|line| line.starts_with("Interrupted: ")).unwrap();
    let before = sentence.split(" %").next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

fn one_signal_ends_in_order(signal: libc::c_int) {
    let slow = Slow::new();
    let outcome = ended_by(slow.begun(None), &[signal])
        .signal(signal)
        .says(&["Interrupted: ", " % of out/slow.bin is on disk. Run the same command again to go on."])
        .writes_nothing();
    assert!((10..100).contains(&percent(&outcome)), "{outcome}");
    slow.goes_on();
}

#[test]
fn ctrl_c_ends_by_the_signal_says_how_much_is_there_and_can_be_gone_on_with() {
    one_signal_ends_in_order(libc::SIGINT);
}

#[test]
fn sigterm_ends_in_order_as_ctrl_c_does() {
    one_signal_ends_in_order(libc::SIGTERM);
}

#[test]
fn sighup_ends_in_order_as_ctrl_c_does() {
    one_signal_ends_in_order(libc::SIGHUP);
}

#[test]
fn two_signals_end_at_once_and_nothing_is_lost() {
    let slow = Slow::new();
    let outcome = ended_by(slow.begun(None), &[libc::SIGINT, libc::SIGTERM]);
    let signal = outcome.status.signal();
    assert!(matches!(signal, Some(libc::SIGINT | libc::SIGTERM)), "{outcome}");
    slow.goes_on();
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    let slow = Slow::new();
    let running = slow.begun(Some(libc::SIGHUP));
    running.signal(libc::SIGHUP);
    let before = slow.journal_bytes();
    wait_until("the journal to go on", || slow.journal_bytes() > before);
    running.signal(libc::SIGHUP);
    running.finish().code(0).writes_nothing();
    slow.place.check("slow.bin", SEED, SIZE);
    assert_eq!(slow.place.leftovers(), ["slow.bin"]);
}

#[test]
fn an_interrupted_batch_says_how_many_are_done_and_the_next_run_fetches_the_others() {
    let origin =
        Origin::builder().files("/{}.bin", 40, 128 * 1024, 20).fault(Fault::RatePerServer(1_500_000)).start().unwrap();
    let place = Place::new();
    place.write("list.txt", &(0..40).map(|number| origin.url(&format!("/{number}.bin\n"))).collect::<String>());
    let running = place.towline(&["-i", "list.txt", "-d", "out", "-j", "4"]).start();
    wait_until("some files", || place.out("5.bin").exists());
    let outcome = ended_by(running, &[libc::SIGINT]).signal(libc::SIGINT).says(&[
        "Interrupted: ",
        " of 40 files done",
        "Run the same command again to go on.",
    ]);
    assert!(!outcome.stderr.contains("Interrupted: 0 of"), "{outcome}");

    origin.set_faults([]);
    place.towline(&["-i", "list.txt", "-d", "out", "-j", "4"]).run().code(0).says(&["40 files", "already there"]);
    for number in 0..40 {
        place.check(&format!("{number}.bin"), 20 + number, 128 * 1024);
    }
    assert_eq!(place.leftovers_beside_numbered(40), [".towline"]);
}

#[test]
fn an_interrupted_run_with_events_ends_with_a_summary_that_says_so() {
    let slow = Slow::new();
    let url = slow.origin.url("/slow.bin");
    let running = slow.place.towline(&["-x", "8", "-d", "out", "--progress", "json", &url]).start();
    wait_until("bytes", || {
        json_lines(&running.stdout()).iter().any(|event| event["done_bytes"].as_u64().unwrap_or(0) > SIZE / 10)
    });
    let outcome = ended_by(running, &[libc::SIGINT]).signal(libc::SIGINT);
    let summary = outcome.lines().pop().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["interrupted"], true);
    assert_eq!(summary["unfinished_bytes"], SIZE);
    assert!(summary["kept_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn one_signal_ends_a_run_whose_messages_nobody_reads() {
    let slow = Slow::new();
    let url = slow.origin.url("/slow.bin");
    let (_reader, full) = full_pipe();
    // The first word of -v is one too many.
    let running = slow.place.towline(&["-v", "-x", "8", "-d", "out", &url]).stderr(full).start();
    wait_until("a tenth in the journal", || slow.journal_bytes() >= SIZE / 10);
    ended_at_last_by(running, libc::SIGINT);
    slow.goes_on();
}

#[test]
fn one_signal_ends_a_run_whose_events_nobody_reads() {
    let slow = Slow::new();
    let url = slow.origin.url("/slow.bin");
    let (_reader, full) = full_pipe();
    let running = slow.place.towline(&["--progress", "json", "-x", "8", "-d", "out", &url]).stdout(full).start();
    wait_until("a tenth in the journal", || slow.journal_bytes() >= SIZE / 10);
    ended_at_last_by(running, libc::SIGTERM);
    slow.goes_on();
}

#[test]
fn one_signal_ends_a_run_that_cannot_say_its_first_word() {
    let place = Place::new();
    let (_reader, full) = full_pipe();
    let running = place.towline(&["--insecure", "-d", "out", "https://127.0.0.1:1/a"]).stderr(full).start();
    wait_until("signals to be caught", || running.has_thread("signals"));
    ended_at_last_by(running, libc::SIGHUP);
}

#[test]
fn one_signal_ends_a_run_that_waits_for_its_authorities() {
    let place = Place::new();
    place.fifo("ca.pem");
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let running = place.towline(&["--ca-file", "ca.pem", "-d", "out", "http://127.0.0.1:1/a"]).start();
        wait_until("signals to be caught", || running.has_thread("signals"));
        ended_at_last_by(running, signal).writes_nothing();
    }
    assert_eq!(place.leftovers(), Vec::<String>::new());
}

#[test]
fn one_signal_ends_a_run_that_waits_for_its_list() {
    let place = Place::new();
    place.fifo("list");
    let running = place.towline(&["-i", "list", "-d", "out"]).start();
    wait_until("the run", || running.has_thread("dispatch"));
    ended_at_last_by(running, libc::SIGINT).writes_nothing();
}

#[test]
fn one_signal_ends_a_run_whose_list_never_ends() {
    let origin = Origin::builder().resource(Resource::new("/a.bin", SEED, 5000)).start().unwrap();
    let place = Place::new();
    let (reader, mut writer) = io::pipe().unwrap();
    let args = ["--progress", "json", "-i", "-", "-d", "out"];
    let running = place.towline(&args).stdin(reader).start();
    writeln!(writer, "{}", origin.url("/a.bin")).unwrap();
    let has_finished = || json_lines(&running.stdout()).iter().any(|event| event["event"] == "finished");
    wait_until("the first file", has_finished);
    ended_at_last_by(running, libc::SIGINT);
    place.check("a.bin", SEED, 5000);
    drop(writer);
}
