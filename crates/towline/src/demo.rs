//! `towline demo`: serves files on loopback and downloads them with this program, run as a child so
//! that it can be killed half-way. A supervised thread runs the demo; the main thread supervises it, so
//! that Ctrl-C ends the child and removes the files.

mod child;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use towline_engine::{inspect, size};
use towline_origin::{Fault, Origin, Resource, check_file};
use towline_threads::CancelToken;
use towline_threads::supervisor::signals::Signals;
use towline_threads::supervisor::{Crew, Interrupt, Outcome, Supervised, Supervisor};

use crate::args::DemoArgs;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::say::say;
use crate::screen::text;

use child::Child;

const SMALL_SEED: u64 = 1000;
const LARGE_SEED: u64 = 1;
const LARGE_NAME: &str = "large.bin";
const CONNECTIONS: u64 = 8;
/// About how long the large file takes, without the kill.
const LARGE_SECONDS: u64 = 6;
const KILL_AT_PERCENT: u64 = 40;
const WATCH_EVERY: Duration = Duration::from_millis(20);
const WATCH_MAX: Duration = Duration::from_secs(60);
/// Longer than a child takes to end.
const GRACE: Duration = Duration::from_secs(5);
/// After a signal, the demo ends within this time, even if nobody reads its output.
const END_MAX: Duration = Duration::from_millis(5500);

/// Runs the demo. The exit code is 0 only if every byte is correct.
pub(crate) fn run(args: &DemoArgs) -> Result<u8, Complaint> {
    let signals = Signals::install_with_limit(END_MAX)
        .map_err(|error| Complaint::machine(format!("cannot catch signals: {error}")))?;
    let plan = Plan { large_bytes: args.size, small_files: args.files as u64 };
    let mut demo = Demo { plan, verdict: Arc::default() };
    let outcome = Supervisor::new(1)
        .grace(GRACE)
        .interrupts(signals)
        .run(&mut demo)
        .map_err(|error| failed(format!("cannot run the demo: {error}")))?;
    if let Outcome::Interrupted(interrupt) = outcome {
        interrupt.raise_default();
    }
    let verdict = demo.verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
    verdict.unwrap_or_else(|| Err(failed("the demo ended without a result")))?;
    Ok(exit_codes::DONE)
}

/// How much to download.
#[derive(Clone, Copy)]
struct Plan {
    large_bytes: u64,
    small_files: u64,
}

type Verdict = Result<(), Complaint>;

struct Demo {
    plan: Plan,
    verdict: Arc<Mutex<Option<Verdict>>>,
}

impl Supervised for Demo {
    fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
        let (plan, verdict, token) = (self.plan, Arc::clone(&self.verdict), crew.cancel_token().clone());
        crew.spawn("demo", move || {
            let shown = show(plan, &token);
            *verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        })
    }

    fn run_interrupt(&mut self, _: Interrupt) {
        say("towline: demo interrupted; removing its files");
    }
}

/// Runs the whole demo in a temporary directory.
fn show(plan: Plan, token: &CancelToken) -> Verdict {
    let dir = tempfile::Builder::new().prefix("towline-demo-").tempdir();
    let dir = dir.map_err(|error| Complaint::machine(format!("cannot create a directory for the demo: {error}")))?;
    small_files(plan, dir.path(), token)?;
    large_file(plan, dir.path(), token)?;
    dir.close().map_err(|error| Complaint::machine(format!("cannot remove the demo's directory: {error}")))?;
    say("Everything is correct. The demo's files are removed.");
    Ok(())
}

/// Downloads a list of small files over TLS and HTTP/2.
fn small_files(plan: Plan, dir: &Path, token: &CancelToken) -> Verdict {
    let origin = Origin::builder()
        .tls(true)
        .http2(true)
        .files_sized("/small/{}.bin", plan.small_files, small_bytes, SMALL_SEED)
        .start()
        .map_err(no_server)?;
    let list: String = (0..plan.small_files).map(|number| origin.url(&format!("/small/{number}.bin")) + "\n").collect();
    write(&dir.join("small.txt"), &list)?;
    write(&dir.join("ca.pem"), origin.ca_pem().unwrap_or_default())?;

    say(&format!("1. {} from a list, over TLS and HTTP/2, from a server on this machine:", small_count(plan)));
    let words = ["get", "-i", "small.txt", "-d", "small", "--ca-file", "ca.pem", "--no-proxy", "*"];
    Child::start(dir, &words)?.succeeds(token)?;
    for number in 0..plan.small_files {
        let path = dir.join("small").join(format!("{number}.bin"));
        check(&path, SMALL_SEED.wrapping_add(number), small_bytes(number))?;
    }
    let stats = origin.stats();
    say(&format!(
        "   Verified byte for byte: {}, in {} requests over {}.\n",
        small_count(plan),
        stats.requests,
        connections(stats.connections_opened),
    ));
    Ok(())
}

