//! A host on which nothing has succeeded for a while: how fast it is asked again, and when it is given up. Pure.

use std::collections::BTreeSet;

use crate::job::JobId;
use crate::message::Time;

/// Up to this many failures in a row are retried without spacing.
const RETRIES_FREE: u32 = 8;
/// Beyond that, a host gets one retry per this interval.
const RETRY_EVERY: Time = Time::from_millis(1250);
/// Beyond that, requests after responses that came to nothing are this far apart.
const AGAIN_EVERY: Time = Time::from_millis(1000);
/// Up to this many requests for what was requested before are sent without anything of use coming from the host.
const AGAIN_FREE: u32 = 24;
/// Files beyond its share are requested this far apart.
const OTHER_EVERY: Time = Time::from_millis(250);
/// A host on which nothing succeeds is given up after this long and this many failures.
const GIVEN_UP_AFTER: Time = Time::from_secs(30);
const GIVEN_UP_FAILURES: u32 = 40;
/// A host that sends `Retry-After` gets longer.
const PATIENCE_LASTS: Time = Time::from_secs(300);
/// What failed longer ago than this says nothing any more of a host that nobody has asked since.
const REMEMBERED_FOR: Time = Time::from_secs(300);
/// When this many files get a `Retry-After`, the whole host is meant.
const PATIENCE_OF: usize = 3;

/// A host on which nothing has succeeded for a while.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Failures since the last success, and since when.
    failures: u32,
    since: Time,
    last: Time,
    /// When retries are sent, each [`RETRY_EVERY`] from the others.
    booked: BTreeSet<Time>,
    /// The next request for a file that was requested before is not sent before this.
    next_again: Time,
    /// Requests for what was requested before, since the last success.
    again: u32,
    /// The next file beyond its share is not requested before this.
    next_other: Time,
    /// Files that got a `Retry-After`.
    patience: Vec<JobId>,
}

impl Trouble {
    /// Whether something failed since the last success.
    pub(super) fn exists(&self) -> bool {
        self.failures > 0
    }

