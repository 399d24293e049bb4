//! `max_size_bytes`: a file that is larger is refused before a byte of it is written. One whose length
//! nobody tells is broken off one byte beyond; it is kept if its version is certain: otherwise it could
//! not be gone on with.

use super::Core;
use super::adopt::adopt;
use crate::dispatch::job::{Closing, Job};
use crate::error::{Error, ErrorKind};
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::Time;
use crate::plan::piece::{OPEN_END, Piece};
use crate::{secret, size};

impl Core {
    /// Ends a job whose file is too large; false if it is not. What an earlier run left of it stays.
    pub(super) fn refuses_size(&mut self, now: Time, id: JobId, partial: Option<&Journal>) -> bool {
        let Some(max_bytes) = self.jobs.get(&id).and_then(|job| self.max_bytes(job)) else { return false };
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let Some(total_bytes) = job.content.total_bytes.filter(|total| *total > max_bytes) else { return false };
        if let Some(journal) = partial {
            adopt(job, journal.clone());
        }
        let (has, allowed) = (size::bytes(total_bytes), size::bytes(max_bytes));
        self.refuse(now, id, format!("the file has {has} ({total_bytes} bytes), and at most {allowed} are allowed"));
        true
    }

    /// The same for a file whose length nobody told, when its body has ended or was left.
    pub(super) fn refuses_body(&mut self, now: Time, id: JobId, len_bytes: u64) -> bool {
        let Some(max_bytes) = self.jobs.get(&id).and_then(|job| self.max_bytes(job)) else { return false };
        if len_bytes <= max_bytes {
            return false;
        }
        let allowed = size::bytes(max_bytes);
        self.refuse(now, id, format!("the file has more than the {allowed} allowed; the server did not say how much"));
        true
    }

    /// The whole file, as far as its size is allowed: one byte more shows that it is not.
    pub(super) fn whole_piece(&self, job: &Job) -> Piece {
        Piece::new(0, self.max_bytes(job).map_or(OPEN_END, |max| max.saturating_add(1)))
    }

    /// What holds for this file, or for all.
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
