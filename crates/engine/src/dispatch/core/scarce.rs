//! This machine has run out of descriptors or ports: that is no failure of a file. The file waits in the
//! queue, and from then on fewer run at once. Files also wait for a full disk while others are in progress,
//! which may be moved away or removed once they are complete.

use super::Core;
use crate::backoff;
use crate::dispatch::job::{Closing, Phase};
use crate::error::{Error, ErrorKind};
use crate::job::JobId;
use crate::message::Time;
use crate::plan::TransferId;

/// Nothing new starts for this long.
const WAIT: Time = Time::from_millis(250);
/// A file waits this often; then it fails for lack of the resource.
const SCARCITIES_MAX: u32 = 40;
/// After this many waits of the session without a completed file, there is too little even for one.
const IN_VAIN_MAX: u32 = 24;

impl Core {
    /// Lets a file wait if its error calls for that; false if it does not.
    pub(super) fn waits_for_machine(&mut self, now: Time, id: JobId, error: &Error) -> bool {
        if self.begins_from_journal(id, error) {
            self.close(now, id, Closing::Requeue);
            return true;
        }
        let is_full = error.kind() == ErrorKind::DiskFull && !error.is_final() && self.others_hold_room(id);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        // The disk may never have room for the file, so this is a retry like others.
        let most = if is_full { job.retries(self.settings.retries).saturating_mul(2) } else { SCARCITIES_MAX };
        if !(is_full || error.is_scarcity())
            || job.tries.scarcities >= most.min(SCARCITIES_MAX)
            || self.course.stopped.is_some()
        {
            return false;
        }
        if self.scarcity.since_done != self.tally.done_files {
            (self.scarcity.since_done, self.scarcity.in_vain) = (self.tally.done_files, 0);
        }
        if !is_full
            && self.scarcity.in_vain >= IN_VAIN_MAX.min(self.settings.retries.saturating_add(1).saturating_mul(8))
        {
            return false;
        }
        job.tries.scarcities += 1;
        if is_full {
            self.scarcity.full_since = Some(self.tally.ended_files());
            self.close(now, id, Closing::Requeue);
            return true;
        }
        if now >= self.scarcity.until {
            // Once for all files that hit it at the same time.
            self.scarcity.in_vain += 1;
            self.have_fewer(error);
        }
        self.scarcity.until = now + WAIT;
        self.close(now, id, Closing::Requeue);
        true
    }

    /// Whether a file that an earlier run began goes on from its journal once more: the system tells the first sync what it
    /// could not write for an earlier run, which the journal does not claim. Nobody knows whether this run's bytes are lost
    /// too.
    fn begins_from_journal(&mut self, id: JobId, error: &Error) -> bool {
        let is_stopped = self.course.stopped.is_some();
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let may_be_old = error.is_of_device() && job.part.is_there && !is_stopped;
        may_be_old && !std::mem::replace(&mut job.tries.was_unsynced, true)
    }

    /// Whether other files are in progress that may be moved away once they are complete.
    fn others_hold_room(&self, id: JobId) -> bool {
        let writes = |transfer: &TransferId| self.transfers.get(transfer).is_some_and(|transfer| transfer.writes);
        self.turns.running.iter().filter(|other| **other != id).any(|other| {
            let other = &self.jobs[other];
            !other.content.done.is_empty() || other.transfers.iter().any(writes)
        })
    }

    /// Fails a file because of this machine, or lets it wait if the problem may pass.
    pub(super) fn fail_or_wait(&mut self, now: Time, id: JobId, error: Error) {
        if !self.waits_for_machine(now, id, &error) {
            self.close(now, id, Closing::Fail(error));
        }
    }

    /// Whether the disk was full, and no file has ended since that might have made room.
    pub(super) fn is_full(&mut self) -> bool {
        let is_full = self.scarcity.full_since == Some(self.tally.ended_files()) && !self.turns.running.is_empty();
        if !is_full {
            self.scarcity.full_since = None;
        }
        is_full
    }

    fn have_fewer(&mut self, error: &Error) {
        let (jobs, open) = (self.settings.jobs, self.slots.open());
        self.settings.jobs = (jobs / 2).max(1);
        self.slots.set_max_total((open / 2).max(1));
        if !std::mem::replace(&mut self.scarcity.was_told, true) {
            let text = format!("{}: fewer files and connections are open at once from now on", error.message());
            self.warn(None, text);
        }
    }

    /// Puts a job back into the queue; its data is found again when it starts.
    pub(super) fn requeue(&mut self, now: Time, id: JobId) {
        self.leave_running(id);
        let wait = backoff::wait(self.jobs.get(&id).map_or(0, |job| job.tries.scarcities), &mut self.random);
        self.put_down(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // By then, the journal only claims what is on the disk.
        job.part.is_disk_doubtful = false;
        if self.scarcity.full_since.is_some() {
            job.tries.failures.set_whole(0, now + wait);
        }
        job.phase = Phase::Waiting;
        let (host, priority) = (job.lead().host().clone(), job.spec.options.priority);
        self.turns.waiting.push_back(&host, id, priority);
    }
}
