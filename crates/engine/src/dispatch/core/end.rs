//! The end of a job: wound up, verified, published, failed, paused; and the step that saves what
//! has come meanwhile.

use super::Core;
use super::anew::By;
use super::start::adopt;
use crate::dispatch::job::{Closing, Job, Phase, Published, Winding};
use crate::dispatch::message::{Effect, Fate, Publish, Time};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, How};
use crate::feed::{Settled, SettledState};
use crate::job::JobId;
use crate::journal::{Journal, Verified};
use crate::options::Existing;
use crate::plan::TransferId;
use crate::ranges::{ByteRange, RangeSet};
use crate::size::bytes;

impl Core {
    /// Ends what the job does, for this reason: breaks its transfers off; the rest follows when
    /// they have ended and the disk has answered.
    pub(super) fn wind(&mut self, now: Time, id: JobId, winding: Winding) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let (Phase::Winding(Winding::Fail(_) | Winding::Cancel), Winding::Interrupt | Winding::Pause) =
            (&job.phase, &winding)
        {
            return;
        }
        if let Phase::Winding(Winding::Adopt(journal)) = std::mem::replace(&mut job.phase, Phase::Winding(winding)) {
            // What the journal claims is still there, whatever comes instead of going on with it.
            adopt(job, *journal);
        }
        if job.done.is_empty()
            && let Some(journal) = job.held_partial.take()
        {
            // Nothing came of it yet; it stays.
            adopt(job, *journal);
        }
        job.whole = None;
        let running = job.transfers.clone();
        self.drop_transfers(&running);
        self.wound(now, id);
    }

    /// Goes on with the winding up, if nothing is under way any more.
    pub(super) fn wound(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.transfers.is_empty() || job.is_saving || job.pending > 0 {
            return;
        }
        let Phase::Winding(winding) = &job.phase else { return };
        let keeps = matches!(
            winding,
            Winding::Fail(_)
                | Winding::Pause
                | Winding::Cancel
                | Winding::Interrupt
                | Winding::Requeue
                | Winding::Restart { .. }
                | Winding::TakeBack
        );
        if keeps && !job.is_disk_doubtful && job.is_worth_keeping() && job.saved_bytes != job.done.covered() {
            return self.save(id);
        }
        let Phase::Winding(winding) = std::mem::replace(&mut job.phase, Phase::Ready) else { return };
        match winding {
            Winding::Fail(error) => self.fail(id, error),
            Winding::Cancel => {
                let url = self.jobs[&id].shown_url();
                self.tally.cancelled_files += 1;
                self.effects.push(Effect::Report(Event::Cancelled { job: id, url }));
                self.count_unfinished(id);
                self.let_go(id);
            }
            Winding::Interrupt => {
                self.count_unfinished(id);
                self.let_go(id);
            }
            Winding::Pause => {
                job.phase = Phase::Paused;
                let resumes = std::mem::take(&mut job.resumes);
                self.leave_running(id);
                self.paused.push(id);
                self.effects.push(Effect::Report(Event::Paused { job: id }));
                if resumes {
                    self.resume(id);
                }
            }
            Winding::There(how, published) => self.finish(now, id, how, published),
            Winding::Complete => self.complete(now, id),
            Winding::Restart { reason, is_by_version } => self.begin_anew(now, id, reason, is_by_version),
            Winding::Adopt(journal) => {
                adopt(job, *journal);
                self.go_on(now, id);
            }
            Winding::Lead(next) => self.lead_changes(id, next),
            Winding::Requeue => self.requeue(now, id),
            Winding::TakeBack => self.take_back(now, id),
        }
    }

    /// Every byte is there: compare the digest, then publish.
    pub(super) fn complete(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.is_saving {
            job.phase = Phase::Winding(Winding::Complete);
            return;
        }
        if job.was_wrong && job.promise(self.settings.server_digests).is_none() {
            // It was not what somebody promised, and nobody promises anything now.
            return self.begin_after_wrong(now, id);
        }
        if self.begin_check(now, id) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some(len_bytes) = job.total_bytes else { return };
        match job.promise(self.settings.server_digests) {
            Some(promise) => {
                job.phase = Phase::Verifying;
                let (path, algorithm) = (job.path.clone(), promise.checksum().algorithm());
                self.ask_disk(id, Effect::Digest { job: id, path, algorithm, of_final: false, len_bytes });
            }
            None => self.publish(id, len_bytes),
        }
    }

    fn publish(&mut self, id: JobId, len_bytes: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Publishing;
        let replace = job.policy(self.settings.existing) == Existing::Overwrite;
        let publish = Publish {
            part_of: job.part_of.clone(),
            path: job.path.clone(),
            replace,
            note: job.note().filter(|_| job.closing != Closing::Changed),
            len_bytes,
            replaces_old: job.has_old,
            looks_for_holes: !job.was_hollow,
        };
        self.ask_disk(id, Effect::Publish { job: id, publish: Box::new(publish) });
    }

    pub(super) fn digested(&mut self, now: Time, id: JobId, result: Result<Vec<u8>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.pending = job.pending.saturating_sub(1);
        let found = match result {
            Ok(found) => found,
            Err(error) if matches!(job.phase, Phase::Verifying | Phase::CheckingExisting) => {
                return self.fail_or_wait(now, id, error);
            }
            Err(_) => return self.wound(now, id),
        };
        let Some(promise) = job.promise(self.settings.server_digests) else { return self.wound(now, id) };
        let is_kept = promise.is_kept_by(&found);
        match job.phase {
            Phase::CheckingExisting if is_kept => {
                let Some(existing) = &job.existing else { return };
                let published = Published { len_bytes: existing.stat.len_bytes, modified: existing.stat.modified };
                self.wind(now, id, Winding::There(How::ThereByDigest, published));
            }
            Phase::CheckingExisting if job.answer.is_some() => {
                let partial = job.held_partial.take().map(|journal| *journal);
                self.place(now, id, partial);
            }
            Phase::CheckingExisting => self.beside_existing(now, id),
            Phase::Verifying if is_kept => {
                self.name_culprit(id);
                let Some(job) = self.jobs.get(&id) else { return };
                let len_bytes = job.total_bytes.unwrap_or(0);
                self.publish(id, len_bytes);
            }
            Phase::Verifying => {
                let Some(job) = self.jobs.get(&id) else { return };
                let error = promise.broken_by(&found).with_url(job.shown_url()).with_path(job.path.clone());
                if self.suspect(id) || self.begins_with_another(now, id, &error) {
                    return;
                }
                let Some(job) = self.jobs.get_mut(&id) else { return };
                if job.was_wrong {
                    return self.begin_after_wrong(now, id);
                }
                job.verified = Verified::Failed;
                // The journal must say so, whatever it said before.
                job.saved_bytes = 0;
                self.wind(now, id, Winding::Fail(error));
            }
            _ => self.wound(now, id),
        }
    }

    /// What an earlier run fetched had a wrong digest then, and has no right one now.
    fn begin_after_wrong(&mut self, now: Time, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.was_wrong = false;
        }
        self.restart(now, id, "what an earlier run fetched had a wrong digest", By::Bytes);
    }

    /// Somebody has cut the partial file meanwhile, or its file system leaves out zeros: what is missing
    /// is fetched again, once.
    pub(super) fn hollow(&mut self, now: Time, id: JobId, holes: &[(u64, u64)]) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.pending = job.pending.saturating_sub(1);
        job.was_hollow = true;
        job.high_water_bytes = 0;
        job.saved_bytes = 0;
        let mut missing = RangeSet::new();
        for (start, end) in holes {
            missing.insert(ByteRange::new(*start, *end));
            job.done.remove(ByteRange::new(*start, *end));
        }
        job.phase = Phase::Moving;
        let text =
            format!("{} of the partial file were never written; they are fetched again", bytes(missing.covered()));
        self.effects.push(Effect::Report(Event::Remark { job: id, message: text }));
        if self.stop.is_some() {
            self.wind(now, id, Winding::Interrupt);
        }
    }

    pub(super) fn published(&mut self, now: Time, id: JobId, result: Result<Published>, was_stored: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.pending = job.pending.saturating_sub(1);
        if was_stored {
            self.unstored.remove(&id);
            self.unstored_bytes = self.unstored_bytes.saturating_sub(job.total_bytes.unwrap_or(0));
        }
        if was_stored && result.is_err() {
            // It never was in the partial file, which may be of another version.
            job.forget_content();
        }
        match result {
            Ok(published) => {
                job.is_part_open &= was_stored;
                self.finish(now, id, How::Fetched, published);
            }
            Err(error)
                if error.kind() == ErrorKind::NameTaken
                    && job.policy(self.settings.existing) == Existing::AutoRename =>
            {
                if was_stored {
                    // Its bytes are gone with the attempt; it is small.
                    job.forget();
                    self.names.number(job);
                    self.enter_running(id);
                    return self.prepare(now, id);
                }
                self.names.number_free(job);
                let len_bytes = job.total_bytes.unwrap_or(0);
                self.publish(id, len_bytes);
            }
            Err(error)
                if error.kind() == ErrorKind::NameTaken && job.policy(self.settings.existing) == Existing::Skip =>
            {
                // It is looked at as if it had been there before.
                if was_stored {
                    self.enter_running(id);
                }
                self.look_again(now, id);
            }
            Err(error) => {
                let is_of_disk = !matches!(error.kind(), ErrorKind::NameTaken | ErrorKind::Digest);
                job.is_disk_doubtful |= is_of_disk && !error.is_scarcity();
                if was_stored {
                    // Until its failure is counted, the session has not ended.
                    self.enter_running(id);
                }
                if error.kind() == ErrorKind::Digest && self.begins_with_another(now, id, &error) {
                    return;
                }
                self.fail_or_wait(now, id, error);
            }
        }
    }

    /// Looks once more for what is there under the name. What came stays, under its partial name.
    fn look_again(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if std::mem::take(&mut job.is_part_open) {
            self.effects.push(Effect::Release { job: id, path: job.part_of.clone(), fate: Fate::Kept });
        }
        job.forget();
        job.lead_mut().go_back();
        self.prepare(now, id);
    }

    fn finish(&mut self, now: Time, id: JobId, how: How, published: Published) {
        self.leave_running(id);
        let fetched_bytes =
            self.jobs.get(&id).map_or(0, |job| if how.was_there() { 0 } else { self.fetched_bytes(job) });
        let Some(job) = self.jobs.remove(&id) else { return };
        if job.is_part_open {
            // There already, or come whole: what was begun beside it is of no use. Beside somebody else's
            // file it may be.
            // So is what was begun under another name: where it was sent to may have another file.
            let is_of_other_name = job.part_of != job.path;
            let fate = if how == How::Skipped || is_of_other_name { Fate::Kept } else { Fate::Superseded };
            self.effects.push(Effect::Release { job: id, path: job.part_of.clone(), fate });
        }
        self.tally.finished(how, published.len_bytes);
        self.tally.fetched_bytes += fetched_bytes;
        if let Some(entry) = job.entry {
            let checked = job.promise(self.settings.server_digests && how == How::Fetched);
            let done = SettledState::Done {
                path: job.path.strip_prefix(&self.settings.dir).map_or(job.path.clone(), ToOwned::to_owned),
                len_bytes: published.len_bytes,
                modified: published.modified,
                validator: Box::new(job.held.of_file()),
                digest: checked.map(|promise| promise.checksum().to_string()),
                is_current: job.closing != Closing::Changed,
            };
            let state = if how == How::Skipped { SettledState::Skipped } else { done };
            self.effects.push(Effect::Settle(Settled { entry, state }));
        }
        self.report_shares(id, job.sources.shares());
        self.effects.push(Effect::Report(Event::Finished {
            job: id,
            url: job.shown_url(),
            path: job.path,
            bytes: published.len_bytes,
            fetched_bytes,
            seconds: now.saturating_sub(job.started).as_secs_f64(),
            how,
        }));
    }

    fn fail(&mut self, id: JobId, error: Error) {
        self.count_unfinished(id);
        let job = &self.jobs[&id];
        let error = job.with_link_advice(error);
        let (entry, url) = (job.entry, job.shown_url());
        let shares = job.sources.shares();
        self.report_shares(id, shares);
        self.count_failure(id, entry, url, &error);
        self.let_go(id);
    }

    /// Drops a job that did not get its final name. What came stays, if it can be resumed.
    fn let_go(&mut self, id: JobId) {
        self.leave_running(id);
        let Some(job) = self.jobs.remove(&id) else { return };
        self.tally.fetched_bytes += job.fetched_bytes + job.done.covered().saturating_sub(job.resumed_bytes);
        if let Some(key) = job.reserved {
            self.names.release(key);
        }
        if job.is_part_open {
            // What was begun of another version stays until something of the new one has come.
            let is_kept = job.is_worth_keeping() || job.keeps_old;
            let fate = if is_kept { Fate::Kept } else { Fate::Discarded };
            self.effects.push(Effect::Release { job: id, path: job.part_of, fate });
        }
    }

    /// Adds what is kept of an unfinished file to the summary.
    pub(super) fn count_unfinished(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        if job.is_worth_keeping() {
            self.tally.kept_bytes += job.done.covered();
            self.tally.unfinished_bytes += job.total_bytes.unwrap_or(job.done.covered());
            self.tally.unfinished_files += 1;
        }
    }

    /// It takes a place again, or for the first time.
    pub(super) fn enter_running(&mut self, id: JobId) {
        let Some(host) = self.jobs.get(&id).map(|job| job.own_origin().clone()) else { return };
        self.running.push(id);
        *self.running_of.entry(host).or_default() += 1;
    }

    pub(super) fn leave_running(&mut self, id: JobId) {
        let Some(at) = self.running.iter().position(|running| *running == id) else { return };
        self.running.remove(at);
        let Some(host) = self.jobs.get(&id).map(|job| job.own_origin().clone()) else { return };
        if let Some(count) = self.running_of.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.running_of.remove(&host);
            }
        }
    }

    /// The step: saves what has come of each file.
    pub(super) fn save_all(&mut self, now: Time) {
        for id in self.running.clone() {
            let job = &self.jobs[&id];
            let is_due = matches!(job.phase, Phase::Moving)
                && !job.is_saving
                && job.is_part_open
                && job.can_be_resumed()
                && now.saturating_sub(job.started) >= self.settings.save_interval / 2;
            if is_due && self.covered_bytes(job) > job.saved_bytes {
                self.save(id);
            }
        }
    }

    fn save(&mut self, id: JobId) {
        let done = self.snapshot(&self.jobs[&id]);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.is_saving = true;
        job.generation += 1;
        job.saved_bytes = done.covered();
        let journal = Journal { done, ..job.journal() };
        let path = job.part_of.clone();
        self.effects.push(Effect::Save { job: id, path, journal: Box::new(journal) });
    }

    pub(super) fn saved(&mut self, now: Time, id: JobId, result: Result<()>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.is_saving = false;
        match (result, &job.phase) {
            (Ok(()), Phase::Winding(_)) => self.wound(now, id),
            (Ok(()), _) => {}
            (Err(error), Phase::Winding(Winding::Complete)) => {
                // What could not be synced is part of the file that is to be published.
                job.is_disk_doubtful = true;
                self.wind(now, id, Winding::Fail(error));
            }
            (Err(error), Phase::Winding(_)) => {
                // It is being given up anyway; the journal before stands.
                job.is_disk_doubtful = true;
                self.warn(Some(id), format!("the last progress could not be saved: {error}"));
                self.wound(now, id);
            }
            // Too few descriptors for now: the next step saves what has come by then.
            (Err(error), _) if error.is_scarcity() => job.saved_bytes = 0,
            (Err(error), _) => {
                job.is_disk_doubtful = true;
                self.fail_or_wait(now, id, error);
            }
        }
    }

    /// Breaks transfers off; their ends say that they were.
    pub(super) fn drop_transfers(&mut self, transfers: &[TransferId]) {
        for transfer in transfers {
            if let Some(state) = self.transfers.get(transfer) {
                self.effects.push(Effect::Drop { transfer: *transfer, worker: state.worker });
            }
        }
    }

    /// Asks the disk for something that the job waits for.
    pub(super) fn ask_disk(&mut self, id: JobId, effect: Effect) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.pending += 1;
        }
        self.effects.push(effect);
    }
}

impl Job {
    /// What its journal is to say.
    pub(super) fn journal(&self) -> Journal {
        Journal {
            generation: self.generation,
            identity: self.identity(),
            done: self.done.clone(),
            verified: self.verified,
            file: None,
            replaces_old: self.has_old,
            saved_unix_ms: 0,
        }
    }

    /// What a partial file says of itself before anything has come.
    pub(super) fn first_journal(&self) -> Journal {
        Journal { identity: self.identity(), replaces_old: self.has_old, ..Journal::of_nothing() }
    }

    /// Whether a later run can use what is there.
    pub(in crate::dispatch) fn is_worth_keeping(&self) -> bool {
        self.is_part_open && self.can_be_resumed() && !self.done.is_empty()
    }

    /// Whether a part of it is of use: without a length, only if something is known of its version.
    fn can_be_resumed(&self) -> bool {
        self.total_bytes.is_some() || !self.held.is_silent() && !self.says_no_ranges && !self.sources.is_many()
    }
}
