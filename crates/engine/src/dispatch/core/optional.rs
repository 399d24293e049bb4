//! Optional transfers that failed: a trial of ranges, a further connection, a piece beside others. They never
//! fail a file that another stream can still fetch; they only mean "no more of that", for a while or for
//! good.

use super::Core;
use crate::backoff;
use crate::dispatch::connection_slots::IDLE_BEFORE_OTHERS_MAX;
use crate::dispatch::hosts::is_of_host;
use crate::dispatch::job::{Phase, Segmented, Transfer};
use crate::error::{Blame, Error, ErrorKind};
use crate::evidence::Verdict;
use crate::job::JobId;
use crate::message::{End, Time};
use crate::plan::piece::OPEN_END;
use crate::source::rejection::Rejection;

/// Ranges are tried this often beside the first stream; the obstacle may have been transient.
const TRIALS_MAX: u32 = 3;
/// A request that is refused beside others is left to them this often in a row; then it is a failure.
const LEFT_MAX: u32 = 5;
/// A piece that failed beside others is put off this often before any of them makes progress.
const REFUSALS_MAX: u32 = 16;

impl Core {
    /// Whether the file can do without a transfer that has just failed: its first stream runs, and would
    /// fetch all that is missing.
    pub(super) fn is_optional(&self, id: JobId, transfer: &Transfer, end: &End) -> bool {
        let job = &self.jobs[&id];
        let is_bad = !matches!(end, End::Complete | End::Dropped | End::Redirect(_) | End::Sampled { .. });
        let is_of_lead = transfer.source == job.sources.lead();
        let is_ours = matches!(end, End::Failed { error, .. } if error.blame() != Blame::Peer);
        let is_moving = matches!(job.phase, Phase::Moving);
        is_moving && is_bad && !is_ours && is_of_lead && !transfer.is_probe && self.first_stream_runs(id)
    }

    /// Whether the first stream still runs to the end of the file.
    fn first_stream_runs(&self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let Some(first) = job.answer.probe.and_then(|probe| self.transfers.get(&probe)) else { return false };
        let end = first.piece.end();
        first.writes && (end == OPEN_END || job.content.total_bytes.is_some_and(|total| end >= total))
    }

    /// The first stream continues; ranges are tried again only if the obstacle may be transient.
    pub(super) fn optional_failed(&mut self, now: Time, id: JobId, transfer: &Transfer, end: End) {
        if let End::Failed { error, .. } = &end
            && self.is_refusal(error)
            && is_of_host(error, &self.profile_of(id))
        {
            self.slots.refuse(&transfer.host, self.slots.serving(&transfer.host), now);
        }
        let is_trying = self.trials_of(&self.jobs[&id]).next().is_some();
        let wait = backoff::wait(self.jobs[&id].ranges.trials.attempts + 1, &mut self.random);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.ranges.segmented == Segmented::Trying && is_trying {
            // Others were requested with it, which tell more.
            return;
        }
        let may_pass = match &end {
            End::Failed { error, .. } => error.is_transient(),
            End::NotJoined { head, verdict: Verdict::Unknown } if !head.evidence.tells_version() => {
                // With If-Range, a response may leave out what it names otherwise.
                let was_asked_why = std::mem::replace(&mut job.lead_mut().distrusts_if_range, true);
                transfer.had_if_range && !was_asked_why
            }
            End::NotRange(head) => {
                job.ranges.are_denied |= head.refuses_ranges || head.evidence.is_encoded_on_the_way();
                // Some CDNs respond like this to any If-Range.
                let was_asked_why = std::mem::replace(&mut job.lead_mut().distrusts_if_range, true);
                transfer.had_if_range && !was_asked_why && !job.ranges.are_denied
            }
            _ => false,
        };
        if may_pass && matches!(end, End::NotRange(_) | End::NotJoined { .. }) {
            // Without If-Range, it may well be served.
            job.ranges.segmented = Segmented::Unknown;
            return;
        }
        job.ranges.trials.attempts += 1;
        job.ranges.trials.retry_at = now + wait;
        let is_over = !may_pass
            || job.ranges.trials.attempts >= TRIALS_MAX.min(job.retries(self.settings.retries).saturating_add(1));
        job.ranges.segmented = if is_over { Segmented::Refused } else { Segmented::Unknown };
        if is_over {
            self.tell_refused(id);
        }
    }

    /// Whether a server that serves other connections has refused one more.
    pub(super) fn is_one_too_many(&self, transfer: &Transfer, error: &Error) -> bool {
        let is_new = transfer.piece.position() == transfer.piece.start() && !transfer.has_served;
        let left = self.jobs.get(&transfer.job).map_or(0, |job| job.tries.left_to_others);
        is_new
            && left < LEFT_MAX.min(self.retries(transfer.job))
            && self.is_refusal(error)
            && is_of_host(error, &self.profile_of(transfer.job))
            && self.slots.serving(&transfer.host) > 0
    }

    /// What a refusal says of the number of connections: if it came over one that had served before, that number is not what
    /// is wrong; if not, others may be in its way.
    pub(super) fn note_refusal(&mut self, now: Time, transfer: &Transfer, error: &Error) {
        match () {
            () if !self.is_refusal(error) => {}
            () if transfer.had_served_others => self.slots.forgive(&transfer.host),
            () if !transfer.has_served => self.make_room(now.saturating_sub(IDLE_BEFORE_OTHERS_MAX)),
            () => {}
        }
    }

    /// Whether this is how servers refuse one connection too many.
    fn is_refusal(&self, error: &Error) -> bool {
        matches!(error.kind(), ErrorKind::Connect | ErrorKind::Broken | ErrorKind::Tls | ErrorKind::Proxy)
            || error.kind().rejection().is_some_and(Rejection::may_be_of_number)
    }

    /// The server wants no more connections than those that work; they fetch what this one was to fetch.
    pub(super) fn leave_to_others(&mut self, now: Time, id: JobId, transfer: &Transfer, start: u64, error: &Error) {
        let serving = self.slots.serving(&transfer.host);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.left_to_others += 1;
        job.ranges.adapt.refused(serving);
        let wait = backoff::wait(job.tries.left_to_others, &mut self.random);
        job.wait_until(start, now + wait);
        job.tries.last_error = Some(error.clone());
        self.slots.refuse(&transfer.host, serving, now);
    }

    /// Whether other streams of the file fetch bytes, so that a piece can be put off. Streams that all get
    /// nothing do not wait for each other forever.
    pub(super) fn others_bring(&self, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let mut running = job.transfers.iter().filter_map(|transfer| self.transfers.get(transfer));
        // A trial of ranges may get nothing at all.
        let is_sure = job.ranges.segmented != Segmented::Trying;
        let brings = |transfer: &Transfer| transfer.writes && (is_sure || !transfer.brought().is_empty());
        job.tries.refusals < REFUSALS_MAX && running.any(brings)
    }

    /// A piece failed for good beside others: it is retried when they have ended, and can fail the file
    /// only then.
    pub(super) fn put_off(&mut self, now: Time, id: JobId, start: u64, error: &Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.refusals += 1;
        let wait = backoff::wait(job.tries.refusals + 2, &mut self.random);
        job.wait_until(start, now + wait);
        job.tries.last_error = Some(error.clone());
        let working = job.transfers.len();
        job.ranges.adapt.refused(working);
        let attempts = job.tries.refusals;
        self.report_retry(id, error, attempts, wait);
    }
}
