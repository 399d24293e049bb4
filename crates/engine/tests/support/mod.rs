//! What the torture test and the crash enumeration share: small downloads, sessions that must end, and what a
//! disk may never hold.

pub(crate) mod batch;
pub(crate) mod storage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use towline_engine::event::How;
use towline_engine::feed::Batch;
use towline_engine::options::{Existing, ProxyChoice};
use towline_engine::{Event, JobSpec, Options, Session, Summary};
use towline_origin::{Fault as Trouble, Origin, Resource, Scope};
use towline_testkit::{Journal, content};

use self::storage::{Disk, TestStorage};

/// A session that takes longer than this hangs.
const SESSION_MAX: Duration = Duration::from_secs(30);
/// Sessions mostly wait for each other's threads and for the origin, so several run at once.
const SESSIONS_AT_ONCE: usize = 6;
/// A download crashes, and crashes again after it was resumed.
const CRASHES_MAX: u32 = 2;
const DIR: &str = "/downloads";
const SEED: u64 = 77;
const OLD_SEED: u64 = 78;
const OLD_BYTES: u64 = 5000;

/// A download of one file.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    size: u64,
    connections: usize,
    piece_size_bytes: u64,
    /// The rate of each connection, where the download must take a while.
    rate_bps: u64,
    save_interval: Duration,
    /// The output path, below the session's directory.
    output: &'static str,
    /// Whether the file system supports unnamed files.
    has_unnamed: bool,
    /// Whether another file has the name and is to be replaced.
    replaces: bool,
}

/// A file that arrives whole and is stored at once.
pub(crate) const STORED: Scenario = Scenario {
    name: "stored",
    size: 20_000,
    connections: 1,
    piece_size_bytes: 32 << 10,
    rate_bps: 100_000_000,
    save_interval: Duration::from_millis(8),
    output: "a.bin",
    has_unnamed: true,
    replaces: false,
};

/// The same where each file has a name from the start.
pub(crate) const STORED_NAMED: Scenario = Scenario { name: "stored-named", has_unnamed: false, ..STORED };

/// A file that arrives over one connection, with a journal.
pub(crate) const SINGLE: Scenario = Scenario { name: "single", size: 100_000, rate_bps: 3_000_000, ..STORED };

/// A file fetched in pieces over several connections.
pub(crate) const SEGMENTED: Scenario = Scenario { name: "segmented", size: 200_017, connections: 3, ..SINGLE };

/// A file that replaces another one.
pub(crate) const REPLACED: Scenario = Scenario { name: "replaced", replaces: true, ..SINGLE };

/// A file whose directory is created for it.
pub(crate) const NESTED: Scenario = Scenario { name: "nested", output: "new/directory/a.bin", ..SINGLE };

/// A larger file in pieces.
pub(crate) const LARGE: Scenario = Scenario {
    name: "large",
    size: (3 << 20) + 5,
    connections: 4,
    piece_size_bytes: 128 << 10,
    rate_bps: 16_000_000,
    save_interval: Duration::from_millis(10),
    ..STORED
};

/// A query that does not distinguish files, because it only signs the link.
const SLOW: &str = "X-Amz-Signature=slow";

/// Where an origin has the file: slow enough to save progress, and as fast as possible.
pub(crate) struct Urls {
    pub(crate) slow: String,
    pub(crate) fast: String,
}

impl Scenario {
    /// An origin with the file.
    pub(crate) fn serve(&self) -> (Origin, Urls) {
        let slowly = Trouble::RatePerConnection(self.rate_bps).when(Scope::every().only_query(SLOW));
        let origin =
            Origin::builder().resource(Resource::new("/a.bin", SEED, self.size).fault(slowly)).start().unwrap();
        let urls = Urls { slow: origin.url(&format!("/a.bin?{SLOW}")), fast: origin.url("/a.bin") };
        (origin, urls)
    }

