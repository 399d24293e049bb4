//! The commands of a session's users: add, pause, resume, change, move, cancel and look up jobs.

use std::path::PathBuf;

use super::{Core, view};
use crate::dispatch::adapt::Adapt;
use crate::dispatch::job::{Closing, Job, Phase, Segmented};
use crate::error::{Error, ErrorKind};
use crate::event::{ErrorReport, Event, How};
use crate::feed::EntryId;
use crate::http::form;
use crate::http::origin::Origin;
use crate::job::{JobId, JobSpec};
use crate::message::{Command, Effect, Time};
use crate::name::safe;
use crate::secret;
use crate::status::{JobChange, JobFilter, JobPage, JobState, JobStatus};

/// Up to this many ended jobs are remembered.
const HISTORY_MAX: usize = 1024;
/// The maximum number of jobs on a page.
const PAGE_MAX: usize = 1000;

impl Core {
    pub(super) fn command(&mut self, now: Time, command: Command) {
        match command {
            Command::Add(id, spec) => self.add(id, None, *spec, None),
            Command::Pause(id) => self.pause(now, id),
            Command::Resume(id) => self.resume(id),
            Command::Cancel(id) => self.cancel(now, id),
            Command::Change(id, change, reply) => drop(reply.try_put(self.change(id, change))),
            Command::Move(id, position, reply) => drop(reply.try_put(self.move_to(id, position))),
            Command::Status(id, reply) => drop(reply.try_put(self.status(now, id))),
            Command::Jobs { filter, after, max, reply } => drop(reply.try_put(self.page(now, filter, after, max))),
            Command::PauseAll => self.pause_all(now),
            Command::ResumeAll => self.resume_all(),
            Command::SetConnections(connections) => self.set_connections(connections.max(1)),
            Command::SetJobs(jobs) => self.settings.jobs = jobs.max(1),
            Command::SetMaxPerHost(max) => self.slots.set_max_per_host(max),
            Command::SetMaxConnections(max) => self.slots.set_max_total(max),
            Command::SetLimitRate(bps) => {
                self.settings.is_limited = bps.is_some();
                self.effects.push(Effect::LimitRate(bps));
            }
            Command::SetLimitRatePerHost(bps) => self.limits.set(bps),
            Command::Snapshot(reply) => {
                // The receiver may be gone.
                let _ = reply.try_put(self.progress(now));
            }
            Command::Close => self.course.is_closed = true,
        }
    }

    pub(super) fn add(&mut self, id: JobId, entry: Option<EntryId>, mut spec: JobSpec, name: Option<PathBuf>) {
        let is_provided = self.providers.of(&spec.url).is_some();
        // A service's links say themselves who asks.
        if spec.listed.is_none() && !is_provided {
            self.settings.asker.mark(&mut spec);
        }
        if entry.is_none() {
            self.tally.total_files += 1;
        }
        let adapt = adapt_for(&spec, self.settings.connections);
        let output = spec.output.as_deref().map(|output| match entry {
            // A list may come from anywhere; what the user of a session gives is the user's own responsibility.
            Some(_) => safe::check_output(output),
            None => safe::check_user_output(output),
        });
        if let Some(Err(error)) = output {
            let shown = secret::shown_url(&spec.url);
            return self.count_started_failure(id, entry, shown, &error);
        }
        if let Some(mirror) = spec.mirrors.iter().find(|mirror| Origin::of(mirror).is_none()) {
            let shown = secret::shown_url(&spec.url);
            let error = Error::new(
                ErrorKind::Usage,
                format!("a mirror has a {} URL; http and https are possible", mirror.scheme()),
            );
            return self.count_started_failure(id, entry, shown, &error);
        }
        match Origin::of(&spec.url) {
            Some(origin) => {
                self.turns.waiting.push_back(&origin, id, spec.options.priority);
                let mut job = Box::new(Job::new(id, entry, spec, origin, adapt));
                for source in job.sources.all_mut() {
                    let is_itself = source.given == job.spec.url;
                    source.is_provided =
                        if is_itself { is_provided } else { self.providers.of(&source.given).is_some() };
                }
                let dir = job.spec.directory_by(self.settings.keep_dirs, self.names.rules());
                job.naming.dir = dir.map(|dir| self.settings.dir.join(dir));
                if let Some(name) = name.filter(|_| job.has_name_of_list()) {
                    self.name_as_before(&mut job, &self.settings.dir.join(name));
                }
                self.feed.held_bytes += job.own.held_bytes;
                self.jobs.insert(id, job);
            }
            None => {
                let shown = secret::shown_url(&spec.url);
                let error = Error::new(
                    ErrorKind::Usage,
                    format!("cannot fetch from a {} URL; http and https are possible", spec.url.scheme()),
                );
                self.count_started_failure(id, entry, shown, &error);
            }
        }
    }

    fn pause(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.phase {
            Phase::Waiting => {
                job.phase = Phase::Paused;
                self.turns.waiting.remove(id);
                self.turns.paused.push(id);
                self.effects.push(Effect::Report(Event::Paused { job: id }));
            }
            Phase::Closing(Closing::Pause { ref mut resumes }) => *resumes = false,
            // If it goes on after that, it is paused then.
            Phase::Closing(_) | Phase::Publishing if !self.turns.pausing.contains(&id) => self.turns.pausing.push(id),
            Phase::Closing(_) | Phase::Publishing | Phase::Paused => {}
            _ => self.close(now, id, Closing::Pause { resumes: false }),
        }
    }

    /// Pauses the jobs that could not be paused when they were told to.
    pub(super) fn pause_late(&mut self, now: Time) {
        for id in std::mem::take(&mut self.turns.pausing) {
            self.pause(now, id);
        }
    }

