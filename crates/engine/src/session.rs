//! A session: the running engine. It takes commands at any time, from any thread, and ends when it
//! is closed and everything has ended, or when it is stopped.
//!
//! The session is a supervised run of the toolkit: its threads are the supervisor's, its step saves
//! what has come, and an interrupt from the injected source stops it in order.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use parking_lot::Mutex;
use towline_threads::cancel::CancelToken;
use towline_threads::executor::ThreadPoolExecutor;
use towline_threads::queue::{GetError, Queue};
use towline_threads::supervisor::{
    Crew, Interrupt, InterruptSink, InterruptSource, Outcome, SuperviseError, Supervised, Supervisor,
};

use crate::disk::Parts;
use crate::disk::committer::Committer;
use crate::disk::opener::Opener;
use crate::dispatch::core::Core;
use crate::dispatch::driver::{Driver, Queues, StopOnPanic};
use crate::error::{Error, ErrorKind, Result, find, plain_io};
use crate::event::{Event, Progress, Reporter, Summary};
use crate::feed::Feed;
use crate::job::{JobId, JobSpec};
use crate::message::{Command, FeedRequest, Message};
use crate::name::NameRules;
use crate::options::{Durability, Options};
use crate::source::http::network::Network;
use crate::source::http::resolve::{Resolve, SystemResolver};
use crate::source::limit::RateLimit;
use crate::storage::Storage;
use crate::storage::disk::Disk;

/// Threads get so long to end after an interrupt; the core gives up its own work before that.
const GRACE: Duration = Duration::from_millis(1800);
/// Events are handed on this often at most; nobody looks more often, and a wake-up costs.
const REPORT_EVERY: Duration = Duration::from_millis(5);
const EVENTS_MAX: usize = 1024;
/// A wait that is ended by its queue's shutting down.
const WAIT: Duration = Duration::from_secs(365 * 86_400);
/// Descriptors that a session needs besides those of its files and connections.
const DESCRIPTORS_OTHERWISE: u64 = 32;
/// The feed waits so long for slow input before it looks at what else it was asked.
const FEED_PATIENCE: Duration = Duration::from_millis(50);

/// Builds a [`Session`].
#[must_use]
pub struct SessionBuilder {
    options: Options,
    reporter: Option<Box<dyn Reporter>>,
    feed: Option<Box<dyn Feed>>,
    interrupts: Option<Box<dyn InterruptSource>>,
    resolver: Arc<dyn Resolve>,
    storage: Arc<dyn Storage>,
}

impl SessionBuilder {
    /// Hands the session's events to this reporter, on a thread of its own.
    pub fn reporter(mut self, reporter: impl Reporter + 'static) -> Self {
        self.reporter = Some(Box::new(reporter));
        self
    }

    /// Takes jobs from this feed, besides those that are added one by one.
    pub fn feed(mut self, feed: impl Feed + 'static) -> Self {
        self.feed = Some(Box::new(feed));
        self
    }

    /// Is interrupted by this source. Without one, only [`SessionHandle::stop`] ends it early.
    pub fn interrupts(mut self, source: impl InterruptSource + 'static) -> Self {
        self.interrupts = Some(Box::new(source));
        self
    }

    /// Looks host names up with this resolver instead of the system's.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// Keeps files in this storage instead of the file system.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Checks what can be checked before anything runs, and creates nothing.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for a CA file or a proxy that cannot be used.
    pub fn check(&self) -> Result<()> {
        let limit = RateLimit::new(None, Instant::now());
        Network::new(self.options.http.clone(), limit, Arc::clone(&self.resolver)).map(drop)
    }

    /// Checks what can be checked before anything runs, and creates the directory.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for a CA file that cannot be used, [`ErrorKind::Storage`] for a
    /// directory that cannot be created.
    pub fn build(self) -> Result<Session> {
        let limit = RateLimit::new(self.options.limit_rate_bps, Instant::now());
        let network = Network::new(self.options.http.clone(), limit, self.resolver)?;
        self.storage
            .create_dirs(&self.options.dir, Path::new(""))
            .map_err(|source| Error::storage("create the directory", &self.options.dir, source))?;
        let inner = Arc::new(HandleInner {
            queues: Queues::new(),
            next_job: AtomicU64::new(0),
            sink: Mutex::new(SinkState::Early(false)),
        });
        Ok(Session {
            handle: SessionHandle { inner },
            options: self.options,
            reporter: self.reporter,
            feed: self.feed,
            interrupts: self.interrupts,
            storage: self.storage,
            network: Arc::new(network),
        })
    }
}

