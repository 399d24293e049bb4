//! A range was not served as requested. It is retried a few times; after that, one stream fetches the whole file.

use super::Core;
use super::connect::RANGE_TRIES;
use crate::backoff;
use crate::dispatch::job::{Job, Phase, Segmented, Transfer};
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::job::JobId;
use crate::message::{Effect, Head, Shape, Time};

impl Core {
    /// The response to a range was the whole file, or said that there is no such range.
    pub(super) fn not_a_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        if self.is_page(id, head) {
            return self.page_came(now, id, transfer, head);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.are_denied |= head.refuses_ranges || job.is_encoded_by(head);
        let verdict = job.content.held.compare(&head.evidence);
        let has_other_end = head.shape == Shape::NoSuchRange
            && head.total_bytes.is_some()
            && head.total_bytes != job.content.total_bytes;
        if !job.content.held.tells_version() && job.is_cut_short_by(&head.evidence) {
            return self.unknown_version(now, id, transfer, head);
        }
        if has_other_end
            && !verdict.is_different()
            && job.content.held.tells_version()
            && !head.evidence.tells_version()
        {
            // Like that of a maintenance or login page.
            return self.unknown_version(now, id, transfer, head);
        }
        let held_to = job.content.done.end();
        let has_other_length =
            job.content.held.has_other_length(&head.evidence) || head.total_bytes.is_some_and(|total| total < held_to);
        let is_named_otherwise =
            head.shape == Shape::Whole && head.evidence.tells_version() && has_other_length && !verdict.is_different();
        if is_named_otherwise {
            // One version has one length.
            return self.unknown_version(now, id, transfer, head);
        }
        if verdict.is_different() || has_other_end {
            return self.another_version(now, id, transfer, head);
        }
        if head.shape != Shape::NoSuchRange && transfer.had_if_range && !job.ranges.are_denied {
            // Some CDNs respond like this to any If-Range. Ask once more without it, and compare ourselves.
            job.lead_mut().distrusts_if_range = true;
            job.ranges.trial_ended();
            return;
        }
        let has_no_ranges = head.shape == Shape::Whole && self.hosts.ignored_range(&transfer.host);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Nothing but a range would go on with what is there, and this host has none: it stays until the whole file comes.
        if has_no_ranges {
            job.ranges.ignored = RANGE_TRIES;
        }
        self.no_range(now, id, transfer.piece.start(), not_a_range_error(head));
    }

    /// The response to a range was a range, but not this one.
    pub(super) fn wrong_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.are_denied |= job.is_encoded_by(head);
        if !head.tells_length && !std::mem::replace(&mut job.ranges.needs_overlap, true) {
            // It is requested again in a way that shows whether it is the right one.
            job.ranges.trial_ended();
            return;
        }
        self.no_range(now, id, transfer.piece.start(), error);
    }

    /// A range was not served. Another server behind the same name may well serve it, so it is retried a few
    /// times; after that, one stream fetches everything.
    pub(super) fn no_range(&mut self, now: Time, id: JobId, start: u64, error: Error) {
        let retries = self.retries(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.ignored += 1;
        let wait = backoff::wait(job.ranges.ignored, &mut self.random);
        let attempts = job.attempts_at(start);
        if job.ranges.ignored < RANGE_TRIES && attempts < retries && !job.ranges.are_denied {
            job.ranges.trial_ended();
            // No other range is requested before this one.
            job.ranges.trials.retry_at = now + wait;
            return self.retry_or_fail(now, id, start, error, false);
        }
        job.ranges.ignored = RANGE_TRIES;
        job.ranges.segmented = Segmented::Refused;
        self.tell_refused(id);
    }

    /// Whether one refusal of a range is all that speaks for starting over, because nothing but ranges goes on with what
    /// is there. It is requested once more.
    pub(super) fn is_refused_once(&mut self, now: Time, id: JobId, start: u64, error: &Error) -> bool {
        let retries = self.retries(id);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let would_start_over = matches!(job.phase, Phase::Moving)
            && error.kind().rejection().is_some()
            && !job.content.held.can_join()
            && !job.sources.is_many()
            && job.is_worth_keeping();
        if !would_start_over || retries == 0 || std::mem::replace(&mut job.ranges.was_refused, true) {
            return false;
        }
        let wait = backoff::wait(1, &mut self.random);
        job.count_failure(start, false);
        job.wait_until(start, now + wait);
        self.report_retry(id, error, 1, wait);
        true
    }

    /// Reports that the file comes in one stream. With mirrors, it comes in pieces all the same.
    pub(super) fn tell_refused(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.sources.has_joined() && job.ranges.told_segmented.replace(false) != Some(false) {
            self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: false }));
        }
    }

    /// A range failed for good. The whole file in one response is another way to the same bytes: some servers
    /// behind a name have another version, some break off or refuse every range, some serve a link a limited
    /// number of times. It is requested once; no existing data is lost with it.
    pub(super) fn goes_on_in_one_stream(&mut self, id: JobId, error: &Error) -> bool {
        let retries = self.retries(id);
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let is_refused = error.kind().rejection().is_some();
        let has_ranges = matches!(job.phase, Phase::Moving)
            && !job.sources.is_many()
            && match job.ranges.segmented {
                Segmented::Proven => true,
                Segmented::Unknown | Segmented::Trying => {
                    (error.is_transient() || is_refused) && !job.content.done.is_empty()
                }
                Segmented::Refused => false,
            };
        let may_be_of_range = is_refused
            || matches!(error.kind(), ErrorKind::Changed | ErrorKind::Broken | ErrorKind::Protocol | ErrorKind::Tls);
        // A response that cannot be joined with the existing data means a restart, which only a refusal is worth.
        let can_join = job.content.held.can_join();
        if !has_ranges
            || !may_be_of_range
            || !(can_join || is_refused)
            || retries == 0
            || job.content.total_bytes.is_none() && !is_refused
        {
            return false;
        }
        job.ranges.segmented = Segmented::Refused;
        job.ranges.is_last_resort = can_join;
        job.ranges.ignored = RANGE_TRIES;
        job.tries.failures.try_whole_once();
        self.tell_refused(id);
        true
    }
}

impl Job {
    /// Whether bytes are encoded anew for each response. One encoded response where plain bytes have come is of a
    /// confused server, and the next may be plain.
    fn is_encoded_by(&self, head: &Head) -> bool {
        self.content.held.content_encoding.is_some() && head.evidence.is_encoded_on_the_way()
    }
}

/// The error for a range that got the whole file, or was refused although the file has it.
pub(super) fn not_a_range_error(head: &Head) -> Error {
    let what = match (head.shape, &head.evidence.content_encoding) {
        (_, Some(_)) => "the server sends the content encoded, which cannot be put together",
        (Shape::NoSuchRange, None) => "the server refused the range although the file has it",
        _ => "the server ignored the range",
    };
    Error::new(ErrorKind::Broken, what)
}
