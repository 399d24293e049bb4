//! The supervised run behind a session: its threads, its step, and how it handles an interrupt.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use towline_threads::executor::ThreadPoolExecutor;
use towline_threads::queue::Queue;
use towline_threads::supervisor::{Crew, Interrupt, Supervised};
use tracing::Span;

use super::subscription::{Publisher, Subscribers};
use super::{EndsCommands, feeding};
use crate::disk::Parts;
use crate::disk::committer::Committer;
use crate::disk::committer::own_time::OwnTimes;
use crate::disk::directories::Directories;
use crate::disk::opener::Opener;
use crate::dispatch::core::Core;
use crate::dispatch::driver::{Driver, Queues, StopOnPanic};
use crate::event::{Event, Reporter, Summary};
use crate::feed::Feed;
use crate::message::{LocateRequest, Message};
use crate::name::NameRules;
use crate::options::{Durability, Options};
use crate::provider::{Plain, Provider as _, Providers, Web};
use crate::source::http::network::Network;
use crate::storage::Storage;

/// The shortest interval between batches of events; nobody looks more often, and each wake-up has a cost.
const REPORT_EVERY: Duration = Duration::from_millis(5);
const EVENTS_MAX: usize = 1024;
/// How many entries are located at once.
const LOCATORS: usize = 4;
/// An upper bound; shutting the queue down ends the wait.
const WAIT: Duration = Duration::from_secs(365 * 86_400);
/// Descriptors that a session needs in addition to its files and connections.
const DESCRIPTORS_OTHERWISE: u64 = 32;

/// The supervised run: its threads, its step, and how it handles an interrupt.
pub(super) struct Run {
    pub(super) queues: Queues,
    pub(super) options: Options,
    pub(super) reporter: Option<Box<dyn Reporter>>,
    pub(super) subscribers: Arc<Subscribers>,
    pub(super) feed: Option<Box<dyn Feed>>,
    pub(super) providers: Providers,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) network: Arc<Network>,
    pub(super) ended: Arc<Mutex<Option<Summary>>>,
    /// The session's log span, which all of its threads enter.
    pub(super) span: Span,
    pub(super) _ends: EndsCommands,
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
            directories: Directories::new(Arc::clone(&self.storage)),
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
            own_times: RefCell::new(OwnTimes::new()),
        };
        self.spawn(crew, "commit", move || committer.run())?;
        let (events, reporter) = (queues.events.clone(), self.reporter.take());
        let publisher = Publisher::new(Arc::clone(&self.subscribers));
        self.spawn(crew, "report", move || run_reporter(&events, reporter, publisher))?;
        let has_feed = self.feed.is_some();
        let input = self.feed.as_ref().and_then(|feed| within(&self.options.dir, feed.input()?));
        if let Some(feed) = self.feed.take() {
            let (requests, reports) = (queues.feed.clone(), queues.messages.clone());
            self.spawn(crew, "feed", move || feeding::run(feed, &requests, &reports))?;
        }
        if !self.providers.is_empty() {
            for number in 0..LOCATORS {
                let web = Web::new(queues.messages.clone());
                let providers = self.providers.clone();
                let (requests, reports) = (queues.locator.clone(), queues.messages.clone());
                self.spawn(crew, &format!("locate-{number}"), move || {
                    run_locator(&providers, &web, &requests, &reports);
                })?;
            }
        }
        let seed = self.options.seed.unwrap_or_else(|| fastrand::u64(..));
        // The single name of a single file cannot clash with another.
        let rules = self.storage.name_rules(&self.options.dir);
        let rules = NameRules { folds: !has_feed || rules.folds, ..rules };
        let (options, open_max) = within_descriptors(self.options.clone());
        let mut core = Core::new(&options, has_feed, rules, seed);
        core.limit_open(open_max);
        core.write_to(self.storage.capabilities());
        core.ask_providers(self.providers.clone());
        if let Some(input) = input {
            core.reserve_name(&input);
        }
        let network = Arc::clone(&self.network);
        let mut driver =
            Driver::new(core, queues, parts, network, crew.clone(), self.options.threads, Arc::clone(&self.ended));
        self.span.in_scope(|| driver.add_worker())?;
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
        let span = self.span.clone();
        crew.spawn(name, move || {
            let _entered = span.entered();
            body();
            drop(guard);
        })
    }
}

/// The reporter thread: passes events to the reporter, which must not miss any, and to the subscribers.
fn run_reporter(events: &Queue<Event>, mut reporter: Option<Box<dyn Reporter>>, mut publisher: Publisher) {
    let mut group = Vec::new();
    while events.get_many(&mut group, EVENTS_MAX, WAIT).is_ok_and(|count| count > 0) {
        let is_last = matches!(group.last(), Some(Event::Summary(_)));
        let is_full = group.len() == EVENTS_MAX;
        for event in group.drain(..) {
            publisher.publish(&event);
            if let Some(reporter) = &mut reporter {
                reporter.report(&event);
            }
        }
        if !is_last && !is_full {
            std::thread::sleep(REPORT_EVERY);
        }
    }
}

/// A thread that calls providers to locate entries.
fn run_locator(providers: &Providers, web: &Web, requests: &Queue<LocateRequest>, reports: &Queue<Message>) {
    while let Ok(LocateRequest { job, source, entry, profile }) = requests.get_timeout(WAIT) {
        let web = web.of_profile(profile);
        let located = match providers.of(&entry) {
            Some(provider) => provider.locate(&entry, &web),
            None => Plain.locate(&entry, &web),
        };
        let _ = reports.put(Message::Located(job, source, located));
    }
}

/// The path of `file` as a session in `dir` would have it, if it is inside `dir`.
fn within(dir: &Path, file: &Path) -> Option<PathBuf> {
    let below = file.strip_prefix(fs::canonicalize(dir).ok()?).ok()?;
    Some(dir.join(below))
}

/// Each connection and each file in progress takes a descriptor, and so do the ledger, the runtimes and the
/// caller. Doing less at once is better than failing. Also returns how many small files may wait to be stored, and how
/// many begun ones for their servers: each of them is open.
fn within_descriptors(mut options: Options) -> (Options, usize) {
    let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else {
        return (options, usize::MAX);
    };
    let left = usize::try_from(limit.saturating_sub(DESCRIPTORS_OTHERWISE)).unwrap_or(usize::MAX);
    // A file needs a descriptor for its partial file and its connection, and as many files are prepared ahead.
    let most = (left / 4).max(1);
    options.max_connections = options.max_connections.min(most);
    options.connections = options.connections.map(|connections| connections.min(most));
    options.jobs = options.jobs.min(most);
    (options, most)
}