/// A session that has been set up and not begun.
#[must_use]
pub struct Session {
    handle: SessionHandle,
    options: Options,
    reporter: Option<Box<dyn Reporter>>,
    feed: Option<Box<dyn Feed>>,
    interrupts: Option<Box<dyn InterruptSource>>,
    storage: Arc<dyn Storage>,
    network: Arc<Network>,
}

/// How a session ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What was done.
    pub summary: Summary,
    /// What interrupted it, if anything did.
    pub interrupt: Option<Interrupt>,
}

impl Session {
    /// Begins to set a session up.
    pub fn builder(options: Options) -> SessionBuilder {
        SessionBuilder {
            options,
            reporter: None,
            feed: None,
            interrupts: None,
            resolver: Arc::new(SystemResolver),
            storage: Arc::new(Disk::new()),
        }
    }

    /// A handle for commands, before and while it runs.
    pub fn handle(&self) -> SessionHandle {
        self.handle.clone()
    }

    /// Runs the session on the calling thread until it is closed (see [`SessionHandle::close`]) and
    /// everything has ended, or until it is interrupted.
    ///
    /// That some files failed is no error of the session: the summary tells.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Storage`] if its threads cannot be started, [`ErrorKind::Internal`] if one of them
    /// panicked; files under a final name are right even then.
    pub fn run(self) -> Result<Ended> {
        let cancel = CancelToken::new();
        let mut supervisor = Supervisor::new(self.options.threads.max(1))
            .run_sleep(self.options.save_interval.max(Duration::from_millis(1)))
            .grace(GRACE)
            .cancel_token(cancel);
        let source = Interrupts { handle: self.handle.clone(), outer: self.interrupts };
        supervisor = supervisor.interrupts(source);
        let ended: Arc<Mutex<Option<Summary>>> = Arc::new(Mutex::new(None));
        let mut run = Run {
            queues: self.handle.inner.queues.clone(),
            options: self.options,
            reporter: self.reporter,
            feed: self.feed,
            storage: self.storage,
            network: self.network,
            ended: Arc::clone(&ended),
        };
        let outcome = supervisor.run(&mut run);
        let interrupt = match outcome.map_err(not_run)? {
            Outcome::Interrupted(interrupt) => Some(interrupt),
            _ => None,
        };
        let summary = ended.lock().take();
        let summary = match summary {
            Some(summary) => summary,
            // The dispatcher did not end; what was done stands, but nobody counted it.
            None => Summary { interrupted: interrupt.is_some(), ..Summary::default() },
        };
        Ok(Ended { summary, interrupt })
    }
}

