//! The dispatcher's thread: takes messages, lets the core decide, and does what it decided. It never waits
//! for a disk or a server.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use towline_threads::queue::{GetError, Queue};
use towline_threads::supervisor::Crew;
use tracing::Span;

use super::backpressure;
use super::core::Core;
use crate::disk::Parts;
use crate::event::{Event, Summary};
use crate::feed::Settled;
use crate::message::{
    CommitRequest, Effect, FeedRequest, FetchKind, LocateRequest, Message, OpenRequest, Time, WorkRequest,
};
use crate::source::http::network::Network;
use crate::storage::PartFile;
use crate::worker::{WorkerCommand, WorkerHandle, run};

/// Up to this many messages are taken in before the core decides.
const BATCH_MAX: usize = 256;
/// How often to tick while something runs.
const TICK: Duration = Duration::from_millis(20);
/// How often to tick while nothing runs.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// The feed is told how entries ended at this interval, or once this many have ended.
const SETTLE_EVERY: Duration = Duration::from_millis(100);
const SETTLED_MAX: usize = 1024;
/// How often the load of the workers is checked. A short burst is not worth another worker.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A worker is added when all of them were busier than this since the last check.
const BUSY_SHARE: f64 = 0.8;

/// The queues between the dispatcher and the other threads.
#[derive(Clone)]
pub(crate) struct Queues {
    pub(crate) messages: Queue<Message>,
    pub(crate) opener: Queue<OpenRequest>,
    pub(crate) committer: Queue<CommitRequest>,
    pub(crate) locator: Queue<LocateRequest>,
    pub(crate) feed: Queue<FeedRequest>,
    pub(crate) events: Queue<Event>,
}

impl Queues {
    pub(crate) fn new() -> Self {
        Self {
            messages: Queue::new(),
            opener: Queue::new(),
            committer: Queue::new(),
            locator: Queue::new(),
            feed: Queue::new(),
            events: Queue::new(),
        }
    }

    /// Lets every thread finish its requests and end.
    fn close(&self) {
        self.opener.shutdown();
        self.committer.shutdown();
        self.locator.shutdown_immediate();
        self.feed.shutdown();
        self.events.shutdown();
    }
}

/// What one decision asks of each thread, passed on as one group: a wake-up costs more than most of these requests.
#[derive(Default)]
struct Outbox {
    opener: Vec<OpenRequest>,
    committer: Vec<CommitRequest>,
    events: Vec<Event>,
    /// By the number of the worker.
    workers: Vec<Vec<WorkerCommand>>,
}

/// The dispatcher: the core, and the threads that it reaches.
pub(crate) struct Driver {
    core: Core,
    queues: Queues,
    outbox: Outbox,
    parts: Parts,
    network: Arc<Network>,
    crew: Crew,
    workers: Vec<WorkerHandle>,
    threads_max: usize,
    started: Instant,
    looked: Instant,
    settled: Vec<Settled>,
    told: Instant,
    ended: Arc<Mutex<Option<Summary>>>,
}

impl Drop for Driver {
    /// Also on a panic: the other threads must not wait forever.
    fn drop(&mut self) {
        // Nothing more comes; entries that have come and that nobody has looked at go back to their feed.
        self.queues.messages.shutdown();
        while let Ok(message) = self.queues.messages.try_get() {
            if let Message::Fed(Ok(fed)) = message {
                self.settled.extend(fed.released());
            }
        }
        self.settle();
        for worker in &self.workers {
            worker.send(vec![(WorkRequest::Stop, None)]);
        }
        self.queues.close();
    }
}

impl Driver {
    pub(crate) fn new(
        core: Core,
        queues: Queues,
        parts: Parts,
        network: Arc<Network>,
        crew: Crew,
        threads_max: usize,
        ended: Arc<Mutex<Option<Summary>>>,
    ) -> Self {
        let started = Instant::now();
        let workers = Vec::new();
        Self {
            core,
            queues,
            outbox: Outbox::default(),
            parts,
            network,
            crew,
            workers,
            threads_max: threads_max.max(1),
            started,
            looked: started,
            settled: Vec::new(),
            told: started,
            ended,
        }
    }

