//! `adopt`: a file under the final name, which another program has begun. Samples of it are compared with the
//! server's; if all agree, it becomes the partial file, as if an earlier run had left it.

use super::Core;
use super::existing::{Decision, Known};
use super::take_over::take_over;
use crate::dispatch::identity::Link;
use crate::dispatch::job::{Answered, Closing, Comparison, ExistingVerdict, Job, Phase};
use crate::error::Result;
use crate::evidence::samples::{self, GATHERED_BYTES_MAX, IDENTITY_SAMPLES};
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{Adopt, Adopted, Effect, Existing, OpenRequest, Survey, Time};
use crate::ranges::{ByteRange, RangeSet};
use crate::size;
use crate::storage::StatKind;

impl Core {
    /// What to do about an existing file that may be the beginning of this one; `None` if it is not, or if that is known.
    pub(super) fn decide_half(&self, job: &Job, existing: &Existing) -> Option<Decision> {
        match job.existing.verdict {
            _ if !self.may_be_half(job, existing) => None,
            ExistingVerdict::Unknown if job.entry.is_some() => Some(Decision::AskOwner),
            ExistingVerdict::Unknown | ExistingVerdict::Unowned => Some(Decision::CompareHalf),
            _ => None,
        }
    }

    /// Whether the existing file is wanted as a beginning. It may be as long as the whole: some programs make room for all of
    /// it first. Where that would be compared whole, that is better.
    fn may_be_half(&self, job: &Job, existing: &Existing) -> bool {
        let len_bytes = existing.stat.len_bytes;
        let is_unproven = || len_bytes > GATHERED_BYTES_MAX && matches!(self.known_of(job, existing), Known::Nothing);
        let may_begin = |total_bytes| len_bytes < total_bytes || len_bytes == total_bytes && is_unproven();
        // Where the length is not told, the file may be of any.
        let is_beginning = len_bytes > 0 && job.content.total_bytes.map_or_else(is_unproven, may_begin);
        let may_have_ranges = !job.ranges.are_denied && self.settings.allowed.reads_back;
        self.settings.adopt && is_beginning && may_have_ranges && existing.stat.kind == StatKind::File
    }

    /// Compares samples of it with the server's.
    pub(super) fn compare_half(&mut self, now: Time, id: JobId, answered: Box<Answered>, partial: Option<Journal>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if partial.is_some() {
            let why = "a file has this name, and what an earlier run left of the file is there as well";
            job.existing.verdict = ExistingVerdict::Other(why.to_owned());
            return self.place(now, id, answered, partial);
        }
        if self.refuses_size(now, id, None) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(existing) = &job.existing.file else { return };
        let len_bytes = existing.stat.len_bytes;
        job.phase = Phase::Comparing(Comparison { answered, samples: Some(Vec::new()), is_half: true });
        let running = job.transfers.clone();
        self.drop_transfers(&running);
        // What was never written says nothing.
        self.survey_existing(id, len_bytes, true);
    }

    pub(super) fn survey_existing(&mut self, id: JobId, len_bytes: u64, reads: bool) {
        let Some(job) = self.jobs.get(&id) else { return };
        let path = job.naming.path.clone();
        self.ask_disk(id, Effect::Open(OpenRequest::Survey { job: id, path, len_bytes, reads }));
    }

    /// Which parts of an existing file were written is known.
    pub(super) fn surveyed(&mut self, now: Time, id: JobId, result: Result<Survey>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let Phase::Comparing(comparison) = &mut job.phase else { return self.closed(now, id) };
        let survey = match result {
            Ok(survey) => survey,
            Err(error) => return self.fail_or_wait(now, id, error),
        };
        let Comparison { samples: Some(samples), is_half, .. } = comparison else { return };
        match is_half {
            true => *samples = samples::spread(&survey.written, IDENTITY_SAMPLES, &mut self.random),
            // A file of another program that is not complete has its full length at times.
            false => samples.extend(samples::of_holes(&survey.holes, &mut self.random)),
        }
        match samples.is_empty() {
            true => self.existing_compared(now, id, None),
            false => self.ask_sample_of_existing(now, id),
        }
    }

    /// The comparison has ended; `is_same` is `None` if it could not be made.
    pub(super) fn half_compared(&mut self, now: Time, id: JobId, comparison: Comparison, is_same: Option<bool>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(existing) = &job.existing.file else { return };
        let (has, stat) = (existing.stat.len_bytes, existing.stat);
        if is_same == Some(true) {
            let done = RangeSet::from_iter([ByteRange::new(0, has)]);
            let journal = Journal { done, file: stat.file, is_short: true, ..job.first_journal() };
            job.phase = Phase::Adopting;
            job.part.is_open = true;
            job.naming.part_of = job.naming.path.clone();
            let adopt = Adopt { job: id, path: job.naming.path.clone(), stat, journal };
            return self.ask_disk(id, Effect::Open(OpenRequest::Adopt(Box::new(adopt))));
        }
        let why = match is_same {
            Some(_) => "it is not the beginning of the server's file",
            None => "nothing of it can be compared with the server's file",
        };
        job.existing.verdict =
            ExistingVerdict::Other(format!("another file has this name ({}), and {why}", size::bytes(has)));
        job.answer.probe = None;
        self.place(now, id, comparison.answered, None);
    }

    /// It is the partial file now, or it could not become one.
    pub(super) fn adopted(&mut self, now: Time, id: JobId, result: Result<Box<Adopted>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let Adopted { journal, set_aside } = match result {
            Ok(adopted) => *adopted,
            Err(error) => return self.not_opened(now, id, error),
        };
        if let Some(warning) = set_aside {
            self.warn(Some(id), warning);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.existing.file = None;
        if !matches!(job.phase, Phase::Adopting) {
            // The job was closed meanwhile; what the file holds stays.
            take_over(job, journal);
            return self.closed(now, id);
        }
        if let Some(gap) = samples::first_gap(&journal.done) {
            job.link = Link::doubted_gap(job.sources.lead(), gap);
        }
        let bytes = size::bytes(journal.done.covered());
        let message = format!("goes on with what another program has begun ({bytes}): samples agree");
        self.remark(id, message);
        self.close(now, id, Closing::TakeOver(Box::new(journal)));
    }
}
