//! A transfer ended: well, elsewhere, with another version, or not at all.

use std::time::Duration;

use url::Url;

use super::Core;
use super::connect::RANGE_TRIES;
use super::start::origin_of;
use crate::dispatch::backoff;
use crate::dispatch::job::{Phase, Segmented, Transfer, Winding};
use crate::dispatch::message::{Effect, End, Ended, Head, Time};
use crate::error::{Blame, Error, ErrorKind, Result};
use crate::event::Event;
use crate::http::origin::{Origin, Scheme};
use crate::http::validator::Agreement;
use crate::job::JobId;
use crate::ranges::ByteRange;
use crate::secret;

/// RFC 9110, section 15.4, lets us choose; browsers stop at 20, curl's callers usually at 10.
const REDIRECTS_MAX: u32 = 10;
/// `Retry-After` is obeyed so often in a row before it counts as a failure.
pub(super) const PATIENCE_MAX: u32 = 20;
/// After so many changes, one unsegmented stream is tried; after that one, it fails.
const RESTARTS_MAX: u32 = 3;
/// A gap whose connection was refused because there were too many waits so long.
pub(super) const REFUSED_WAIT: Time = Time::from_secs(1);

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
        let before = job.done.covered();
        job.done.insert(transfer.brought());
        let covered = job.done.covered();
        // One that was broken off may have stalled, which says nothing of the next.
        let rate = transfer.rate_over_all(now).filter(|_| transfer.writes && matches!(ended.end, End::Complete));
        match job.sources.get_mut(transfer.source) {
            Some(source) => source.brought(covered - before, rate),
            None => job.connection_bps = rate.or(job.connection_bps),
        }
        let has_progressed = covered > job.high_water_bytes;
        job.needs_sample |= has_progressed && !job.is_whole() && !job.validator.can_tell_versions();
        job.high_water_bytes = job.high_water_bytes.max(covered);
        match job.phase {
            Phase::Winding(_) => return self.wound(now, id),
            Phase::Publishing | Phase::Verifying => return,
            _ if job.is_sample_of_link(&transfer) => {
                return self.link_ended(now, id, &transfer, ended.end, has_progressed);
            }
            Phase::Moving if job.sources.is_many() && !Self::needs_single_stream(job.restarts) => {
                return self.source_ended(now, id, &transfer, ended.end);
            }
            _ => {}
        }
        match ended.end {
            End::Complete => self.piece_came(now, id, &transfer),
            End::Dropped => {}
            End::Redirect { status, location } => self.redirected(now, id, &transfer, status, location),
            End::NotRange(head) => self.not_a_range(now, id, &transfer, &head),
            End::WrongRange { head, error } => self.wrong_range(now, id, &transfer, &head, error),
            End::OtherVersion(head) => self.other_version(now, id, &head),
            End::Sampled { same } => self.sampled(now, id, same),
            End::Failed { error, retry_after } => {
                self.transfer_failed(now, id, &transfer, error, retry_after, has_progressed);
            }
        }
    }

    pub(super) fn piece_came(&mut self, now: Time, id: JobId, transfer: &Transfer) {
        let tells_len =
            transfer.is_probe && transfer.writes && self.jobs.get(&id).is_some_and(|job| job.total_bytes.is_none());
        if tells_len && self.refuses_body(now, id, transfer.piece.position()) {
            return;
        }
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
    pub(super) fn look_whether_whole(&mut self, now: Time, id: JobId) {
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

    pub(super) fn redirected(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        status: u16,
        location: Option<String>,
    ) {
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
        match next_place(transfer, status, location.as_deref(), job.redirects, allow_downgrade) {
            Ok(place) => (job.url, job.host) = place,
            Err(error) => return self.give_up(now, id, error),
        }
        if transfer.is_probe {
            job.phase = Phase::Ready;
        }
    }

    /// A range was answered with the whole file, or with 416.
    pub(super) fn not_a_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_encoded = head.content_encoding.is_some();
        // What was encoded on the way has another length and often another tag.
        if !is_encoded && job.validator.compare(&head.validator) == Agreement::Different {
            return self.restart(now, id, "the file on the server has changed");
        }
        job.says_no_ranges |= head.refuses_ranges || is_encoded;
        if head.status == 416 && head.total_bytes != job.total_bytes {
            return self.restart(now, id, "the server says that the range does not exist");
        }
        if head.status != 416 && transfer.had_if_range && !job.says_no_ranges {
            // Some CDNs answer so to any If-Range. Ask once more without, and compare ourselves.
            job.distrusts_if_range = true;
            if job.segmented == Segmented::Trying {
                job.segmented = Segmented::Unknown;
            }
            return;
        }
        self.no_range(now, id, transfer.piece.start(), not_a_range_error(head));
    }

    /// A range was answered with 206, and with something that is not this range.
    pub(super) fn wrong_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.says_no_ranges |= head.content_encoding.is_some();
        self.no_range(now, id, transfer.piece.start(), error);
    }

    /// A range was not served. Some of the servers behind a name may well serve it, so that it is
    /// asked for again a few times; after that, one stream brings everything.
    fn no_range(&mut self, now: Time, id: JobId, start: u64, error: Error) {
        let retries = self.settings.retries;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ignored_ranges += 1;
        let attempts = job.failures.get(&start).map_or(0, |failure| failure.attempts);
        let is_enough = match job.segmented {
            // It worked before.
            Segmented::Proven => attempts >= retries,
            // The first stream goes on alone, and nothing is lost by that.
            _ if job.probe.is_some() => true,
            _ => attempts >= retries || job.says_no_ranges || job.ignored_ranges >= RANGE_TRIES,
        };
        if !is_enough {
            if job.segmented == Segmented::Trying {
                job.segmented = Segmented::Unknown;
            }
            return self.retry_or_fail(now, id, start, error, false);
        }
        if job.segmented == Segmented::Proven {
            job.ignored_ranges = RANGE_TRIES;
        }
        job.segmented = Segmented::Refused;
        // With mirrors it comes in pieces all the same.
        if !job.sources.has_joined() && job.told_segmented.replace(false) != Some(false) {
            self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: false }));
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

    pub(super) fn restart(&mut self, now: Time, id: JobId, reason: &str) {
        if self.doubts_change(id) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.restarts += 1;
        if job.restarts > RESTARTS_MAX {
            let error = Error::new(ErrorKind::Changed, "the file on the server changed each time it was fetched")
                .with_url(secret::shown_url(&job.url))
                .with_attempts(job.restarts);
            return self.give_up(now, id, error);
        }
        self.wind(now, id, Winding::Restart(reason.to_owned()));
    }

    pub(super) fn needs_single_stream(restarts: u32) -> bool {
        restarts >= RESTARTS_MAX
    }

    pub(super) fn transfer_failed(
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
        let working = self.working(&host);
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
            self.report_retry(id, &error, attempts, wait);
            return self.ask_another(id);
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
        if is_gone && job.resolve_again() {
            return;
        }
        if !kind.is_transient() {
            return self.give_up(now, id, error);
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
            return self.give_up(now, id, error);
        }
        let wait = backoff::wait(attempts, &mut self.random);
        failure.retry_at = now + wait;
        self.report_retry(id, &error, attempts, wait);
        self.ask_another(id);
    }

    /// How many transfers bring bytes from a host: only these show that fewer connections would work.
    pub(super) fn working(&self, host: &Origin) -> usize {
        let brings = |transfer: &Transfer| transfer.piece.position() > transfer.piece.start();
        self.transfers.values().filter(|other| other.host == *host && brings(other)).count()
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

/// Where a redirect leads, if it may be followed; `redirects` counts it too.
pub(super) fn next_place(
    transfer: &Transfer,
    status: u16,
    location: Option<&str>,
    redirects: u32,
    allow_downgrade: bool,
) -> Result<(Url, Origin)> {
    let shown = secret::shown_url(&transfer.url);
    let refused = |what: String| Error::new(ErrorKind::Redirect, what).with_url(shown.clone());
    let next = match location.map(|location| transfer.url.join(location)) {
        Some(Ok(url)) => url,
        Some(Err(_)) => {
            return Err(refused(format!("the server's {status} redirects to something that is no URL")));
        }
        None => return Err(refused(format!("the server answered {status} without saying where to go"))),
    };
    let origin = origin_of(&next).map_err(|error| error.with_url(shown.clone()))?;
    if redirects > REDIRECTS_MAX {
        let text = format!("more than {REDIRECTS_MAX} redirects, the last to {}", secret::shown_url(&next));
        return Err(refused(text));
    }
    let is_downgrade = transfer.host.scheme == Scheme::Https && origin.scheme == Scheme::Http;
    if is_downgrade && !allow_downgrade {
        return Err(refused(format!("a redirect from https to http was refused ({})", secret::shown_url(&next))));
    }
    Ok((next, origin))
}

/// What it is if a range was answered with the whole file, or with 416 although the file has it.
pub(super) fn not_a_range_error(head: &Head) -> Error {
    let what = match (head.status, &head.content_encoding) {
        (_, Some(_)) => "the server sends the content encoded, which cannot be put together",
        (416, None) => "the server refused the range although the file has it",
        _ => "the server ignored the range",
    };
    Error::new(ErrorKind::Broken, what)
}
