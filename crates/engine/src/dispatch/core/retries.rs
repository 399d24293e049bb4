//! A request failed: whether and when it is retried, and after how many attempts its file fails.

use std::time::Duration;

use super::Core;
use crate::backoff;
use crate::dispatch::job::{Job, Phase, Transfer};
use crate::error::{Blame, Error, ErrorKind};
use crate::event::Event;
use crate::http::origin::Origin;
use crate::job::{JobId, Profile};
use crate::message::{Effect, Time};
use crate::secret;
use crate::source::rejection::Rejection;

/// `Retry-After` is obeyed this often in a row before it counts as a failure.
pub(super) const PATIENCE_MAX: u32 = 20;
/// The `Retry-After` of a single file holds its host no longer than this.
const LONE_HOLD_MAX: Duration = Duration::from_secs(10);
/// It is also obeyed no more than this often for each allowed retry.
pub(super) const PATIENCE_OF_RETRY: u32 = 4;

impl Core {
    pub(super) fn transfer_failed(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        error: Error,
        retry_after: Option<Duration>,
        has_progressed: bool,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let error = with_place(error, transfer, job);
        // A host that has served others has servers that do. Nobody else has one more try.
        let is_of_one_server = || self.hosts.has_brought(&transfer.host) || job.attempts_at(0) == 0;
        let is_of_one_server = error.kind() == ErrorKind::Tls && is_of_one_server();
        let error = if is_of_one_server { error.with_transient(true) } else { error };
        if !transfer.is_probe {
            job.ranges.trial_ended();
        }
        if transfer.is_probe {
            match job.phase {
                Phase::Probing => job.phase = Phase::Ready,
                // The response stands; once the partial file is open, the missing data is fetched.
                Phase::Preparing(_) | Phase::AskingOwner(_) | Phase::Opening | Phase::Adopting => return,
                _ => {}
            }
        }
        let start = transfer.piece.position().max(transfer.piece.start());
        job.shift_failure(transfer.piece.start(), start);
        let is_of_machine = error.blame() == Blame::Machine || error.is_scarcity();
        if is_of_machine && !self.others_bring(id) && self.waits_for_machine(now, id, &error) {
            return;
        }
        let is_transient = error.is_transient();
        self.hosts.failed_with(&error, &transfer.host, &self.profile_of(id), now);
        self.note_refusal(now, transfer, &error);
        self.leave_dead_end(now, id, transfer, &error);
        if self.others_bring(id) && self.is_one_too_many(transfer, &error) {
            // What it asks for is one connection less.
            return self.leave_to_others(now, id, transfer, start, &error);
        }
        // Without a `Retry-After`, or with a short one, the backoff is the usual one.
        if let Some(wait) = retry_after.filter(|wait| is_transient && *wait > backoff::FLOOR) {
            return self.asked_for_patience(now, id, transfer, start, error, wait);
        }
        if self.is_one_too_many(transfer, &error) {
            return self.leave_to_others(now, id, transfer, start, &error);
        }
        if self.is_asked_elsewhere(now, id, transfer, &error) {
            return;
        }
        match is_transient {
            true => self.retry_or_fail(now, id, start, error, has_progressed),
            false => self.failed_for_good(now, id, transfer, start, error),
        }
    }

    /// Whether the URL from a redirect or a provider is gone, so that the source is resolved again.
    fn is_asked_elsewhere(&mut self, now: Time, id: JobId, transfer: &Transfer, error: &Error) -> bool {
        if error.is_transient() {
            // It waits like others, and leads back after its second time.
            return false;
        }
        let may_ask_again = self.retries(id) > 0;
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        // A proxy refuses the user, wherever the request is sent.
        let is_sent_on = transfer.url != job.lead().given && error.kind() != ErrorKind::Status(407);
        // Services answer expired links with any status.
        if !error.kind().rejection().is_some_and(|rejection| is_sent_on || rejection.is_of_place()) {
            return false;
        }
        // It was sent before the source went elsewhere, and the new place has not been asked yet.
        if transfer.location != job.sources[transfer.source].locations {
            return true;
        }
        may_ask_again && self.resolves_again(now, id, transfer.source)
    }

