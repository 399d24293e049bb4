//! The start of a job: from the feed into the queue, its turn, its name, and the data of an earlier run.

use std::path::Path;

use super::existing::Decision;
use super::places::Places;
use super::take_over::take_over;
use super::{Core, UNSTORED_BYTES_MAX};
use crate::dispatch::identity::Link;
use crate::dispatch::job::{Answered, By, Closing, ExistingVerdict, Job, Phase};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::event::{ErrorReport, Event, How};
use crate::evidence::Given;
use crate::feed::{Fed, FedEntry};
use crate::http::origin::Origin;
use crate::job::{FEED_JOBS_FROM, JobId};
use crate::journal::Journal;
use crate::message::{CommitRequest, Effect, Fate, FeedRequest, Look, OpenRequest, Prepared, Time};
use crate::name;
use crate::options::Existing;
use crate::source::rejection::Rejection;
use crate::storage::StatKind;

/// At least this many entries are read ahead.
const FED_MIN: usize = 512;
/// At most this many entries wait in memory, whatever their hosts do; the rest waits in the feed.
const WAITING_MAX: usize = 16_384;
/// The same limit, as bytes: an entry may have thousands of mirrors, headers or digests.
const HELD_BYTES_MAX: usize = 32 << 20;
/// How often entries beyond those of hosts that are full are asked for.
const BEYOND_EVERY: Time = Time::from_millis(50);
/// Started files, including those that wait for a retry, are limited to this many per place plus [`RUNNING_MIN`].
const RUNNING_OF_PLACE: usize = 16;
const RUNNING_MIN: usize = 64;
/// Files that have a while to wait do not count among them, up to this many.
const ASLEEP_MAX: usize = 4096;
/// A shorter wait is none.
const ASLEEP_MIN: Time = Time::from_secs(1);
const ONE_NAME: Advice = Advice::NumberNames;

impl Core {
    /// Keeps the queue filled, so that a free place never waits for the list.
    pub(super) fn ask_feed(&mut self, now: Time) {
        let wanted = (self.settings.jobs * 8).max(FED_MIN);
        let asks = !self.feed.has_ended && !self.feed.is_asked && !self.course.is_held_up;
        let is_full = self.turns.waiting.len() >= WAITING_MAX || self.feed.held_bytes >= HELD_BYTES_MAX;
        if !asks || is_full && !self.jobs.is_empty() {
            return;
        }
        if self.turns.waiting.len() < wanted / 2 {
            return self.want(wanted - self.turns.waiting.len());
        }
        // Entries of hosts that cannot take any more do not count: others may follow them. But most hosts that are full
        // have room again in a moment, and each entry that waits here takes memory.
        if self.feed.asked_beyond.is_some_and(|asked| now < asked + BEYOND_EVERY) {
            return;
        }
        let is_alone = self.turns.waiting.hosts() < 2;
        let startable = self.turns.waiting.len_of(|host| self.may_start(now, host, is_alone));
        if startable < wanted / 2 {
            self.feed.asked_beyond = Some(now);
            self.want(wanted - startable);
        }
    }

    fn want(&mut self, entries: usize) {
        self.feed.is_asked = true;
        self.effects.push(Effect::Feed(FeedRequest::Want(entries)));
    }

    pub(super) fn fed(&mut self, fed: Result<Fed>) {
        self.feed.is_asked = false;
        let fed = match fed {
            Ok(fed) => fed,
            Err(error) => {
                self.feed.has_ended = true;
                let id = self.feed_job();
                self.count_started_failure(id, None, "input list".to_owned(), &error);
                return;
            }
        };
        self.tally.total_files += fed.read_entries.saturating_sub(self.feed.read_entries);
        self.feed.read_entries = fed.read_entries;
        self.feed.read_all = fed.read_all;
        self.feed.has_ended = fed.ended;
        if self.course.stopped.is_some() {
            // Nobody starts them here: somebody else may have them.
            let released = fed.released().into_iter().map(Effect::Settle);
            return self.effects.extend(released);
        }
        for entry in fed.entries {
            self.feed_entry(entry);
        }
    }

