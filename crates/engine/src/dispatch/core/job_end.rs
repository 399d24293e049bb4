//! The end of a job: closed, verified, published, failed, paused.

use super::Core;
use super::sizes::unlisted;
use super::take_over::take_over;
use crate::dispatch::job::{By, Closing, FinalCheck, Job, Phase, Published};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::event::{ErrorReport, Event, How};
use crate::feed::{Settled, SettledState};
use crate::job::JobId;
use crate::journal::Verified;
use crate::message::{CommitRequest, Effect, Fate, Publish, Time, WorkRequest};
use crate::options::Existing;
use crate::plan::TransferId;
use crate::promise::Promise;
use crate::ranges::{ByteRange, RangeSet};
use crate::size::bytes;
use crate::status::JobState;

impl Core {
    /// Closes a job for this reason: aborts its transfers; the rest follows when they and the disk operations
    /// have ended.
    pub(super) fn close(&mut self, now: Time, id: JobId, closing: Closing) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let (Phase::Closing(Closing::Fail(_) | Closing::Cancel), Closing::Interrupt | Closing::Pause { .. }) =
            (&job.phase, &closing)
        {
            return;
        }
        if let Phase::Closing(Closing::TakeOver(journal)) = std::mem::replace(&mut job.phase, Phase::Closing(closing)) {
            // The data that the journal claims still exists, whatever happens instead of resuming it.
            take_over(job, *journal);
        }
        if job.content.done.is_empty()
            && !job.asks_again_after_closing()
            && let Some(journal) = job.part.journal.take()
        {
            // It was not resumed yet; its data stays.
            take_over(job, *journal);
        }
        let running = job.transfers.clone();
        self.drop_transfers(&running);
        self.closed(now, id);
    }

    /// Continues to close a job once nothing is in flight.
    pub(super) fn closed(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.transfers.is_empty() || job.part.is_saving || job.part.pending > 0 {
            return;
        }
        let Phase::Closing(closing) = &job.phase else { return };
        let keeps = matches!(
            closing,
            Closing::Fail(_)
                | Closing::Pause { .. }
                | Closing::Cancel
                | Closing::Interrupt
                | Closing::Requeue
                | Closing::Restart { .. }
                | Closing::TakeBack
        );
        if keeps
            && !job.part.is_disk_doubtful
            && job.is_worth_keeping()
            && job.part.saved_bytes != job.content.done.covered()
        {
            return self.save(id);
        }
        let Phase::Closing(closing) = std::mem::replace(&mut job.phase, Phase::Ready) else { return };
        match closing {
            Closing::Fail(error) => self.fail(now, id, error),
            Closing::Cancel => {
                self.remember_end(now, id, JobState::Cancelled);
                let url = self.jobs[&id].shown_url();
                self.tally.cancelled_files += 1;
                self.effects.push(Effect::Report(Event::Cancelled { job: id, url }));
                self.count_unfinished(id);
                self.settle_unfinished(id, SettledState::Cancelled);
                self.let_go(id);
            }
            Closing::Interrupt => {
                self.count_unfinished(id);
                self.settle_unfinished(id, SettledState::Released);
                self.let_go(id);
            }
            Closing::Pause { resumes } => {
                job.phase = Phase::Paused;
                self.leave_running(id);
                self.turns.paused.push(id);
                self.effects.push(Effect::Report(Event::Paused { job: id }));
                if resumes {
                    self.resume(id);
                }
            }
            Closing::There(how, published) => self.finish(now, id, how, published),
            Closing::Complete => self.complete(now, id),
            Closing::Restart { reason, by } => self.begin_anew(now, id, reason, by),
            Closing::TakeOver(journal) => {
                take_over(job, *journal);
                self.go_on(now, id);
            }
            Closing::Lead(next) => self.lead_changes(id, next),
            Closing::Requeue => self.requeue(now, id),
            Closing::TakeBack => self.take_back(now, id),
        }
    }

    /// Every byte is here: checks the digest, then publishes.
    pub(super) fn complete(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.part.is_saving {
            job.phase = Phase::Closing(Closing::Complete);
            return;
        }
        if let Some(error) = self.lacks_sum(id) {
            return self.close(now, id, Closing::Fail(error));
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let believes_server = self.settings.server_digests;
        // It once had a wrong digest: only one that is asked for now, or that the server's present version has, says
        // that it is right.
        let is_doubted = job.content.was_wrong && !job.is_asked_for(believes_server);
        if is_doubted && job.promise(believes_server).is_none() {
            return self.begin_after_wrong(now, id);
        }
        if self.begin_check(now, id) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if is_doubted && job.content.final_check != FinalCheck::Current {
            return self.begin_after_wrong(now, id);
        }
        let Some(len_bytes) = job.content.total_bytes else { return };
        if let Some(error) = unlisted(job, len_bytes) {
            return self.fail_or_begin_with_another(now, id, error);
        }
        match job.promise(self.settings.server_digests) {
            Some(promise) => {
                job.phase = Phase::Verifying;
                let (path, algorithm) = (job.naming.path.clone(), promise.checksum().algorithm());
                self.ask_disk(
                    id,
                    Effect::Commit(CommitRequest::Digest { job: id, path, algorithm, of_final: false, len_bytes }),
                );
            }
            None if self.check_pieces(now, id) => {}
            None => self.publish(id, len_bytes),
        }
    }

    pub(super) fn publish(&mut self, id: JobId, len_bytes: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Publishing;
        let replace = job.policy(self.settings.existing) == Existing::Overwrite;
        let publish = Publish {
            part_of: job.naming.part_of.clone(),
            path: job.naming.path.clone(),
            replace,
            only_over: job.only_over(self.settings.existing),
            note: job.note(),
            modified: job.modified_there().filter(|_| self.settings.remote_time),
            len_bytes,
            replaces_old: job.old.is_there,
            looks_for_holes: true,
            was_hollow: job.part.was_hollow,
            must_be_office: job.must_be_office(len_bytes),
        };
        self.ask_disk(id, Effect::Commit(CommitRequest::Publish { job: id, publish: Box::new(publish) }));
    }

    pub(super) fn digested(&mut self, now: Time, id: JobId, result: Result<Vec<u8>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let found = match result {
            Ok(found) => found,
            Err(error) if matches!(job.phase, Phase::Verifying | Phase::CheckingExisting(_)) => {
                return self.fail_or_wait(now, id, error);
            }
            Err(_) => return self.closed(now, id),
        };
        let Some(promise) = job.promise(self.settings.server_digests) else { return self.closed(now, id) };
        let is_kept = promise.is_kept_by(&found);
        let may_be_mixed = job.may_be_mixed();
        match &mut job.phase {
            Phase::CheckingExisting(_) => self.existing_checked(now, id, is_kept),
            Phase::Verifying if is_kept => {
                self.name_culprit(id);
                // The list's word counts, and another digest is not the list's.
                if !matches!(promise, Promise::Asked(_)) && self.check_pieces(now, id) {
                    return;
                }
                let Some(job) = self.jobs.get(&id) else { return };
                let len_bytes = job.content.total_bytes.unwrap_or(0);
                self.publish(id, len_bytes);
            }
            Phase::Verifying if promise.remark().is_some() && may_be_mixed => {
                let reason = "what came in several responses does not have the digest that its service lists";
                self.restart(now, id, reason, By::Bytes);
            }
            Phase::Verifying if promise.remark().is_some() => {
                job.content.is_listed_otherwise = true;
                let len_bytes = job.content.total_bytes.unwrap_or(0);
                let remark = promise.remark().map(|message| Effect::Report(Event::Remark { job: id, message }));
                self.effects.extend(remark);
                self.publish(id, len_bytes);
            }
            Phase::Verifying if matches!(promise, Promise::Begun(_)) => {
                let reason = "what has come was joined for a digest that it does not have";
                self.restart(now, id, reason, By::Bytes);
            }
            Phase::Verifying => {
                if self.check_pieces(now, id) {
                    return;
                }
                let Some(job) = self.jobs.get(&id) else { return };
                let error = promise.broken_by(&found).with_url(job.shown_url()).with_path(job.naming.path.clone());
                if self.suspect(id) || self.begins_with_another(now, id, &error) {
                    return;
                }
                self.keep_as_wrong(now, id, error);
            }
            _ => self.closed(now, id),
        }
    }

    /// The data of an earlier run had a wrong digest, and cannot be shown to be right now.
    fn begin_after_wrong(&mut self, now: Time, id: JobId) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.content.was_wrong = false;
        }
        self.restart(now, id, "what an earlier run fetched had a wrong digest", By::Digest);
    }

    /// The partial file has holes: somebody has cut it, or its file system leaves out zeros. They are fetched
    /// again, once.
    pub(super) fn hollow(&mut self, now: Time, id: JobId, holes: &[(u64, u64)]) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let is_again = std::mem::replace(&mut job.part.was_hollow, true);
        job.content.high_water_bytes = 0;
        job.content.pieces_fit = false;
        job.part.saved_bytes = 0;
        let mut missing = RangeSet::new();
        for (start, end) in holes {
            missing.insert(ByteRange::new(*start, *end));
            job.content.done.remove(ByteRange::new(*start, *end));
        }
        job.phase = Phase::Moving;
        if is_again {
            let text = "somebody cuts the partial file again and again while it is written";
            let error = Error::new(ErrorKind::Storage, text).with_path(job.naming.part_of.clone());
            return self.close(now, id, Closing::Fail(error.with_advice(Advice::RunAgain)));
        }
        let text =
            format!("{} of the partial file were never written; they are fetched again", bytes(missing.covered()));
        self.remark(id, text);
        if self.course.stopped.is_some() {
            self.close(now, id, Closing::Interrupt);
        }
    }

    pub(super) fn published(&mut self, now: Time, id: JobId, result: Result<Published>, was_stored: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        if was_stored {
            self.unstored.jobs.remove(&id);
            self.unstored.bytes = self.unstored.bytes.saturating_sub(job.content.total_bytes.unwrap_or(0));
        }
        if was_stored && result.is_err() {
            // Its bytes never were in the partial file, which may be of another version.
            job.forget_content();
        }
        match result {
            Ok(published) => {
                job.part.is_open &= was_stored;
                self.finish(now, id, How::Fetched, published);
            }
            Err(error) if error.kind() == ErrorKind::NameTaken && job.existing.is_presumed_missing => {
                // Its bytes went with the failed attempt; it is small enough to refetch.
                job.forget();
                self.enter_running(id);
                match self.course.stopped {
                    Some(_) => self.close(now, id, Closing::Interrupt),
                    None => self.prepare(now, id, None),
                }
            }
            Err(error)
                if error.kind() == ErrorKind::NameTaken
                    && job.policy(self.settings.existing) == Existing::AutoRename =>
            {
                if was_stored {
                    // Its bytes went with the failed attempt; it is small enough to refetch.
                    job.forget();
                    self.names.number(job);
                    self.enter_running(id);
                    return self.prepare(now, id, None);
                }
                self.names.number_free(job);
                let len_bytes = job.content.total_bytes.unwrap_or(0);
                self.publish(id, len_bytes);
            }
            Err(error)
                if error.kind() == ErrorKind::NameTaken && job.policy(self.settings.existing) == Existing::Skip =>
            {
                // Treats the other file as if it had existed before.
                if was_stored {
                    self.enter_running(id);
                }
                self.look_again(now, id);
            }
            Err(error) => {
                let is_of_disk = !matches!(error.kind(), ErrorKind::NameTaken | ErrorKind::Digest);
                job.part.is_disk_doubtful |= is_of_disk && !error.is_scarcity();
                if was_stored {
                    // The session must not end before this failure is counted.
                    self.enter_running(id);
                }
                if error.kind() == ErrorKind::Digest {
                    return self.published_wrong(now, id, error, was_stored);
                }
                self.fail_or_wait(now, id, error);
            }
        }
    }

    /// What was to be published is not the file.
    fn published_wrong(&mut self, now: Time, id: JobId, error: Error, was_stored: bool) {
        if self.begins_with_another(now, id, &error) {
            return;
        }
        if was_stored {
            return self.fail_or_wait(now, id, error);
        }
        self.keep_as_wrong(now, id, error);
    }

    /// Fails, and notes in the journal that the data is wrong. Data that was wrong before is given up.
    fn keep_as_wrong(&mut self, now: Time, id: JobId, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.content.was_wrong {
            return self.begin_after_wrong(now, id);
        }
        job.content.verified = Verified::Failed;
        // The journal must say so, so it is saved again.
        job.part.saved_bytes = 0;
        self.close(now, id, Closing::Fail(error));
    }

    /// Checks again what exists under the name. The data stays, under its partial name.
    fn look_again(&mut self, now: Time, id: JobId) {
        self.put_down(id);
        self.prepare(now, id, None);
    }

    /// Releases and forgets the data, which stays on the disk.
    pub(super) fn put_down(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.part.is_open {
            self.leave_part(id);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.forget();
        job.lead_mut().go_back();
    }

    /// Closes a job's partial file, which stays on the disk.
    pub(super) fn leave_part(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.is_open = false;
        let path = job.naming.part_of.clone();
        self.effects.push(Effect::Commit(CommitRequest::Release { job: id, path, fate: Fate::Kept }));
    }

    fn finish(&mut self, now: Time, id: JobId, how: How, published: Published) {
        self.leave_running(id);
        let fetched_bytes =
            self.jobs.get(&id).map_or(0, |job| if how == How::Fetched { self.fetched_bytes(job) } else { 0 });
        self.remember_done(now, id, how, published.len_bytes);
        let Some(job) = self.jobs.remove(&id) else { return };
        self.feed.held_bytes -= job.own.held_bytes;
        if job.part.is_open {
            // The file existed or came whole, so the partial file beside it is of no use. Beside somebody
            // else's file it may be, and so may one under another name: a redirect may lead to another file.
            let is_of_other_name = job.naming.part_of != job.naming.path || job.part.is_of_others;
            // Its size alone proves nothing.
            let is_unproven = matches!(how, How::Skipped | How::ThereBySize | How::NotNewer);
            let fate = if is_unproven || is_of_other_name { Fate::Kept } else { Fate::Superseded };
            self.effects.push(Effect::Commit(CommitRequest::Release {
                job: id,
                path: job.naming.part_of.clone(),
                fate,
            }));
        }
        self.tally.finished(how, published.len_bytes);
        self.without_sum += u64::from(self.is_without_sum(&job));
        self.tally.fetched_bytes += fetched_bytes;
        if let Some(entry) = job.entry {
            let promise = job.promise(self.settings.server_digests && how == How::Fetched);
            let checked = promise.filter(|promise| promise.remark().is_none());
            let has_right_pieces = matches!(how, How::Fetched | How::ThereByDigest) && job.spec.checksum.is_none();
            let pieces = job.spec.pieces.as_ref().filter(|_| has_right_pieces).map(|pieces| pieces.fingerprint());
            let done = SettledState::Done {
                path: job.naming.path_below(&self.settings.dir).to_owned(),
                len_bytes: published.len_bytes,
                modified: published.modified,
                validator: Box::new(job.version_fetched(how)),
                digest: pieces.or(checked.map(|promise| promise.checksum().to_string())),
            };
            // What an earlier run left is no new version because its length or its time fits.
            // A run that does not trust sizes looks again.
            let is_left = matches!(how, How::Skipped | How::ThereBySize) || job.has_changed() && !how.is_proof();
            let state = match how {
                How::NotNewer => SettledState::Released,
                _ if is_left => SettledState::Skipped,
                _ => done,
            };
            self.effects.push(Effect::Settle(Settled { entry, state }));
        }
        self.report_shares(id, job.sources.shares());
        self.effects.push(Effect::Report(Event::Finished {
            job: id,
            url: job.shown_url(),
            path: job.naming.path,
            bytes: published.len_bytes,
            fetched_bytes,
            seconds: now.saturating_sub(job.started.unwrap_or(now)).as_secs_f64(),
            how,
        }));
    }

    fn fail(&mut self, now: Time, id: JobId, error: Error) {
        self.count_unfinished(id);
        let job = &self.jobs[&id];
        let error = job.with_link_advice(error);
        let report = ErrorReport::from(&error);
        self.remember_end(now, id, JobState::Failed { error: report });
        let job = &self.jobs[&id];
        let (entry, url) = (job.entry, job.shown_url());
        let shares = job.sources.shares();
        self.report_shares(id, shares);
        self.count_failure(id, entry, url, &error);
        self.let_go(id);
    }

    /// Drops a job that did not get its final name. Its data stays, if it can be resumed.
    fn let_go(&mut self, id: JobId) {
        self.leave_running(id);
        let Some(mut job) = self.jobs.remove(&id) else { return };
        self.feed.held_bytes -= job.own.held_bytes;
        self.tally.fetched_bytes +=
            job.content.fetched_bytes + job.content.done.covered().saturating_sub(job.content.resumed_bytes);
        self.names.release(&mut job);
        if job.part.is_open {
            // The data of an old version stays until some of the new one has arrived.
            let is_kept = job.is_worth_keeping() || job.old.is_to_be_kept;
            let fate = if is_kept { Fate::Kept } else { Fate::Discarded };
            self.effects.push(Effect::Commit(CommitRequest::Release { job: id, path: job.naming.part_of, fate }));
        }
    }

    /// Tells the feed that a job's entry has not been fetched.
    pub(super) fn settle_unfinished(&mut self, id: JobId, state: SettledState) {
        if let Some(entry) = self.jobs.get(&id).and_then(|job| job.entry) {
            self.effects.push(Effect::Settle(Settled { entry, state }));
        }
    }

    /// Adds what is kept of an unfinished file to the summary.
    pub(super) fn count_unfinished(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        if !job.is_worth_keeping() {
            return;
        }
        self.tally.unfinished_files += 1;
        // Nobody knows how much of a file of unknown length is there.
        if let Some(total) = job.content.total_bytes {
            self.tally.kept_bytes += job.content.done.covered();
            self.tally.unfinished_bytes = self.tally.unfinished_bytes.saturating_add(total);
        }
    }

    /// Adds a job to the running ones, again or for the first time.
    pub(super) fn enter_running(&mut self, id: JobId) {
        let Some(host) = self.jobs.get(&id).map(|job| job.own_origin().clone()) else { return };
        self.turns.running.push(id);
        *self.turns.running_of.entry(host).or_default() += 1;
    }

    pub(super) fn leave_running(&mut self, id: JobId) {
        let Some(at) = self.turns.running.iter().position(|running| *running == id) else { return };
        self.turns.running.remove(at);
        let Some(host) = self.jobs.get(&id).map(|job| job.own_origin().clone()) else { return };
        if let Some(count) = self.turns.running_of.get_mut(&host) {
            *count -= 1;
            if *count == 0 {
                self.turns.running_of.remove(&host);
            }
        }
    }

    /// Aborts a transfer whose response is not the file.
    pub(super) fn reject(&mut self, transfer: TransferId) {
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.is_rejected = true;
        }
        self.drop_transfers(&[transfer]);
    }

    /// Aborts transfers; they end as `Dropped`.
    pub(super) fn drop_transfers(&mut self, transfers: &[TransferId]) {
        for transfer in transfers {
            if let Some(state) = self.transfers.get(transfer) {
                self.effects.push(Effect::Work(state.worker, WorkRequest::Drop(*transfer)));
            }
        }
    }

    /// Requests something that the job waits for.
    pub(super) fn ask_disk(&mut self, id: JobId, effect: Effect) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.part.pending += 1;
        }
        self.effects.push(effect);
    }
}

impl Job {
    /// Whether it is closed only to be requested otherwise, or later: the next response decides whether what an earlier
    /// run has left is of this file.
    pub(super) fn asks_again_after_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing(Closing::Lead(_) | Closing::Pause { .. }))
    }

    /// Whether a later run can use the existing data.
    pub(in crate::dispatch) fn is_worth_keeping(&self) -> bool {
        self.part.is_open && self.can_be_resumed() && !self.content.done.is_empty()
    }
}