    /// A request failed with a transient error.
    pub(super) fn failed(&mut self, now: Time) {
        // Long ago: this is new trouble.
        let is_another = self.exists() && !self.is_recent(now) && self.patience.is_empty();
        if self.failures == 0 || is_another {
            self.failures = 0;
            self.since = now;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        self.booked = self.booked.split_off(&now.saturating_sub(RETRY_EVERY));
    }

    /// Whether something has failed lately.
    pub(super) fn is_recent(&self, now: Time) -> bool {
        self.exists() && self.last + REMEMBERED_FOR > now
    }

    /// When a retry that is due at `wanted` may be sent.
    pub(super) fn retry_at(&mut self, wanted: Time) -> Time {
        if self.is_paced() { self.book(wanted) } else { wanted }
    }

    /// Books the first time from `wanted` on that is free. One that has to wait long, because its `Retry-After` says so,
    /// holds up none that may be sent before.
    fn book(&mut self, wanted: Time) -> Time {
        let mut at = wanted;
        for booked in self.booked.range(wanted.saturating_sub(RETRY_EVERY)..) {
            if *booked >= at + RETRY_EVERY {
                break;
            }
            at = at.max(*booked + RETRY_EVERY);
        }
        self.booked.insert(at);
        at
    }

    /// Whether a file whose last response came to nothing may be requested now.
    pub(super) fn may_ask_again(&self, now: Time) -> bool {
        !(self.is_paced() || self.is_asked_too_often()) || self.next_again <= now
    }

    /// What was requested before is requested once more, whatever became of it.
    pub(super) fn counts_again(&mut self) {
        self.again += 1;
    }

    /// Whether so much was requested again, and nothing of use came, that the rest of it goes one by one.
    pub(super) fn is_asked_too_often(&self) -> bool {
        self.again >= AGAIN_FREE
    }

    /// It is requested now, in the place of a retry.
    pub(super) fn asks_again(&mut self, now: Time) {
        self.next_again = self.next_again.max(now) + AGAIN_EVERY;
        self.book(now);
    }

    /// Whether one more file may be requested beyond the host's share of files.
    pub(super) fn may_try_another(&self, now: Time) -> bool {
        !self.is_paced() || self.next_other <= now
    }

    /// One more file is requested.
    pub(super) fn tries_another(&mut self, now: Time) {
        if self.is_paced() {
            self.next_other = now + OTHER_EVERY;
        }
    }

    /// Whether it has lasted so long, with so many failures, that files are given up.
    pub(super) fn is_hopeless(&self, now: Time) -> bool {
        let within = if self.patience.is_empty() { GIVEN_UP_AFTER } else { PATIENCE_LASTS };
        self.failures >= GIVEN_UP_FAILURES && now >= self.since + within
    }

    /// A file got a `Retry-After`. Returns whether several files did.
    pub(super) fn asks_for_patience(&mut self, job: JobId) -> bool {
        if self.patience.len() < PATIENCE_OF && !self.patience.contains(&job) {
            self.patience.push(job);
        }
        self.patience.len() >= PATIENCE_OF
    }

    /// Whether so much has failed that what is sent again goes one by one.
    pub(super) fn is_paced(&self) -> bool {
        self.failures > RETRIES_FREE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_responses_come_to_nothing_requests_are_sent_one_by_one() {
        let mut trouble = Trouble::default();
        let now = Time::from_secs(5);
        (0..RETRIES_FREE).for_each(|_| trouble.failed(now));
        assert!(trouble.may_ask_again(now) && trouble.retry_at(now) == now);
        trouble.failed(now);
        trouble.asks_again(now);
        assert!(!trouble.may_ask_again(now) && trouble.may_ask_again(now + AGAIN_EVERY));
        // Both kinds share one pace.
        assert_eq!(trouble.retry_at(now), now + RETRY_EVERY);
        assert_eq!(trouble.retry_at(now), now + RETRY_EVERY + RETRY_EVERY);
    }

    #[test]
    fn what_has_to_wait_long_holds_up_nobody_else() {
        let mut trouble = Trouble::default();
        let now = Time::from_secs(5);
        (0..=RETRIES_FREE).for_each(|_| trouble.failed(now));
        let late = now + Time::from_secs(300);
        assert_eq!(trouble.retry_at(late), late);
        assert_eq!(trouble.retry_at(now), now);
        assert_eq!(trouble.retry_at(now), now + RETRY_EVERY);
        // All the same, no two are sent together.
        assert_eq!(trouble.retry_at(late), late + RETRY_EVERY);
        assert_eq!(trouble.retry_at(late - Time::from_millis(1)), late + RETRY_EVERY * 2);
    }

    #[test]
    fn what_failed_long_ago_does_not_shorten_the_patience_with_a_host() {
        let mut trouble = Trouble::default();
        trouble.failed(Time::from_secs(1));
        let now = Time::from_secs(400);
        (0..GIVEN_UP_FAILURES).for_each(|_| trouble.failed(now));
        assert!(!trouble.is_hopeless(now) && trouble.is_hopeless(now + GIVEN_UP_AFTER));
        // One that lets requests wait fails all the same, although seldom.
        let mut trouble = Trouble::default();
        for burst in 0..4 {
            (0..10).for_each(|_| trouble.failed(Time::from_secs(120 * burst)));
        }
        assert!(trouble.is_hopeless(Time::from_secs(360)));
    }

    #[test]
    fn what_is_requested_again_and_again_goes_one_by_one_whatever_the_answers_are() {
        let mut trouble = Trouble::default();
        let now = Time::from_secs(5);
        for _ in 0..AGAIN_FREE {
            assert!(!trouble.is_asked_too_often());
            trouble.counts_again();
        }
        assert!(trouble.is_asked_too_often() && trouble.may_ask_again(now));
        trouble.asks_again(now);
        assert!(!trouble.may_ask_again(now) && trouble.may_ask_again(now + AGAIN_EVERY));
    }
}
