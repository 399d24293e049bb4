//! What the engine's tests share: a directory to download into, and a session that is observed. What the tests of
//! other crates use too is in `towline-testkit`.

use std::fs;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use towline_engine::event::{ErrorReport, How};
use towline_engine::feed::{Batch, ListSource};
use towline_engine::options::ProxyChoice;
use towline_engine::session::SessionBuilder;
use towline_engine::{Checksum, Ended, Error, ErrorKind, Event, JobSpec, Options, Session, SessionHandle, Summary};
use towline_origin::Origin;
pub(crate) use towline_testkit::{MIB, with_watchdog};
use towline_testkit::{content, wait_at_most};

/// For a whole test; a test that takes longer than this hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// For one event within a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that no event reports.
#[track_caller]
pub(crate) fn until(what: &str, holds: impl FnMut() -> bool) {
    wait_at_most(PATIENCE, what, holds);
}

/// A directory for downloads, with space beside it, and the options of sessions that use it.
pub(crate) struct Place(towline_testkit::Place);

impl Deref for Place {
    type Target = towline_testkit::Place;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(towline_testkit::Place::new("downloads"));
        fs::create_dir(place.dir()).unwrap();
        place
    }

    /// Options for sessions that download into it, without a proxy and with fixed jitter.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        options.dir = self.dir();
        options.threads = 2;
        options.seed = Some(1);
        options.http.proxy = ProxyChoice::Direct;
        options
    }

    /// The same, trusting the authority of a TLS origin.
    pub(crate) fn trusting(&self, origin: &Origin) -> Options {
        let authority = self.beside("authority.pem");
        fs::write(&authority, origin.ca_pem().expect("an origin with TLS")).unwrap();
        let mut options = self.options();
        options.http.ca_file = Some(authority);
        options
    }
}

/// The SHA-256 of an origin's content.
pub(crate) fn sha256_of(seed: u64, size: u64) -> Checksum {
    let hex: String = Sha256::digest(content(seed, size)).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha-256={hex}").parse().unwrap()
}

/// The job for a path of an origin.
pub(crate) fn spec(origin: &Origin, path: &str) -> JobSpec {
    JobSpec::new(origin.url(path).parse().unwrap())
}

/// The outcome of a session.
pub(crate) struct Run {
    pub(crate) ended: Ended,
    pub(crate) events: Vec<Event>,
}

/// A file that the session reported complete.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) fetched_bytes: u64,
    pub(crate) how: How,
}

impl Run {
    pub(crate) fn summary(&self) -> &Summary {
        &self.ended.summary
    }

    /// Fails unless this many files are complete and none failed.
    pub(crate) fn assert_done(&self, files: usize) {
        let summary = self.summary();
        assert_eq!((summary.done_files, summary.failed_files), (files as u64, 0), "{:?}", summary.failures);
    }

    pub(crate) fn finished(&self) -> Vec<Finished> {
        let finished = self.events.iter().filter_map(|event| match event {
            Event::Finished { path, bytes, fetched_bytes, how, .. } => {
                Some(Finished { path: path.clone(), bytes: *bytes, fetched_bytes: *fetched_bytes, how: *how })
            }
            _ => None,
        });
        finished.collect()
    }

    pub(crate) fn failures(&self) -> Vec<&ErrorReport> {
        let failures = self.events.iter().filter_map(|event| match event {
            Event::Failed { error, .. } => Some(error),
            _ => None,
        });
        failures.collect()
    }

    pub(crate) fn failure_kinds(&self) -> Vec<ErrorKind> {
        self.failures().into_iter().map(|error| error.kind).collect()
    }

    /// The kinds of the transient failures.
    pub(crate) fn retries(&self) -> Vec<ErrorKind> {
        let retries = self.events.iter().filter_map(|event| match event {
            Event::Retrying { error, .. } => Some(error.kind),
            _ => None,
        });
        retries.collect()
    }

    /// How often a file started over.
    pub(crate) fn restarts(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Restarted { .. })).count()
    }

    /// What was reported about ranges.
    pub(crate) fn ranges(&self) -> Vec<bool> {
        let ranges = self.events.iter().filter_map(|event| match event {
            Event::Ranges { segmented, .. } => Some(*segmented),
            _ => None,
        });
        ranges.collect()
    }

    /// The most bytes resumed from an earlier run, of any file.
    pub(crate) fn resumed_bytes(&self) -> u64 {
        let resumed = self.events.iter().filter_map(|event| match event {
            Event::Answered { resumed_bytes, .. } => Some(*resumed_bytes),
            _ => None,
        });
        resumed.max().unwrap_or(0)
    }
}

/// A session that runs on its own thread and is observed.
pub(crate) struct Live {
    pub(crate) handle: SessionHandle,
    inbox: Receiver<Event>,
    seen: Vec<Event>,
    running: Option<JoinHandle<Result<Ended, Error>>>,
}

impl Live {
    pub(crate) fn start(builder: SessionBuilder) -> Self {
        let (events, inbox) = mpsc::channel();
        let reporter = move |event: &Event| {
            // A failed test no longer listens.
            let _ = events.send(event.clone());
        };
        let session = builder.reporter(reporter).build().unwrap();
        let handle = session.handle();
        let running = thread::Builder::new().name("session".to_owned()).spawn(move || session.run()).unwrap();
        Self { handle, inbox, seen: Vec::new(), running: Some(running) }
    }

    /// Waits for the next event that `fits`.
    pub(crate) fn wait_for(&mut self, what: &str, mut fits: impl FnMut(&Event) -> bool) {
        loop {
            match self.inbox.recv_timeout(PATIENCE) {
                Ok(event) => {
                    let found = fits(&event);
                    self.seen.push(event);
                    if found {
                        return;
                    }
                }
                Err(error) => {
                    let last: Vec<&Event> = self.seen.iter().rev().take(8).collect();
                    panic!("waited for {what}: {error}; the last events, newest first: {last:#?}");
                }
            }
        }
    }

    /// Waits until more than `percent` of all bytes are on disk.
    pub(crate) fn wait_for_share(&mut self, percent: u64) {
        self.wait_for(&format!("{percent} % of the bytes"), |event| match event {
            Event::Progress(progress) => {
                progress.total_bytes > 0 && progress.done_bytes * 100 > progress.total_bytes * percent
            }
            _ => false,
        });
    }

    /// Waits for the session to end.
    pub(crate) fn end(mut self) -> Run {
        let running = self.running.take().expect("a session ends once");
        let ended = match running.join() {
            Ok(ended) => ended.unwrap(),
            Err(panic) => resume_unwind(panic),
        };
        let mut events = std::mem::take(&mut self.seen);
        events.extend(self.inbox.try_iter());
        Run { ended, events }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.handle.stop();
        }
    }
}

/// Runs a session until these files have ended.
pub(crate) fn fetch(options: Options, specs: impl IntoIterator<Item = JobSpec>) -> Run {
    fetch_with(Session::builder(options), specs)
}

/// The same with a prepared session builder.
pub(crate) fn fetch_with(builder: SessionBuilder, specs: impl IntoIterator<Item = JobSpec>) -> Run {
    let live = Live::start(builder);
    for spec in specs {
        live.handle.add(spec).unwrap();
    }
    live.handle.close();
    live.end()
}

/// Runs a session until the entries of a list have ended.
pub(crate) fn fetch_list(options: Options, source: ListSource, retry_failed: bool) -> Run {
    let batch = Batch::open(source, &options.dir, retry_failed, false).unwrap();
    fetch_with(Session::builder(options).feed(batch), [])
}