    fn feed_entry(&mut self, entry: FedEntry) {
        let id = self.feed_job();
        match entry {
            FedEntry::Job { entry, spec, name } => self.add(id, Some(entry), spec, name),
            FedEntry::There { url, path, len_bytes, lacks_sum, .. } => {
                let path = self.settings.dir.join(&path);
                self.effects.push(Effect::Report(Event::Started { job: id, url: url.clone() }));
                self.names.insert(&path);
                self.without_sum += u64::from(lacks_sum);
                self.tally.finished(How::ThereByLedger, len_bytes);
                self.effects.push(Effect::Report(Event::Finished {
                    job: id,
                    url,
                    path,
                    bytes: len_bytes,
                    fetched_bytes: 0,
                    seconds: 0.0,
                    how: How::ThereByLedger,
                }));
            }
            FedEntry::FailedBefore { url, error, .. } => self.count_started_failure(id, None, url, &error),
            FedEntry::NotListed { url, error } => self.count_started_failure(id, None, url, &error),
            FedEntry::Bad { line, error } => {
                self.count_started_failure(id, None, format!("line {line}"), &without_line(line, &error))
            }
        }
    }

    fn feed_job(&mut self) -> JobId {
        self.numbers.job_of_feed()
    }

    /// Starts jobs ahead of the places, as many as there are places, so that a free place finds a prepared
    /// job; in groups, because a wake-up of the opener costs more than its work. Jobs that wait for their
    /// host or for a retry do not count as ahead.
    pub(super) fn start_jobs(&mut self, now: Time) {
        let places = if self.has_quiet { self.places(now) } else { Places::default() };
        // Most are of one host, and each decision looks at all.
        let mut known: Option<(&Origin, bool)> = None;
        let mut has_no_room = |host| match known {
            Some((known, has_no_room)) if known == host => has_no_room,
            _ => known.insert((host, self.hosts.held_until(host) > now || self.slots.has_no_room(host, now))).1,
        };
        let is_ahead = |id: &&JobId| {
            let job = &self.jobs[*id];
            let mut waits = || {
                job.is_troubled()
                    || self.waits_for_its_host(&places, job)
                    || has_no_room(job.lead().host())
                    || self.slots.must_wait_for_protocol(job.lead().host(), &job.own.profile, now)
            };
            !job.takes_place() && !waits()
        };
        let mut ahead = self.turns.running.iter().filter(is_ahead).count();
        if ahead * 2 > self.settings.jobs || now < self.scarcity.until || self.is_full() {
            return;
        }
        let running_max = self.settings.jobs * RUNNING_OF_PLACE + RUNNING_MIN;
        let mut awake = self.turns.running.len();
        if awake >= running_max {
            awake = self.awake(now);
        }
        while ahead < self.settings.jobs
            && !self.course.is_held_up
            && !self.course.is_paused
            && awake < running_max
            && self.turns.running.len() < running_max + ASLEEP_MAX
            && self.unstored.jobs.len() < self.settings.unstored_max
            && self.unstored.bytes < UNSTORED_BYTES_MAX
        {
            let is_alone = self.turns.waiting.hosts() < 2;
            let mut waiting = std::mem::take(&mut self.turns.waiting);
            let next = waiting.pop(|host| self.may_start(now, host, is_alone));
            let next = next.or_else(|| {
                waiting.pop_of(|host| self.is_held_with_room(now, host), |id| self.may_go_elsewhere(now, id))
            });
            self.turns.waiting = waiting;
            let Some(id) = next else { break };
            self.pass_over_doubtful(now, id);
            ahead += 1;
            awake += 1;
            if let Some(job) = self.jobs.get(&id) {
                self.hosts.tries_another(job.lead().host(), now);
            }
            self.start(now, id);
        }
    }

    /// Whether a host may get one more file. While others wait, it gets at most three quarters of the places,
    /// so that a slow host does not take them all.
    fn may_start(&self, now: Time, host: &Origin, is_alone: bool) -> bool {
        let jobs = self.settings.jobs;
        let share = if is_alone { jobs * 2 } else { (jobs * 3 / 4).max(1) };
        let running = self.turns.running_of.get(host).copied().unwrap_or(0);
        // Files that wait for a retry hold up no others, which may be all right. Nor do files that it redirects elsewhere.
        let is_held_up = || {
            let jobs = self.turns.running.iter().map(|id| &self.jobs[id]);
            let of_host = jobs.filter(|job| job.own_origin() == host && job.lead().host() == host);
            of_host.filter(|job| !self.is_troubled(job.id)).count() >= share
        };
        let may_start = running < share
            || running < jobs * RUNNING_OF_PLACE && self.hosts.may_try_another(host, now) && !is_held_up();
        may_start && self.hosts.held_until(host) <= now
    }

