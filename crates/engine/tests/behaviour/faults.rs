//! Everything that the origin can do wrong, in every mode of fetching: each fault ends with the right bytes
//! under the final name or with the one expected error, and never with wrong bytes there.
//!
//! The table in `rows` has the expected result of each fault over one stream, in pieces, on a resume, and as
//! one entry of a batch. Rows run on a few threads; a row that hangs fails.

mod rows;

use std::any::Any;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use towline_engine::feed::ListSource;
use towline_engine::options::Durability;
use towline_engine::{ErrorKind, Event, JobSpec, Options, Session};
use towline_origin::{Certificate, Fault, Origin, OriginBuilder, Resource, check_file};
use towline_testkit::leftovers;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, fetch_list, sha256_of, spec, with_watchdog};

use self::Expected::{Bytes, Fails, Untried};
use self::rows::{Row, rows};

const PATH: &str = "/a.bin";
const MOVED: &str = "/moved/a.bin";
/// Large enough for pieces, and not a multiple of anything.
const LARGE: u64 = MIB + 17;
/// Small enough to be stored whole.
const SMALL: u64 = 40_000;
const SEED: u64 = 501;
/// The seed of the content that replaces the first one on the server.
const NEW_SEED: u64 = 502;
/// The other entries of a batch.
const NEIGHBOURS: u64 = 3;
const NEIGHBOUR_SEED: u64 = 900;

/// Slow enough that ranges are proven long before the first stream has everything.
const RATE_PER_CONNECTION: u64 = 2_000_000;
const STALL: Duration = Duration::from_millis(500);
const RETRIES: u32 = 2;
/// Rows mostly wait for timers, so many run at once.
const ROWS_AT_ONCE: usize = 12;
/// A row that takes longer than this hangs.
const ROW_MAX: Duration = Duration::from_secs(25);

/// How the file is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Single,
    Segmented,
    /// Half of the file exists from an earlier run without faults.
    Resumed,
    /// One of several small files of a list.
    Batch,
}

/// The expected result of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// One version of the content, byte for byte.
    Bytes,
    /// This error, and nothing under the final name.
    Fails(ErrorKind),
    /// Not tried; the row has the reason.
    Untried,
}

#[test]
fn each_fault_over_one_stream_is_survived_or_named() {
    try_all(Mode::Single);
}

#[test]
fn each_fault_of_a_file_in_pieces_is_survived_or_named() {
    try_all(Mode::Segmented);
}

#[test]
fn each_fault_of_a_file_that_is_gone_on_with_is_survived_or_named() {
    try_all(Mode::Resumed);
}

#[test]
fn each_fault_of_one_entry_of_a_batch_is_survived_or_named() {
    try_all(Mode::Batch);
}

#[test]
fn a_finished_file_is_there_although_no_range_of_it_is_served() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let resource = Resource::new(PATH, SEED, size);
            let origin = Origin::builder().resource(resource.clone()).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, PATH)]).assert_done(1);
            origin.set_resource(resource.fault(Fault::RefuseRange));
            let run = fetch(place.options(), [spec(&origin, PATH)]);
            run.assert_done(1);
            assert!(run.finished()[0].how.was_there(), "{:?}", run.finished());
            place.assert_content("a.bin", SEED, size);
        }
    });
}

