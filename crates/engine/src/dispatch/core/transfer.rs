//! A transfer ended: well, elsewhere, with another version, or not at all.

use std::time::Duration;

use super::Core;
use super::start::origin_of;
use crate::dispatch::backoff;
use crate::dispatch::job::{Phase, Segmented, Transfer, Winding};
use crate::dispatch::message::{Effect, End, Ended, Head, Time};
use crate::error::{Blame, Error, ErrorKind};
use crate::event::{ErrorReport, Event};
use crate::http::origin::Scheme;
use crate::http::validator::Agreement;
use crate::job::JobId;
use crate::ranges::ByteRange;
use crate::secret;

/// RFC 9110, section 15.4, lets us choose; browsers stop at 20, curl's callers usually at 10.
const REDIRECTS_MAX: u32 = 10;
/// `Retry-After` is obeyed so often in a row before it counts as a failure.
const PATIENCE_MAX: u32 = 20;
/// After so many changes, one unsegmented stream is tried; after that one, it fails.
const RESTARTS_MAX: u32 = 3;
/// A gap whose connection was refused because there were too many waits so long.
const REFUSED_WAIT: Time = Time::from_secs(1);

impl Core {
    pub(super) fn ended(&mut self, now: Time, ended: Ended) {
        let Some(transfer) = self.transfers.remove(&ended.transfer) else { return };
        if let Some(worker) = self.slots.give_back(transfer.slot, ended.is_reusable, now) {
            self.effects.push(Effect::CloseSlot { slot: transfer.slot, worker });
        }
        let id = transfer.job;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.transfers.retain(|other| *other != ended.transfer);
        if job.probe == Some(ended.transfer) {
            job.probe = None;
        }
        if job.transfers.is_empty() && job.segmented == Segmented::Trying {
            // Whatever ended it, nobody is trying any more.
            job.segmented = Segmented::Unknown;
        }
        job.done.insert(transfer.brought());
        let covered = job.done.covered();
        let has_progressed = covered > job.high_water_bytes;
        job.high_water_bytes = job.high_water_bytes.max(covered);
        match job.phase {
            Phase::Winding(_) => return self.wound(now, id),
            Phase::Publishing | Phase::Verifying => return,
            _ => {}
        }
        match ended.end {
            End::Complete => self.piece_came(now, id, &transfer),
            End::Dropped => {}
            End::Redirect { status, location } => self.redirected(now, id, &transfer, status, location),
            End::NotRange(head) => self.not_a_range(now, id, transfer.piece.start(), &head),
            End::OtherVersion(head) => self.other_version(now, id, &head),
            End::Sampled { same } => self.sampled(now, id, same),
            End::Failed { error, retry_after } => {
                self.transfer_failed(now, id, &transfer, error, retry_after, has_progressed);
            }
        }
    }

