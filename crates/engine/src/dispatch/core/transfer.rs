//! A transfer ended: well, elsewhere, with something else than what was asked for, or not at all.
//!
//! What only might have helped (a trial of ranges, a further connection) never fails a file that
//! another stream can bring: that is decided in `optional.rs`, before anything here. What an answer
//! that does not fit means for the bytes that are held is decided in `doubt.rs`.

use std::time::Duration;

use url::Url;

use super::Core;
use super::connect::RANGE_TRIES;
use super::doubt::KEPT;
use super::protocol::without_protocol;
use crate::backoff;
use crate::dispatch::job::{Failures, Phase, Segmented, Transfer};
use crate::error::{Advice, Blame, Error, ErrorKind};
use crate::event::Event;
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{CommitRequest, Effect, End, Ended, Head, Redirect, Shape, SlotId, Time, WorkRequest};
use crate::plan::piece::Piece;
use crate::ranges::ByteRange;
use crate::secret;
use crate::source::redirect;
use crate::source::rejection::Rejection;

/// Fewer bytes do not renew the retries: a server that sends one byte an answer is not asked for ever.
pub(super) const RENEWING_BYTES_MIN: u64 = 4096;
/// `Retry-After` is obeyed so often in a row before it counts as a failure.
pub(super) const PATIENCE_MAX: u32 = 20;
/// A host waits no longer than this because of one file that is asked too often.
const LONE_HOLD_MAX: Duration = Duration::from_secs(10);
/// And so often for each retry that is allowed.
pub(super) const PATIENCE_OF_RETRY: u32 = 4;
const PROVE: Advice = Advice::GiveChecksum;

impl Core {
    pub(super) fn ended(&mut self, now: Time, ended: Ended) {
        let Err(ended) = self.was_ask(now, ended) else { return };
        let Some(transfer) = self.transfers.remove(&ended.transfer) else { return };
        if was_served(&ended.end) {
            self.slots.served(transfer.slot);
        }
        let is_otherwise =
            self.is_asked_otherwise(now, transfer.slot, &ended.end) || self.is_asked_apart(&transfer, &ended.end);
        let end = without_protocol(ended.end, is_otherwise);
        let was_kept = self.let_connection_go(now, transfer.slot, &transfer.host, &end, ended.is_reusable);
        let id = transfer.job;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.wants_new_connection |= was_kept;
        job.transfers.retain(|other| *other != ended.transfer);
        if job.answer.probe == Some(ended.transfer) {
            job.answer.probe = None;
        }
        if job.transfers.is_empty() && job.ranges.segmented == Segmented::Trying {
            // Whatever ended it, nobody is trying any more.
            job.ranges.segmented = Segmented::Unknown;
        }
        let before = job.content.done.covered();
        job.content.done.insert(transfer.brought());
        let covered = job.content.done.covered();
        job.content.answers += u32::from(!transfer.brought().is_empty());
        // One that was broken off may have stalled, which says nothing of the next.
        let rate = transfer.rate_over_all(now).filter(|_| transfer.writes && matches!(end, End::Complete));
        if job.sources.is_many() {
            let source = &mut job.sources[transfer.source];
            source.brought(covered - before, rate);
            source.ranges.insert(transfer.brought());
        } else {
            let lead = job.lead_mut();
            lead.rate_bps = rate.or(lead.rate_bps);
        }
        let has_progressed = covered >= job.content.high_water_bytes + RENEWING_BYTES_MIN;
        if has_progressed || is_success(&end) {
            self.slots.succeeded(&transfer.host);
        }
        if has_progressed {
            job.content.high_water_bytes = covered;
            job.ranges.strays = 0;
            job.tries.comparisons = 0;
            job.tries.refusals = 0;
        }
        match job.phase {
            Phase::Closing(_) => return self.closed(now, id),
            Phase::Publishing | Phase::Verifying => return,
            Phase::Checking { .. } => return self.check_ended(now, id, &transfer, end),
            Phase::Comparing(_) => return self.compare_ended(now, id, &transfer, end),
            _ => {}
        }
        if is_otherwise && self.ask_otherwise(id, &transfer) {
            return;
        }
        if self.is_optional(id, &transfer, &end) {
            return self.optional_failed(now, id, &transfer, end);
        }
        let job = &self.jobs[&id];
        match job.phase {
            _ if job.is_sample_of_link(&transfer) => {
                return self.link_ended(now, id, &transfer, end, has_progressed);
            }
            Phase::Moving if self.comes_from_many(job) => {
                return self.source_ended(now, id, &transfer, end);
            }
            _ => {}
        }
        match end {
            // Its answer was not used.
            End::Complete if matches!(self.jobs[&id].phase, Phase::Ready) => {}
            End::Complete => self.piece_came(now, id, &transfer),
            End::Dropped | End::Gathered(_) | End::Document(_) | End::Checked(_) | End::OtherProtocol(_) => {}
            End::Redirect(redirect) => self.redirected(now, id, &transfer, &redirect),
            End::NotRange(head) => self.not_a_range(now, id, &transfer, &head),
            End::WrongRange { head, error } => self.wrong_range(now, id, &transfer, &head, error),
            End::NotJoined { head, verdict } => self.not_joined(now, id, &transfer, &head, verdict),
            End::OtherOverlap(head) => self.other_overlap(now, id, &transfer, &head),
            End::Sampled { same } => self.sampled(now, id, &transfer, same),
            End::Unproven(error) => self.unproven(now, id, &transfer, error),
            End::Failed { error, retry_after } => {
                self.transfer_failed(now, id, &transfer, error, retry_after, has_progressed);
            }
        }
    }