    /// The disk before the download.
    pub(crate) fn storage(&self) -> TestStorage {
        let storage = TestStorage::new(Path::new(DIR));
        storage.set_unnamed(self.has_unnamed);
        if self.replaces {
            storage.plant(&self.path(), &content(OLD_SEED, OLD_BYTES));
        }
        storage
    }

    /// The expected result.
    pub(crate) fn expected(&self) -> Expected {
        let old = self.replaces.then(|| content(OLD_SEED, OLD_BYTES));
        Expected::new(vec![ExpectedFile { path: self.path(), content: content(SEED, self.size), old }])
    }

    /// Runs the command once, as a user would.
    pub(crate) fn run(&self, storage: &TestStorage, url: &str) -> Result<Run, String> {
        let mut options = options(Path::new(DIR));
        options.connections = Some(self.connections);
        options.piece_size_bytes = self.piece_size_bytes;
        options.save_interval = self.save_interval;
        options.existing = if self.replaces { Existing::Overwrite } else { Existing::Fail };
        let spec = JobSpec::new(url.parse().unwrap()).output(self.output);
        run(Some(storage), options, None, vec![spec])
    }

    fn path(&self) -> PathBuf {
        Path::new(DIR).join(self.output)
    }
}

/// Options for sessions that download into `dir`, without a proxy and with fixed jitter.
fn options(dir: &Path) -> Options {
    let mut options = Options::default();
    options.dir = dir.to_owned();
    options.threads = 1;
    options.seed = Some(1);
    options.http.proxy = ProxyChoice::Direct;
    options
}

/// Files and their expected content.
#[derive(Clone)]
pub(crate) struct Expected {
    files: Arc<Vec<ExpectedFile>>,
}

/// A file and its expected content.
pub(crate) struct ExpectedFile {
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<u8>,
    /// Its content until it is replaced.
    pub(crate) old: Option<Vec<u8>>,
}

impl Expected {
    pub(crate) fn new(files: Vec<ExpectedFile>) -> Self {
        Self { files: Arc::new(files) }
    }

    /// The files.
    pub(crate) fn files(&self) -> &[ExpectedFile] {
        &self.files
    }

    /// What must never happen: wrong bytes under a final name, or a journal that claims a byte that the disk
    /// does not have.
    pub(crate) fn wrong(&self, disk: &Disk) -> Option<String> {
        self.files.iter().find_map(|file| file.wrong(disk))
    }

    /// What is missing or unexpected once everything has been fetched.
    pub(crate) fn incomplete(&self, disk: &Disk) -> Option<String> {
        let missing = self.files.iter().find(|file| disk.content(&file.path) != Some(file.content.as_slice()));
        if let Some(file) = missing {
            return Some(format!("{} is not there, or not whole", file.path.display()));
        }
        let is_ours = |name: &Path| self.files.iter().any(|file| file.path == name);
        let left = disk.names().find(|name| !is_ours(name) && !is_temporary(name));
        left.map(|name| format!("{} is left", name.display()))
    }

    /// How many files survive any crash.
    pub(crate) fn durable_files(&self, disk: &Disk) -> u64 {
        let is_durable = |file: &&ExpectedFile| disk.durable(&file.path) == Some(file.content.as_slice());
        self.files.iter().filter(is_durable).count() as u64
    }

    /// Watches the storage for what must never happen.
    pub(crate) fn watch(&self, storage: &TestStorage) {
        let expected = self.clone();
        storage.watch(move |disk| expected.wrong(disk));
    }
}

