//! The dispatcher's core: all decisions, no I/O, no clock. [`Core::step`] takes in a message,
//! [`Core::decide`] returns what to do. A seeded simulator can run it as the driver does.
//!
//! A job goes Waiting → Preparing → Ready → Probing → Opening → Moving → Verifying → Publishing, or from
//! Probing straight to Publishing if it is small and arrives whole. Whatever stops a job early closes it
//! first: its transfers are aborted, its journal is saved, then it is released.

mod adopt;
mod anew;
mod answer;
mod asks;
mod closing_check;
mod connect;
mod crumbs;
mod doubt;
mod existing;
mod identity;
mod job_end;
mod jobs;
mod locate;
mod mirrors;
mod newer;
mod no_range;
mod optional;
mod pieces;
mod places;
mod protocol;
mod redirected;
mod retries;
mod save;
mod scarce;
mod sizes;
mod slow_lead;
mod start;
mod sums;
mod take_over;
mod trace;
mod transfer_end;
mod view;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::asks::Asks;
use super::connection_slots::Slots;
use super::hosts::Hosts;
use super::ids::IdMap;
use super::job::{Closing, Job, Phase, Segmented, Transfer};
use super::names::Names;
use super::tally::Tally;
use super::waiting::Waiting;
use crate::checksum::Sums;
use crate::event::{Event, Progress};
use crate::feed::SettledState;
use crate::http::asker::Asker;
use crate::http::origin::OriginMap;
use crate::job::{FEED_JOBS_FROM, JobId};
use crate::message::{CommitRequest, Effect, Message, Time, WorkRequest};
use crate::name::NameRules;
use crate::options::{Existing, HttpVersion, Options};
use crate::plan::TransferId;
use crate::provider::Providers;
use crate::ranges::ByteRange;
use crate::rate_limit::HostLimits;
use crate::status::JobStatus;
use crate::storage::Capabilities;

/// How often progress is reported.
const PROGRESS_EVERY: Time = Time::from_millis(100);
/// After a stop, a job that is not closed within this is given up; its last journal stands.
const STOP_WITHIN: Time = Time::from_millis(1500);
/// Write-back starts in portions of this size, so that a sync has little left to do and the kernel never has
/// so much to write that it throttles writers.
const WRITE_BACK_BYTES: u64 = 8 << 20;
/// This much space is reserved ahead of each connection.
const RESERVED_BYTES: u64 = 4 * WRITE_BACK_BYTES;
/// Back-pressure: no new file starts while small files of this many bytes wait for the disk.
const UNSTORED_BYTES_MAX: u64 = 8 << 20;
/// The same limit, as a number of files.
const UNSTORED_FILES_MAX: usize = 1024;
/// At most so many begun files wait for their servers in addition to those of the window.
const ASLEEP_OPEN_MAX: usize = 4096;
/// No file is as large; larger pieces would only overflow.
const PIECE_SIZE_MAX: u64 = 1 << 50;

/// The options that decisions depend on.
#[derive(Debug)]
struct Settings {
    dir: PathBuf,
    connections: Option<usize>,
    keep_dirs: Option<usize>,
    jobs: usize,
    /// The session's rate is limited, so a file may get little because of us.
    is_limited: bool,
    piece_size_bytes: u64,
    save_interval: Time,
    resume: bool,
    existing: Existing,
    retries: u32,
    allow_downgrade: bool,
    max_size_bytes: Option<u64>,
    newer_than: Option<SystemTime>,
    server_digests: bool,
    trust_size: bool,
    adopt: bool,
    accept_html: bool,
    /// What is sent with each request.
    asker: Asker,
    sums: Option<Arc<Sums>>,
    /// Finished files get the server's time.
    remote_time: bool,
    /// How many small files may wait for the disk.
    unstored_max: usize,
    /// How many begun files may wait for their servers in addition to those of the window.
    asleep_open_max: usize,
    /// What the destination allows.
    allowed: Capabilities,
}

/// The whole state of a session.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    jobs: IdMap<JobId, Box<Job>>,
    turns: Turns,
    transfers: IdMap<TransferId, Transfer>,
    slots: Slots,
    hosts: Hosts,
    limits: HostLimits,
    /// The reserved names.
    names: Names,
    tally: Tally,
    feed: FeedState,
    course: Course,
    scarcity: Scarcity,
    unstored: Unstored,
    /// Some files are quiet.
    has_quiet: bool,
    /// Finished files of a list that the file of digests does not name.
    without_sum: u64,
    /// Warnings of pages whose names do not tell what they are.
    pages_told: u32,
    numbers: Numbers,
    last_progress: Time,
    random: fastrand::Rng,
    effects: Vec<Effect>,
    providers: Providers,
    asks: Asks,
    /// How jobs ended that were added one by one, oldest first.
    history: VecDeque<JobStatus>,
}