    /// Whether a host has asked us to wait, and could have one more of its files elsewhere.
    fn is_held_with_room(&self, now: Time, host: &Origin) -> bool {
        let running = self.turns.running_of.get(host).copied().unwrap_or(0);
        running < self.settings.jobs && self.hosts.held_until(host) > now
    }

    /// Whether a file that waits for its host has another source, which may be asked now.
    fn may_go_elsewhere(&self, now: Time, id: JobId) -> bool {
        let Some(job) = self.jobs.get(&id).filter(|job| job.sources.is_many()) else { return false };
        let lead = job.sources.lead();
        job.sources.live().any(|(at, source)| {
            at != lead && source.retry_at <= now && !self.is_doubtful(source.host(), &job.own.profile, now)
        })
    }

    /// How many files count in the window: not those that wait for a while or stand by, within their limits. Of those,
    /// each that has begun holds a file open.
    fn awake(&self, now: Time) -> usize {
        let asleep = self.turns.running.iter().map(|id| &self.jobs[id]).filter(|job| self.is_asleep(now, job));
        let open = asleep.clone().filter(|job| job.part.is_open).count();
        let closed = asleep.count() - open;
        self.turns.running.len() - closed - open.min(self.settings.asleep_open_max)
    }

    /// Whether a file of which nothing runs has to wait for a while before it is requested, or stands by after a failure.
    fn is_asleep(&self, now: Time, job: &Job) -> bool {
        let held_until = || self.hosts.held_until(job.lead().host());
        let retry_at = job.retry_at(0);
        let waits = || {
            matches!(job.phase, Phase::Ready)
                && job.transfers.is_empty()
                && (retry_at > now + ASLEEP_MIN
                    || held_until() > now + ASLEEP_MIN
                    || self.slots.is_slowed_down(job.lead().host()))
        };
        job.stands_by() || waits()
    }

    fn start(&mut self, now: Time, id: JobId) {
        self.enter_running(id);
        if self.fails_behind(now, id) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.part.is_open {
            // It was paused.
            return match job.part.journal.take_if(|_| !job.old.is_replacing) {
                Some(journal) => self.begin(now, id, Some(*journal)),
                None => self.go_on(now, id),
            };
        }
        if job.started.replace(now).is_none() {
            let url = job.shown_url();
            job.own.span = tracing::debug_span!("job", id = id.get());
            self.effects.push(Effect::Report(Event::Started { job: id, url }));
        }
        match &job.spec.output {
            // An earlier run gave it this name.
            None if job.naming.is_named => {}
            Some(output) => {
                job.naming.path = job.naming.dir(&self.settings.dir).join(output);
                job.naming.plain_name =
                    output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                job.naming.is_named = true;
            }
            None => {
                job.naming.plain_name = self.names.safe(&name::safe::from_url(job.naming_url()));
                job.naming.path = job.naming.dir(&self.settings.dir).join(&job.naming.plain_name);
                job.naming.is_of_given_url = *job.naming_url() == job.spec.url;
            }
        }
        let job = &self.jobs[&id];
        // What may be replaced has to be known.
        let replaces = job.existing_said(self.settings.existing) == Existing::Overwrite;
        // A list knows the names of its files.
        let is_guess = !job.naming.is_named && job.entry.is_none() && self.settings.resume;
        let begun = is_guess.then(|| Given::of(&job.spec.url));
        self.prepare_by(now, id, None, if replaces { Look::Resume } else { Look::ResumeIfListed }, begun);
    }

    /// Gives an entry the name of an earlier run, unless another file has it now.
    pub(super) fn name_as_before(&mut self, job: &mut Job, path: &Path) {
        job.naming.path = path.to_owned();
        job.naming.plain_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        job.naming.is_named = self.names.reserve(job);
    }

