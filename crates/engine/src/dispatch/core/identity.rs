//! The identity check of a URL whose file may not be the one that was started: a new URL for an old name, or
//! another version that the user says has the same content. Samples of the existing data are fetched from it
//! first. Its response and the compared bytes decide whether more is fetched from it; if not, the job fails
//! and all existing data stays.

use std::sync::Arc;

use super::Core;
use super::connect::RANGE_TRIES;
use super::take_over::take_over;
use crate::dispatch::identity::{Doubt, Link};
use crate::dispatch::job::{By, Closing, Job, Phase, Transfer};
use crate::error::{Advice, Error, ErrorKind};
use crate::evidence::Evidence;
use crate::evidence::samples::{self, IDENTITY_SAMPLES};
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{End, FetchKind, Head, Shape, Time};
use crate::plan::piece::Piece;
use crate::ranges::ByteRange;
use crate::source::rejection::Rejection;
use crate::{secret, size};

const TRY_SAMPLES: Advice = Advice::SameContentOrRestart;
const BEGIN_AGAIN: Advice = Advice::RestartOrOtherName;
const NEW_LINK: Advice = Advice::GiveNewLink;

impl Core {
    /// Takes over the data of an earlier run, before any request. If it came from another URL, this one may
    /// be a new link to the same file, or a mistake.
    pub(super) fn take_over_by_name(&mut self, id: JobId, journal: Journal) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_known = job.is_of(&journal.identity.url, journal.identity.given);
        if !is_known && !journal.done.is_empty() {
            job.link = Link::doubted();
        }
        take_over(job, journal);
    }

    /// The server reports another version than the one that was started. Returns whether samples decide what
    /// that means; if not, the file restarts.
    pub(super) fn doubts_change(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        match job.link {
            Link::Doubted(_) => true,
            Link::Trusted if job.spec.same_content && job.content.resumed_bytes > 0 => {
                job.link = Link::doubted();
                true
            }
            _ => false,
        }
    }

    /// Requests the next sample of the existing data. Only the lead can be in doubt.
    pub(super) fn sample_link(&mut self, now: Time, id: JobId) {
        let waits = |job: &Job| {
            job.tries.failures.waits_anywhere(now)
                || job.sources.is_many() && !self.is_able(now, job, job.sources.lead())
        };
        if self.jobs.get(&id).is_none_or(|job| waits(job)) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let lead = job.sources.lead();
        let Link::Doubted(doubt) = &mut job.link else { return };
        if doubt.source != lead {
            let Doubt { is_by_samples, shares_version, has_moved, is_of_file, .. } = **doubt;
            **doubt = Doubt { source: lead, is_by_samples, shares_version, has_moved, is_of_file, ..Doubt::default() };
        }
        if !self.settings.allowed.reads_back {
            let text = "what is there cannot be read back, so that nothing can be compared with it";
            return self.refuse_link(now, id, another_file(text).with_advice(BEGIN_AGAIN));
        }
        if doubt.samples.is_none() {
            let mut chosen = match doubt.shares_version || doubt.is_of_file {
                true => samples::spread_of_part(&job.content.done, IDENTITY_SAMPLES, &mut self.random),
                false => samples::spread(&job.content.done, IDENTITY_SAMPLES, &mut self.random),
            };
            if !job.spec.same_content && !doubt.is_by_samples {
                // One is enough to see what the response says; the one at the end says most.
                chosen = chosen.split_off(chosen.len().saturating_sub(1));
            }
            if let Some(gap) = samples::first_gap(&job.content.done).filter(|_| doubt.is_of_file) {
                // The last one that is compared.
                chosen.insert(0, gap);
            }
            doubt.samples = Some(chosen);
        }
        let Some(range) = doubt.samples.as_ref().and_then(|left| left.last().copied()) else {
            job.link = Link::Trusted;
            return;
        };
        // A label of what is stored stays; another encoding cannot be compared.
        let content_encoding = job.content.held.content_encoding.clone();
        let unseen = || Evidence { content_encoding, ..Evidence::default() };
        let expect = Arc::new(doubt.seen.clone().unwrap_or_else(unseen));
        let kind = FetchKind::Sample { range, expect, is_of_part: true };
        self.send(now, id, lead, kind, Piece::new(range.start, range.end));
    }

    /// A request to a URL in doubt has ended.
    pub(super) fn link_ended(&mut self, now: Time, id: JobId, transfer: &Transfer, end: End, has_progressed: bool) {
        match end {
            End::Sampled { same } => self.link_sampled(now, id, transfer, same),
            End::NotRange(head) if self.is_page(id, &head) => self.page_came(now, id, transfer, &head),
            End::NotRange(head) => self.link_without_range(now, id, transfer, &head),
            End::WrongRange { head, error } => {
                let job = &self.jobs[&id];
                let better = judge(job.version().1, &head.evidence, job.samples_decide());
                self.refuse_link(now, id, better.unwrap_or_else(|| error.with_advice(BEGIN_AGAIN)));
            }
            End::NotJoined { head, .. } if self.is_page(id, &head) => self.page_came(now, id, transfer, &head),
            End::NotJoined { .. } => {
                let text = "the file on the server changed while samples of it were compared with what is there";
                self.refuse_link(now, id, Error::new(ErrorKind::Changed, text));
            }
            other if self.jobs[&id].sources.is_many() => self.source_ended(now, id, transfer, other),
            End::Redirect(redirect) => self.redirected(now, id, transfer, &redirect),
            End::Failed { error, retry_after } => {
                self.transfer_failed(now, id, transfer, error, retry_after, has_progressed);
            }
            _ => {}
        }
    }

    fn link_sampled(&mut self, now: Time, id: JobId, transfer: &Transfer, same: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.forget_failure(transfer.piece.start());
        let range = ByteRange::new(transfer.piece.start(), transfer.piece.end());
        let is_sampled = job.samples_decide();
        let is_by_samples = is_sampled && !job.spec.same_content;
        let is_checked = !job.spec.same_content
            && job.spec.checksum.as_ref().is_some_and(|asked| asked.algorithm().is_collision_resistant());
        let begun = job.version().1.clone();
        let is_of_gap = !job.content.done.contains(range);
        let (Some(head), Link::Doubted(doubt)) = (&transfer.head, &mut job.link) else { return };
        let theirs = head.evidence.clone();
        doubt.ignored = 0;
        if !same && !is_of_gap && doubt.has_moved {
            return self.restart(now, id, "the file on the server differs from what has come", By::Bytes);
        }
        if !same && !is_of_gap && is_checked && !doubt.is_of_file {
            // The checksum decides which is the right file; existing data stays beside it until then.
            return self.restart(now, id, "bytes differ from the existing data", By::Version);
        }
        if let Some(error) = judge(&begun, &theirs, is_sampled) {
            return self.refuse_link(now, id, error);
        }
        if !same && !is_of_gap {
            let text = format!("bytes {} to {} differ from what is there", range.start, range.end - 1);
            return self.refuse_link(now, id, another_file(&text).with_advice(BEGIN_AGAIN));
        }
        if same {
            doubt.compared.insert(range);
            doubt.compared_samples += 1;
            job.content.take_compared(range);
        }
        let is_surely_same = !is_by_samples && begun.compare(&theirs).joins();
        let is_likely = !is_sampled && !is_surely_same;
        let left = doubt.samples.get_or_insert_default();
        left.retain(|sample| sample.start != range.start);
        if is_likely {
            // The tag of another URL agrees: one sample is not enough.
            doubt.is_by_samples = true;
            left.extend(samples::spread(&job.content.done, IDENTITY_SAMPLES, &mut self.random));
            left.retain(|sample| sample.start != range.start);
        }
        if left.is_empty() || is_surely_same {
            let (number, bytes) = (doubt.compared_samples, size::bytes(doubt.compared.covered()));
            let why = match number {
                // The others had agreed before.
                0 => "the rest agrees".to_owned(),
                1 => format!("one sample agrees with what is there ({bytes})"),
                _ => format!("{number} samples agree with what is there ({bytes})"),
            };
            return self.trust_link(now, id, transfer, &theirs, &why);
        }
        doubt.seen.get_or_insert(theirs);
    }

    /// It sends the whole file, or says that the range does not exist: nothing can be compared.
    fn link_without_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        let job = &self.jobs[&id];
        if let Some(error) = judge(job.version().1, &head.evidence, job.samples_decide()) {
            return self.refuse_link(now, id, error);
        }
        let is_of_file = matches!(&job.link, Link::Doubted(doubt) if doubt.is_of_file);
        if !is_of_file && head.shape != Shape::NoSuchRange && job.version().1.compare(&head.evidence).joins() {
            // How to resume from a server without ranges is decided elsewhere, for all of them.
            return self.trust_link(now, id, transfer, &head.evidence, "it tells the same version");
        }
        let is_ignored = head.shape != Shape::NoSuchRange;
        let range = (transfer.piece.start(), transfer.piece.end().saturating_sub(1));
        let what = if is_ignored { "sends the whole instead of" } else { "does not have" };
        let text = format!("it {what} bytes {} to {}, so that they cannot be compared", range.0, range.1);
        let error = another_file(&text).with_advice(BEGIN_AGAIN);
        match is_ignored && self.may_ask_again(id) {
            true => self.retry_or_fail(now, id, transfer.piece.start(), error, false),
            false => self.refuse_link(now, id, error),
        }
    }

    /// Whether a sample whose range was ignored is asked for once more: another server behind the name may have ranges.
    fn may_ask_again(&mut self, id: JobId) -> bool {
        let most = RANGE_TRIES.min(self.retries(id));
        let Some(Link::Doubted(doubt)) = self.jobs.get_mut(&id).map(|job| &mut job.link) else { return false };
        doubt.ignored += 1;
        doubt.ignored <= most
    }

    /// It has the file that was started: from now on, its version counts.
    fn trust_link(&mut self, now: Time, id: JobId, transfer: &Transfer, theirs: &Evidence, why: &str) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let evidence = Evidence {
            total_bytes: job.content.total_bytes,
            digest: theirs.digest.clone().or_else(|| job.content.held.digest.take()),
            // It is checked in the end; what names the version from now on is what they say.
            has_later_digest: theirs.digest.is_none(),
            ..theirs.clone()
        };
        let is_of_file = matches!(&job.link, Link::Doubted(doubt) if doubt.is_of_file);
        job.link = Link::Compared;
        // The given URL may redirect elsewhere each time.
        let lead = job.lead_mut();
        lead.go_to((transfer.url.clone(), transfer.host.clone()));
        // A link that was good for the samples alone leads back once more.
        lead.was_resolved_again = false;
        lead.distrusts_if_range = false;
        lead.told = Some(evidence.clone());
        job.ranges.needs_sample = false;
        job.content.held = evidence;
        let message = format!("goes on with what an earlier run left: {why}");
        self.remark(id, message);
        if is_of_file && self.jobs.get(&id).is_some_and(|job| job.can_be_saved()) {
            // The next run need not compare it once more.
            self.save(id);
        }
        self.look_whether_whole(now, id);
    }

    /// Fails the job. Nothing is added to the existing data, and nothing of it is lost.
    fn refuse_link(&mut self, now: Time, id: JobId, error: Error) {
        let Some(job) = self.jobs.get(&id) else { return };
        let error = error.with_url(secret::shown_url(job.lead().url())).with_path(job.naming.path.clone());
        self.close(now, id, Closing::Fail(error));
    }
}