    /// Goes back to the URL that a source was given, once, if the URL that it led to is refused. A host whose links are all
    /// refused is not asked for many of them a second time.
    pub(super) fn resolves_again(&mut self, now: Time, id: JobId, source: usize) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let source = &mut job.sources[source];
        if !source.may_resolve_again() || !self.hosts.may_resolve_again(&source.own_origin, now) {
            return false;
        }
        source.resolve_again();
        true
    }

    /// A retry would fail again. What it was to fetch may still come in another way.
    fn failed_for_good(&mut self, now: Time, id: JobId, transfer: &Transfer, start: u64, error: Error) {
        let kind = error.kind();
        if kind.blame() == Blame::Peer && !transfer.is_probe && self.others_bring(id) {
            return self.put_off(now, id, start, &error);
        }
        if !transfer.is_probe && self.is_refused_once(now, id, start, &error) {
            return;
        }
        let is_misfit = kind == ErrorKind::Protocol || kind.rejection() == Some(Rejection::Unfit);
        if is_misfit && !transfer.is_probe && matches!(self.jobs[&id].phase, Phase::Moving) {
            // The response is no such range; one stream may still fetch the file.
            return self.no_range(now, id, start, error);
        }
        if transfer.is_probe {
            return self.give_up(now, id, error);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.count_failure(start, false);
        }
        if !self.goes_on_in_one_stream(id, &error) {
            self.give_up(now, id, error);
        }
    }

    /// `Retry-After`: this file waits. So does its host, after a 429 or once several files got a
    /// `Retry-After`.
    fn asked_for_patience(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        start: u64,
        error: Error,
        asked: Duration,
    ) {
        let patience_max = self.patience_max(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.lead().patience >= patience_max {
            self.retry_or_fail(now, id, start, error, false);
            // However often it is retried: not before the time that `Retry-After` gave.
            if let Some(job) = self.jobs.get_mut(&id) {
                job.wait_at_least_until(start, now + asked);
            }
            return;
        }
        job.lead_mut().patience += 1;
        let patience = job.lead().patience;
        let own_retry_at = now + asked.max(backoff::wait(patience, &mut self.random));
        let retry_at = self.hosts.retry_at(&transfer.host, &job.own.profile, own_retry_at);
        let wait = retry_at.saturating_sub(now);
        job.wait_for_host(start, retry_at, own_retry_at);
        job.tries.last_error = Some(error.clone());
        self.hold_host(now, id, &transfer.host, &error, asked);
        self.report_retry(id, &error, patience, wait);
        self.ask_another(id);
    }

    /// A redirect has led to a host that has brought nothing yet: the next may lead elsewhere. If nothing comes of it, the
    /// host that redirects is in trouble too.
    fn leave_dead_end(&mut self, now: Time, id: JobId, transfer: &Transfer, error: &Error) {
        let profile = self.profile_of(id);
        let Some(job) = self.jobs.get_mut(&id).filter(|job| matches!(job.phase, Phase::Ready)) else { return };
        let Some(before) = job.lead().origin_before_redirects().cloned() else { return };
        if error.is_transient() && *job.lead().host() == transfer.host && !self.hosts.has_brought(&transfer.host) {
            job.lead_mut().go_back();
            self.hosts.failed_with(error, &before, &profile, now);
        }
    }

    /// How the connections of a job are made.
    pub(super) fn profile_of(&self, id: JobId) -> Profile {
        self.jobs.get(&id).map(|job| job.own.profile.clone()).unwrap_or_default()
    }

    /// How often a piece of this job that makes no progress is retried.
    pub(super) fn retries(&self, id: JobId) -> u32 {
        self.jobs.get(&id).map_or(self.settings.retries, |job| job.retries(self.settings.retries))
    }

    /// How often in a row a server's `Retry-After` is obeyed.
    pub(super) fn patience_max(&self, id: JobId) -> u32 {
        PATIENCE_MAX.min(self.retries(id).saturating_mul(PATIENCE_OF_RETRY))
    }

    /// The host waits too, after a 429 or once several files got a `Retry-After`: for as long as it asks; any
    /// longer wait is only the file's. If only one file is limited, others find out.
    pub(super) fn hold_host(&mut self, now: Time, id: JobId, host: &Origin, error: &Error, asked: Duration) {
        let is_of_host = self.hosts.asks_for_patience(host, id);
        if error.kind().rejection() == Some(Rejection::TooManyRequests) || is_of_host {
            let most = if is_of_host { asked } else { asked.min(LONE_HOLD_MAX) };
            self.hosts.hold(host, now, now + most);
        }
    }

    pub(super) fn retry_or_fail(&mut self, now: Time, id: JobId, start: u64, error: Error, has_progressed: bool) {
        let retries = self.retries(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Without ranges everything is fetched again from 0, and only bytes above the high-water mark count.
        let attempts = job.count_failure(start, has_progressed);
        let (host, profile) = (job.lead().host().clone(), job.own.profile.clone());
        let is_over = attempts > retries || job.was_last_try(start);
        if is_over && matches!(job.phase, Phase::Moving) && self.others_bring(id) {
            return self.put_off(now, id, start, &error);
        }
        let is_given_up = self.hosts.is_given_up(&host, &profile, attempts, now);
        if is_over && !is_given_up && self.goes_on_in_one_stream(id, &error) {
            return;
        }
        if is_over {
            let waited = self.jobs.get(&id).map_or(0, |job| job.lead().patience);
            return self.give_up(now, id, error.with_attempts(attempts + waited));
        }
        if is_given_up {
            return self.leave_to_host(now, id, attempts, error);
        }
        if attempts > 1
            && let Some(job) = self.jobs.get_mut(&id)
        {
            job.lead_mut().leave();
        }
        let wait = backoff::wait(attempts, &mut self.random);
        // If nothing succeeds, all that wait for the host share its retries.
        let own_retry_at = now + wait;
        let retry_at = self.hosts.retry_at(&host, &profile, own_retry_at);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.wait_for_host(start, retry_at, own_retry_at);
        job.tries.last_error = Some(error.clone());
        self.report_retry(id, &error, attempts, retry_at.saturating_sub(now));
        self.ask_another(id);
    }

    pub(super) fn report_retry(&mut self, id: JobId, error: &Error, attempts: u32, wait: Duration) {
        let error = self.report_of(id, error);
        self.effects.push(Effect::Report(Event::Retrying {
            job: id,
            error,
            attempt: attempts + 1,
            wait_ms: wait.as_millis() as u64,
        }));
    }
}

/// Adds what a failure is about: the URL, and the file if it is this machine's.
fn with_place(error: Error, transfer: &Transfer, job: &Job) -> Error {
    let is_ours = error.path().is_none() && error.blame() == Blame::Machine;
    let error = error.or_url(|| secret::shown_url(&transfer.url));
    if is_ours { error.with_path(job.naming.path.clone()) } else { error }
}
