//! Which journals are saved, and when: at each step those of files of which enough has come, and the last one
//! when a job is closed.

use super::Core;
use crate::checksum::Checksum;
use crate::dispatch::job::{Closing, Job, Phase, Segmented};
use crate::error::Result;
use crate::job::JobId;
use crate::journal::{Journal, Verified};
use crate::message::{CommitRequest, Effect, OpenRequest, Time};

impl Core {
    /// The step: saves what has come of each file.
    pub(super) fn save_all(&mut self, now: Time) {
        for id in self.turns.running.clone() {
            let job = &self.jobs[&id];
            let is_due = matches!(job.phase, Phase::Moving)
                && job.can_be_saved()
                && now.saturating_sub(job.started.unwrap_or(now)) >= self.settings.save_interval / 2;
            if is_due && self.covered_bytes(job) > job.part.saved_bytes {
                self.save(id);
            }
        }
    }

    pub(super) fn save(&mut self, id: JobId) {
        let done = self.snapshot(&self.jobs[&id]);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.is_saving = true;
        job.part.generation += 1;
        job.part.saved_bytes = done.covered();
        let journal = Journal { done, ..job.journal() };
        let path = job.naming.part_of.clone();
        self.effects.push(Effect::Commit(CommitRequest::Save { job: id, path, journal: Box::new(journal) }));
    }

    pub(super) fn saved(&mut self, now: Time, id: JobId, result: Result<()>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.is_saving = false;
        if let Some(open) = job.part.to_open.take() {
            // What was saved is given up, whether that succeeded or not.
            self.effects.push(Effect::Open(OpenRequest::Open(open)));
            return;
        }
        match (result, &job.phase) {
            (Ok(()), Phase::Closing(_)) => self.closed(now, id),
            (Ok(()), _) => {}
            (Err(error), Phase::Closing(Closing::Complete)) => {
                // What could not be synced is part of the file that is to be published.
                job.part.is_disk_doubtful = true;
                self.fail_or_wait(now, id, error);
            }
            (Err(error), Phase::Closing(_)) => {
                // It is being given up anyway; the journal before stands.
                job.part.is_disk_doubtful = true;
                self.warn(Some(id), format!("the last progress could not be saved: {error}"));
                self.closed(now, id);
            }
            // Too few descriptors for now: the next step saves what has come by then.
            (Err(error), _) if error.is_scarcity() => job.part.saved_bytes = 0,
            (Err(error), _) => {
                job.part.is_disk_doubtful = true;
                self.fail_or_wait(now, id, error);
            }
        }
    }
}

impl Job {
    /// The journal to save.
    pub(super) fn journal(&self) -> Journal {
        Journal {
            generation: self.part.generation,
            identity: self.identity(),
            done: self.content.done.clone(),
            // Whoever goes on with it has to know.
            verified: if self.content.was_wrong { Verified::Failed } else { self.content.verified },
            joined_by: self.joined_by(),
            file: None,
            token: None,
            replaces_old: self.old.is_there,
            is_short: false,
            saved_unix_ms: 0,
        }
    }

    /// The digest that has to show that the data is of one version, if nothing else does: several responses were
    /// joined, by mirrors or without a version.
    fn joined_by(&self) -> Option<Checksum> {
        if let Some(held) = &self.content.joined_by {
            return Some(held.clone());
        }
        let answers =
            self.content.answers as usize + self.transfers.len() + usize::from(self.content.resumed_bytes > 0);
        let is_certain = !self.sources.is_many() && self.content.held.is_named_by_ranges();
        let promise = self.promise(true).filter(|promise| promise.proves());
        promise.filter(|_| answers > 1 && !is_certain).map(|promise| promise.checksum().clone())
    }

    /// The journal of a partial file before any data has arrived.
    pub(super) fn first_journal(&self) -> Journal {
        Journal { identity: self.identity(), replaces_old: self.old.is_there, ..Journal::of_nothing() }
    }

    /// Whether its journal can be written now.
    pub(super) fn can_be_saved(&self) -> bool {
        let is_open = self.part.is_open && !matches!(self.phase, Phase::Opening);
        is_open && !self.part.is_saving && self.can_be_resumed()
    }

    /// Whether a part of it can be saved for later. Without ranges and a length, it is fetched again anyway: it stays
    /// as long as its version can be recognised, because its server may have ranges the next time.
    pub(super) fn can_be_resumed(&self) -> bool {
        let may_come_in_ranges = !self.ranges.are_denied || self.content.held.is_named_surely();
        self.is_of_use() && (self.content.total_bytes.is_some() || may_come_in_ranges)
    }

    /// Whether a part of it is of use: without a length, only if something is known of its version, or if its server
    /// serves ranges, whose bytes show it.
    pub(super) fn is_of_use(&self) -> bool {
        let has_ranges = self.ranges.are_offered && self.ranges.segmented != Segmented::Refused;
        let is_known = self.content.total_bytes.is_some() || !self.version().1.is_silent() || has_ranges;
        is_known && !self.content.held.is_encoded_on_the_way()
    }
}