    /// A request is done with its connection. Whether it failed over one that had been used before, which may
    /// be why.
    pub(super) fn let_connection_go(
        &mut self,
        now: Time,
        slot: SlotId,
        host: &Origin,
        end: &End,
        is_reusable: bool,
    ) -> bool {
        let was_kept = is_of_connection(end) && self.slots.failed_kept(slot, now);
        if was_kept {
            self.close_idle(host);
        }
        if let Some(worker) = self.slots.give_back(slot, is_reusable, now) {
            self.effects.push(Effect::Work(worker, WorkRequest::CloseSlot(slot)));
        }
        was_kept
    }

    pub(super) fn piece_came(&mut self, now: Time, id: JobId, transfer: &Transfer) {
        let tells_len = transfer.is_probe
            && transfer.writes
            && self.jobs.get(&id).is_some_and(|job| job.content.total_bytes.is_none());
        if tells_len && self.refuses_body(now, id, transfer.piece.position()) {
            return;
        }
        if self.ends_elsewhere(now, id, transfer) || self.brought_nothing(now, id, transfer) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.failures.remove(&transfer.piece.start());
        job.ranges.ignored = 0;
        if self.is_crumb(now, id, transfer) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if transfer.is_probe && job.content.total_bytes.is_none() && transfer.writes && !job.content.came_in_part {
            // No length was announced: the body's proper end says what it is.
            job.content.total_bytes = Some(transfer.piece.position());
            job.content.held.total_bytes = job.content.total_bytes;
        }
        self.look_whether_whole(now, id);
    }

    /// Whether a body that did not say its length has another one than the file.
    fn ends_elsewhere(&mut self, now: Time, id: JobId, transfer: &Transfer) -> bool {
        let position = transfer.piece.position();
        let Some(expected) = transfer.must_end_at.filter(|expected| *expected != position) else { return false };
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        let has = if position > expected { "more".to_owned() } else { position.to_string() };
        let text = format!("the server sends {has} bytes, and the file that was begun has {expected}");
        // Not even what fits into it is whole: it may be the beginning of something else.
        let doubtful_from = if job.content.held.is_silent() { 0 } else { expected.saturating_sub(1) };
        job.content.done.remove(ByteRange::new(doubtful_from, u64::MAX));
        job.content.told_bytes = Some(expected);
        self.effects.push(Effect::Commit(CommitRequest::SetLen {
            job: id,
            path: job.naming.part_of.clone(),
            len_bytes: expected,
        }));
        let error = Error::new(ErrorKind::Changed, text).with_url(secret::shown_url(&transfer.url)).with_advice(KEPT);
        self.retry_or_fail(now, id, 0, error, false);
        true
    }

