//! Files with mirrors: which source is asked for what, what happens to one that fails or disagrees, and which
//! source replaces a lead that is gone.
//!
//! A mirror joins by a sample: existing data is fetched from it and compared. Its response must give the same
//! length, and its later responses must be of the version that it reports. After that it gets pieces from the
//! plan, by its own rate.

use std::sync::Arc;

use super::Core;
use super::anew::RESTARTS_MAX;
use super::connect::{ALONE_SECONDS_MAX, RANGE_TRIES};
use super::no_range::not_a_range_error;
use super::retries::PATIENCE_MAX;
use crate::backoff;
use crate::checksum::Checksum;
use crate::dispatch::job::{By, Closing, Job, Phase, Segmented, Transfer};
use crate::dispatch::job_sources::{Source, Standing};
use crate::error::{Blame, Error, ErrorKind};
use crate::event::{ErrorReport, Event, SourceShare};
use crate::evidence::samples::{self, SAMPLE_BYTES};
use crate::evidence::{Evidence, Verdict};
use crate::http::digest::ServerDigest;
use crate::http::origin::Origin;
use crate::job::{JobId, Profile};
use crate::message::{Effect, End, FetchKind, Head, Redirect, Shape, Time, WorkRequest};
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::secret;
use crate::source::redirect_rules;
use crate::source::rejection::Rejection;

/// A mirror is compared once there is this much contiguous data: the very beginning is often the same in many files.
const JOIN_BYTES_MIN: u64 = 2 * SAMPLE_BYTES;

/// The result of an attempt to ask a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Sent,
    /// It will be asked soon: a connection is left for it.
    Waits,
    Nothing,
}

impl Core {
    /// Sends one more request for a file with several sources; false if there is none to send now. Each
    /// source gets a connection first, the lead before the others; the rest goes to the fastest.
    pub(super) fn fetch_from_many(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let room = job.connections_max().saturating_sub(job.transfers.len());
        if room == 0 {
            return false;
        }
        let lead = job.sources.lead();
        let able = job.sources.live().map(|(source, _)| source).filter(|source| job.may_ask(*source));
        let able = able.filter(|source| self.is_able(now, job, *source));
        let (busy, mut idle): (Vec<usize>, Vec<usize>) = able.partition(|source| self.load(job, *source) > 0);
        if idle.contains(&lead) && self.ask_lead(now, id) {
            return true;
        }
        idle.retain(|source| *source != lead);
        if busy.contains(&lead) && room > idle.len() && self.try_ranges_of_lead(now, id) {
            return true;
        }
        let mut waiting = 0;
        for mirror in idle {
            match self.ask_mirror(now, id, mirror) {
                Asked::Sent => return true,
                Asked::Waits => waiting += 1,
                Asked::Nothing => {}
            }
        }
        if room > waiting && self.ask_fastest(now, id, &busy) {
            return true;
        }
        self.is_last_resort(now, id) && self.go_on_without_ranges(now, id)
    }

    /// The expected rate of one more connection to a source, in bytes per second: the average of those that
    /// fetch pieces and the last that completed one. Without that last one, a connection that crawls at the
    /// end would look like any other.
    pub(super) fn rate_of(&self, job: &Job, source: usize) -> Option<f64> {
        let last = job.sources[source].rate_bps;
        let running = self.transfers_of(job, source).filter(|(_, transfer)| transfer.writes);
        let rates: Vec<f64> = running.filter_map(|(_, transfer)| transfer.rate.bps()).chain(last).collect();
        (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
    }

    /// An error as events show it; with several sources, it names its source.
    pub(super) fn report_of(&self, id: JobId, error: &Error) -> ErrorReport {
        let mut report = ErrorReport::from(error);
        if let (true, Some(url)) = (self.jobs[&id].sources.is_many(), error.url()) {
            report.message = format!("{url}: {}", report.message);
        }
        report
    }

    /// Reports what each source sent, if there are several and something came.
    pub(super) fn report_shares(&mut self, job: JobId, sources: Vec<SourceShare>) {
        if sources.len() > 1 && sources.iter().any(|share| share.fetched_bytes > 0) {
            self.effects.push(Effect::Report(Event::Sources { job, sources }));
        }
    }

    fn transfers_of<'a>(&'a self, job: &'a Job, source: usize) -> impl Iterator<Item = (TransferId, &'a Transfer)> {
        let known = job.transfers.iter().filter_map(move |id| Some((*id, self.transfers.get(id)?)));
        known.filter(move |(_, transfer)| transfer.source == source)
    }