    /// Pauses what runs; what waits stays waiting.
    fn pause_all(&mut self, now: Time) {
        self.course.is_paused = true;
        for id in self.turns.running.clone() {
            self.pause(now, id);
        }
    }

    fn resume_all(&mut self) {
        self.course.is_paused = false;
        self.turns.pausing.clear();
        let pausing = self.turns.running.iter().chain(&self.turns.paused).copied().collect::<Vec<_>>();
        for id in pausing {
            self.resume(id);
        }
    }

    /// Sets how many connections each file gets, and makes room for as many.
    fn set_connections(&mut self, connections: usize) {
        self.settings.connections = Some(connections);
        self.slots.make_room_for(connections);
        let mut surplus = Vec::new();
        for job in self.jobs.values_mut().filter(|job| job.spec.options.connections.is_none()) {
            job.ranges.adapt = adapt_for(&job.spec, Some(connections));
            if matches!(job.phase, Phase::Moving) && job.ranges.segmented == Segmented::Proven {
                // The oldest stay; what the others had left is shared out again.
                surplus.extend(job.transfers.iter().skip(job.ranges.adapt.planned()).copied());
            }
        }
        self.drop_transfers(&surplus);
    }

    pub(super) fn resume(&mut self, id: JobId) {
        self.turns.pausing.retain(|pausing| *pausing != id);
        let Some(at) = self.turns.paused.iter().position(|paused| *paused == id) else {
            // It may still be pausing.
            if let Some(job) = self.jobs.get_mut(&id)
                && let Phase::Closing(Closing::Pause { resumes }) = &mut job.phase
            {
                *resumes = true;
            }
            return;
        };
        self.turns.paused.remove(at);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Waiting;
        let (host, priority) = (job.lead().host().clone(), job.spec.options.priority);
        self.turns.waiting.push_front(&host, id, priority);
        self.effects.push(Effect::Report(Event::Resumed { job: id }));
    }

    fn cancel(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        match job.phase {
            Phase::Waiting => {
                self.turns.waiting.remove(id);
                self.close(now, id, Closing::Cancel);
            }
            Phase::Publishing => {}
            _ => {
                self.turns.paused.retain(|paused| *paused != id);
                self.close(now, id, Closing::Cancel);
            }
        }
    }

    fn change(&mut self, id: JobId, change: JobChange) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if let Some(connections) = change.connections {
            job.spec.options.connections = Some(connections);
            job.ranges.adapt = adapt_for(&job.spec, None);
        }
        if let Some(bps) = change.limit_rate_bps {
            job.spec.options.limit_rate_bps = bps;
            if let Some(limit) = &job.own.limit {
                limit.set(bps);
            }
        }
        if let Some(priority) = change.priority {
            job.spec.options.priority = priority;
            let host = job.lead().host().clone();
            if self.turns.waiting.remove(id) {
                self.turns.waiting.push_back(&host, id, priority);
            }
        }
        true
    }

    fn move_to(&mut self, id: JobId, position: usize) -> bool {
        self.turns.waiting.move_to(id, position)
    }

    fn status(&self, now: Time, id: JobId) -> Option<JobStatus> {
        let ended = || self.history.iter().rev().find(|status| status.id == id).cloned();
        self.jobs.get(&id).map(|job| view::job_status(self, job, now)).or_else(ended)
    }

    /// The jobs after `after`, by number.
    fn page(&self, now: Time, filter: JobFilter, after: Option<JobId>, max: usize) -> JobPage {
        let max = max.clamp(1, PAGE_MAX);
        let is_behind = |id: JobId| after.is_none_or(|after| id > after);
        let fits = |job: &Job| is_behind(job.id) && filter.fits(&view::job_state(job, now));
        let mut ids: Vec<JobId> = self.jobs.values().filter(|job| fits(job)).map(|job| job.id).collect();
        let ended = || self.history.iter().filter(|status| is_behind(status.id) && filter.fits(&status.state));
        ids.extend(ended().map(|status| status.id));
        ids.sort_unstable();
        ids.dedup();
        let has_more = ids.len() > max;
        ids.truncate(max);
        let next = ids.last().copied().filter(|_| has_more);
        JobPage { jobs: ids.into_iter().filter_map(|id| self.status(now, id)).collect(), next }
    }

    /// Remembers how a job ended that was added by itself; the feed remembers its own jobs.
    pub(super) fn remember(&mut self, status: JobStatus) {
        if self.history.len() >= HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(status);
    }

    /// The same, for a complete job.
    pub(super) fn remember_done(&mut self, now: Time, id: JobId, how: How, len_bytes: u64) {
        self.remember_end(now, id, JobState::Done { how });
        if let Some(status) = self.history.back_mut().filter(|status| status.id == id) {
            (status.done_bytes, status.total_bytes) = (len_bytes, Some(len_bytes));
        }
    }

    /// The same, for a job that could not be started.
    pub(super) fn remember_refused(&mut self, id: JobId, url: String, error: ErrorReport) {
        let state = JobState::Failed { error };
        let (path, total_bytes) = (None, None);
        self.remember(JobStatus { id, url, path, state, done_bytes: 0, total_bytes, rate_bps: 0, connections: 0 });
    }

    /// The same, for a job that is still in the table.
    pub(super) fn remember_end(&mut self, now: Time, id: JobId, state: JobState) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.entry.is_none()) else { return };
        let status = JobStatus { state, rate_bps: 0, connections: 0, ..view::job_status(self, job, now) };
        self.remember(status);
    }
}

/// How many connections a file may have: as many as it says itself, or the session. A form is not sent several times at once.
fn adapt_for(spec: &JobSpec, of_session: Option<usize>) -> Adapt {
    let connections = spec.options.connections.or(of_session);
    Adapt::new(if form::mark(&spec.url).is_some() { Some(1) } else { connections })
}
