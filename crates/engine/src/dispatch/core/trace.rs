//! The digest of a complete file is not the promised one, and several sources sent it: one of them sent wrong
//! bytes. The bytes of the other sources are refetched from one source, one suspect after the other, until
//! the digest is right; the last suspect is the culprit. If none is, another source is asked for all the
//! rest. If one source sent everything, the others are asked for the whole file, including those that were
//! dropped because theirs is another one.

use super::Core;
use crate::dispatch::job::{By, Job, Phase};
use crate::dispatch::job_sources::{Source, Standing, Trace};
use crate::error::{Error, ErrorKind};
use crate::event::{ErrorReport, Event};
use crate::job::JobId;
use crate::message::{Effect, Time};
use crate::secret;

impl Core {
    /// Refetches the bytes of one source from another; false if no suspect is left.
    pub(super) fn suspect(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if !job.sources.is_many() || !self.settings.allowed.replaces || !job.next_suspect() {
            return false;
        }
        let Some(trace) = &job.trace else { return false };
        let url = |source: usize| secret::shown_url(&job.sources[source].given);
        let suspect = trace.replaced.last().map_or_else(String::new, |suspect| url(*suspect));
        let message = format!(
            "the digest is not the promised one: what came from {suspect} is fetched again from {}",
            url(trace.base)
        );
        job.phase = Phase::Moving;
        self.remark(id, message);
        true
    }

    /// The data is wrong, and one source sent it: asks another for the whole file; false if there is none. What an
    /// earlier run fetched may be of any source, so that it is fetched again before one of them is blamed.
    pub(super) fn begins_with_another(&mut self, now: Time, id: JobId, error: &Error) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let lead = job.sources.lead();
        if !self.settings.allowed.replaces
            || !job.sources.is_many()
            || job.trace.is_some()
            || job.sources[lead].is_dropped()
        {
            return false;
        }
        if job.content.resumed_bytes > 0 {
            let reason = "what an earlier run fetched, nobody knows from which source, does not fit the digest";
            self.restart(now, id, reason, By::Digest);
            return true;
        }
        job.sources.revive_different();
        if job.sources.next_lead().is_none() {
            return false;
        }
        // These bytes are proven not to be the file.
        job.forget_content();
        job.forget();
        (job.content.told_bytes, job.content.reached_bytes) = (None, 0);
        self.leave_source(now, id, lead, Standing::Dropped(error.clone()));
        true
    }

    /// The digest is right after all: the source whose bytes were replaced last sent wrong ones.
    pub(super) fn name_culprit(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(culprit) = job.trace.take().and_then(|trace| trace.replaced.last().copied()) else { return };
        let source = &job.sources[culprit];
        let error = Error::new(ErrorKind::Digest, "it sent bytes that do not fit the digest of the file");
        let url = secret::shown_url(&source.given);
        let sources_left = job.sources.live().filter(|(source, _)| *source != culprit).count() as u32;
        let error = ErrorReport::from(&error);
        self.effects.push(Effect::Report(Event::SourceDropped { job: id, url, error, sources_left }));
    }
}

impl Job {
    /// Whether a source may be asked: during a search for wrong bytes, only one may.
    pub(super) fn may_ask(&self, source: usize) -> bool {
        self.trace.as_ref().is_none_or(|trace| trace.base == source)
    }

    /// A source is gone: if the search asked it, another source that has joined takes over, or the search
    /// ends and all sources may send what is missing.
    pub(super) fn believe_another_than(&mut self, gone: usize) {
        let Some(mut trace) = self.trace.take_if(|trace| trace.base == gone) else { return };
        trace.bases_before.push(gone);
        let Some(next) = self.next_base(&trace) else { return };
        (trace.base, trace.replaced) = (next, Vec::new());
        self.trace = Some(trace);
    }

    /// The next source to trust: its bytes must be able to stand beside those of others.
    fn next_base(&self, trace: &Trace) -> Option<usize> {
        let can_bring = |source: usize, state: &Source| state.is_joined() || source == self.sources.lead();
        let mut live = self.sources.live();
        live.find(|(at, state)| can_bring(*at, state) && !trace.bases_before.contains(at)).map(|(at, _)| at)
    }

    /// Removes the bytes of the next suspect from the existing data, so that they are refetched.
    fn next_suspect(&mut self) -> bool {
        let Some(total_bytes) = self.content.total_bytes else { return false };
        let mut trace = match self.trace.take() {
            Some(trace) => trace,
            None => match self.first_base() {
                Some(base) => Trace { base, replaced: Vec::new(), bases_before: Vec::new() },
                None => return false,
            },
        };
        loop {
            let suspect = self.suspects(&trace).next();
            if let Some(suspect) = suspect {
                self.forget_bytes_of(suspect);
                trace.replaced.push(suspect);
                self.trace = Some(trace);
                return !self.content.is_whole() && total_bytes > 0;
            }
            // All bytes come from the source that was asked: it is the one that is wrong.
            trace.bases_before.push(trace.base);
            let Some(next) = self.next_base(&trace) else { return false };
            (trace.base, trace.replaced) = (next, Vec::new());
        }
    }

    /// The first source to trust: the one that sent most.
    fn first_base(&self) -> Option<usize> {
        let brought = || self.sources.all().filter(|(_, source)| !source.ranges.is_empty());
        let is_mixed = brought().count() > 1;
        let live = brought().filter(|(_, source)| !source.is_dropped());
        live.max_by_key(|(_, source)| source.ranges.covered()).map(|(at, _)| at).filter(|_| is_mixed)
    }

    /// The sources whose bytes are in the file and were not replaced, the smallest share first.
    fn suspects(&self, trace: &Trace) -> impl Iterator<Item = usize> {
        let mut suspects: Vec<_> = self
            .sources
            .all()
            .filter(|(at, source)| *at != trace.base && !trace.replaced.contains(at) && !source.ranges.is_empty())
            .map(|(at, source)| (source.ranges.covered(), at))
            .collect();
        suspects.sort_unstable();
        suspects.into_iter().map(|(_, at)| at)
    }

    fn forget_bytes_of(&mut self, suspect: usize) {
        let ranges = std::mem::take(&mut self.sources[suspect].ranges);
        for range in ranges.iter() {
            self.content.done.remove(range);
        }
        self.content.high_water_bytes = self.content.done.covered();
        self.part.saved_bytes = 0;
    }
}