/// Which jobs run, and which wait.
#[derive(Debug, Default)]
struct Turns {
    /// Started and not ended, in the order in which they started.
    running: Vec<JobId>,
    paused: Vec<JobId>,
    /// They are to be paused once what they are doing has ended, unless they end by it.
    pausing: Vec<JobId>,
    waiting: Waiting,
    /// The number of running files of each host.
    running_of: OriginMap<usize>,
}

/// How far the session has come.
#[derive(Debug, Default)]
struct Course {
    /// No more jobs will be added.
    is_closed: bool,
    /// When it was stopped.
    stopped: Option<Time>,
    /// The reporter is behind: begin nothing new.
    is_held_up: bool,
    /// The user has paused everything.
    is_paused: bool,
    is_finished: bool,
}

/// What this machine has run out of.
#[derive(Debug, Default)]
struct Scarcity {
    /// Nothing new starts before this.
    until: Time,
    was_told: bool,
    /// How often files have waited for this machine since `since_done` files were complete.
    in_vain: u32,
    since_done: u64,
    /// How many files had ended when the disk was full.
    full_since: Option<u64>,
}

/// Small files that wait for the disk; they do not take a place any more.
#[derive(Debug, Default)]
struct Unstored {
    jobs: HashSet<JobId>,
    bytes: u64,
}

/// The next numbers to assign.
#[derive(Debug)]
struct Numbers {
    next_transfer: u64,
    next_job: u64,
}

impl Numbers {
    fn transfer(&mut self) -> TransferId {
        self.next_transfer += 1;
        TransferId(self.next_transfer - 1)
    }

    fn job_of_feed(&mut self) -> JobId {
        self.next_job += 1;
        JobId(self.next_job - 1)
    }
}

/// What is known about the feed.
#[derive(Debug, Default)]
struct FeedState {
    is_asked: bool,
    /// When it was last asked for entries beyond those of hosts that are full.
    asked_beyond: Option<Time>,
    has_ended: bool,
    read_all: bool,
    read_entries: u64,
    /// How much the entries take that are not done yet, beside what each takes.
    held_bytes: usize,
}

impl Core {
    pub(crate) fn new(options: &Options, has_feed: bool, name_rules: NameRules, seed: u64) -> Self {
        let jobs = options.jobs.max(1);
        let explicit = options.connections.unwrap_or(1);
        let per_host = options.max_per_host.max(explicit);
        let http2 = options.http.version != HttpVersion::Http1;
        let http2_for_pieces = options.http.version == HttpVersion::Http2;
        let mut slots = Slots::new(per_host, options.max_connections.max(explicit), http2, http2_for_pieces);
        slots.set_delay(options.delay_per_host.unwrap_or_default());
        slots.set_of_hosts(options.http.of_hosts.clone());
        Self {
            settings: Settings {
                dir: options.dir.clone(),
                connections: options.connections,
                jobs,
                is_limited: options.limit_rate_bps.is_some(),
                piece_size_bytes: options.piece_size_bytes.clamp(1, PIECE_SIZE_MAX),
                save_interval: options.save_interval,
                resume: options.resume,
                existing: options.existing,
                unstored_max: UNSTORED_FILES_MAX,
                asleep_open_max: ASLEEP_OPEN_MAX,
                keep_dirs: options.keep_dirs,
                asker: Asker::of(&options.http),
                sums: options.sums.clone(),
                remote_time: options.remote_time,
                retries: options.http.retries,
                allow_downgrade: options.http.allow_downgrade,
                max_size_bytes: options.max_size_bytes,
                newer_than: options.newer_than.map(newer::in_http),
                server_digests: options.http.server_digests,
                trust_size: options.trust_size,
                adopt: options.adopt,
                accept_html: options.accept_html,
                allowed: Capabilities::default(),
            },
            jobs: IdMap::default(),
            turns: Turns::default(),
            transfers: IdMap::default(),
            slots,
            hosts: Hosts::default(),
            limits: HostLimits::new(options.limit_rate_per_host_bps, options.http.of_hosts.clone()),
            names: Names::new(name_rules),
            tally: Tally::default(),
            feed: FeedState { has_ended: !has_feed, read_all: !has_feed, ..FeedState::default() },
            course: Course::default(),
            scarcity: Scarcity::default(),
            unstored: Unstored::default(),
            has_quiet: false,
            without_sum: 0,
            pages_told: 0,
            numbers: Numbers { next_transfer: 0, next_job: FEED_JOBS_FROM },
            last_progress: Time::ZERO,
            random: fastrand::Rng::with_seed(seed),
            effects: Vec::new(),
            providers: Providers::default(),
            asks: Asks::default(),
            history: VecDeque::new(),
        }
    }