    /// The existing data under this name is another entry's, which will resume it. True if the job was given
    /// another name; if not, its response may give it one.
    fn leaves_to_other_entry(&mut self, now: Time, id: JobId, prepared: &mut Prepared) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let is_others = prepared
            .partial
            .as_ref()
            .is_some_and(|held| !held.done.is_empty() && !job.is_of(&held.identity.url, held.identity.given));
        if !is_others || !job.has_name_of_list() || job.spec.same_content {
            return false;
        }
        self.effects.push(Effect::Commit(CommitRequest::Release {
            job: id,
            path: job.naming.path.clone(),
            fate: Fate::Kept,
        }));
        prepared.partial = None;
        prepared.has_part = false;
        (prepared.has_old, prepared.old) = (false, None);
        prepared.is_moved = false;
        if job.naming.is_named {
            self.names.number(job);
            self.tell_numbers(id);
            let answered = self.take_answered(id);
            self.prepare(now, id, answered);
            return true;
        }
        self.names.release(job);
        false
    }

    /// Reports once that files of a list got numbers.
    fn tell_numbers(&mut self, id: JobId) {
        let is_of_list = self.jobs.get(&id).is_some_and(|job| job.has_name_of_list());
        if !is_of_list || std::mem::replace(&mut self.names.has_told_numbers, true) {
            return;
        }
        let job = &self.jobs[&id];
        let (plain, name) = (&job.naming.plain_name, job.naming.path.file_name().unwrap_or_default().to_string_lossy());
        let text = format!(
            "the name {plain} is taken, by another entry or by the list itself: such files get numbers ({name})"
        );
        self.warn(None, text);
    }

    /// Reserves the name and asks the opener what exists under it.
    pub(super) fn prepare(&mut self, now: Time, id: JobId, answered: Option<Box<Answered>>) {
        self.prepare_by(now, id, answered, Look::Resume, None);
    }

    /// The same; where earlier data counts, this says how to look for it.
    fn prepare_by(
        &mut self,
        now: Time,
        id: JobId,
        answered: Option<Box<Answered>>,
        resume: Look,
        begun: Option<Given>,
    ) {
        loop {
            let Some(job) = self.jobs.get_mut(&id) else { return };
            let is_free = self.names.reserve(job);
            if !is_free && job.naming.is_named {
                if job.existing_said(self.settings.existing) == Existing::AutoRename || job.has_name_of_list() {
                    self.names.number(job);
                    self.tell_numbers(id);
                    continue;
                }
                let shown =
                    job.naming.path.strip_prefix(job.naming.dir(&self.settings.dir)).unwrap_or(&job.naming.path);
                let message = format!("another entry is saved as {} already", shown.display());
                let error =
                    Error::new(ErrorKind::NameTaken, message).with_path(job.naming.path.clone()).with_advice(ONE_NAME);
                return self.close(now, id, Closing::Fail(error));
            }
            job.phase = Phase::Preparing(answered);
            self.take_sum(id);
            let Some(job) = self.jobs.get_mut(&id) else { return };
            // A guessed name that is taken is not touched: the response may give another one.
            let look = match (is_free, self.settings.resume) {
                (false, _) => Look::Final,
                (true, false) => Look::Anew,
                (true, true) => resume,
            };
            job.existing.verdict = ExistingVerdict::Unknown;
            let path = job.naming.path.clone();
            return self.ask_disk(id, Effect::Open(OpenRequest::Prepare { job: id, path, look, begun }));
        }
    }

    pub(super) fn prepared(&mut self, now: Time, id: JobId, result: Result<Box<Prepared>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let mut prepared = match result {
            Ok(prepared) => *prepared,
            Err(error) if matches!(job.phase, Phase::Preparing(_)) => {
                return self.fail_or_wait(now, id, error);
            }
            Err(_) => return self.closed(now, id),
        };
        if let (Phase::Preparing(_), Some(name)) = (&job.phase, prepared.begun_as.take()) {
            return self.goes_on_as(now, id, Path::new(&name));
        }
        if !self.settings.server_digests
            && let Some(journal) = &mut prepared.partial
        {
            journal.believe_no_server();
        }
        if matches!(job.phase, Phase::Preparing(_)) && self.leaves_to_other_entry(now, id, &mut prepared) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if prepared.partial.is_some() {
            job.part.is_open = true;
            job.naming.part_of = job.naming.path.clone();
        }
        job.existing.file = prepared.existing;
        job.existing.is_presumed_missing = prepared.is_presumed;
        (job.existing.is_checked, job.existing.may_be_of_list) = (false, false);
        job.part.is_there = prepared.has_part;
        job.old.is_there = prepared.has_old;
        job.old.evidence = prepared.old.take();
        if prepared.is_moved {
            // Its journal may describe another file: the content shows it.
            job.link = Link::doubted_file();
        }
        if !matches!(job.phase, Phase::Preparing(_)) {
            let is_of_job = |journal: &Journal| job.is_of(&journal.identity.url, journal.identity.given);
            let is_others = job.has_name_of_list() && prepared.partial.as_ref().is_some_and(|found| !is_of_job(found));
            match prepared.partial.filter(|_| job.content.done.is_empty()) {
                Some(_) if is_others => {
                    // Another entry resumes it; this one is prepared anew.
                    job.link = Link::default();
                    self.leave_part(id);
                }
                Some(journal) if job.asks_again_after_closing() => job.part.journal = Some(Box::new(journal)),
                // Keeps the existing data if the job is closed before it starts.
                Some(journal) => take_over(job, journal),
                None => {}
            }
            return self.closed(now, id);
        }
        for warning in prepared.warnings {
            self.warn(Some(id), warning);
        }
        match self.take_answered(id) {
            Some(answered) => self.place(now, id, answered, prepared.partial),
            None => self.begin(now, id, prepared.partial),
        }
    }

    /// An earlier run has begun the URL under this name, which its response gave: whatever comes now is to be that file.
    fn goes_on_as(&mut self, now: Time, id: JobId, name: &Path) {
        let Some(mut job) = self.jobs.remove(&id) else { return };
        self.names.release(&mut job);
        let guess = (job.naming.path.clone(), job.naming.plain_name.clone());
        let path = job.naming.dir(&self.settings.dir).join(name);
        self.name_as_before(&mut job, &path);
        if !job.naming.is_named {
            // Another job of this session has the name.
            (job.naming.path, job.naming.plain_name) = guess;
        }
        self.jobs.insert(id, job);
        self.prepare(now, id, None);
    }

    /// The response that gave a job its name, if there is one.
    fn take_answered(&mut self, id: JobId) -> Option<Box<Answered>> {
        match &mut self.jobs.get_mut(&id)?.phase {
            Phase::Preparing(answered) => answered.take(),
            _ => None,
        }
    }

    /// Starts a prepared job that has not sent a request yet.
    fn begin(&mut self, now: Time, id: JobId, partial: Option<Journal>) {
        let is_known = |job: &Job, journal: &Journal| {
            job.is_of(&journal.identity.url, journal.identity.given) || journal.done.is_empty()
        };
        match (partial, self.jobs.get_mut(&id)) {
            // Only the response can show that this is the file, and a tag is hardly enough.
            (Some(journal), Some(job)) if !is_known(job, &journal) && !job.may_be_of(journal.identity.given) => {
                job.part.journal = Some(Box::new(journal));
            }
            (Some(journal), _) => self.take_over_by_name(id, journal),
            (None, _) => {}
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(existing) = &job.existing.file else { return self.go_on(now, id) };
        let published = existing.published();
        let is_ours = job.naming.reserved.is_some();
        let is_file = existing.stat.kind == StatKind::File;
        if job.existing_said(self.settings.existing) == Existing::Skip && is_ours && is_file {
            return self.close(now, id, Closing::There(How::Skipped, published));
        }
        if job.must_check_existing(self.settings.server_digests) {
            return self.check_existing(now, id, None);
        }
        self.beside_existing(now, id);
    }

    /// Compares an existing file with the requested digest, or those of its pieces.
    pub(super) fn check_existing(&mut self, now: Time, id: JobId, answered: Option<Box<Answered>>) {
        let believes_server = self.settings.server_digests;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(existing) = &job.existing.file else { return };
        let (len_bytes, path) = (existing.stat.len_bytes, job.naming.path.clone());
        job.existing.is_checked = true;
        job.phase = Phase::CheckingExisting(answered);
        if job.spec.listed.is_none() && job.spec.size_bytes.is_some_and(|told| told != len_bytes) {
            return self.existing_checked(now, id, false);
        }
        let pieces = job.spec.pieces.as_ref().filter(|_| job.spec.checksum.is_none());
        let request = match (pieces, job.promise(believes_server)) {
            (Some(pieces), _) => match pieces.of_length(len_bytes).map(Box::new) {
                Some(pieces) => CommitRequest::DigestPieces { job: id, path, pieces, of_final: true },
                None => return self.existing_checked(now, id, false),
            },
            (None, Some(promise)) => {
                let algorithm = promise.checksum().algorithm();
                CommitRequest::Digest { job: id, path, algorithm, of_final: true, len_bytes }
            }
            (None, None) => return self.existing_checked(now, id, false),
        };
        self.ask_disk(id, Effect::Commit(request));
    }

    /// Whether an existing file has the digests is known.
    pub(super) fn existing_checked(&mut self, now: Time, id: JobId, is_right: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Phase::CheckingExisting(answered) = &mut job.phase else { return };
        if is_right {
            let Some(existing) = &job.existing.file else { return };
            let published = existing.published();
            return self.close(now, id, Closing::There(How::ThereByDigest, published));
        }
        match answered.take() {
            Some(answered) => {
                let partial = job.part.journal.take().map(|journal| *journal);
                self.place(now, id, answered, partial);
            }
            None => self.beside_existing(now, id),
        }
    }

    /// Decides about an existing file before anything is fetched, if there is a partial file too. If there is
    /// none, the response decides.
    pub(super) fn beside_existing(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.existing.file.is_none() || !job.part.is_open {
            return self.go_on(now, id);
        }
        match self.decide_existing(id) {
            Decision::There(how @ How::Skipped, published) => self.close(now, id, Closing::There(how, published)),
            // It is what an earlier run was about to fetch. Whether that is what the server has now, its response shows.
            Decision::There(..) => self.leave_to_response(id),
            Decision::Refuse(error) => self.close(now, id, Closing::Fail(error)),
            Decision::Replace => self.go_on(now, id),
            // Nothing says that it is the file, and a partial file exists as well.
            Decision::AskOwner => self.ask_owner(id, None),
            Decision::Compare | Decision::CompareHalf | Decision::Digest => {
                let Some(job) = self.jobs.get_mut(&id) else { return };
                job.existing.verdict = ExistingVerdict::Other(
                    "a file has this name, and what an earlier run left of the file is there as well".to_owned(),
                );
                self.beside_existing(now, id);
            }
            Decision::Rename => self.rename_beside_existing(now, id),
        }
    }

    /// Requests the file as if nothing were known of what an earlier run has left; it is at hand when the response comes.
    fn leave_to_response(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let journal = job.journal();
        job.forget();
        job.part.journal = Some(Box::new(journal));
        job.phase = Phase::Ready;
    }

    /// Gives the file another name than the one that is taken. Its partial file is resumed and keeps its own
    /// name until it is complete.
    fn rename_beside_existing(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.content.done.is_empty() {
            job.forget();
            self.names.number(job);
            self.leave_part(id);
            return self.prepare(now, id, None);
        }
        // Publishing shows whether a file has that name.
        self.names.number_beside_part(job);
        job.naming.is_named = true;
        job.existing.file = None;
        self.go_on(now, id);
    }

    /// Fetches what is missing, or everything.
    pub(super) fn go_on(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.part.is_open && job.is_listed_anew() {
            return self.restart(now, id, "its service lists another version", By::Bytes);
        }
        if job.part.is_open && job.content.is_whole() && !job.link.is_doubted() {
            if job.cannot_be_asked_about(self.settings.server_digests) {
                // Only bytes can show that this is what the server has now: its last ones come once more.
                job.content.forget_end();
            } else {
                return self.complete(now, id);
            }
        }
        job.phase = Phase::Ready;
        self.refuses_large(now, id, None);
    }

    /// Fails an entry that was never tried; each entry has a start and an end.
    pub(super) fn count_started_failure(
        &mut self,
        job: JobId,
        entry: Option<crate::feed::EntryId>,
        url: String,
        error: &Error,
    ) {
        self.effects.push(Effect::Report(Event::Started { job, url: url.clone() }));
        if entry.is_none() && job.0 < FEED_JOBS_FROM {
            self.remember_refused(job, url.clone(), ErrorReport::from(error));
        }
        self.count_failure(job, entry, url, error);
    }

    pub(super) fn count_failure(
        &mut self,
        job: JobId,
        entry: Option<crate::feed::EntryId>,
        url: String,
        error: &Error,
    ) {
        self.tally.failed(&url, error);
        self.effects.push(Effect::Report(Event::Failed { job, url, error: ErrorReport::from(error) }));
        if let Some(entry) = entry {
            let rejection = error.kind().rejection();
            // The next run may have the credentials or the new link that is needed.
            let asks_for_more = rejection.is_some_and(Rejection::asks_who);
            // What is wrong with the entry itself is told again each time: nobody is asked for that.
            let is_decided = rejection.is_some() || error.kind() == ErrorKind::Redirect;
            let permanent = is_decided && !error.is_transient() && !asks_for_more;
            let state = crate::feed::SettledState::Failed {
                kind: error.kind(),
                message: error.message().to_owned(),
                attempts: error.attempts(),
                permanent,
            };
            self.effects.push(Effect::Settle(crate::feed::Settled { entry, state }));
        }
    }
}

/// The line number stands where a URL would, so the message need not repeat it.
fn without_line(line: u64, error: &Error) -> Error {
    let message = error.message();
    Error::new(error.kind(), message.strip_prefix(&format!("line {line}: ")).unwrap_or(message))
}