    /// If nothing is missing, the losers of a race are broken off and the file is completed.
    pub(super) fn look_whether_whole(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(total) = job.content.total_bytes else { return };
        if !matches!(job.phase, Phase::Moving) || !self.snapshot(job).contains(ByteRange::new(0, total)) {
            return;
        }
        match job.transfers.is_empty() {
            true => self.complete(now, id),
            false => self.close(now, id, crate::dispatch::job::Closing::Complete),
        }
    }

    /// A redirect of the first request moves the file. One of a piece moves that piece alone: others
    /// may well be served where they are asked for.
    pub(super) fn redirected(&mut self, now: Time, id: JobId, transfer: &Transfer, redirect: &Redirect) {
        let allow_downgrade = self.settings.allow_downgrade;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Asked again with a new cookie, even the same place may answer otherwise.
        let cookies = job.own.cookies.add(&transfer.url, &redirect.cookies);
        let redirect = &Redirect { cookies, ..redirect.clone() };
        let redirects = if transfer.is_probe { job.lead().redirects } else { transfer.redirects } + 1;
        let place = match redirect::next((&transfer.url, &transfer.host), redirect, redirects, allow_downgrade) {
            Ok(place) => place,
            Err(error) if !transfer.is_probe && matches!(job.phase, Phase::Moving) && self.others_bring(id) => {
                return self.piece_went_astray(now, id, transfer, error);
            }
            Err(error) => return self.give_up(now, id, error),
        };
        if transfer.is_probe {
            let lead = job.lead_mut();
            lead.redirects = redirects;
            lead.go_to(place);
            job.phase = Phase::Ready;
            return;
        }
        self.follow_piece(now, id, transfer, place, redirects);
    }

    /// A piece was sent round in circles, or to where it may not go, while others bring the file.
    fn piece_went_astray(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let end = End::Failed { error: error.clone(), retry_after: None };
        match self.is_optional(id, transfer, &end) {
            true => self.optional_failed(now, id, transfer, end),
            false => self.put_off(now, id, transfer.piece.start(), &error),
        }
    }

    /// Asks for the same where it was sent to. Without a connection for it, it is asked for again.
    pub(super) fn follow_piece(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        place: (Url, Origin),
        redirects: u32,
    ) {
        let piece = Piece::new(transfer.piece.start(), transfer.piece.end());
        let sent = self.send_to(now, id, transfer.source, place, transfer.kind.clone(), piece);
        let Some(state) = sent.and_then(|sent| self.transfers.get_mut(&sent)) else {
            // Where it leads to is slow to open: each time it is asked a little later.
            let start = transfer.piece.start();
            let strays = self.jobs.get(&id).map_or(0, |job| job.ranges.strays) + 1;
            let wait = backoff::wait(strays, &mut self.random);
            if let Some(job) = self.jobs.get_mut(&id) {
                job.ranges.strays = strays;
                if job.ranges.segmented == Segmented::Trying {
                    job.ranges.segmented = Segmented::Unknown;
                }
                job.tries.failures.entry(start).or_default().retry_at = now + wait;
                job.ranges.trials.retry_at = now + wait;
            }
            return;
        };
        state.redirects = redirects;
        state.in_race = transfer.in_race;
    }