    /// The number of connections to a source.
    fn load(&self, job: &Job, source: usize) -> usize {
        self.transfers_of(job, source).count()
    }

    /// Whether a source may be asked now.
    pub(super) fn is_able(&self, now: Time, job: &Job, source: usize) -> bool {
        job.sources[source].retry_at <= now && self.hosts.held_until(job.sources[source].host()) <= now
    }

    /// Asks the lead, which has no connection.
    fn ask_lead(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let (lead, before) = (job.sources.lead(), job.transfers.len());
        match job.ranges.segmented {
            Segmented::Trying | Segmented::Refused => {}
            _ if job.ranges.needs_sample => self.sample(now, id),
            segmented => {
                self.next_piece(now, id, lead, segmented == Segmented::Unknown);
            }
        }
        self.jobs[&id].transfers.len() > before
    }

    /// The lead's first stream is the only one: tries whether ranges work.
    fn try_ranges_of_lead(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let mut others = job.transfers.iter().filter_map(|transfer| self.transfers.get(transfer));
        if job.ranges.segmented != Segmented::Unknown || others.any(|transfer| transfer.writes && !transfer.is_probe) {
            return false;
        }
        let before = job.transfers.len();
        self.try_ranges(now, id);
        self.jobs[&id].transfers.len() > before
    }

    /// Asks a mirror that has no connection: for a sample, or for a piece.
    fn ask_mirror(&mut self, now: Time, id: JobId, mirror: usize) -> Asked {
        let job = &self.jobs[&id];
        if job.sources[mirror].is_substitute() {
            return Asked::Nothing;
        }
        if job.sources[mirror].is_joined() {
            // The piece could be the one that is being tried.
            if job.ranges.segmented == Segmented::Trying && job.answer.probe.is_some() {
                return Asked::Waits;
            }
            return if self.next_piece(now, id, mirror, false) { Asked::Sent } else { Asked::Nothing };
        }
        let there = self.snapshot(job);
        let longest = there.iter().max_by_key(|range| range.len()).filter(|range| range.len() >= JOIN_BYTES_MIN);
        let Some(longest) = longest.filter(|_| self.is_worth_joining(job, there.covered())) else {
            return Asked::Waits;
        };
        let range = samples::end_of(longest);
        let kind = FetchKind::Sample { range, expect: Arc::new(job.common_version()), is_of_part: true };
        match self.send(now, id, mirror, kind, Piece::new(range.start, range.end)) {
            Some(_) => Asked::Sent,
            None => Asked::Nothing,
        }
    }

    /// Whether a mirror may send pieces beside others. If a digest will be checked, any mirror may; if not,
    /// its length and date, or its tag, must agree in addition to its sample.
    fn may_join(&self, job: &Job, told: &Evidence) -> bool {
        let is_checked = job.promise(self.settings.server_digests).is_some_and(|promise| promise.proves());
        // A lead that comes after the source of what is there has told nothing yet.
        let held = if job.ranges.needs_sample { job.version().1 } else { &job.content.held };
        let has_same_tag = held.etag.is_some() && held.etag == told.etag;
        let is_like = has_same_tag || held.compare(told).is_same() || held.may_be_sampled(told);
        job.spec.same_content || is_checked || is_like
    }

    /// Whether a mirror can still help: as a second connection would, or because the lead has none.
    fn is_worth_joining(&self, job: &Job, covered_bytes: u64) -> bool {
        if self.load(job, job.sources.lead()) == 0 {
            return true;
        }
        let left = job.content.total_bytes.unwrap_or(0).saturating_sub(covered_bytes);
        let is_slow = |rate: f64| left as f64 > rate * ALONE_SECONDS_MAX;
        left >= 2 * self.settings.piece_size_bytes
            && (job.ranges.adapt.is_exact() || job.rate.bps().is_some_and(is_slow))
    }

