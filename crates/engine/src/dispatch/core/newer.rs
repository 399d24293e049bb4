//! `newer_than`: a file that has not changed since that moment is not fetched. The request asks for it (RFC 9110, section
//! 13.1.3), and the date of the response decides where a server ignores that. A server that tells no date has the file
//! fetched.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Core;
use crate::dispatch::job::{Closing, Job, Published, Transfer};
use crate::event::How;
use crate::job::JobId;
use crate::message::{End, FetchKind, Head, Time};

/// Years beyond 9999 have no HTTP date, and neither has what was before 1970.
const LAST_UNIX: Duration = Duration::from_secs(253_402_300_799);

/// The nearest moment that an HTTP date can say.
pub(super) fn in_http(moment: SystemTime) -> SystemTime {
    moment.clamp(UNIX_EPOCH, UNIX_EPOCH + LAST_UNIX)
}

impl Core {
    /// The moment after which the file must have changed. What was begun is completed.
    pub(super) fn newer_than(&self, job: &Job, kind: &FetchKind) -> Option<SystemTime> {
        let is_begun = !job.content.done.is_empty() || job.part.journal.is_some();
        // Services list when their files changed.
        let applies = matches!(kind, FetchKind::Probe) && !is_begun && job.spec.listed.is_none();
        self.settings.newer_than.filter(|_| applies)
    }

    /// Whether the response says that the file has not changed since; then the job is done.
    pub(super) fn is_not_newer(&mut self, now: Time, id: JobId, head: &Head) -> bool {
        let newer_than = self.jobs.get(&id).and_then(|job| self.newer_than(job, &FetchKind::Probe));
        let is_old = newer_than.zip(head.evidence.last_modified_time()).is_some_and(|(than, changed)| changed <= than);
        if is_old {
            self.leave_as_old(now, id);
        }
        is_old
    }

    /// Whether the server has answered a condition of ours with 304.
    pub(super) fn is_unchanged(&mut self, now: Time, id: JobId, transfer: &Transfer, end: &End) -> bool {
        let is_told = transfer.is_probe && matches!(end, End::Checked(None));
        if is_told {
            self.leave_as_old(now, id);
        }
        is_told
    }

    fn leave_as_old(&mut self, now: Time, id: JobId) {
        let published = Published { len_bytes: 0, modified: UNIX_EPOCH };
        self.close(now, id, Closing::There(How::NotNewer, published));
    }
}
