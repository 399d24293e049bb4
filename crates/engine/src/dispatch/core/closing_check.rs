//! The closing check: a file that came in several responses, was resumed, or took long ends with one
//! conditional request: does the server still have this version? If two responses name another version, a file of several
//! responses restarts. A file of one response restarts only if both name the same one, because somebody may have written
//! over it while it was sent; otherwise it is published with a warning. A refusal of the request says nothing, but one
//! response that names another version has to be confirmed or denied before several responses become a file.

use std::sync::Arc;

use super::Core;
use super::doubt::KEPT;
use crate::backoff;
use crate::dispatch::job::{By, Closing, Doubts, FinalCheck, Job, Phase, Transfer};
use crate::error::{Error, ErrorKind};
use crate::evidence::Evidence;
use crate::http::form;
use crate::job::JobId;
use crate::message::{End, FetchKind, Head, Time};
use crate::plan::piece::Piece;
use crate::promise::Promise;
use crate::source::redirect_rules;

/// A single response that took longer than this is checked.
const SINGLE_ANSWER_MAX: Time = Time::from_secs(2);
/// The check waits no longer than this for a connection and its response.
const CHECK_WITHIN: Time = Time::from_secs(10);
/// The same for a file of several responses, once a response has named another version.
const CONFIRM_WITHIN: Time = Time::from_secs(60);
/// After this many responses that contradict the length that has come, it is an error.
const CONTRADICTIONS_MAX: u32 = 2;

impl Core {
    /// Starts the check, if the file needs one.
    pub(super) fn begin_check(&mut self, now: Time, id: JobId) -> bool {
        let believes_server = self.settings.server_digests;
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        // What an earlier run fetched may have been replaced since then, whatever digest it has.
        let is_of_now = job.content.answers > 0 || job.is_asked_for(believes_server);
        let is_proven = is_of_now && job.promise(believes_server).is_some_and(|promise| promise.proves());
        let is_several = job.is_several();
        let is_slow = now.saturating_sub(job.content.requested.unwrap_or(now)) > SINGLE_ANSWER_MAX;
        // Conditions are for GET.
        let is_askable = job.content.held.tells_version() && form::mark(job.lead().url()).is_none();
        if job.content.final_check != FinalCheck::Open || is_proven || !is_askable || !(is_several || is_slow) {
            return false;
        }
        job.phase = Phase::Checking { since: now };
        // Only what is said now that every byte is here counts.
        job.tries.doubts = Doubts::default();
        self.ask_check(now, id);
        true
    }

    /// Sends the request as soon as there is a connection for it, and gives up after a while.
    pub(super) fn ask_check(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let Phase::Checking { since } = job.phase else { return };
        if job.content.final_check != FinalCheck::Open {
            return;
        }
        if now >= since + job.check_within() {
            return self.end_check_unanswered(now, id);
        }
        if !job.transfers.is_empty() || job.retry_at(0) > now {
            return;
        }
        let (lead, kind) = (job.sources.lead(), FetchKind::Check { expect: Arc::new(job.content.held.clone()) });
        self.send(now, id, lead, kind, Piece::new(0, 0));
    }

    /// The time for the check is over. A request in flight is aborted; its end says nothing any more.
    fn end_check_unanswered(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (running, is_contradicted) = (job.transfers.clone(), job.tries.doubts.different > 0);
        let error = (is_contradicted && job.is_several()).then(|| job.unconfirmed_change());
        self.drop_transfers(&running);
        match error {
            Some(error) => self.close(now, id, Closing::Fail(error)),
            None if is_contradicted => self.close_check(now, id, FinalCheck::Disputed),
            None => self.close_check(now, id, FinalCheck::Unanswered),
        }
    }

    pub(super) fn check_ended(&mut self, now: Time, id: JobId, transfer: &Transfer, end: End) {
        let Some(job) = self.jobs.get(&id) else { return };
        if job.content.final_check != FinalCheck::Open {
            if job.transfers.is_empty() {
                self.complete(now, id);
            }
            return;
        }
        let is_contradicted = job.tries.doubts.different > 0;
        let retry_after = if let End::Failed { retry_after, .. } = end { retry_after } else { None };
        let closing = match end {
            End::Checked(None) => FinalCheck::Current,
            End::Checked(Some(head)) => match self.check_says_other(now, id, &head) {
                Some(closing) => closing,
                None => return,
            },
            End::Redirect(redirect) if transfer.chain.is_empty() => {
                let allow_downgrade = self.settings.allow_downgrade;
                match redirect_rules::next((&transfer.url, &transfer.host), &redirect, 1, allow_downgrade) {
                    Ok(target) => return self.follow_piece(now, id, transfer, target),
                    Err(_) => FinalCheck::Unanswered,
                }
            }
            _ => FinalCheck::Unanswered,
        };
        match closing {
            FinalCheck::Unanswered if is_contradicted => self.ask_check_later(now, id, retry_after),
            closing => self.close_check(now, id, closing),
        }
    }

    /// One response has named another version, and the next is no answer: it is asked for again while there is time.
    fn ask_check_later(&mut self, now: Time, id: JobId, retry_after: Option<Time>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.doubts.unanswered += 1;
        let wait = backoff::wait(job.tries.doubts.unanswered, &mut self.random);
        job.wait_until(0, now + wait.max(retry_after.unwrap_or_default()));
    }