    /// Gives one more connection to the source whose connections are the fastest, within its host's cap.
    /// Until all of their rates are known, none gets one.
    fn ask_fastest(&mut self, now: Time, id: JobId, busy: &[usize]) -> bool {
        let job = &self.jobs[&id];
        let serves_ranges = |source: usize| match source == job.sources.lead() {
            true => job.ranges.segmented == Segmented::Proven && !job.ranges.needs_sample,
            false => job.sources[source].is_joined(),
        };
        let rated = busy.iter().filter(|source| serves_ranges(**source));
        let mut rated: Vec<_> = rated.map(|source| (*source, self.rate_of(job, *source))).collect();
        if rated.len() > 1 && rated.iter().any(|(_, rate)| rate.is_none()) {
            return false;
        }
        rated.sort_by(|(_, one), (_, other)| other.unwrap_or(0.0).total_cmp(&one.unwrap_or(0.0)));
        rated.into_iter().any(|(source, _)| self.next_piece(now, id, source, false))
    }

    /// Whether nothing runs, the lead serves no ranges, and no other source can send what is missing.
    fn is_last_resort(&self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let is_stuck = job.transfers.is_empty() && job.ranges.segmented == Segmented::Refused;
        // With little data, no source can be compared. A substitute is asked only when all others have failed.
        let can_help = |state: &Source| state.is_joined() || has_enough(job) && !state.is_substitute();
        let is_other = |source: usize| source != job.sources.lead() && job.may_ask(source);
        let has_other = job.sources.live().any(|(source, state)| is_other(source) && can_help(state));
        is_stuck && !has_other && self.is_able(now, job, job.sources.lead())
    }

    /// Keeps the head of the response to a sample.
    pub(super) fn identified(&mut self, transfer: TransferId, head: Box<Head>) {
        if let Some(transfer) = self.transfers.get_mut(&transfer) {
            transfer.head = Some(head);
        }
    }

