//! One life of a simulated program: the core decides, opener and committer do their real work on an in-memory
//! disk, streams stand in for workers. One thing happens at a time, in an order derived from the seed, and
//! after each the promises are checked. `World` is all that a program and its surroundings consist of, so it
//! has many fields.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use towline_threads::cancel::CancelToken;
use towline_threads::executor::ThreadPoolExecutor;
use towline_threads::queue::Queue;

mod disk;

use super::checks;
use super::network::{Stage, Stream, Surroundings, Turn};
use super::script::{DIR, Order, Script, number_of};
use super::storage::TestStorage;
use crate::checksum::{Algorithm, digest_of};
use crate::disk::Parts;
use crate::disk::committer::Committer;
use crate::disk::committer::own_time::OwnTimes;
use crate::disk::directories::Directories;
use crate::disk::opener::Opener;
use crate::dispatch::core::Core;
use crate::dispatch::job::Segmented;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, How};
use crate::feed::{EntryId, Fed, FedEntry, Owner};
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{
    Command, CommitRequest, Effect, End, Ended, FeedRequest, Fetch, FetchKind, Message, OpenRequest, Protocol, SlotId,
    Time, WorkRequest,
};
use crate::name::NameRules;
use crate::plan::TransferId;
use crate::plan::piece::OPEN_END;
use crate::storage::Storage;

/// A life that has not ended after this many steps, or this much time, never will.
const STEPS_MAX: u64 = 100_000;
const TIME_MAX: Time = Time::from_secs(6 * 3600);
/// How often paused jobs are resumed; otherwise the life would never end.
const RESUME_EVERY: Time = Time::from_secs(20);

/// How a life went.
pub(super) struct Lived {
    pub(super) lasted: Time,
    /// The power failed.
    pub(super) is_crashed: bool,
    /// It was told to stop.
    pub(super) is_interrupted: bool,
    /// The files that failed.
    pub(super) failures: Vec<(usize, ErrorKind)>,
    pub(super) cancelled: u64,
    pub(super) steps: u64,
    pub(super) requests: u64,
}

/// Something that is due.
#[derive(Clone, Copy)]
enum Due {
    Tick,
    Step,
    Open,
    Commit,
    Stream(TransferId),
    /// An aborted transfer has ended.
    Dropped(TransferId),
    Fed(usize),
    Order(Order),
}

/// A connection, or the right to one.
struct Slot {
    host: Origin,
    users: usize,
    is_connected: bool,
    protocol: Option<Protocol>,
}

/// How many connections there may be.
struct Caps {
    per_host: usize,
    total: usize,
}

/// A running life.
pub(super) struct World<'a> {
    script: &'a Script,
    dice: Rng,
    /// When it started, after the lives before.
    epoch: Time,
    now: Time,
    core: Core,
    storage: TestStorage,
    parts: Parts,
    opener: Opener,
    committer: Committer,
    /// The messages of the committer.
    reports: Queue<Message>,
    to_open: VecDeque<OpenRequest>,
    to_commit: VecDeque<CommitRequest>,
    /// The messages that the dispatcher has not taken yet.
    inbox: VecDeque<Message>,
    agenda: BTreeMap<(Time, u64), Due>,
    next_due: u64,
    streams: BTreeMap<TransferId, Stream>,
    slots: BTreeMap<SlotId, Slot>,
    slot_of: BTreeMap<TransferId, SlotId>,
    caps: Caps,
    limit_bps: Option<u64>,
    workers: usize,
    fed_jobs: usize,
    started: Vec<JobId>,
    ended: BTreeSet<JobId>,
    failures: Vec<(usize, ErrorKind)>,
    cancelled: u64,
    steps: u64,
    requests: u64,
}