/// Why a session could not run: the machine gave it no thread or no memory for one, or we are wrong.
fn not_run(source: SuperviseError) -> Error {
    let refused = find::<io::Error>(&source).map(plain_io);
    let error = match refused {
        Some(why) => Error::new(ErrorKind::Storage, format!("this machine gives the engine too few threads ({why})"))
            .with_advice("raise the limits of threads and memory (ulimit -u, ulimit -v), or try --threads 1"),
        None => Error::new(ErrorKind::Internal, "a thread of the engine failed"),
    };
    error.with_source(source)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Commands a session, from any thread. Cheap to clone.
///
/// Commands to a session that has ended do nothing.
#[derive(Clone)]
pub struct SessionHandle {
    inner: Arc<HandleInner>,
}

struct HandleInner {
    queues: Queues,
    next_job: AtomicU64,
    sink: Mutex<SinkState>,
}

/// Where a stop goes: it may be asked for before the session runs.
enum SinkState {
    Early(bool),
    /// And whether it was asked for since.
    Connected(InterruptSink, bool),
}

impl SessionHandle {
    /// Adds a file; it begins when it is its turn.
    pub fn add(&self, spec: JobSpec) -> JobId {
        let id = JobId(self.inner.next_job.fetch_add(1, Ordering::Relaxed));
        self.command(Command::Add(id, Box::new(spec)));
        id
    }

    /// Stops a file; what has come is saved and its connections are freed.
    pub fn pause(&self, job: JobId) {
        self.command(Command::Pause(job));
    }

    /// Lets a paused file go on.
    pub fn resume(&self, job: JobId) {
        self.command(Command::Resume(job));
    }

    /// Gives a file up. What has come stays on the disk, and a later run can resume it.
    pub fn cancel(&self, job: JobId) {
        self.command(Command::Cancel(job));
    }

    /// Changes how many files are fetched at once; running ones are not broken off.
    pub fn set_jobs(&self, jobs: usize) {
        self.command(Command::SetJobs(jobs));
    }

    /// Changes how many connections go to one host; open ones are not broken off.
    pub fn set_max_per_host(&self, connections: usize) {
        self.command(Command::SetMaxPerHost(connections));
    }

    /// Changes how many connections there are in all; open ones are not broken off.
    pub fn set_max_connections(&self, connections: usize) {
        self.command(Command::SetMaxConnections(connections));
    }

    /// Changes the rate limit, bytes a second over everything.
    pub fn set_limit_rate(&self, bps: Option<u64>) {
        self.command(Command::SetLimitRate(bps));
    }

    /// How everything stands; `None` if the session does not answer within a second or has ended.
    pub fn snapshot(&self) -> Option<Progress> {
        let reply = Queue::bounded(1);
        if !self.command(Command::Snapshot(reply.clone())) {
            return None;
        }
        reply.get_timeout(Duration::from_secs(1)).ok()
    }

    /// Nothing will be added any more: the session ends when everything has ended.
    pub fn close(&self) {
        self.command(Command::Close);
    }

    /// Ends the session now, in order: what has come is saved and can be resumed.
    pub fn stop(&self) {
        let mut sink = self.inner.sink.lock();
        match &mut *sink {
            SinkState::Early(is_stopped) => *is_stopped = true,
            SinkState::Connected(sink, is_stopped) => {
                // A second interrupt would end the run at once.
                if !std::mem::replace(is_stopped, true) {
                    sink.send(Interrupt::Requested);
                }
            }
        }
    }

    /// Says whether the session takes commands still.
    fn command(&self, command: Command) -> bool {
        self.inner.queues.messages.put(Message::Command(command)).is_ok()
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionHandle").finish_non_exhaustive()
    }
}

/// The injected source, and [`SessionHandle::stop`].
struct Interrupts {
    handle: SessionHandle,
    outer: Option<Box<dyn InterruptSource>>,
}

impl InterruptSource for Interrupts {
    fn start(self: Box<Self>, sink: InterruptSink) {
        if let Some(outer) = self.outer {
            outer.start(sink.clone());
        }
        let mut state = self.handle.inner.sink.lock();
        let is_stopped = matches!(*state, SinkState::Early(true));
        if is_stopped {
            sink.send(Interrupt::Requested);
        }
        *state = SinkState::Connected(sink, is_stopped);
    }
}

/// The supervised run: which threads there are, what a step is, what an interrupt does.
struct Run {
    queues: Queues,
    options: Options,
    reporter: Option<Box<dyn Reporter>>,
    feed: Option<Box<dyn Feed>>,
    storage: Arc<dyn Storage>,
    network: Arc<Network>,
    ended: Arc<Mutex<Option<Summary>>>,
}

impl Supervised for Run {
    fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
        let parts = Parts::default();
        let queues = self.queues.clone();
        let opener = Opener {
            storage: Arc::clone(&self.storage),
            dir: self.options.dir.clone(),
            parts: parts.clone(),
            requests: queues.opener.clone(),
            reports: queues.messages.clone(),
            leftovers: RefCell::default(),
        };
        self.spawn(crew, "open", move || opener.run())?;
        let digests = ThreadPoolExecutor::builder()
            .max_workers(self.options.threads.max(1))
            .thread_name_prefix("digest")
            .build()
            .map_err(io::Error::other)?;
        let committer = Committer {
            storage: Arc::clone(&self.storage),
            parts: parts.clone(),
            requests: queues.committer.clone(),
            reports: queues.messages.clone(),
            digests,
            cancel: crew.cancel_token().clone(),
            syncs: self.options.durability == Durability::Full,
            dir: self.options.dir.clone(),
            named: RefCell::default(),
            refuses_unnamed: Cell::default(),
            last_modified: Cell::new(UNIX_EPOCH),
        };
        self.spawn(crew, "commit", move || committer.run())?;
        let (events, mut reporter) = (queues.events.clone(), self.reporter.take());
        self.spawn(crew, "report", move || {
            let mut group = Vec::new();
            while events.get_many(&mut group, EVENTS_MAX, WAIT).is_ok_and(|count| count > 0) {
                let is_last = matches!(group.last(), Some(Event::Summary(_)));
                for event in group.drain(..) {
                    if let Some(reporter) = &mut reporter {
                        reporter.report(&event);
                    }
                }
                if !is_last {
                    std::thread::sleep(REPORT_EVERY);
                }
            }
        })?;
        let has_feed = self.feed.is_some();
        let input = self.feed.as_ref().and_then(|feed| within(&self.options.dir, feed.input()?));
        if let Some(feed) = self.feed.take() {
            let (requests, reports) = (queues.feed.clone(), queues.messages.clone());
            self.spawn(crew, "feed", move || run_feed(feed, &requests, &reports))?;
        }
        let seed = self.options.seed.unwrap_or_else(|| fastrand::u64(..));
        // One name of one file folds with no other.
        let rules = self.storage.name_rules(&self.options.dir);
        let rules = NameRules { folds: !has_feed || rules.folds, ..rules };
        let mut core = Core::new(&within_descriptors(self.options.clone()), has_feed, rules, seed);
        if let Some(input) = input {
            core.reserve_name(&input);
        }
        let network = Arc::clone(&self.network);
        let driver =
            Driver::new(core, queues, parts, network, crew.clone(), self.options.threads, Arc::clone(&self.ended));
        self.spawn(crew, "dispatch", move || driver.run())
    }

    fn run_step(&mut self) {
        // The last step comes after the dispatcher has ended and saved everything itself.
        let _ = self.queues.messages.put(Message::Step);
    }

    fn run_interrupt(&mut self, _: Interrupt) {
        let _ = self.queues.messages.put(Message::Stop);
    }
}