    /// A transfer of a file with several sources has ended: the outcome counts against its own source only.
    pub(super) fn source_ended(&mut self, now: Time, id: JobId, transfer: &Transfer, end: End) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.sources[transfer.source].is_dropped() {
            return self.look_whether_whole(now, id);
        }
        let is_lead = transfer.source == job.sources.lead();
        let is_right = matches!(end, End::Complete | End::Dropped);
        if is_lead && !is_right && !transfer.is_probe {
            job.ranges.trial_ended();
        }
        match end {
            End::Complete => self.piece_came(now, id, transfer),
            End::Dropped | End::Gathered(_) | End::Document(_) | End::Checked(_) | End::OtherProtocol { .. } => {}
            End::Redirect(redirect) if is_lead => self.redirected(now, id, transfer, &redirect),
            End::Redirect(redirect) => self.mirror_redirected(now, id, transfer, &redirect),
            End::NotJoined { head, verdict } if is_lead => self.not_joined(now, id, transfer, &head, verdict),
            End::NotJoined { head, verdict } => self.mirror_not_joined(now, id, transfer, &head, verdict),
            End::OtherOverlap(head) => self.source_changed(now, id, transfer.source, &head),
            End::Unproven(error) => self.source_failed(now, id, transfer, error, None),
            End::NotRange(head) => self.source_without_range(now, id, transfer, &head),
            End::WrongRange { head, error } if is_lead => self.wrong_range(now, id, transfer, &head, error),
            End::WrongRange { error, .. } => self.mirror_without_range(now, id, transfer.source, false, error),
            End::Sampled { same } => self.source_sampled(now, id, transfer, same),
            End::Failed { error, retry_after } => self.source_failed(now, id, transfer, error, retry_after),
        }
    }

    fn mirror_redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, redirect: &Redirect) {
        let allow_downgrade = self.settings.allow_downgrade;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mirror = &mut job.sources[transfer.source];
        if transfer.url != *mirror.url() {
            // Another request was redirected before; the next one goes there.
            return;
        }
        mirror.chain.push(transfer.host.clone());
        match redirect_rules::next((&transfer.url, &transfer.host), redirect, mirror.chain.len(), allow_downgrade) {
            Ok(place) => mirror.go_to(place),
            Err(error) => self.drop_source(now, id, transfer.source, error),
        }
    }

    /// The response to a range was the whole file, or said that there is no such range.
    fn source_without_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_lead = transfer.source == job.sources.lead();
        if is_lead {
            return self.not_a_range(now, id, transfer, head);
        }
        if self.is_page(id, head) {
            return self.mirror_not_joined(now, id, transfer, head, Verdict::Unknown);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let (is_encoded, is_refusal) = (head.evidence.is_encoded_on_the_way(), head.shape == Shape::NoSuchRange);
        let known = job.sources[transfer.source].told.clone();
        let expected = known.unwrap_or_else(|| job.common_version());
        let has_changed = expected.compare(&head.evidence).is_different();
        let is_shorter = is_refusal && head.total_bytes.is_some() && head.total_bytes != job.content.total_bytes;
        if !is_encoded && (has_changed || is_shorter) {
            return self.source_changed(now, id, transfer.source, head);
        }
        let never = head.refuses_ranges || is_encoded;
        if transfer.had_if_range && !is_refusal && !never {
            // It is asked once more without `If-Range`, as the lead would be.
            job.sources[transfer.source].distrusts_if_range = true;
            return;
        }
        self.mirror_without_range(now, id, transfer.source, never, not_a_range_error(head));
    }

    /// The version of a mirror's response forbids using it: it is another one, or unknown.
    fn mirror_not_joined(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head, verdict: Verdict) {
        if verdict.is_different() && !self.is_page(id, head) {
            return self.source_changed(now, id, transfer.source, head);
        }
        let what = match self.is_page(id, head) {
            true => "it sends an HTML page instead of the file",
            false => "it does not say that its file is still the same",
        };
        self.try_later(now, id, transfer.source, RANGE_TRIES - 1, Error::new(ErrorKind::Changed, what));
    }

    /// A mirror did not serve a range; it is dropped if that keeps happening, or is final.
    fn mirror_without_range(&mut self, now: Time, id: JobId, mirror: usize, is_final: bool, error: Error) {
        match is_final {
            true => self.drop_source(now, id, mirror, error),
            false => self.try_later(now, id, mirror, RANGE_TRIES - 1, error),
        }
    }

    /// A source has another file than the one that was started, or another version of it now.
    pub(super) fn source_changed(&mut self, now: Time, id: JobId, source: usize, head: &Head) {
        let job = &self.jobs[&id];
        if source == job.sources.lead() && !job.is_stranger(source) && !job.sources.has_joined() {
            return self.lead_changed(now, id, source, head);
        }
        let error = match (head.total_bytes, job.content.total_bytes) {
            (Some(theirs), Some(ours)) if theirs != ours => {
                Error::new(ErrorKind::Protocol, format!("its file has {theirs} bytes instead of {ours}"))
            }
            _ if job.sources[source].told.is_none() => Error::new(ErrorKind::Protocol, "its file has another digest"),
            _ => Error::new(ErrorKind::Changed, "its file has changed"),
        };
        self.leave_source(now, id, source, Standing::Different(error));
    }

    /// The lead, with which no other source was compared, reports another version.
    fn lead_changed(&mut self, now: Time, id: JobId, source: usize, head: &Head) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.tries.doubts.count_different(&head.evidence) {
            return self.restart(now, id, "the file on the server has changed", By::Version);
        }
        let text = format!("the file on the server has changed ({})", job.content.held.differences(&head.evidence));
        self.try_later(now, id, source, self.retries(id), Error::new(ErrorKind::Changed, text));
    }

    /// A sample of the existing data was compared.
    pub(super) fn source_sampled(&mut self, now: Time, id: JobId, transfer: &Transfer, same: bool) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_lead = transfer.source == job.sources.lead();
        // The existing data came from it in an earlier run.
        let is_its_own = is_lead && job.sources.is_first_known(transfer.source);
        let head = transfer.head.as_deref().filter(|head| head.total_bytes == job.content.total_bytes);
        if !same && is_its_own {
            return self.sampled(now, id, transfer, same);
        }
        let told = head.and_then(|head| head.evidence.digest.as_ref()).map(ServerDigest::checksum);
        let is_promised = told.zip(job.spec.checksum.as_ref()).is_none_or(|(told, asked)| may_agree(told, asked));
        let is_like = is_its_own || head.is_some_and(|head| self.may_join(&self.jobs[&id], &head.evidence));
        if same && is_promised && !is_like && head.is_some() {
            // No pieces beside the others; alone, it may send the whole file once they have failed.
            return self.keep_as_substitute(now, id, transfer.source);
        }
        if !same || !is_promised || (head.is_none() && !is_its_own) {
            let what = match (same, is_promised) {
                (false, _) => "its content differs from what is there",
                (true, false) => "its file has another digest than the one that was asked for",
                (true, true) => "it does not say how long its file is",
            };
            let error = Error::new(ErrorKind::Protocol, what);
            let standing = if same { Standing::Dropped(error) } else { Standing::Different(error) };
            return self.leave_source(now, id, transfer.source, standing);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if is_lead {
            job.ranges.needs_sample = false;
        }
        let source = &mut job.sources[transfer.source];
        source.standing = Standing::Joined;
        source.works();
        if let Some(head) = head {
            source.told = Some(head.evidence.clone());
            if is_lead {
                job.content.held = head.evidence.clone();
            }
        }
    }

    /// Its sample agrees, but nothing that it says about its version does: it is not asked beside the others. If it is the
    /// lead, for what another source has brought, another source is asked; the last one brings all of the file.
    fn keep_as_substitute(&mut self, now: Time, id: JobId, source: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let state = &mut job.sources[source];
        state.standing = Standing::Substitute;
        let url = secret::shown_url(&state.given);
        let message = format!(
            "{url} gives its file no date or tag that agrees: it is only asked for the whole file if the others fail"
        );
        self.remark(id, message);
        let Some(job) = self.jobs.get(&id).filter(|job| job.sources.lead() == source) else { return };
        match job.sources.next_lead() {
            Some(next) if job.sources.has_joined() => self.change_lead(id, next),
            Some(next) => self.close(now, id, Closing::Lead(next)),
            None => self.close(now, id, Closing::Lead(source)),
        }
    }

    /// A request to a source failed: the source is asked again later, or dropped.
    fn source_failed(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error, retry_after: Option<Time>) {
        let (kind, host, is_transient) = (error.kind(), &transfer.host, error.is_transient());
        let profile = self.profile_of(id);
        if kind.blame() != Blame::Peer || error.is_scarcity() {
            return self.source_lacks(now, id, transfer.source, error);
        }
        let (serving, is_one_too_many) = (self.slots.serving(host), self.is_one_too_many(transfer, &error));
        self.hosts.failed_with(&error, host, &profile, now);
        self.note_refusal(now, transfer, &error);
        let patience_max = self.patience_max(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let error = error.or_url(|| secret::shown_url(&transfer.url));
        let source = &mut job.sources[transfer.source];
        let is_elsewhere = transfer.url != *source.url();
        // The source has moved on since, and this says nothing of its present place.
        let has_moved = transfer.location != source.locations;
        let asked = retry_after.filter(|wait| is_transient && *wait > backoff::FLOOR);
        if let Some(asked) = asked.filter(|_| source.patience < patience_max) {
            source.patience += 1;
            let attempts = source.patience;
            let own_retry_at = now + asked.max(backoff::wait(attempts, &mut self.random));
            let retry_at = self.hosts.retry_at(host, &profile, own_retry_at);
            source.wait_for_host(retry_at, own_retry_at);
            self.hold_host(now, id, host, &error, asked);
            return self.report_retry(id, &error, attempts, retry_at.saturating_sub(now));
        }
        if is_one_too_many && source.patience < PATIENCE_MAX {
            // The server wants no more connections than those that work; the others go elsewhere.
            source.patience += 1;
            source.wait_until(now + backoff::wait(source.patience, &mut self.random));
            return self.slots.refuse(host, serving, now);
        }
        if kind.rejection().is_some_and(Rejection::is_of_place) {
            let goes_back = has_moved || self.resolves_again(now, id, transfer.source);
            if goes_back && self.retries(id) > 0 {
                return;
            }
        }
        // A place to which a piece was redirected; the next redirect may lead to another.
        match is_transient || is_elsewhere {
            true => self.try_later(now, id, transfer.source, self.retries(id), error),
            false => self.drop_source(now, id, transfer.source, error),
        }
        if let (Some(asked), Some(job)) = (asked, self.jobs.get_mut(&id)) {
            // However often it is retried: not before the time that `Retry-After` gave.
            let source = &mut job.sources[transfer.source];
            source.wait_until(source.retry_at.max(now + asked));
        }
    }

    /// This machine lacked something for a request to a source, which says nothing about the source.
    fn source_lacks(&mut self, now: Time, id: JobId, source: usize, error: Error) {
        let others_bring = self.others_bring(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let error = if error.path().is_some() { error } else { error.with_path(job.naming.path.clone()) };
        if !(error.is_scarcity() && others_bring) {
            return self.fail_or_wait(now, id, error);
        }
        let state = &mut job.sources[source];
        state.patience += 1;
        state.wait_until(now + backoff::wait(state.patience, &mut self.random));
    }

    /// Lets a source wait for its next attempt, or drops it after too many failures in a row.
    pub(super) fn try_later(&mut self, now: Time, id: JobId, source: usize, retries: u32, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let state = &mut job.sources[source];
        let error = error.or_url(|| secret::shown_url(&state.given));
        if state.retry_at > now {
            // Several of its connections broke at once.
            return;
        }
        state.attempts += 1;
        let (attempts, host, profile) = (state.attempts, state.host().clone(), job.own.profile.clone());
        if attempts > retries || self.hosts.is_given_up(&host, &profile, attempts, now) {
            return self.drop_source(now, id, source, error.with_attempts(attempts));
        }
        let own_retry_at = now + backoff::wait(attempts, &mut self.random);
        // If nothing succeeds, all that wait for the host share its retries.
        let retry_at = self.hosts.retry_at(&host, &profile, own_retry_at);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.sources[source].wait_for_host(retry_at, own_retry_at);
        self.report_retry(id, &error, attempts, retry_at.saturating_sub(now));
        let job = &self.jobs[&id];
        // One that brought something goes on with that.
        let brings = attempts == 1 && !job.content.done.is_empty();
        let is_stuck = source == job.sources.lead() && job.transfers.is_empty() && !has_enough(job) && !brings;
        if let Some(next) = job.sources.next_lead().filter(|_| is_stuck) {
            self.replace_stuck(now, id, source, next, retries, error);
        }
    }

    /// With so little data no source can be compared, but another one can be asked for the file. What has come is lost by
    /// that, which does not happen endlessly.
    fn replace_stuck(&mut self, now: Time, id: JobId, source: usize, next: usize, retries: u32, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let state = &mut job.sources[source];
        state.losses += u32::from(!job.content.done.is_empty());
        let losses = state.losses;
        match losses > retries {
            true => self.drop_source(now, id, source, error.with_attempts(losses)),
            false => self.close(now, id, Closing::Lead(next)),
        }
    }

    /// Gives up the lead: another source takes its place, or the job fails.
    pub(super) fn give_up(&mut self, now: Time, id: JobId, error: Error) {
        let Some(job) = self.jobs.get(&id) else { return };
        if !job.sources.is_many() || error.blame() != Blame::Peer {
            return self.close(now, id, Closing::Fail(error));
        }
        let lead = job.sources.lead();
        self.drop_source(now, id, lead, error);
    }

    /// Before any data has arrived, a lead that must wait gives way to a source that waits less.
    pub(super) fn ask_another(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let has_begun = !matches!(job.phase, Phase::Ready) || !job.content.done.is_empty() || !job.transfers.is_empty();
        if !job.sources.is_many() || has_begun {
            return;
        }
        let waits = |source: usize, retry_at: Time| retry_at.max(self.hosts.held_until(job.sources[source].host()));
        let lead = job.sources.lead();
        let others = job.sources.live().filter(|(source, _)| *source != lead);
        let next = others.map(|(source, state)| (waits(source, state.retry_at), source)).min();
        let ours = waits(lead, job.retry_at(0));
        if let Some((_, next)) = next.filter(|(theirs, _)| *theirs < ours) {
            self.change_lead(id, next);
        }
    }

    /// Whether other hosts are better asked first, for a job with this profile.
    pub(super) fn is_doubtful(&self, host: &Origin, profile: &Profile, now: Time) -> bool {
        self.hosts.is_doubtful(host, now) || self.slots.is_mute(host, profile, now) || self.slots.is_slowed_down(host)
    }

    /// A file of which nothing has come is asked of another source if the host of its lead has only failed so far: files
    /// do not wait for it one by one.
    pub(super) fn pass_over_doubtful(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let is_begun = !job.content.done.is_empty() || job.part.is_open || job.ranges.begins_at_zero;
        let is_doubtful = |source: &Source| self.is_doubtful(source.host(), &job.own.profile, now);
        if !job.sources.is_many() || is_begun || !is_doubtful(job.lead()) {
            return;
        }
        let lead = job.sources.lead();
        let others = job.sources.live().filter(|(source, state)| *source != lead && state.retry_at <= now);
        let next = others.filter(|(_, state)| !is_doubtful(state)).map(|(source, _)| source).next();
        if let Some(next) = next {
            self.change_lead(id, next);
        }
    }

    /// The job was closed to change its lead: it continues with the existing data if that is enough to
    /// compare, or starts over.
    pub(super) fn lead_changes(&mut self, id: JobId, next: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_substitute = job.sources[next].is_substitute();
        let goes_on = job.part.is_open && job.content.total_bytes.is_some() && has_enough(job) && !is_substitute;
        if !goes_on {
            job.keep_version();
            job.note_reach();
            let told_bytes = job.content.total_bytes.or(job.content.told_bytes);
            job.forget_content();
            job.forget();
            job.content.told_bytes = told_bytes;
        }
        job.phase = if goes_on { Phase::Moving } else { Phase::Ready };
        job.change_lead(next);
    }

    fn change_lead(&mut self, id: JobId, next: usize) {
        if let Some(job) = self.jobs.get_mut(&id) {
            job.change_lead(next);
        }
    }

    pub(super) fn drop_source(&mut self, now: Time, id: JobId, source: usize, error: Error) {
        self.leave_source(now, id, source, Standing::Dropped(error));
    }

    /// Stops using a source. If it was the last one, the job fails.
    pub(super) fn leave_source(&mut self, now: Time, id: JobId, source: usize, standing: Standing) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let state = &mut job.sources[source];
        state.standing = standing;
        let Some(report) = state.dropped_for().map(ErrorReport::from) else { return };
        let url = secret::shown_url(&state.given);
        job.believe_another_than(source);
        let sources_left = job.sources.live().count() as u32;
        self.effects.push(Effect::Report(Event::SourceDropped { job: id, url, error: report, sources_left }));
        let job = &self.jobs[&id];
        let drops: Vec<_> = self
            .transfers_of(job, source)
            .map(|(transfer, state)| Effect::Work(state.worker, WorkRequest::Drop(transfer)))
            .collect();
        self.effects.extend(drops);
        if source != job.sources.lead() {
            return;
        }
        match job.sources.next_lead() {
            None if job.sources.is_own_url_different() && job.tries.restarts < RESTARTS_MAX => {
                // The version that was begun is to be had nowhere any more; it stays until the other is here.
                let Some(job) = self.jobs.get_mut(&id) else { return };
                job.sources.revive_different();
                if job.sources.lead() != 0 {
                    job.change_lead(0);
                }
                self.restart(
                    now,
                    id,
                    "the URL has another file, and no mirror has the one that was begun",
                    By::Version,
                );
            }
            None => {
                let error = job.sources.failure();
                self.close(now, id, Closing::Fail(error));
            }
            Some(next) if matches!(job.phase, Phase::Moving) && job.sources.has_joined() => self.change_lead(id, next),
            Some(next) => self.close(now, id, Closing::Lead(next)),
        }
    }
}

/// Whether there is enough data to compare a mirror with.
fn has_enough(job: &Job) -> bool {
    job.content.done.iter().any(|range| range.len() >= JOIN_BYTES_MIN)
}

/// Whether two digests can be of the same content.
fn may_agree(one: &Checksum, other: &Checksum) -> bool {
    one.algorithm() != other.algorithm() || one == other
}