impl<'a> World<'a> {
    /// Starts a life. Commands come in the first one only.
    pub(super) fn new(script: &'a Script, storage: TestStorage, seed: u64, life: usize, epoch: Time) -> Self {
        let (parts, reports) = (Parts::default(), Queue::new());
        let opener = Opener {
            storage: Arc::new(storage.clone()),
            dir: DIR.into(),
            parts: parts.clone(),
            requests: Queue::new(),
            reports: reports.clone(),
            directories: Directories::new(Arc::new(storage.clone())),
        };
        let committer = Committer {
            storage: Arc::new(storage.clone()),
            parts: parts.clone(),
            requests: Queue::new(),
            reports: reports.clone(),
            digests: ThreadPoolExecutor::builder().max_workers(1).build().expect("a pool"),
            cancel: CancelToken::new(),
            syncs: true,
            dir: PathBuf::from(DIR),
            named: RefCell::default(),
            refuses_unnamed: Cell::default(),
            own_times: RefCell::new(OwnTimes::new()),
        };
        let explicit = script.options.connections.unwrap_or(1);
        let mut world = Self {
            script,
            dice: Rng::with_seed(seed.wrapping_add(life as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            epoch,
            now: Time::ZERO,
            core: Core::new(&script.options, script.has_feed, NameRules::default(), seed),
            storage,
            parts,
            opener,
            committer,
            reports,
            to_open: VecDeque::new(),
            to_commit: VecDeque::new(),
            inbox: VecDeque::from([Message::WorkerAdded(0)]),
            agenda: BTreeMap::new(),
            next_due: 0,
            streams: BTreeMap::new(),
            slots: BTreeMap::new(),
            slot_of: BTreeMap::new(),
            caps: Caps {
                per_host: script.options.max_per_host.max(explicit),
                total: script.options.max_connections.max(explicit),
            },
            limit_bps: None,
            workers: 1,
            fed_jobs: 0,
            started: Vec::new(),
            ended: BTreeSet::new(),
            failures: Vec::new(),
            cancelled: 0,
            steps: 0,
            requests: 0,
        };
        world.schedule_orders(life == 0);
        world
    }

    /// Runs until everything has ended or the power fails.
    pub(super) fn live(mut self) -> Lived {
        while !self.core.is_finished() && !self.storage.is_stopped() {
            self.steps += 1;
            let is_in_time = self.steps < STEPS_MAX && self.now < TIME_MAX;
            assert!(is_in_time, "it does not end: {} steps, {:?}, {:#?}", self.steps, self.now, self.core);
            let ((at, _), due) = self.agenda.pop_first().expect("a tick is always due");
            self.now = at;
            self.happen(due);
            // The dispatcher does not always run before the next thing happens.
            if !self.storage.is_stopped() && self.dice.u8(0..4) != 0 {
                self.dispatch();
            }
        }
        self.finish_disk();
        let is_crashed = self.storage.is_stopped();
        let is_interrupted = self.core.course.stopped.is_some();
        if !is_crashed && !is_interrupted {
            assert_eq!(self.ended.len(), self.script.jobs.len(), "each job ends");
        }
        Lived {
            lasted: self.now,
            is_crashed,
            is_interrupted,
            failures: std::mem::take(&mut self.failures),
            cancelled: self.cancelled,
            steps: self.steps,
            requests: self.requests,
        }
    }

    fn schedule_orders(&mut self, is_first: bool) {
        if is_first {
            for (at, order) in &self.script.orders {
                self.schedule(*at, Due::Order(*order));
            }
        } else {
            let jobs = if self.script.has_feed { 0 } else { self.script.jobs.len() };
            for job in 0..jobs {
                self.schedule(Time::ZERO, Due::Order(Order::Add(job)));
            }
            self.schedule(Time::ZERO, Due::Order(Order::Close));
        }
        self.schedule(RESUME_EVERY, Due::Order(Order::ResumeAll));
        self.schedule(self.script.options.save_interval, Due::Step);
        self.schedule(Time::ZERO, Due::Tick);
    }

    fn schedule(&mut self, after: Time, due: Due) {
        self.next_due += 1;
        self.agenda.insert((self.now + after, self.next_due), due);
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Tick => {
                self.inbox.push_back(Message::Tick);
                let after = self.next_tick();
                self.schedule(after, Due::Tick);
            }
            Due::Step => {
                self.inbox.push_back(Message::Step);
                self.schedule(self.script.options.save_interval, Due::Step);
            }
            Due::Open => self.open(),
            Due::Commit => self.commit(),
            Due::Stream(transfer) => self.turn(transfer),
            Due::Dropped(transfer) => {
                let is_shared = self.slot(transfer).is_some_and(|slot| slot.protocol == Some(Protocol::Http2));
                self.say_ended(transfer, End::Dropped, is_shared);
            }
            Due::Fed(max) => self.feed(max),
            Due::Order(order) => self.order(order),
        }
    }

    /// Often while something happens, seldom while everything waits.
    fn next_tick(&mut self) -> Time {
        let soon = Time::from_millis(self.dice.u64(20..100));
        match self.agenda.first_key_value() {
            Some(((at, _), _)) if *at > self.now + Time::from_millis(200) => (*at - self.now).min(Time::from_secs(1)),
            _ => soon,
        }
    }

    fn order(&mut self, order: Order) {
        let command = match order {
            Order::Add(job) => Some(Command::Add(JobId(job as u64), Box::new(self.script.spec(job)))),
            Order::Close => Some(Command::Close),
            Order::Pause(job) => self.job(job).map(Command::Pause),
            Order::Resume(job) => self.job(job).map(Command::Resume),
            Order::Cancel(job) => self.job(job).map(Command::Cancel),
            Order::PauseEverything => Some(Command::PauseAll),
            Order::ResumeEverything => Some(Command::ResumeAll),
            Order::SetConnections(connections) => Some(Command::SetConnections(connections)),
            Order::SetJobs(jobs) => Some(Command::SetJobs(jobs)),
            Order::SetMaxPerHost(max) => Some(Command::SetMaxPerHost(max)),
            Order::SetMaxConnections(max) => Some(Command::SetMaxConnections(max)),
            Order::SetLimitRate(bps) => Some(Command::SetLimitRate(bps)),
            Order::ResumeAll => {
                let paused = self.core.turns.paused.iter().copied();
                self.inbox.extend(paused.map(|job| Message::Command(Command::Resume(job))));
                self.schedule(RESUME_EVERY, Due::Order(Order::ResumeAll));
                None
            }
            Order::AddWorker => {
                self.inbox.push_back(Message::WorkerAdded(self.workers));
                None
            }
            Order::Stop => {
                self.inbox.push_back(Message::Stop);
                None
            }
        };
        self.inbox.extend(command.map(Message::Command));
    }

    /// The id of a job; those of a feed get theirs when they start.
    fn job(&self, job: usize) -> Option<JobId> {
        match self.script.has_feed {
            true => self.started.get(job).copied(),
            false => Some(JobId(job as u64)),
        }
    }

    fn feed(&mut self, max: usize) {
        let jobs = self.script.jobs.len();
        let from = self.fed_jobs;
        self.fed_jobs = jobs.min(from + max);
        let entry = |job: usize| FedEntry::Job { entry: EntryId(job as u64), spec: self.script.spec(job), name: None };
        let entries = (from..self.fed_jobs).map(entry).collect();
        let ended = self.fed_jobs == jobs;
        let fed = Fed { entries, read_entries: self.fed_jobs as u64, read_all: ended, ended };
        self.inbox.push_back(Message::Fed(Ok(fed)));
    }

    /// The dispatcher's turn.
    fn dispatch(&mut self) {
        while let Some(message) = self.inbox.pop_front() {
            self.note(&message);
            self.core.step(self.now, message);
        }
        let mut effects = Vec::new();
        self.core.decide(self.now, &mut effects);
        self.check_places(&effects);
        for effect in effects {
            self.perform(effect);
        }
    }

    /// Tracks what the core is about to learn.
    fn note(&mut self, message: &Message) {
        match message {
            Message::Ended(ended) => {
                let slot = self.slot_of.remove(&ended.transfer).and_then(|slot| self.slots.get_mut(&slot));
                slot.expect("a transfer ends once").users -= 1;
            }
            Message::WorkerAdded(worker) => self.workers = worker + 1,
            Message::Command(Command::SetConnections(connections)) => {
                self.caps.per_host = self.caps.per_host.max(*connections);
                self.caps.total = self.caps.total.max(*connections);
            }
            Message::Command(Command::SetMaxPerHost(max)) => self.caps.per_host = (*max).max(1),
            Message::Command(Command::SetMaxConnections(max)) => self.caps.total = (*max).max(1),
            _ => {}
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Open(request) => self.ask_opener(request),
            Effect::Commit(request) => self.ask_committer(request),
            Effect::Work(worker, request) => {
                assert!(worker < self.workers, "there is no worker {worker}");
                self.work(request);
            }
            Effect::Locate(request) => unreachable!("{request:?}: there are no providers"),
            Effect::Feed(FeedRequest::Owner { job, .. }) => {
                self.inbox.push_back(Message::Owned(job, Ok(Owner::Nobody)))
            }
            Effect::Feed(FeedRequest::Want(max)) => {
                let after = Time::from_millis(self.dice.u64(0..50));
                self.schedule(after, Due::Fed(max));
            }
            Effect::Feed(FeedRequest::Settle(_)) => unreachable!("the driver groups what is settled"),
            Effect::Report(event) => self.told(&event),
            Effect::Settle(_) => {}
            Effect::LimitRate(bps) => self.limit_bps = bps,
        }
    }

    fn work(&mut self, request: WorkRequest) {
        match request {
            WorkRequest::Fetch(fetch) => self.fetch(fetch),
            WorkRequest::Grant { transfer, job } => self.grant(transfer, job),
            WorkRequest::Gather(transfer) => self.gather(transfer),
            WorkRequest::Drop(transfer) => self.break_off(transfer),
            WorkRequest::CloseSlot(slot) => {
                let closed = self.slots.remove(&slot).expect("a connection is closed once");
                assert_eq!(closed.users, 0, "a connection is closed while it is used");
            }
            WorkRequest::Stop => {}
        }
    }

    fn told(&mut self, event: &Event) {
        match event {
            Event::Started { job, .. } if !self.started.contains(job) => self.started.push(*job),
            Event::Finished { job, path, bytes, how, .. } => {
                self.end(*job);
                if *how == How::Fetched {
                    self.storage.look(|disk| checks::fetched(self.script, disk, path, *bytes));
                }
            }
            Event::Failed { job, url, error } => {
                self.end(*job);
                self.failures.push((number_of(Path::new(url)), error.kind));
            }
            Event::Cancelled { job, .. } => {
                self.end(*job);
                self.cancelled += 1;
            }
            _ => {}
        }
    }

    fn end(&mut self, job: JobId) {
        assert!(self.ended.insert(job), "{job:?} ended twice");
    }

    // The network.

    fn fetch(&mut self, fetch: Box<Fetch>) {
        self.requests += 1;
        self.take_slot(&fetch);
        self.check_assignment(&fetch);
        let sink = match fetch.kind {
            FetchKind::Probe | FetchKind::Document(_) | FetchKind::Check { .. } => None,
            FetchKind::Sample { is_of_part, .. } => self.parts.get(fetch.job).filter(|_| is_of_part),
            FetchKind::Piece { .. } => Some(self.parts.get(fetch.job).expect("the partial file of a piece is open")),
        };
        let transfer = fetch.transfer;
        let latency = self.script.host(&fetch.origin.host).latency;
        let after = latency.mul_f64(0.5 + self.dice.f64());
        self.streams.insert(transfer, Stream { fetch, sink, stage: Stage::Asked });
        self.schedule(after, Due::Stream(transfer));
    }

    /// Caps are exact, and only HTTP/2 carries several transfers at once.
    fn take_slot(&mut self, fetch: &Fetch) {
        self.slot_of.insert(fetch.transfer, fetch.slot);
        if let Some(slot) = self.slots.get_mut(&fetch.slot) {
            slot.users += 1;
            let may_share = slot.users == 1 || slot.protocol == Some(Protocol::Http2);
            assert!(may_share, "{} transfers over one connection", slot.users);
            return;
        }
        let of_host = self.slots.values().filter(|slot| slot.host == fetch.origin).count();
        let (per_host, total) = (self.caps.per_host, self.caps.total);
        assert!(of_host < per_host, "one more connection to {} beside {of_host} of {per_host}", fetch.origin);
        assert!(self.slots.len() < total, "one more connection beside {} of {total}", self.slots.len());
        let slot = Slot { host: fetch.origin.clone(), users: 1, is_connected: false, protocol: None };
        self.slots.insert(fetch.slot, slot);
    }

    /// Where files were requested, active files and the quiet ones of their host must not exceed the places. A file that
    /// was quiet and makes progress again may exceed them by one, as may a file that was requested again in this step
    /// while the rate is limited: neither is quiet any more. Files of other hosts may be requested in the same step.
    fn check_places(&self, effects: &[Effect]) {
        let is_probe = |fetch: &Fetch| matches!(fetch.kind, FetchKind::Probe);
        let probed = effects.iter().filter_map(|effect| match effect {
            Effect::Work(_, WorkRequest::Fetch(fetch)) if is_probe(fetch) => Some(&fetch.origin),
            _ => None,
        });
        let jobs = self.core.settings.jobs;
        for host in probed.clone().filter(|_| !self.core.settings.is_limited) {
            let others = probed.clone().filter(|other| *other != host).count();
            let taken = self.core.taken_for(self.now, host);
            assert!(taken <= jobs + others, "{taken} files at once instead of {jobs}, and {others} of other hosts");
        }
    }

    /// No byte is requested twice at a time, except by a race or a trial of ranges; and no more files take a
    /// place than may.
    fn check_assignment(&self, fetch: &Fetch) {
        let job = &self.core.jobs[&fetch.job];
        let range = match &fetch.kind {
            FetchKind::Probe | FetchKind::Document(_) | FetchKind::Sample { .. } | FetchKind::Check { .. } => return,
            FetchKind::Piece { range, .. } => *range,
        };
        let total = job.content.total_bytes.expect("a piece of a file whose length is known");
        assert!(!range.is_empty() && range.end <= total, "{range:?} of {total} bytes");
        if self.core.transfers[&fetch.transfer].in_race {
            return;
        }
        for id in job.transfers.iter().filter(|id| **id != fetch.transfer) {
            let other = &self.core.transfers[id];
            if other.is_probe && job.ranges.segmented == Segmented::Trying {
                continue;
            }
            let end = match other.piece.end() {
                OPEN_END => total,
                end => end,
            };
            let position = other.piece.position();
            let is_shared = range.start.max(position) < range.end.min(end);
            assert!(!is_shared, "{range:?} is asked for while {position}..{end} comes");
        }
    }

    fn turn(&mut self, transfer: TransferId) {
        let Some(mut stream) = self.streams.remove(&transfer) else { return };
        let slot_id = stream.fetch.slot;
        let slot = &self.slots[&slot_id];
        let is_of_host = |other: &&Slot| other.is_connected && other.host == slot.host;
        let connections = self.slots.values().filter(is_of_host).count() + usize::from(!slot.is_connected);
        let mut around = Surroundings {
            script: self.script,
            dice: &mut self.dice,
            now: self.epoch + self.now,
            limit_bps: self.limit_bps,
            connections,
            is_connected: slot.is_connected,
            messages: Vec::new(),
        };
        let stage = std::mem::replace(&mut stream.stage, Stage::Asked);
        let turn = around.turn(&stream.fetch, stream.sink.as_deref(), stage);
        let (is_connected, messages) = (around.is_connected, around.messages);
        let slot = self.slots.get_mut(&slot_id).expect("a slot stays while it is used");
        slot.is_connected = is_connected;
        for message in &messages {
            if let Message::Connected(_, protocol) = message {
                slot.protocol = Some(*protocol);
            }
        }
        self.inbox.extend(messages);
        match turn {
            Turn::Again(stage, after) => {
                self.streams.insert(transfer, Stream { stage, ..stream });
                self.schedule(after, Due::Stream(transfer));
            }
            Turn::Waits(stage) => {
                self.streams.insert(transfer, Stream { stage, ..stream });
            }
            Turn::Over(end, is_reusable) => {
                // The stream releases the file before its end is reported.
                drop(stream);
                self.say_ended(transfer, end, is_reusable);
            }
        }
    }

    fn say_ended(&mut self, transfer: TransferId, end: End, is_reusable: bool) {
        if let Some(slot) = self.slot_of.get(&transfer).and_then(|slot| self.slots.get_mut(slot)) {
            slot.is_connected &= is_reusable;
        }
        self.inbox.push_back(Message::Ended(Ended { transfer, end, is_reusable }));
    }

    fn grant(&mut self, transfer: TransferId, job: JobId) {
        let Some(part) = self.parts.get(job) else { return self.break_off(transfer) };
        let Some(stream) = self.streams.remove(&transfer) else { return };
        let stage = match stream.stage {
            Stage::Granting(body) => Stage::Moving(body),
            other => other,
        };
        self.streams.insert(transfer, Stream { fetch: stream.fetch, sink: Some(part), stage });
        self.schedule(Time::ZERO, Due::Stream(transfer));
    }

    /// Returns the whole body of a probe.
    fn gather(&mut self, transfer: TransferId) {
        let Some(stream) = self.streams.remove(&transfer) else { return };
        let Stage::Granting(body) = stream.stage else { return };
        let content = body.content(self.script);
        self.say_ended(transfer, End::Gathered(vec![content]), true);
    }

    /// A transfer that has already ended has reported that itself.
    fn break_off(&mut self, transfer: TransferId) {
        if self.streams.remove(&transfer).is_some() {
            let after = Time::from_millis(self.dice.u64(0..20));
            self.schedule(after, Due::Dropped(transfer));
        }
    }

    fn slot(&self, transfer: TransferId) -> Option<&Slot> {
        self.slots.get(self.slot_of.get(&transfer)?)
    }
}
