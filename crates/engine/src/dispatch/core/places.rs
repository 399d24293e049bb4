//! Which job gets a place. A file takes one from its first request until it is complete, so that `jobs` files
//! are fetched at once. A quiet file (its server stalls, drips, fails, or sends `Retry-After`) occupies its place only
//! for files of its own host: a few slow hosts do not hold up a list.

use super::Core;
use crate::dispatch::job::{Job, Phase};
use crate::event::Event;
use crate::http::origin::{Origin, OriginMap};
use crate::job::JobId;
use crate::message::{Effect, Protocol, Time};

/// The places that are taken now.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Files that make progress, or were just requested.
    active: usize,
    /// The quiet files, by host.
    quiet_of: OriginMap<usize>,
}

impl Places {
    /// Places that are taken, as a file of this host counts them.
    fn taken_for(&self, host: &Origin) -> usize {
        self.active + self.quiet_of(host)
    }

    fn quiet_of(&self, host: &Origin) -> usize {
        if self.quiet_of.is_empty() { 0 } else { self.quiet_of.get(host).copied().unwrap_or(0) }
    }
}

impl Core {
    /// Sends all requests that the running jobs can use and the caps allow.
    pub(super) fn connect_all(&mut self, now: Time) {
        let mut places = self.places(now);
        self.connect_waited(now, &mut places);
        // Files that failed or got a `Retry-After` come behind files that were not requested yet.
        if self.connect_those(now, &mut places, false) {
            self.connect_those(now, &mut places, true);
        }
    }

    /// The same for files that have waited for their hosts, where it is their turn.
    fn connect_waited(&mut self, now: Time, places: &mut Places) {
        let has_waited = |id: &JobId| {
            let job = &self.jobs[id];
            matches!(job.phase, Phase::Ready)
                && job.lead().patience > 0
                && job.retry_at(0) <= now
                && self.hosts.prefers_waited(job.lead().host(), now)
        };
        if !self.hosts.has_held() {
            return;
        }
        let waited: Vec<JobId> = self.turns.running.iter().copied().filter(has_waited).collect();
        for id in waited {
            if self.jobs.contains_key(&id) && self.has_place(places, id) {
                self.take_place(now, id);
                places.active += usize::from(!self.is_ready(id) && self.jobs.contains_key(&id));
            }
        }
    }

    /// The same for the jobs that are under way and those that were not requested yet, or for those that are to be requested
    /// again. Returns whether there were others. Each decision looks at all jobs, so that each is looked up once.
    fn connect_those(&mut self, now: Time, places: &mut Places, again: bool) -> bool {
        let mut has_passed_over = false;
        let mut at = 0;
        // A job that fails leaves the list, and the next one takes its index.
        while let Some(id) = self.turns.running.get(at).copied() {
            let job = &self.jobs[&id];
            let is_ready = matches!(job.phase, Phase::Ready);
            let is_again = is_ready && job.is_troubled();
            has_passed_over |= is_again != again;
            if is_ready && is_again == again {
                // Its place is one for the host that is asked.
                self.pass_over_doubtful(now, id);
            }
            let job = &self.jobs[&id];
            match () {
                () if is_again != again => {}
                () if is_ready && self.has_place(places, id) => {
                    self.take_place(now, id);
                    places.active += usize::from(!self.is_ready(id) && self.jobs.contains_key(&id));
                }
                () if is_ready => {}
                () if job.stands_by() => self.go_on_with_place(now, places, id),
                () if job.may_be_connected() => self.connect(now, id),
                () => {}
            }
            at += usize::from(self.turns.running.get(at) == Some(&id));
        }
        has_passed_over
    }

    /// A file that stands by, among the quiet ones of its host, goes on if there is a place for it. However many those are:
    /// one less is quiet then.
    fn go_on_with_place(&mut self, now: Time, places: &mut Places, id: JobId) {
        let host = self.jobs[&id].lead().host().clone();
        if places.active >= self.settings.jobs {
            return;
        }
        self.connect(now, id);
        if self.jobs.get(&id).is_none_or(|job| !job.stands_by()) {
            places.active += usize::from(self.jobs.contains_key(&id));
            if let Some(quiet) = places.quiet_of.get_mut(&host) {
                *quiet = quiet.saturating_sub(1);
            }
        }
    }

    /// Whether a job has failed or waited for its server, without progress since.
    pub(super) fn is_troubled(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.is_troubled())
    }

    pub(super) fn places(&self, now: Time) -> Places {
        let mut places = Places::default();
        for job in self.turns.running.iter().map(|id| &self.jobs[id]).filter(|job| job.takes_place()) {
            match self.is_quiet(now, job) {
                true => *places.quiet_of.entry(job.lead().host().clone()).or_default() += 1,
                false => places.active += 1,
            }
        }
        places
    }

    /// Places that are taken, as a file of this host counts them.
    #[cfg(test)]
    pub(super) fn taken_for(&self, now: Time, host: &Origin) -> usize {
        self.places(now).taken_for(host)
    }

    /// Whether a job waits only because of the quiet files of its own host.
    pub(super) fn waits_for_its_host(&self, places: &Places, job: &Job) -> bool {
        let quiet = places.quiet_of(job.lead().host());
        quiet > 0 && places.active < self.settings.jobs && places.active + quiet >= self.settings.jobs
    }

    fn is_quiet(&self, now: Time, job: &Job) -> bool {
        // Bytes may arrive slowly because we read slowly.
        let may_be_ours =
            || !job.transfers.is_empty() && !matches!(job.phase, Phase::Probing) && self.limits_rate_of(job);
        job.is_asked() && job.pulse.is_quiet(now) && !may_be_ours() || job.stands_by()
    }

    /// Whether we limit the rate of a job, so that it may be slow because of us.
    pub(super) fn limits_rate_of(&self, job: &Job) -> bool {
        let own = job.own.limit.as_ref();
        self.settings.is_limited
            || self.limits.is_limited(job.lead().host())
            || own.is_some_and(|limit| limit.is_limited())
    }

    fn has_place(&self, places: &Places, id: JobId) -> bool {
        // A small file that waits for the disk has no place, but it has a descriptor.
        self.unstored.jobs.len() < self.settings.unstored_max
            && places.taken_for(self.jobs[&id].lead().host()) < self.settings.jobs
    }

    fn is_ready(&self, id: JobId) -> bool {
        self.jobs.get(&id).is_some_and(|job| matches!(job.phase, Phase::Ready))
    }

    /// A prepared job and a free place: resumes the data of an earlier run, or requests the file.
    fn take_place(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let has_data = job.part.is_open && !job.content.done.is_empty();
        let goes_on = job.content.total_bytes.is_some() || job.may_learn_len();
        if has_data && !goes_on && !job.ranges.begins_at_zero {
            // All of it is requested again.
            self.begin_again_at_zero(id);
        } else if has_data && !job.ranges.begins_at_zero {
            job.phase = Phase::Moving;
            let event = Event::Answered {
                job: id,
                url: job.shown_url(),
                path: job.naming.path.clone(),
                total_bytes: job.content.total_bytes,
                resumed_bytes: job.content.resumed_bytes,
                protocol: job.answer.protocol.map(Protocol::name),
            };
            self.effects.push(Effect::Report(event));
        }
        self.connect(now, id);
    }
}