impl ExpectedFile {
    fn wrong(&self, disk: &Disk) -> Option<String> {
        let shown = self.path.display();
        if let Some(found) = disk.content(&self.path)
            && found != self.content.as_slice()
            && Some(found) != self.old.as_deref()
        {
            let at = found.iter().zip(&self.content).position(|(found, expected)| found != expected);
            return Some(format!("{shown} has {} wrong bytes, the first at {at:?}", found.len()));
        }
        let part = with_suffix(&self.path, ".towline");
        let journal = disk.content(&with_suffix(&self.path, ".towline.json"))?;
        // The first one is not synced: after a crash it may be torn, and then it claims nothing.
        let journal = Journal::parse(journal)?;
        let (content, synced) = (disk.content(&part)?, disk.synced(&part)?);
        if journal.total_bytes != Some(content.len() as u64) {
            // It is being truncated; a journal with another length is not believed.
            return None;
        }
        let claimed = journal.done.into_iter().find(|(start, end)| {
            let range = *start as usize..*end as usize;
            synced.get(range.clone()) != self.content.get(range)
        });
        claimed.map(|(start, end)| format!("the journal of {shown} claims {start}..{end}, and the disk has it not"))
    }
}

/// How a session ended.
#[derive(Default)]
pub(crate) struct Run {
    /// All zeros if the session could not start.
    pub(crate) summary: Summary,
    /// How many operations had run when a file was first reported as fetched.
    pub(crate) fetched_after: Option<u64>,
}

/// Runs a session until its files have ended; without a storage, on this machine's file system. Returns an
/// error if it hangs or fails as a whole.
pub(crate) fn run(
    storage: Option<&TestStorage>,
    options: Options,
    feed: Option<Batch>,
    specs: Vec<JobSpec>,
) -> Result<Run, String> {
    let fetched_after = Arc::new(Mutex::new(None));
    let (noted, counted) = (Arc::clone(&fetched_after), storage.cloned());
    let reporter = move |event: &Event| {
        if let (Event::Finished { how: How::Fetched, .. }, Some(storage)) = (event, &counted) {
            let calls = storage.calls();
            noted.lock().get_or_insert(calls);
        }
    };
    let mut builder = Session::builder(options).reporter(reporter);
    if let Some(storage) = storage {
        builder = builder.storage(Arc::new(storage.clone()));
    }
    if let Some(feed) = feed {
        builder = builder.feed(feed);
    }
    let Ok(session) = builder.build() else { return Ok(Run::default()) };
    let handle = session.handle();
    for spec in specs {
        handle.add(spec).unwrap();
    }
    handle.close();
    let (done, outcome) = mpsc::channel();
    let body = move || {
        // Nobody listens once it was declared hung.
        let _ = done.send(session.run());
    };
    thread::Builder::new().name("session".to_owned()).spawn(body).map_err(|error| error.to_string())?;
    match outcome.recv_timeout(SESSION_MAX) {
        Ok(Ok(ended)) => Ok(Run { summary: ended.summary, fetched_after: *fetched_after.lock() }),
        Ok(Err(error)) => Err(format!("the session failed: {error}")),
        Err(error) => Err(format!("the session hangs or panicked ({error})")),
    }
}

/// Checks all cases, several at once, and adds up their results; stops at the first failure.
pub(crate) fn each<T: Sync>(cases: &[T], check: impl Fn(&T) -> Result<u64, String> + Sync) -> u64 {
    let next = AtomicUsize::new(0);
    let sum = AtomicU64::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            match check(case) {
                Ok(count) => {
                    sum.fetch_add(count, Ordering::Relaxed);
                }
                Err(why) => {
                    failure.lock().get_or_insert(why);
                    next.store(cases.len(), Ordering::Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..SESSIONS_AT_ONCE {
            scope.spawn(work);
        }
    });
    if let Some(why) = failure.into_inner() {
        panic!("{why}");
    }
    sum.into_inner()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A crash may leave a journal that was being written, which the next save overwrites, and files without a valid
/// journal, which the next run sets aside: one of each kind per crash.
fn is_temporary(name: &Path) -> bool {
    let name = name.to_string_lossy();
    let is_aside = |number| {
        name.ends_with(&format!(".towline.{number}")) || name.ends_with(&format!(".towline.json.damaged-{number}"))
    };
    name.ends_with(".towline.json.tmp") || (1..=CRASHES_MAX).any(is_aside)
}