    fn piece_came(&mut self, now: Time, id: JobId, transfer: &Transfer) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.failures.remove(&transfer.piece.start());
        if transfer.is_probe && job.total_bytes.is_none() && transfer.writes {
            // No length was announced: the body's proper end says what it is.
            job.total_bytes = Some(transfer.piece.position());
            job.validator.total_bytes = job.total_bytes;
        }
        self.look_whether_whole(now, id);
    }

    /// If nothing is missing, the losers of a race are broken off and the file is completed.
    fn look_whether_whole(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(total) = job.total_bytes else { return };
        if !matches!(job.phase, Phase::Moving) || !self.snapshot(job).contains(ByteRange::new(0, total)) {
            return;
        }
        match job.transfers.is_empty() {
            true => self.complete(now, id),
            false => self.wind(now, id, Winding::Complete),
        }
    }

    fn redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, status: u16, location: Option<String>) {
        let allow_downgrade = self.settings.allow_downgrade;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.segmented == Segmented::Trying && !transfer.is_probe {
            job.segmented = Segmented::Unknown;
        }
        if transfer.url != job.url {
            // Another piece was sent elsewhere before; this one will ask there.
            return;
        }
        job.redirects += 1;
        let shown = secret::shown_url(&transfer.url);
        let refuse = |what: String| Error::new(ErrorKind::Redirect, what).with_url(shown.clone());
        let next = match location.as_deref().map(|location| transfer.url.join(location)) {
            Some(Ok(url)) => url,
            Some(Err(_)) => {
                let text = format!("the server's {status} redirects to something that is no URL");
                return self.wind(now, id, Winding::Fail(refuse(text)));
            }
            None => {
                let text = format!("the server answered {status} without saying where to go");
                return self.wind(now, id, Winding::Fail(refuse(text)));
            }
        };
        let origin = match origin_of(&next) {
            Ok(origin) => origin,
            Err(error) => return self.wind(now, id, Winding::Fail(error.with_url(shown))),
        };
        if job.redirects > REDIRECTS_MAX {
            let text = format!("more than {REDIRECTS_MAX} redirects, the last to {}", secret::shown_url(&next));
            return self.wind(now, id, Winding::Fail(refuse(text)));
        }
        let is_downgrade = transfer.host.scheme == Scheme::Https && origin.scheme == Scheme::Http;
        if is_downgrade && !allow_downgrade {
            let text = format!("a redirect from https to http was refused ({})", secret::shown_url(&next));
            return self.wind(now, id, Winding::Fail(refuse(text)));
        }
        job.url = next;
        job.host = origin;
        if transfer.is_probe {
            job.phase = Phase::Ready;
        }
    }

    /// A range was answered with the whole file, or with 416.
    fn not_a_range(&mut self, now: Time, id: JobId, start: u64, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let agreement = job.validator.compare(&head.validator);
        if agreement == Agreement::Different {
            return self.restart(now, id, "the file on the server has changed");
        }
        let had_if_range = job.validator.if_range().is_some() && !job.distrusts_if_range;
        if head.status == 200 && had_if_range && agreement == Agreement::Same && !head.refuses_ranges {
            // Some CDNs answer so to any If-Range. Ask once more without, and compare ourselves.
            job.distrusts_if_range = true;
            if job.segmented == Segmented::Trying {
                job.segmented = Segmented::Unknown;
            }
            return;
        }
        if head.status == 416 {
            return self.restart(now, id, "the server says that the range does not exist");
        }
        if job.segmented == Segmented::Proven {
            // It worked before: some of the servers behind this name ignore ranges. Try again.
            let error = Error::new(ErrorKind::Broken, "the server ignored the range although it honoured others");
            return self.retry_or_fail(now, id, start, error, false);
        }
        let was_known = job.segmented == Segmented::Refused;
        job.segmented = Segmented::Refused;
        if !was_known {
            self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: false }));
        }
        if self.jobs[&id].probe.is_none() && !self.jobs[&id].done.is_empty() {
            let reason = "the server does not serve ranges, so what is there cannot be added to".to_owned();
            self.effects.push(Effect::Report(Event::Restarted { job: id, reason }));
        }
    }

    fn other_version(&mut self, now: Time, id: JobId, head: &Head) {
        let _ = head;
        self.restart(now, id, "the file on the server has changed");
    }

    fn sampled(&mut self, now: Time, id: JobId, same: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.needs_sample = false;
        if !same {
            self.restart(now, id, "the file on the server differs from what is there");
        }
    }

    fn restart(&mut self, now: Time, id: JobId, reason: &str) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.restarts += 1;
        if job.restarts > RESTARTS_MAX {
            let error = Error::new(ErrorKind::Changed, "the file on the server changed each time it was fetched")
                .with_url(secret::shown_url(&job.url))
                .with_attempts(job.restarts);
            return self.wind(now, id, Winding::Fail(error));
        }
        self.wind(now, id, Winding::Restart(reason.to_owned()));
    }

    pub(super) fn needs_single_stream(restarts: u32) -> bool {
        restarts >= RESTARTS_MAX
    }

    fn transfer_failed(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        error: Error,
        retry_after: Option<Duration>,
        has_progressed: bool,
    ) {
        let kind = error.kind();
        let host = transfer.host.clone();
        // Only those that bring bytes show that fewer connections would work.
        let brings = |transfer: &Transfer| transfer.piece.position() > transfer.piece.start();
        let working = self.transfers.values().filter(|other| other.host == host && brings(other)).count();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let shown = secret::shown_url(&job.url);
        let error = if error.url().is_some() { error } else { error.with_url(shown) };
        let is_ours = error.path().is_none() && kind.blame() == Blame::Machine;
        let error = if is_ours { error.with_path(job.path.clone()) } else { error };
        if job.segmented == Segmented::Trying && !transfer.is_probe {
            job.segmented = Segmented::Unknown;
        }
        if matches!(job.phase, Phase::Probing | Phase::Preparing | Phase::Opening) && transfer.is_probe {
            if matches!(job.phase, Phase::Probing) {
                job.phase = Phase::Ready;
            } else {
                // The answer stands; when the partial file is open, what is missing is fetched.
                return;
            }
        }
        let start = transfer.piece.position().max(transfer.piece.start());
        if let Some(wait) = retry_after.filter(|_| kind.is_transient() && job.patience < PATIENCE_MAX) {
            job.patience += 1;
            self.slots.hold(&host, now + wait);
            let attempts = job.patience;
            return self.report_retry(id, &error, attempts, wait);
        }
        let is_refusal = matches!(kind, ErrorKind::Connect | ErrorKind::Broken | ErrorKind::Status(429 | 503))
            && transfer.piece.position() == transfer.piece.start();
        if is_refusal && !transfer.is_probe && working > 0 && job.patience < PATIENCE_MAX {
            // The connections that work are as many as the server wants.
            job.patience += 1;
            job.adapt.refused(working);
            job.failures.entry(start).or_default().retry_at = now + REFUSED_WAIT;
            return self.slots.refuse(&host, working, now);
        }
        let is_gone = matches!(kind, ErrorKind::Status(401 | 403 | 404 | 410));
        if is_gone && transfer.url != job.url {
            // The old place; the new one has not been asked yet.
            return;
        }
        if is_gone && job.url != job.spec.url && !job.was_resolved_again {
            // The place that we were sent to has expired: ask the original once more.
            job.was_resolved_again = true;
            job.redirects = 0;
            job.url = job.spec.url.clone();
            job.host = job.own_origin.clone();
            return;
        }
        if !kind.is_transient() {
            return self.wind(now, id, Winding::Fail(error));
        }
        self.retry_or_fail(now, id, start, error, has_progressed);
    }

    fn retry_or_fail(&mut self, now: Time, id: JobId, start: u64, error: Error, has_progressed: bool) {
        let retries = self.settings.retries;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_single = job.total_bytes.is_none() || job.segmented == Segmented::Refused;
        // Without ranges everything is fetched again from 0, and only bytes above the mark count.
        let key = if is_single || !matches!(job.phase, Phase::Moving) { 0 } else { start };
        let failure = job.failures.entry(key).or_default();
        failure.attempts = if has_progressed { 1 } else { failure.attempts + 1 };
        let attempts = failure.attempts;
        if attempts > retries {
            let error = error.with_attempts(attempts);
            return self.wind(now, id, Winding::Fail(error));
        }
        let wait = backoff::wait(attempts, &mut self.random);
        failure.retry_at = now + wait;
        self.report_retry(id, &error, attempts, wait);
    }

    fn report_retry(&mut self, id: JobId, error: &Error, attempts: u32, wait: Duration) {
        self.effects.push(Effect::Report(Event::Retrying {
            job: id,
            error: ErrorReport::from(error),
            attempt: attempts + 1,
            wait_ms: wait.as_millis() as u64,
        }));
    }
}