/// Tries each row in this mode and reports what happened in each failed one.
fn try_all(mode: Mode) {
    let rows = Arc::new(rows());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..ROWS_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(at) else { return };
                    // `TOWLINE_FAULT=part of a row's name` selects one row.
                    if std::env::var("TOWLINE_FAULT").is_ok_and(|wanted| !row.fault.contains(&wanted)) {
                        continue;
                    }
                    let expected = row.expected[mode as usize];
                    if let Err(what) = watched(&rows, at, mode) {
                        let told = format!("{}, {mode:?}: {expected:?} was to come of it, but {what}", row.fault);
                        wrong.lock().unwrap().push(told);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

/// Tries one row on its own thread, which is abandoned if it hangs.
fn watched(rows: &Arc<Vec<Row>>, at: usize, mode: Mode) -> Result<(), String> {
    let (done, outcome) = mpsc::channel();
    let rows = Arc::clone(rows);
    let running = thread::Builder::new()
        .name(format!("row-{at}"))
        .spawn(move || {
            // Nobody listens once the row has been abandoned.
            let _ = done.send(try_row(&rows[at], mode));
        })
        .unwrap();
    match outcome.recv_timeout(ROW_MAX) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Err(format!("it was still running after {ROW_MAX:?}")),
        Err(RecvTimeoutError::Disconnected) => Err(match running.join() {
            Err(panic) => format!("it panicked: {}", words(&*panic)),
            Ok(()) => "it ended without a word".to_owned(),
        }),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

fn try_row(row: &Row, mode: Mode) -> Result<(), String> {
    let expected = row.expected[mode as usize];
    if expected == Untried {
        return Ok(());
    }
    let place = Place::new();
    let begun = (mode == Mode::Resumed).then(|| begin(row, &place));
    let elsewhere =
        row.leads_elsewhere.then(|| Origin::builder().resource(row.healthy(PATH, mode.size())).start().unwrap());
    let origin = row.origin(mode, elsewhere.as_ref(), begun);
    let run = run(row, mode, &place, &origin);
    judge(row, mode, &place, &run).map_err(|what| format!("{what}; {}", told(&run, &place)))
}

impl Mode {
    fn size(self) -> u64 {
        if self == Self::Batch { SMALL } else { LARGE }
    }
}

impl Row {
    fn builder(&self, certificate: Certificate) -> OriginBuilder {
        match self.tls {
            None => Origin::builder(),
            Some(http2) => Origin::builder().tls(true).http2(http2).certificate(certificate),
        }
    }

    fn healthy(&self, path: &str, size: u64) -> Resource {
        (self.base)(Resource::new(path, SEED, size))
    }

    /// The server with the fault.
    fn origin(&self, mode: Mode, elsewhere: Option<&Origin>, address: Option<SocketAddr>) -> Origin {
        let size = mode.size();
        let mut faulty = (self.changed)(self.healthy(PATH, size));
        for rule in (self.faults)(size) {
            faulty = faulty.fault(rule);
        }
        if let Some(elsewhere) = elsewhere {
            faulty = faulty.fault(Fault::Redirect { status: 302, location: elsewhere.url(PATH) });
        }
        let mut builder = self.builder(self.certificate).resource(faulty).resource(self.healthy(MOVED, size)).files(
            "/{}.bin",
            NEIGHBOURS,
            SMALL,
            NEIGHBOUR_SEED,
        );
        for rule in &self.server {
            builder = builder.fault(rule.clone());
        }
        if mode == Mode::Segmented {
            builder = builder.fault(Fault::RatePerConnection(RATE_PER_CONNECTION));
        }
        if let Some(address) = address {
            // The same address, so that it is the same file.
            builder = builder.bind(address.to_string());
        }
        builder.start().unwrap()
    }

    fn options(&self, mode: Mode, place: &Place, origin: &Origin) -> Options {
        let mut options = if self.tls.is_some() { place.trusting(origin) } else { place.options() };
        options.threads = 1;
        options.connections = match mode {
            Mode::Single => Some(1),
            Mode::Segmented => Some(4),
            Mode::Resumed => Some(2),
            Mode::Batch => None,
        };
        options.piece_size_bytes = 64 << 10;
        options.save_interval = Duration::from_millis(50);
        // Other tests cover what a machine crash leaves.
        options.durability = Durability::Process;
        options.http.stall_timeout = STALL;
        options.http.response_timeout = STALL;
        options.http.connect_timeout = Duration::from_secs(5);
        options.http.retries = RETRIES;
        options
    }

    fn spec(&self, origin: &Origin, size: u64) -> JobSpec {
        let spec = spec(origin, PATH);
        if self.has_digest { spec.checksum(sha256_of(SEED, size)) } else { spec }
    }
}

/// Runs first and leaves half of the file; returns the address of its server.
fn begin(row: &Row, place: &Place) -> SocketAddr {
    let half = LARGE / 2;
    let silent = row.healthy(PATH, LARGE).fault(Fault::StallAt(half, None));
    let origin = row.builder(Certificate::Good).resource(silent).start().unwrap();
    let mut options = row.options(Mode::Single, place, &origin);
    options.http.stall_timeout = LONG;
    options.http.response_timeout = LONG;
    let mut live = Live::start(Session::builder(options));
    live.handle.add(spec(&origin, PATH)).unwrap();
    live.handle.close();
    live.wait_for("half of the file", |event| match event {
        Event::Progress(progress) => progress.done_bytes == half,
        _ => false,
    });
    live.handle.stop();
    assert_eq!(live.end().summary().kept_bytes, half);
    origin.addr()
}

fn run(row: &Row, mode: Mode, place: &Place, origin: &Origin) -> Run {
    let options = row.options(mode, place, origin);
    let wanted = row.spec(origin, mode.size());
    if mode != Mode::Batch {
        return fetch(options, [wanted]);
    }
    let neighbours = || (0..NEIGHBOURS).map(|number| format!("/{number}.bin"));
    if row.has_digest {
        // A plain list cannot carry digests.
        return fetch(options, [wanted].into_iter().chain(neighbours().map(|path| spec(origin, &path))));
    }
    let urls = [PATH.to_owned()].into_iter().chain(neighbours()).map(|path| origin.url(&path) + "\n");
    let list: String = urls.collect();
    fetch_list(options, ListSource::Reader(Box::new(Cursor::new(list.into_bytes()))), false)
}

/// Checks that the expected result occurred and nothing else.
fn judge(row: &Row, mode: Mode, place: &Place, run: &Run) -> Result<(), String> {
    let files = if mode == Mode::Batch { 1 + NEIGHBOURS as usize } else { 1 };
    let failures = match row.expected[mode as usize] {
        Fails(kind) if row.is_shared() => vec![kind; files],
        Fails(kind) => vec![kind],
        Bytes | Untried => Vec::new(),
    };
    if run.failure_kinds() != failures || run.finished().len() != files - failures.len() {
        return Err("it ended in another way".to_owned());
    }
    let mut names = vec![".towline".to_owned()];
    for file in run.finished() {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if file.path.parent() != Some(place.dir().as_path()) {
            return Err(format!("{} is not in the directory", file.path.display()));
        }
        if !is_right(&file.path, &name, mode.size()) {
            return Err(format!("{name} is wrong"));
        }
        names.push(name);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // Including those of the replaced version.
    let ours = [".towline", ".towline.json", ".towline.old", ".towline.old.json"];
    let is_partial = |name: &String| ours.iter().any(|suffix| name.ends_with(suffix));
    let left = place.leftovers(&names);
    if !left.iter().all(|name| is_partial(name) && !failures.is_empty()) {
        return Err(format!("{left:?} is left"));
    }
    let mut beside = leftovers(place.root()).into_iter();
    match beside.find(|name| name != "downloads" && name != "authority.pem") {
        Some(name) => Err(format!("{name} is outside of the directory")),
        None => Ok(()),
    }
}

/// Whether a final file is completely one expected version.
fn is_right(path: &Path, name: &str, size: u64) -> bool {
    let is = |seed, size| check_file(path, seed, size).is_ok_and(|difference| difference.is_none());
    let number = name.strip_suffix(".bin").and_then(|stem| stem.parse::<u64>().ok());
    match number {
        Some(number) => is(NEIGHBOUR_SEED + number, SMALL),
        None => is(SEED, size) || is(NEW_SEED, size),
    }
}

/// What happened, in one line.
fn told(run: &Run, place: &Place) -> String {
    let failures = run.failures();
    let failures: Vec<_> = failures.iter().map(|error| (error.kind, error.message.as_str())).collect();
    let (done, restarts) = (run.finished().len(), run.restarts());
    let (retries, left) = (run.retries(), place.leftovers(&[]));
    format!("{done} done, failed {failures:?}, retried {retries:?}, begun again {restarts} times, there is {left:?}")
}
