//! Files of a wrong size. `max_size_bytes`: a larger file is refused before a byte of it is written. A file of unknown
//! length is cut off one byte beyond the limit, and kept if its version is certain: otherwise it could not be resumed.
//! The size that a service lists is announced as one in a head is: another one is another file, or a part of it.

use super::Core;
use super::take_over::take_over;
use crate::dispatch::job::{Closing, Job};
use crate::error::{Advice, Error, ErrorKind};
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::Time;
use crate::plan::piece::{OPEN_END, Piece};
use crate::{secret, size};

impl Core {
    /// Fails a job whose file is too large, or not as long as its list or its service says, unless another source may
    /// have the right one; false if it is neither. The data of an earlier run stays.
    pub(super) fn refuses_size(&mut self, now: Time, id: JobId, partial: Option<&Journal>) -> bool {
        if let Some(error) = self.jobs.get(&id).and_then(|job| unlisted(job, job.content.total_bytes?)) {
            let Some(job) = self.jobs.get_mut(&id) else { return true };
            if job.sources.is_many() && job.content.done.is_empty() {
                job.part.journal = partial.cloned().map(Box::new);
                job.content.total_bytes = None;
                self.give_up(now, id, error);
                return true;
            }
            if let Some(journal) = partial {
                take_over(job, journal.clone());
            }
            self.fail_or_begin_with_another(now, id, error);
            return true;
        }
        self.refuses_large(now, id, partial)
    }

    /// What has come is not the file: another source is asked for it, or the job fails.
    pub(super) fn fail_or_begin_with_another(&mut self, now: Time, id: JobId, error: Error) {
        if !self.begins_with_another(now, id, &error) {
            self.close(now, id, Closing::Fail(error));
        }
    }

    /// Fails a job whose file is too large; false if it is not.
    pub(super) fn refuses_large(&mut self, now: Time, id: JobId, partial: Option<&Journal>) -> bool {
        let Some(max_bytes) = self.jobs.get(&id).and_then(|job| self.max_bytes(job)) else { return false };
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let Some(total_bytes) = job.content.total_bytes.filter(|total| *total > max_bytes) else { return false };
        if let Some(journal) = partial {
            take_over(job, journal.clone());
        }
        let (has, allowed) = (size::bytes(total_bytes), size::bytes(max_bytes));
        self.refuse(now, id, format!("the file has {has} ({total_bytes} bytes), and at most {allowed} are allowed"));
        true
    }

    /// The same for a file of unknown length, when its body has ended or was cut off.
    pub(super) fn refuses_body(&mut self, now: Time, id: JobId, len_bytes: u64) -> bool {
        if let Some(error) = self.jobs.get(&id).and_then(|job| unlisted(job, len_bytes)) {
            self.fail_or_begin_with_another(now, id, error);
            return true;
        }
        let Some(max_bytes) = self.jobs.get(&id).and_then(|job| self.max_bytes(job)) else { return false };
        if len_bytes <= max_bytes {
            return false;
        }
        let allowed = size::bytes(max_bytes);
        self.refuse(now, id, format!("the file has more than the {allowed} allowed; the server did not say how much"));
        true
    }

    /// The piece for a whole file, up to the allowed size: one more byte shows that the file is larger.
    pub(super) fn whole_piece(&self, job: &Job) -> Piece {
        Piece::new(0, self.max_bytes(job).map_or(OPEN_END, |max| max.saturating_add(1)))
    }

    /// The limit of this job, or of the session.
    fn max_bytes(&self, job: &Job) -> Option<u64> {
        job.spec.options.max_size_bytes.or(self.settings.max_size_bytes)
    }

    fn refuse(&mut self, now: Time, id: JobId, what: String) {
        let Some(job) = self.jobs.get(&id) else { return };
        let error = Error::new(ErrorKind::TooLarge, what)
            .with_url(secret::shown_url(job.lead().url()))
            .with_path(job.naming.path.clone());
        self.close(now, id, Closing::Fail(error));
    }
}

/// The error for a file that has another length than its list or its service says.
pub(super) fn unlisted(job: &Job, len_bytes: u64) -> Option<Error> {
    if let Some(said) = job.spec.size_bytes.filter(|said| *said != len_bytes) {
        let text = format!("the file has {len_bytes} bytes, and the list says {said}");
        let error = Error::new(ErrorKind::Changed, text).with_url(secret::shown_url(job.lead().url()));
        return Some(error.with_path(job.naming.path.clone()).with_advice(Advice::CheckUrlOrSize));
    }
    let listed = job.spec.listed.as_ref().filter(|listed| !listed.may_differ)?;
    let total_bytes = listed.total_bytes.filter(|total_bytes| *total_bytes != len_bytes)?;
    let text = format!("the file has {len_bytes} bytes, and {} lists it with {total_bytes}", listed.by);
    let error = Error::new(ErrorKind::Changed, text).with_url(secret::shown_url(job.lead().url()));
    Some(error.with_path(job.naming.path.clone()).with_advice(Advice::RunAgain))
}