impl Run {
    fn spawn(&self, crew: &Crew, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let guard = StopOnPanic(self.queues.messages.clone());
        crew.spawn(name, move || {
            body();
            drop(guard);
        })
    }
}

/// The path of `file` as files of a session in `dir` would have it, if it is below that.
fn within(dir: &Path, file: &Path) -> Option<PathBuf> {
    let below = file.strip_prefix(fs::canonicalize(dir).ok()?).ok()?;
    Some(dir.join(below))
}

/// Each connection and each file under way takes a descriptor; the ledger, the runtimes and the caller
/// have theirs. Fewer at once is better than some that fail.
fn within_descriptors(mut options: Options) -> Options {
    let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else { return options };
    let left = usize::try_from(limit.saturating_sub(DESCRIPTORS_OTHERWISE)).unwrap_or(usize::MAX);
    // A file has its partial file and its connection, and as many are prepared ahead.
    let most = (left / 3).max(1);
    options.max_connections = options.max_connections.min(most);
    options.connections = options.connections.map(|connections| connections.min(most));
    options.jobs = options.jobs.min(most);
    options
}

/// The feed's thread: reads entries when asked, notes how they ended.
fn run_feed(mut feed: Box<dyn Feed>, requests: &Queue<FeedRequest>, reports: &Queue<Message>) {
    let mut wanted = 0;
    loop {
        let patience = if wanted > 0 { Duration::ZERO } else { Duration::from_secs(3600) };
        match requests.get_timeout(patience) {
            Ok(FeedRequest::Want(entries)) => wanted = entries,
            Ok(FeedRequest::Settle(settled)) => {
                if let Err(error) = feed.settle(settled) {
                    let _ = reports.put(Message::FeedFailed(error));
                }
                tell_warnings(&mut *feed, reports);
            }
            Ok(FeedRequest::Owner { job, entry, path }) => {
                let _ = reports.put(Message::Owned(job, feed.owner(entry, &path)));
            }
            Err(GetError::ShutDown) => break,
            Err(_) => {}
        }
        if wanted == 0 || !requests.is_empty() {
            continue;
        }
        let fed = feed.next(wanted, FEED_PATIENCE);
        tell_warnings(&mut *feed, reports);
        // Nothing yet and more to come: ask again.
        if !matches!(&fed, Ok(fed) if fed.entries.is_empty() && !fed.ended) {
            wanted = 0;
            let _ = reports.put(Message::Fed(fed));
        }
    }
    if let Err(error) = feed.close() {
        let _ = reports.put(Message::FeedFailed(error));
    }
    tell_warnings(&mut *feed, reports);
}

fn tell_warnings(feed: &mut dyn Feed, reports: &Queue<Message>) {
    for warning in feed.take_warnings() {
        let _ = reports.put(Message::Warned(warning));
    }
}
