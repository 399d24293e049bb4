//! Restarts a file, because responses report another version or bytes differ. The old data stays open and on
//! the disk until a response sends the other version: the next response may be of the first version again, or
//! not the file at all.

use super::Core;
use super::doubt::{KEPT, UNKNOWN_MAX};
use crate::backoff;
use crate::dispatch::job::{By, Closing, Job, Phase, Segmented};
use crate::error::{Advice, Error, ErrorKind};
use crate::event::Event;
use crate::evidence::Evidence;
use crate::job::JobId;
use crate::message::{CommitRequest, Effect, Fate, Head, Time};
use crate::plan::TransferId;
use crate::secret;

/// After this many restarts, one unsegmented stream is tried; if that does not help, the job fails.
pub(super) const RESTARTS_MAX: u32 = 3;

impl Core {
    /// Whether a file has changed so often that only one unsegmented stream is left to try.
    pub(super) fn needs_single_stream(restarts: u32) -> bool {
        restarts >= RESTARTS_MAX
    }

    pub(super) fn restart(&mut self, now: Time, id: JobId, reason: &str, by: By) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.restarts += 1;
        if job.tries.restarts > RESTARTS_MAX {
            let error = Error::new(ErrorKind::Changed, "the file on the server changed each time it was fetched")
                .with_url(secret::shown_url(job.lead().url()))
                .with_attempts(job.tries.restarts);
            return self.give_up(now, id, error);
        }
        self.close(now, id, Closing::Restart { reason: reason.to_owned(), by });
    }

    /// Whether a response is of the old version that is kept beside the current one, and not of the current one.
    pub(super) fn serves_old(&self, id: JobId, head: &Head) -> bool {
        let Some(job) = self.jobs.get(&id) else { return false };
        // Weak evidence is enough: how to resume it is decided once it has its name back.
        let is_same = |version: &Evidence| version.compare(&head.evidence).is_same();
        let is_old = !job.sources.is_many() && job.old.is_there && job.old.evidence.as_deref().is_some_and(is_same);
        is_old && !is_same(job.version_begun())
    }

    /// Resumes the old version if it is served again and the current one is not. False if that is not so, or
    /// if versions keep changing.
    pub(super) fn takes_back(&mut self, now: Time, id: JobId, head: &Head) -> bool {
        if !self.serves_old(id, head) {
            return false;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        job.tries.restarts += 1;
        if job.tries.restarts > RESTARTS_MAX {
            return false;
        }
        let message = "the version that was begun first is served again: it goes on with that".to_owned();
        self.remark(id, message);
        self.close(now, id, Closing::TakeBack);
        true
    }

    /// Gives the old version its name back, and keeps the current one beside it.
    pub(super) fn take_back(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let fate = if job.is_worth_keeping() { Fate::Exchanged } else { Fate::Discarded };
        job.forget_content();
        job.forget();
        job.lead_mut().go_back();
        job.part.is_open = false;
        self.effects.push(Effect::Commit(CommitRequest::Release { job: id, path: job.naming.part_of.clone(), fate }));
        (job.old.is_there, job.old.evidence, job.part.journal) = (false, None, None);
        self.prepare(now, id, None);
    }

    pub(super) fn begin_anew(&mut self, now: Time, id: JobId, reason: String, by: By) {
        let wait = backoff::wait(1, &mut self.random);
        let is_by_version = by == By::Version;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.content.fetched_bytes += job.content.done.covered().saturating_sub(job.content.resumed_bytes);
        job.keep_version();
        job.old.witnessed = job.tries.doubts.other.take().filter(|_| is_by_version);
        // If bytes differ, there is no version that could come back.
        let held = (is_by_version && job.is_worth_keeping() && !job.sources.is_many()).then(|| job.journal());
        job.lead_mut().go_back();
        // What a mirror has is the file only if it is as long; a digest tells that better.
        let is_length_right = job.sources.lead() != 0 && by != By::Digest;
        let told_bytes = job.content.total_bytes.or(job.content.told_bytes).filter(|_| is_length_right);
        job.forget();
        job.content.told_bytes = told_bytes;
        if by == By::Digest {
            job.content.reached_bytes = 0;
        }
        job.sources.all_mut().for_each(|source| source.most_bytes = 0);
        job.old.is_replacing = held.is_some();
        job.part.journal = held.map(Box::new);
        job.tries.failures.set_whole(0, now + wait);
        if Self::needs_single_stream(job.tries.restarts) {
            job.ranges.segmented = Segmented::Refused;
        }
        self.effects.push(Effect::Report(Event::Restarted { job: id, reason }));
    }

    /// Whether the response that was to be of another version is not: the first version is served again and
    /// resumed, or nothing shows that it is the file.
    pub(super) fn is_not_replaced(&mut self, now: Time, id: JobId, transfer: TransferId, head: &Head) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        if !std::mem::take(&mut job.old.is_replacing) {
            return false;
        }
        let is_cut_short = job.is_cut_short_by(&head.evidence);
        let Some(journal) = job.part.journal.take() else { return false };
        let before = &journal.identity.evidence;
        let verdict = before.compare(&head.evidence);
        if verdict.joins() {
            (job.old.is_to_be_kept, job.old.evidence) = (false, None);
            let message = "the version that was begun is served again: it goes on with that".to_owned();
            self.remark(id, message);
            self.close(now, id, Closing::TakeOver(journal));
            return true;
        }
        let is_contradicted = job.old.witnessed.as_ref().is_some_and(|told| told.is_contradicted_by(&head.evidence));
        let is_replaced = verdict.is_different() || !before.tells_version() || head.evidence.tells_version();
        if is_replaced && !is_cut_short && !is_contradicted {
            job.old.witnessed = None;
            return false;
        }
        let text = format!(
            "the server does not say which version this is ({}), where one with a version was begun",
            before.differences(&head.evidence)
        );
        let error =
            Error::new(ErrorKind::Changed, text).with_url(secret::shown_url(job.lead().url())).with_advice(KEPT);
        job.old.is_replacing = true;
        job.part.journal = Some(journal);
        job.tries.doubts.unknown += 1;
        let unknown = job.tries.doubts.unknown;
        if unknown >= UNKNOWN_MAX {
            self.close(now, id, Closing::Fail(error.with_attempts(unknown)));
            return true;
        }
        self.ask_anew(now, id, transfer, error);
        true
    }

    /// Whether the old version is served again before anything of the new one has come.
    pub(super) fn is_old_again(&mut self, now: Time, id: JobId, head: &Head) -> bool {
        let is_empty = self.jobs.get(&id).is_some_and(|job| job.part.is_open && job.content.done.is_empty());
        is_empty && self.takes_back(now, id, head)
    }

    /// Whether a response is shorter than data that had no length, and does not name another version: a busy server sends
    /// that of any file.
    pub(super) fn is_too_short(
        &mut self,
        now: Time,
        id: JobId,
        transfer: TransferId,
        head: &Head,
        len_bytes: u64,
    ) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        if len_bytes >= job.content.reached_bytes || job.may_be_shorter(&head.evidence) {
            return false;
        }
        job.tries.doubts.unknown += 1;
        let unknown = job.tries.doubts.unknown;
        let error = too_short(job, len_bytes);
        match unknown >= UNKNOWN_MAX {
            true => self.close(now, id, Closing::Fail(error.with_attempts(unknown))),
            false => self.ask_anew(now, id, transfer, error),
        }
        true
    }

    /// The response to the first request is of no use: the URL that was given is asked again.
    fn ask_anew(&mut self, now: Time, id: JobId, transfer: TransferId, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Ready;
        job.answer.probe = None;
        job.lead_mut().go_back();
        self.reject(transfer);
        self.retry_or_fail(now, id, 0, error, false);
    }
}

/// The error for a file without a version that is shorter than what had come of it.
pub(super) fn too_short(job: &Job, len_bytes: u64) -> Error {
    let (reached, sent) = (job.content.reached_bytes, len_bytes);
    let text = format!("the server sends {sent} bytes, and {reached} had come, of no other version");
    let error = Error::new(ErrorKind::Changed, text).with_url(secret::shown_url(job.lead().url()));
    let is_kept =
        job.old.is_to_be_kept || job.old.is_there || !job.content.done.is_empty() || job.part.journal.is_some();
    error.with_advice(if is_kept { KEPT } else { Advice::RunAgain })
}