impl Job {
    /// Whether samples decide that a URL has the file, whatever it says about its version.
    fn samples_decide(&self) -> bool {
        let is_by_samples = matches!(&self.link, Link::Doubted(doubt) if doubt.is_by_samples);
        self.spec.same_content || is_by_samples
    }

    /// Whether an ended transfer was a sample of the identity check.
    pub(super) fn is_sample_of_link(&self, transfer: &Transfer) -> bool {
        let is_sample = !transfer.writes && !transfer.is_probe && transfer.source == self.sources.lead();
        is_sample && self.link.is_doubted() && matches!(self.phase, Phase::Moving)
    }

    /// An expired link is best replaced; the new one can use the existing data.
    pub(super) fn with_link_advice(&self, error: Error) -> Error {
        let is_refused = error.kind().rejection().is_some_and(Rejection::is_of_place);
        // The name of an entry is up to its list.
        let has_use = self.entry.is_none() && self.is_worth_keeping();
        if is_refused && has_use { error.with_advice(NEW_LINK) } else { error }
    }
}

/// Why nothing may be fetched from a URL with this version, if samples cannot help.
fn judge(ours: &Evidence, theirs: &Evidence, is_sampled: bool) -> Option<Error> {
    if ours.compare(theirs).joins() || ours.shares_tag(theirs) {
        return None;
    }
    let error = another_file(&ours.differences(theirs));
    if ours.has_other_length(theirs) {
        return Some(error.with_advice(BEGIN_AGAIN));
    }
    (!is_sampled).then(|| error.with_advice(TRY_SAMPLES))
}

fn another_file(why: &str) -> Error {
    Error::new(ErrorKind::Changed, format!("this is not certainly the file that was begun: {why}"))
}