    /// Runs until the session has ended. It needs a worker.
    pub(crate) fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH_MAX);
        let mut effects = Vec::new();
        while !self.core.is_finished() {
            let tick = match self.core.is_busy() {
                _ if self.core.is_held_up() => backpressure::TICK,
                true => TICK,
                false => IDLE_TICK,
            };
            match self.queues.messages.get_many(&mut messages, BATCH_MAX, tick) {
                Ok(_) => {}
                Err(GetError::ShutDown) => return,
                Err(_) => messages.push(Message::Tick),
            }
            let now = self.now();
            for message in messages.drain(..) {
                self.core.step(now, message);
            }
            self.core.reporter_is_behind(backpressure::is_behind(&self.queues.events));
            self.core.decide(now, &mut effects);
            self.perform(&mut effects);
            self.look_at_workers();
        }
    }

    fn now(&self) -> Time {
        self.started.elapsed()
    }

    fn perform(&mut self, effects: &mut Vec<Effect>) {
        // Only this thread shuts the queues down, after the last request.
        for effect in effects.drain(..) {
            match effect {
                Effect::Open(request) => self.outbox.opener.push(request),
                Effect::Commit(request) => {
                    if let CommitRequest::Release { job, .. } = request {
                        self.parts.will_release(job);
                    }
                    self.outbox.committer.push(request);
                }
                Effect::Work(worker, request) => {
                    let part = self.part_of(&request);
                    self.outbox.workers[worker].push((request, part));
                }
                Effect::Locate(request) => drop(self.queues.locator.put(request)),
                Effect::Feed(request) => drop(self.queues.feed.put(request)),
                Effect::Settle(entry) => self.settled.push(entry),
                Effect::Report(event) => {
                    log(&event);
                    if let Event::Summary(summary) = &event {
                        // Set here and not by the reporter, which may hang.
                        *self.ended.lock() = Some(summary.clone());
                    }
                    self.outbox.events.push(event);
                }
                Effect::LimitRate(bps) => self.network.limit.set(bps),
            }
        }
        self.pass_on();
        if self.settled.len() >= SETTLED_MAX || self.told.elapsed() >= SETTLE_EVERY {
            self.settle();
        }
    }

    fn pass_on(&mut self) {
        let Outbox { opener, committer, events, workers } = &mut self.outbox;
        // An empty group would still take the lock.
        if !opener.is_empty() {
            let _ = self.queues.opener.put_many(opener);
        }
        if !committer.is_empty() {
            let _ = self.queues.committer.put_many(committer);
        }
        for (worker, commands) in self.workers.iter().zip(workers).filter(|(_, commands)| !commands.is_empty()) {
            worker.send(std::mem::take(commands));
        }
        if !events.is_empty() {
            let _ = self.queues.events.put_many(events);
        }
    }

    /// The partial file that a request to a worker needs.
    fn part_of(&self, request: &WorkRequest) -> Option<Arc<dyn PartFile>> {
        match request {
            WorkRequest::Fetch(fetch) => match fetch.kind {
                FetchKind::Probe | FetchKind::Document(_) | FetchKind::Check { .. } => None,
                FetchKind::Sample { is_of_part: false, .. } => None,
                FetchKind::Sample { .. } | FetchKind::Piece { .. } => self.parts.get(fetch.job),
            },
            WorkRequest::Grant { job, .. } => self.parts.get(*job),
            _ => None,
        }
    }

    /// Tells the feed how entries ended.
    fn settle(&mut self) {
        self.told = Instant::now();
        if !self.settled.is_empty() {
            let _ = self.queues.feed.put(FeedRequest::Settle(std::mem::take(&mut self.settled)));
        }
    }

    /// Adds a worker when all of them have too much to do.
    fn look_at_workers(&mut self) {
        let elapsed = self.looked.elapsed();
        if elapsed < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        let shares = self.workers.iter_mut().map(|worker| worker.busy_share(elapsed));
        // Reads all of them, so that each check covers the same time.
        let busiest_idle = shares.fold(f64::INFINITY, f64::min);
        if busiest_idle > BUSY_SHARE && self.workers.len() < self.threads_max {
            // More workers only add speed.
            if self.add_worker().is_err() {
                self.threads_max = self.workers.len();
            }
        }
    }

    /// Starts one more worker.
    ///
    /// # Errors
    /// If the machine refuses it; without a first one nothing can be done.
    pub(crate) fn add_worker(&mut self) -> io::Result<()> {
        let number = self.workers.len();
        let runtime = run::runtime()?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let metrics = runtime.metrics();
        let (network, reports) = (Arc::clone(&self.network), self.queues.messages.clone());
        let span = Span::current();
        self.crew.spawn(format!("worker-{number}"), move || {
            let _entered = span.entered();
            let guard = StopOnPanic(reports.clone());
            run::run(runtime, network, inbox, reports);
            drop(guard);
        })?;
        self.workers.push(WorkerHandle { commands, metrics, busy_before: Duration::ZERO });
        self.outbox.workers.push(Vec::new());
        self.core.step(self.now(), Message::WorkerAdded(number));
        Ok(())
    }
}

/// Progress comes ten times a second, so it is only traced.
fn log(event: &Event) {
    match event {
        Event::Progress(_) => tracing::trace!(?event),
        _ => tracing::debug!(?event),
    }
}

/// Stops the session cleanly when a thread panics, instead of leaving it waiting.
pub(crate) struct StopOnPanic(pub(crate) Queue<Message>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.put(Message::Stop);
        }
    }
}