    /// A range was answered with the whole file, or with word that there is no such range.
    pub(super) fn not_a_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head) {
        if self.is_page(id, head) {
            return self.page_came(now, id, transfer, head);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_encoded = head.evidence.content_encoding.is_some();
        job.ranges.are_denied |= head.refuses_ranges || is_encoded;
        let verdict = job.content.held.compare(&head.evidence);
        let has_other_end = head.shape == Shape::NoSuchRange
            && head.total_bytes.is_some()
            && head.total_bytes != job.content.total_bytes;
        if has_other_end
            && !verdict.is_different()
            && job.content.held.tells_version()
            && !head.evidence.tells_version()
        {
            // As that of a page of maintenance, or of a login.
            return self.unknown_version(now, id, transfer, head);
        }
        if verdict.is_different() || has_other_end {
            return self.another_version(now, id, transfer, head);
        }
        if head.shape != Shape::NoSuchRange && transfer.had_if_range && !job.ranges.are_denied {
            // Some CDNs answer so to any If-Range. Ask once more without, and compare ourselves.
            job.lead_mut().distrusts_if_range = true;
            if job.ranges.segmented == Segmented::Trying {
                job.ranges.segmented = Segmented::Unknown;
            }
            return;
        }
        self.no_range(now, id, transfer.piece.start(), not_a_range_error(head));
    }

    /// A range was answered with a range, and with something that is not this range.
    pub(super) fn wrong_range(&mut self, now: Time, id: JobId, transfer: &Transfer, head: &Head, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.are_denied |= head.evidence.content_encoding.is_some();
        if !head.tells_length && !std::mem::replace(&mut job.ranges.needs_overlap, true) {
            // It is asked again in a way that shows whether it is the right one.
            if job.ranges.segmented == Segmented::Trying {
                job.ranges.segmented = Segmented::Unknown;
            }
            return;
        }
        self.no_range(now, id, transfer.piece.start(), error);
    }

    /// A range was not served. Some of the servers behind a name may well serve it, so that it is
    /// asked for again a few times; after that, one stream brings everything.
    pub(super) fn no_range(&mut self, now: Time, id: JobId, start: u64, error: Error) {
        let retries = self.settings.retries;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.ranges.ignored += 1;
        let wait = backoff::wait(job.ranges.ignored, &mut self.random);
        let attempts = job.tries.failures.get(&start).map_or(0, |failure| failure.attempts);
        if job.ranges.ignored < RANGE_TRIES && attempts < retries && !job.ranges.are_denied {
            if job.ranges.segmented == Segmented::Trying {
                job.ranges.segmented = Segmented::Unknown;
            }
            // No other range is asked for before this one.
            job.ranges.trials.retry_at = now + wait;
            return self.retry_or_fail(now, id, start, error, false);
        }
        job.ranges.ignored = RANGE_TRIES;
        job.ranges.segmented = Segmented::Refused;
        self.tell_refused(id);
    }

    /// Says that the file comes in one stream. With mirrors it comes in pieces all the same.
    pub(super) fn tell_refused(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if !job.sources.has_joined() && job.ranges.told_segmented.replace(false) != Some(false) {
            self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: false }));
        }
    }

    /// A body whose length nobody told ended with its connection, and TLS did not say that it was
    /// all. Only a digest can prove that; a second body that is cut at the same place cannot.
    fn unproven(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let Some(job) = self.jobs.get(&id) else { return };
        match job.promise(self.settings.server_digests) {
            Some(promise) if promise.proves() => self.piece_came(now, id, transfer),
            _ => self.transfer_failed(now, id, transfer, error.with_advice(PROVE), None, false),
        }
    }

    pub(super) fn needs_single_stream(restarts: u32) -> bool {
        restarts >= super::anew::RESTARTS_MAX
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
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let shown = secret::shown_url(&transfer.url);
        let error = if error.url().is_some() { error } else { error.with_url(shown) };
        let is_ours = error.path().is_none() && kind.blame() == Blame::Machine;
        let error = if is_ours { error.with_path(job.naming.path.clone()) } else { error };
        if job.ranges.segmented == Segmented::Trying && !transfer.is_probe {
            job.ranges.segmented = Segmented::Unknown;
        }
        if matches!(job.phase, Phase::Probing | Phase::Preparing(_) | Phase::AskingOwner(_) | Phase::Opening)
            && transfer.is_probe
        {
            if matches!(job.phase, Phase::Probing) {
                job.phase = Phase::Ready;
            } else {
                // The answer stands; when the partial file is open, what is missing is fetched.
                return;
            }
        }
        let start = transfer.piece.position().max(transfer.piece.start());
        // A few bytes more make it no other failure.
        if start > transfer.piece.start()
            && !job.comes_in_one_stream()
            && let Some(failure) = job.tries.failures.remove(&transfer.piece.start())
        {
            job.tries.failures.insert(start, failure);
        }
        let is_of_machine = kind.blame() == Blame::Machine || error.is_scarcity();
        if is_of_machine && !self.others_bring(id) && self.waits_for_machine(now, id, &error) {
            return;
        }
        let is_transient = error.is_transient();
        if is_transient {
            self.slots.failed(&host, now);
        }
        // One that asks for no patience gets that of every failure.
        if let Some(wait) = retry_after.filter(|wait| is_transient && *wait > backoff::FLOOR) {
            return self.asked_for_patience(now, id, transfer, start, error, wait);
        }
        if self.is_one_too_many(transfer, &error) {
            return self.leave_to_others(now, id, transfer, start, &error);
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let is_gone = kind.rejection().is_some_and(Rejection::is_of_place);
        let is_old_place = transfer.url != *job.lead().url();
        if is_gone && is_old_place && (transfer.is_probe || job.lead().is_provided) {
            // The new one has not been asked yet.
            return;
        }
        if is_gone && self.settings.retries > 0 && job.lead_mut().resolve_again() {
            return;
        }
        if !is_transient && kind.blame() == Blame::Peer && !transfer.is_probe && self.others_bring(id) {
            return self.put_off(now, id, start, &error);
        }
        let is_misfit = kind == ErrorKind::Protocol || kind.rejection() == Some(Rejection::Unfit);
        if !is_transient && is_misfit && !transfer.is_probe && matches!(self.jobs[&id].phase, Phase::Moving) {
            // What came is no such range; one stream may still bring the file.
            return self.no_range(now, id, start, error);
        }
        if !is_transient {
            return match !transfer.is_probe && self.goes_on_in_one_stream(id, &error) {
                true => {}
                false => self.give_up(now, id, error),
            };
        }
        self.retry_or_fail(now, id, start, error, has_progressed);
    }

    /// `Retry-After`: this file waits. The host does too where it says so of its own load, or of
    /// several files.
    fn asked_for_patience(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        start: u64,
        error: Error,
        asked: Duration,
    ) {
        let patience_max = self.patience_max();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.lead().patience >= patience_max {
            self.retry_or_fail(now, id, start, error, false);
            // However often it is asked again: not before it says so.
            if let Some(job) = self.jobs.get_mut(&id) {
                let key = if matches!(job.phase, Phase::Moving) && !job.comes_in_one_stream() { start } else { 0 };
                job.tries
                    .failures
                    .entry(key)
                    .and_modify(|failure| failure.retry_at = failure.retry_at.max(now + asked));
            }
            return;
        }
        job.lead_mut().patience += 1;
        let patience = job.lead().patience;
        let wait = asked.max(backoff::wait(patience, &mut self.random));
        let key = if matches!(job.phase, Phase::Moving) { start } else { 0 };
        let retry_at = self.slots.retry_at(&transfer.host, now + wait);
        let wait = retry_at.saturating_sub(now);
        job.tries.failures.entry(key).or_default().retry_at = retry_at;
        job.tries.last_error = Some(error.clone());
        self.hold_host(now, id, &transfer.host, &error, asked);
        self.report_retry(id, &error, patience, wait);
        self.ask_another(id);
    }

    /// How often in a row a wait that a server asks for is granted.
    pub(super) fn patience_max(&self) -> u32 {
        PATIENCE_MAX.min(self.settings.retries.saturating_mul(PATIENCE_OF_RETRY))
    }

    /// The host waits too where it says so of its own load, or of several files: for as long as it asks for;
    /// what we wait beyond that is for the file. One file alone may be what is limited, and others find out.
    pub(super) fn hold_host(&mut self, now: Time, id: JobId, host: &Origin, error: &Error, asked: Duration) {
        let is_of_host = self.slots.asks_for_patience(host, id);
        if error.kind().rejection() == Some(Rejection::TooManyRequests) || is_of_host {
            let most = if is_of_host { asked } else { asked.min(LONE_HOLD_MAX) };
            self.slots.hold(host, now + most);
        }
    }

    pub(super) fn retry_or_fail(&mut self, now: Time, id: JobId, start: u64, error: Error, has_progressed: bool) {
        let retries = self.settings.retries;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // Without ranges everything is fetched again from 0, and only bytes above the mark count.
        let key = if job.comes_in_one_stream() || !matches!(job.phase, Phase::Moving) { 0 } else { start };
        let failure = job.tries.failures.entry(key).or_default();
        failure.attempts = if has_progressed { 1 } else { failure.attempts + 1 };
        let attempts = failure.attempts;
        let host = job.lead().host().clone();
        if attempts > retries && matches!(job.phase, Phase::Moving) && self.others_bring(id) {
            return self.put_off(now, id, start, &error);
        }
        let is_given_up = self.slots.is_given_up(&host, attempts, now);
        if attempts > retries && !is_given_up && self.goes_on_in_one_stream(id, &error) {
            return;
        }
        if attempts > retries {
            let waited = self.jobs.get(&id).map_or(0, |job| job.lead().patience);
            return self.give_up(now, id, error.with_attempts(attempts + waited));
        }
        if is_given_up {
            return self.leave_to_host(now, id, attempts, error);
        }
        let wait = backoff::wait(attempts, &mut self.random);
        // Where nothing succeeds, all that wait for the host share its patience.
        let retry_at = self.slots.retry_at(&host, now + wait);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.tries.failures.entry(key).or_default().retry_at = retry_at;
        job.tries.last_error = Some(error.clone());
        self.report_retry(id, &error, attempts, retry_at.saturating_sub(now));
        self.ask_another(id);
    }

    /// A range failed for good. The whole file in one answer is another way to the same bytes: some of
    /// the servers behind a name have another version, some break off each range or refuse all of them,
    /// some serve a link so often and no more. It is asked for once; nothing that came is lost with it.
    pub(super) fn goes_on_in_one_stream(&mut self, id: JobId, error: &Error) -> bool {
        let retries = self.settings.retries;
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
        // An answer that cannot be joined to what is held begins again, which only a refusal is worth.
        let can_join = job.content.held.can_join();
        if !has_ranges
            || !may_be_of_range
            || !(can_join || is_refused)
            || retries == 0
            || job.content.total_bytes.is_none()
        {
            return false;
        }
        job.ranges.segmented = Segmented::Refused;
        job.ranges.is_last_resort = can_join;
        job.ranges.ignored = RANGE_TRIES;
        job.tries.failures.clear();
        job.tries.failures.insert(0, Failures { attempts: retries, retry_at: Time::ZERO });
        self.tell_refused(id);
        true
    }

    /// Closes the connections to a host that nobody uses.
    pub(super) fn close_idle(&mut self, host: &Origin) {
        let closed = self.slots.drop_idle(host).into_iter();
        self.effects.extend(closed.map(|(slot, worker)| Effect::Work(worker, WorkRequest::CloseSlot(slot))));
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

/// Whether an end shows that the connection served a request.
pub(super) fn was_served(end: &End) -> bool {
    match end {
        End::Dropped | End::OtherProtocol(_) => false,
        End::Failed { error, .. } => error.kind().rejection().is_some_and(Rejection::shows_life),
        _ => true,
    }
}

/// Whether a failure may be one of the connection: it brought nothing more, or the server was tired of it.
fn is_of_connection(end: &End) -> bool {
    let is_of_it = |kind: ErrorKind| {
        matches!(kind, ErrorKind::Stalled | ErrorKind::Broken) || kind.rejection() == Some(Rejection::TimedOut)
    };
    matches!(end, End::Failed { error, .. } if is_of_it(error.kind()))
}

/// Whether all came that was asked for. A head alone is no success of its host: a body that never
/// comes may follow it.
fn is_success(end: &End) -> bool {
    matches!(end, End::Complete | End::Gathered(_) | End::Document(_) | End::Checked(_) | End::Sampled { .. })
}

/// What it is if a range was answered with the whole file, or with word that there is no such range although the file has it.
pub(super) fn not_a_range_error(head: &Head) -> Error {
    let what = match (head.shape, &head.evidence.content_encoding) {
        (_, Some(_)) => "the server sends the content encoded, which cannot be put together",
        (Shape::NoSuchRange, None) => "the server refused the range although the file has it",
        _ => "the server ignored the range",
    };
    Error::new(ErrorKind::Broken, what)
}