/// Downloads a large file over several connections, kills the download half-way and resumes it.
fn large_file(plan: Plan, dir: &Path, token: &CancelToken) -> Verdict {
    let bytes = plan.large_bytes;
    let rate_bps = (bytes / CONNECTIONS / LARGE_SECONDS).max(16 * 1024);
    let path = format!("/{LARGE_NAME}");
    let origin = Origin::builder()
        .threads(2)
        .resource(Resource::new(path.as_str(), LARGE_SEED, bytes))
        .fault(Fault::RatePerConnection(rate_bps))
        .start()
        .map_err(no_server)?;
    let url = origin.url(&path);
    let words = ["get", "-x", "8", "-d", "large", "--no-proxy", "*", url.as_str()];

    say(&format!(
        "2. {} over {CONNECTIONS} connections, from a server that limits each of them to {}; killed half-way:",
        size::bytes(bytes),
        text::rate(rate_bps),
    ));
    let child = Child::start(dir, &words)?;
    let kept = kill_midway(child, &dir.join("large").join(format!("{LARGE_NAME}.towline.json")), bytes, token)?;
    say(&format!("\n   Killed (SIGKILL). The journal holds {} %.\n", text::percent(kept, bytes)));

    say("3. The same command resumes it:");
    Child::start(dir, &words)?.succeeds(token)?;
    check(&dir.join("large").join(LARGE_NAME), LARGE_SEED, bytes)?;
    let sent = origin.stats().path(&path).body_bytes;
    say(&format!(
        "   Verified byte for byte: {}, of which at most {} were sent twice.\n",
        size::bytes(bytes),
        size::bytes(sent.saturating_sub(bytes)),
    ));
    Ok(())
}

/// Kills the child once the journal claims enough bytes; returns how many it claims then.
fn kill_midway(mut child: Child, journal: &Path, bytes: u64, token: &CancelToken) -> Result<u64, Complaint> {
    let begun = Instant::now();
    let done_bytes = || inspect::partial(journal).map_or(0, |partial| partial.done_bytes);
    while text::percent(done_bytes(), bytes) < KILL_AT_PERCENT {
        if let Some(ended) = child.has_ended()? {
            return Err(failed(format!("the download ended before the demo killed it ({ended})")));
        }
        if token.wait_timeout(WATCH_EVERY).is_some() {
            child.end();
            return Err(interrupted());
        }
        if begun.elapsed() > WATCH_MAX {
            return Err(failed("the download makes no progress"));
        }
    }
    child.kill();
    Ok(done_bytes())
}

fn check(path: &Path, seed: u64, bytes: u64) -> Verdict {
    match check_file(path, seed, bytes) {
        Ok(None) => Ok(()),
        Ok(Some(at)) => Err(failed(format!("{} is wrong at byte {at}", path.display()))),
        Err(error) => Err(failed(format!("cannot read {}: {error}", path.display()))),
    }
}

/// 4 to 64 KiB.
fn small_bytes(number: u64) -> u64 {
    4096 + number * 7919 % 61 * 1024
}

fn small_count(plan: Plan) -> String {
    match plan.small_files {
        1 => "1 small file".to_owned(),
        files => format!("{files} small files"),
    }
}

fn connections(count: u64) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}

fn write(path: &Path, content: &str) -> Verdict {
    fs::write(path, content).map_err(|error| Complaint::machine(format!("cannot write {}: {error}", path.display())))
}

fn no_server(error: io::Error) -> Complaint {
    Complaint::machine(format!("cannot serve on loopback: {error}"))
}

fn failed(message: impl Into<String>) -> Complaint {
    Complaint::new(exit_codes::FAILED, message)
}

/// Never shown: an interrupted demo ends by its signal.
fn interrupted() -> Complaint {
    failed("the demo was interrupted")
}