    /// What a response other than 304 means; `None` if another one is requested first, or the job resumes the
    /// version that is kept beside the file.
    fn check_says_other(&mut self, now: Time, id: JobId, head: &Head) -> Option<FinalCheck> {
        let is_page = self.is_page(id, head);
        let Some(job) = self.jobs.get_mut(&id) else { return Some(FinalCheck::Unanswered) };
        let verdict = job.content.held.compare(&head.evidence);
        let came = Evidence { total_bytes: job.content.total_bytes, ..job.content.held.clone() };
        if !is_page
            && came.has_tag_or_settled_date()
            && job.is_several()
            && came.is_named_with_other_length(&head.evidence)
        {
            return self.check_says_other_length(now, id, &came, &head.evidence);
        }
        if is_page || !verdict.is_different() {
            let is_current = !is_page && verdict.is_same();
            return Some(if is_current { FinalCheck::Current } else { FinalCheck::Unanswered });
        }
        if job.tries.doubts.count_different(&head.evidence) {
            let is_changed = job.is_several() || job.was_replaced_by(&head.evidence);
            let closing = if is_changed { FinalCheck::Changed } else { FinalCheck::Disputed };
            return (!self.takes_back(now, id, head)).then_some(closing);
        }
        // Over another connection: this one is not used again.
        self.ask_check(now, id);
        None
    }

    /// The server names the version that came, with another length: one of the two is wrong, and nobody knows which.
    fn check_says_other_length(
        &mut self,
        now: Time,
        id: JobId,
        came: &Evidence,
        told: &Evidence,
    ) -> Option<FinalCheck> {
        let Some(job) = self.jobs.get_mut(&id) else { return Some(FinalCheck::Unanswered) };
        job.tries.doubts.contradictions += 1;
        if job.tries.doubts.contradictions < CONTRADICTIONS_MAX {
            // Over another connection: this one is not used again.
            self.ask_check(now, id);
            return None;
        }
        if job.content.was_wrong {
            // It was not the file before, either.
            return Some(FinalCheck::Changed);
        }
        let text = format!("the server tells two lengths of one version ({})", came.differences(told));
        let error = Error::new(ErrorKind::Changed, text).with_url(job.shown_lead()).with_path(job.naming.path.clone());
        self.close(now, id, Closing::Fail(error.with_advice(KEPT)));
        None
    }

    fn close_check(&mut self, now: Time, id: JobId, closing: FinalCheck) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.content.final_check = closing;
        match closing {
            FinalCheck::Changed => {
                job.tries.replaced = Some(Box::new(job.content.held.clone()));
                return self.restart(now, id, "the file on the server changed while it came", By::Version);
            }
            FinalCheck::Disputed => {
                let text = "the server does not always name the same version of the file, and may have another one now";
                self.warn(Some(id), text.to_owned());
            }
            FinalCheck::Open | FinalCheck::Current | FinalCheck::Unanswered => {}
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.transfers.is_empty() {
            self.complete(now, id);
        }
    }
}

impl Job {
    /// Whether its bytes are of several responses.
    fn is_several(&self) -> bool {
        self.content.answers > 1 || self.content.resumed_bytes > 0
    }

    fn check_within(&self) -> Time {
        if self.tries.doubts.different > 0 && self.is_several() { CONFIRM_WITHIN } else { CHECK_WITHIN }
    }

    /// One response has named another version than several have brought, and nobody confirms or denies it.
    fn unconfirmed_change(&self) -> Error {
        let other = self.tries.doubts.other.as_ref().map(|other| self.content.held.differences(other));
        let text = format!(
            "every byte has come, but the server then named another version of the file ({}) and gave no second answer",
            other.unwrap_or_default()
        );
        let error = Error::new(ErrorKind::Changed, text).with_url(self.shown_lead());
        error.with_path(self.naming.path.clone()).with_advice(KEPT)
    }

    /// Whether one other version was named twice, so that somebody has replaced the file. Servers behind one address may
    /// each have their own tag for one file; then its date and length agree.
    fn was_replaced_by(&self, other: &Evidence) -> bool {
        let held = &self.content.held;
        let has_one_date = held.last_modified.is_some() && held.last_modified == other.last_modified;
        let is_one_file = has_one_date && self.content.total_bytes == other.total_bytes;
        // It restarted for this before, and the new download names the old version again: one more would change nothing.
        let is_back = self.tries.replaced.as_ref().is_some_and(|replaced| replaced.compare(held).is_same());
        self.tries.doubts.names(other) && !is_one_file && !is_back
    }

    /// Whether its bytes are of several responses that no strong tag holds together.
    pub(super) fn may_be_mixed(&self) -> bool {
        self.is_several() && !self.content.held.has_strong_tag()
    }

    /// Whether what an earlier run left has nothing about which the server could be asked now, and no digest either.
    pub(super) fn cannot_be_asked_about(&self, believes_server: bool) -> bool {
        let is_askable = self.content.held.tells_version() && form::mark(self.lead().url()).is_none();
        self.content.answers == 0 && !is_askable && !self.is_asked_for(believes_server)
    }

    /// Whether somebody asks for a digest now: the user, or the service that lists the file.
    pub(super) fn is_asked_for(&self, believes_server: bool) -> bool {
        let asked = self.promise(believes_server).filter(|it| matches!(it, Promise::Asked(_) | Promise::Listed(..)));
        asked.is_some_and(|promise| promise.remark().is_none())
    }
}