    /// Sets the providers, which locate the URLs that they know.
    pub(crate) fn ask_providers(&mut self, providers: Providers) {
        self.providers = providers;
    }

    /// Files go to a storage that allows this.
    pub(crate) fn write_to(&mut self, allowed: Capabilities) {
        self.settings.allowed = allowed;
    }

    /// Reserves a name, which no file gets.
    pub(crate) fn reserve_name(&mut self, path: &Path) {
        self.names.insert(path);
    }

    /// Whether the reporter is behind, so that nothing new is begun.
    pub(crate) fn reporter_is_behind(&mut self, is_behind: bool) {
        self.course.is_held_up = is_behind;
    }

    /// Whether nothing new is begun because the reporter is behind.
    pub(crate) fn is_held_up(&self) -> bool {
        self.course.is_held_up
    }

    /// Whether everything has ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.course.is_finished
    }

    /// Whether files are being worked on, so that the clock matters.
    pub(crate) fn is_busy(&self) -> bool {
        !self.turns.running.is_empty()
            || !self.unstored.jobs.is_empty()
            || !self.asks.is_empty()
            || self.course.stopped.is_some()
            || self.course.is_paused
    }

    /// Takes in a message.
    pub(crate) fn step(&mut self, now: Time, message: Message) {
        match message {
            Message::Command(command) => self.command(now, command),
            Message::Fed(fed) => self.fed(fed),
            Message::Warned(warning) => self.warn(None, warning),
            Message::FeedFailed { action, error } => self.warn(None, format!("cannot {action}: {error}")),
            Message::Prepared(job, result) => self.prepared(now, job, result),
            Message::Opened(job, result) => self.opened(now, job, result),
            Message::Adopted(job, result) => self.adopted(now, job, result),
            Message::Stored(job, result) => self.published(now, job, result, true),
            Message::Published(job, result) => self.published(now, job, result, false),
            Message::Hollow(job, holes) => self.hollow(now, job, &holes),
            Message::Saved(job, result) => self.saved(now, job, result),
            Message::Digested(job, result) => self.digested(now, job, result),
            Message::PiecesDigested(job, result) => self.pieces_digested(now, job, result),
            Message::Answered(transfer, head, whole) => self.answered(now, transfer, head, whole),
            Message::Proven(transfer, head) => self.proven(transfer, &head),
            Message::Surveyed(job, result) => self.surveyed(now, job, result),
            Message::Compared(job, result) => self.compared(now, job, result),
            Message::Owned(job, result) => self.owned(now, job, result),
            Message::Identified(transfer, head) => self.identified(transfer, head),
            Message::Located(job, source, result) => self.located(now, job, source, result),
            Message::Ask(ask) => self.ask(ask),
            Message::Connected(slot, protocol) => self.slots.connected(slot, protocol),
            Message::Ended(ended) => self.ended(now, ended),
            Message::WorkerAdded(worker) => {
                for (slot, worker) in self.slots.add_worker(worker) {
                    self.effects.push(Effect::Work(worker, WorkRequest::CloseSlot(slot)));
                }
            }
            Message::Tick => {}
            Message::Step => self.save_all(now),
            Message::Stop => self.stop(now),
        }
    }

    /// Lets at most this many small files wait for the disk, and as many begun ones for their servers: each is open.
    pub(crate) fn limit_open(&mut self, files: usize) {
        self.settings.unstored_max = files.min(UNSTORED_FILES_MAX);
        self.settings.asleep_open_max = files.min(ASLEEP_OPEN_MAX);
    }

    /// Decides what to do now.
    pub(crate) fn decide(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.observe(now);
        if self.course.stopped.is_none() {
            self.pause_late(now);
            self.send_asks(now);
            self.start_jobs(now);
            self.ask_feed(now);
            self.connect_all(now);
        }
        for (slot, worker) in self.slots.reap(now) {
            self.effects.push(Effect::Work(worker, WorkRequest::CloseSlot(slot)));
        }
        self.finish_if_done(now);
        effects.append(&mut self.effects);
    }

    fn stop(&mut self, now: Time) {
        if self.course.stopped.is_some() {
            return;
        }
        self.course.stopped = Some(now);
        self.course.is_closed = true;
        self.drop_asks();
        for id in self.turns.running.clone().into_iter().chain(std::mem::take(&mut self.turns.paused)) {
            if !matches!(self.jobs.get(&id).map(|job| &job.phase), Some(Phase::Publishing)) {
                self.close(now, id, Closing::Interrupt);
            }
        }
    }

    fn finish_if_done(&mut self, now: Time) {
        if self.course.is_finished {
            return;
        }
        let done = match self.course.stopped {
            Some(since) => self.is_idle() || now >= since + STOP_WITHIN,
            None => {
                self.course.is_closed
                    && self.feed.has_ended
                    && self.is_idle()
                    && self.turns.paused.is_empty()
                    && self.turns.waiting.len() == 0
            }
        };
        if !done {
            return;
        }
        for id in self.turns.running.clone() {
            // Given up: its last journal stands.
            self.count_unfinished(id);
        }
        for id in self.jobs.keys().copied().collect::<Vec<_>>() {
            let is_named = matches!(self.jobs[&id].phase, Phase::Publishing) || self.unstored.jobs.contains(&id);
            self.settle_unfinished(id, if is_named { SettledState::Unknown } else { SettledState::Released });
        }
        self.course.is_finished = true;
        if self.course.stopped.is_none() {
            let progress = self.progress(now);
            self.effects.push(Effect::Report(Event::Progress(progress)));
        }
        self.tell_without_sum();
        let exact = self.feed.read_all;
        let summary = self.tally.summary(now, exact, self.course.stopped.is_some());
        self.effects.push(Effect::Report(Event::Summary(summary)));
    }

    /// Whether no file is in progress.
    fn is_idle(&self) -> bool {
        self.turns.running.is_empty() && self.unstored.jobs.is_empty()
    }

    fn observe(&mut self, now: Time) {
        if now < self.last_progress + PROGRESS_EVERY || self.course.is_finished {
            return;
        }
        self.last_progress = now;
        self.hosts.forget_healthy(|host| self.slots.has_any(host), now);
        self.renew_hosts();
        self.leave_slow_leads(now);
        for transfer in self.transfers.values_mut() {
            let position = transfer.piece.position();
            let brought = position - transfer.piece.start();
            transfer.rate.observe(now, brought);
            if transfer.writes && position - transfer.written_back >= WRITE_BACK_BYTES {
                let range = ByteRange::new(transfer.written_back, position);
                self.effects.push(Effect::Commit(CommitRequest::WriteBack { job: transfer.job, range }));
                transfer.written_back = position;
                if let Some(range) = transfer.take_unreserved(RESERVED_BYTES) {
                    self.effects.push(Effect::Commit(CommitRequest::Reserve { job: transfer.job, range }));
                }
            }
        }
        let mut fetched = self.tally.fetched_bytes;
        let mut has_quiet = false;
        for id in &self.turns.running {
            let bytes = self.fetched_bytes(&self.jobs[id]);
            fetched += bytes;
            if let Some(job) = self.jobs.get_mut(id) {
                job.rate.observe(now, bytes);
                let mut transfers = job.transfers.iter().filter_map(|transfer| self.transfers.get(transfer));
                let are_all_there = job.ranges.segmented == Segmented::Proven
                    && job.transfers.len() >= job.ranges.adapt.target()
                    && transfers.all(|transfer| !transfer.brought().is_empty());
                job.ranges.adapt.judge(now, bytes, are_all_there);
                let is_asked = job.is_asked();
                job.pulse.observe(now, bytes, is_asked);
                has_quiet |= is_asked && job.pulse.is_quiet(now) || job.stands_by();
            }
        }
        self.has_quiet = has_quiet;
        self.leave_dripping_ranges(now);
        self.tally.rate.observe(now, fetched);
        let progress = self.progress(now);
        self.effects.push(Effect::Report(Event::Progress(progress)));
    }

    /// Ends the trouble of hosts that go on with a file: one that cuts each response after its beginning does not work.
    fn renew_hosts(&mut self) {
        let is_new = |transfer: &Transfer| {
            let job = self.jobs.get(&transfer.job);
            job.is_some_and(|job| {
                self.covered_bytes(job) >= job.content.high_water_bytes + transfer_end::RENEWING_BYTES_MIN
            })
        };
        let has_brought = |transfer: &Transfer| transfer.piece.brought().len() >= transfer_end::RENEWING_BYTES_MIN;
        let fresh = self.transfers.iter().filter(|(_, transfer)| !transfer.has_renewed && has_brought(transfer));
        let renewed: Vec<TransferId> = fresh.filter(|(_, transfer)| is_new(transfer)).map(|(id, _)| *id).collect();
        for id in renewed {
            let Some(transfer) = self.transfers.get_mut(&id) else { continue };
            transfer.has_renewed = true;
            let (is_probe, host) = (transfer.is_probe, transfer.host.clone());
            match is_probe {
                true => self.hosts.began(&host),
                false => self.host_recovers(&host),
            }
        }
    }

    fn remark(&mut self, job: JobId, message: String) {
        self.effects.push(Effect::Report(Event::Remark { job, message }));
    }

    fn warn(&mut self, job: Option<JobId>, message: String) {
        self.effects.push(Effect::Report(Event::Warning { job, message }));
    }

    fn progress(&self, now: Time) -> Progress {
        view::progress(self, now)
    }
}
