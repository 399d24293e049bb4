//! Failed attempts at the gaps of one file, and when each may be tried again. Pure. [`Job`](super::Job) knows where a failure
//! counts: a file in one stream has one gap.

use std::collections::HashMap;

use super::{Job, Phase};
use crate::message::Time;
use crate::ranges::ByteRange;

/// The failures, by the first byte of the gap.
#[derive(Debug, Default)]
pub(crate) struct Failures(HashMap<u64, Failure>);

/// Failed attempts at one gap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failure {
    pub(crate) attempts: u32,
    pub(crate) retry_at: Time,
    /// When it would be tried again if its host were not in trouble.
    pub(crate) own_retry_at: Time,
    /// Whether one more ends it, however few there were.
    pub(crate) is_last: bool,
}

impl Failures {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is known of a gap.
    pub(super) fn at(&self, gap: u64) -> Failure {
        self.0.get(&gap).copied().unwrap_or_default()
    }

    /// Whether any gap has to wait.
    pub(crate) fn waits_anywhere(&self, now: Time) -> bool {
        self.0.values().any(|failure| failure.retry_at > now)
    }

    /// The gaps that have to wait.
    pub(crate) fn waiting(&self, now: Time) -> Vec<u64> {
        self.0.iter().filter(|(_, failure)| failure.retry_at > now).map(|(gap, _)| *gap).collect()
    }

    /// Counts one more failure, or the first since there was progress. Returns how many there are.
    pub(super) fn count(&mut self, gap: u64, has_progressed: bool) -> u32 {
        let failure = self.0.entry(gap).or_default();
        failure.attempts = if has_progressed { 1 } else { failure.attempts + 1 };
        failure.is_last &= !has_progressed;
        failure.attempts
    }

    /// A gap is not tried again before this.
    pub(super) fn wait_until(&mut self, gap: u64, retry_at: Time) {
        self.wait_for_host(gap, retry_at, retry_at);
    }

    /// The same where its host is what it waits for, unless that recovers.
    pub(super) fn wait_for_host(&mut self, gap: u64, retry_at: Time, own_retry_at: Time) {
        let failure = self.0.entry(gap).or_default();
        (failure.retry_at, failure.own_retry_at) = (retry_at, own_retry_at);
    }

    /// The same, unless it waits for longer.
    pub(super) fn wait_at_least(&mut self, gap: u64, retry_at: Time, own_retry_at: Time) {
        let before = self.at(gap);
        self.wait_for_host(gap, before.retry_at.max(retry_at), before.own_retry_at.max(own_retry_at));
    }

    /// The host has recovered.
    pub(crate) fn wait_no_longer(&mut self) {
        self.0.values_mut().for_each(|failure| failure.retry_at = failure.retry_at.min(failure.own_retry_at));
    }

    /// Forgets what happened at a gap.
    pub(super) fn forget(&mut self, gap: u64) -> Option<Failure> {
        self.0.remove(&gap)
    }

    /// A gap begins elsewhere now.
    pub(super) fn shift(&mut self, from: u64, to: u64) {
        if let Some(failure) = self.0.remove(&from) {
            self.0.insert(to, failure);
        }
    }

    /// There is one gap, the whole file.
    pub(crate) fn set_whole(&mut self, attempts: u32, retry_at: Time) {
        self.0.clear();
        self.0.insert(0, Failure { attempts, retry_at, own_retry_at: retry_at, is_last: false });
    }

    /// There is one gap, the whole file, and it is tried once.
    pub(crate) fn try_whole_once(&mut self) {
        let attempts = self.0.values().map(|failure| failure.attempts).max().unwrap_or(0);
        self.set_whole(attempts, Time::ZERO);
        self.0.values_mut().for_each(|failure| failure.is_last = true);
    }

    /// What was tried once has brought a response: what that says has a count of its own.
    pub(crate) fn clear_last(&mut self) {
        self.0.retain(|_, failure| !failure.is_last);
    }
}

impl Job {
    /// Where failures at this byte are counted: in one stream, and before anything moves, they have one count.
    fn failed_gap(&self, start: u64) -> u64 {
        if self.comes_in_one_stream() || !matches!(self.phase, Phase::Moving) { 0 } else { start }
    }

    /// Failed attempts at what is missing from this byte on.
    pub(crate) fn attempts_at(&self, start: u64) -> u32 {
        self.tries.failures.at(self.failed_gap(start)).attempts
    }

    /// Whether what is missing from this byte on was tried for the last time.
    pub(crate) fn was_last_try(&self, start: u64) -> bool {
        self.tries.failures.at(self.failed_gap(start)).is_last
    }

    /// Whether what is missing from this byte on was tried in vain before.
    pub(crate) fn has_failed_at(&self, start: u64) -> bool {
        self.attempts_at(start) > 0 || self.lead().patience > 0 || self.tries.put_behind.is_some()
    }

    /// When what is missing from this byte on may be tried again.
    pub(crate) fn retry_at(&self, start: u64) -> Time {
        self.tries.failures.at(self.failed_gap(start)).retry_at
    }

    /// Counts one more failure at this byte, or the first since there was progress. Returns how many there are.
    pub(crate) fn count_failure(&mut self, start: u64, has_progressed: bool) -> u32 {
        self.tries.failures.count(self.failed_gap(start), has_progressed)
    }

    /// Lets what is missing from this byte on wait.
    pub(crate) fn wait_until(&mut self, start: u64, retry_at: Time) {
        self.tries.failures.wait_until(self.failed_gap(start), retry_at);
    }

    /// The same where it would be tried at `own_retry_at` if its host were not in trouble.
    pub(crate) fn wait_for_host(&mut self, start: u64, retry_at: Time, own_retry_at: Time) {
        self.tries.failures.wait_for_host(self.failed_gap(start), retry_at, own_retry_at);
    }

    /// The server asked it to wait until then, and it may wait for longer.
    pub(crate) fn wait_at_least_until(&mut self, start: u64, retry_at: Time) {
        self.tries.failures.wait_at_least(self.failed_gap(start), retry_at, retry_at);
    }

    /// Its host is in trouble, unless that recovers, and it may wait for longer.
    pub(crate) fn wait_at_least_for_host(&mut self, start: u64, retry_at: Time) {
        self.tries.failures.wait_at_least(self.failed_gap(start), retry_at, Time::ZERO);
    }

    /// What was missing from this byte on has come.
    pub(crate) fn forget_failure(&mut self, start: u64) {
        self.tries.failures.forget(self.failed_gap(start));
    }

    /// Its service has located it: where its first byte is there, only failures to do so were counted at that.
    pub(crate) fn forget_locating(&mut self) {
        let has_first = self.content.done.contains(ByteRange::new(0, 1));
        if matches!(self.phase, Phase::Moving) && has_first && !self.comes_in_one_stream() {
            self.tries.failures.forget(0);
        }
    }

    /// The part from `start` to `reached` of what failed has come. A few more bytes do not make it another failure.
    pub(crate) fn shift_failure(&mut self, start: u64, reached: u64) {
        self.tries.failures.shift(self.failed_gap(start), self.failed_gap(reached));
    }
}
