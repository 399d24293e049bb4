//! A transfer has ended. Its bytes are counted; then the phase of its job and the kind of end decide what
//! follows: `redirected.rs`, `no_range.rs`, `doubt.rs` (a response that does not fit the existing data),
//! `retries.rs` (a failure), `mirrors.rs`.
//!
//! An optional transfer (a trial of ranges, a further connection) never fails a file that another stream can
//! fetch: `optional.rs` decides that before anything else.

use super::Core;
use super::anew::too_short;
use super::doubt::KEPT;
use super::protocol::without_protocol;
use crate::dispatch::job::{Closing, Phase, Transfer};
use crate::error::{Advice, Error, ErrorKind};
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{CommitRequest, Effect, End, Ended, FetchKind, Shape, SlotId, Time, WorkRequest};
use crate::ranges::{ByteRange, RangeSet};
use crate::secret;
use crate::source::rejection::Rejection;

/// Fewer bytes do not reset the retries: a server that sends one byte per response is not asked forever.
pub(super) const RENEWING_BYTES_MIN: u64 = 4096;
const PROVE: Advice = Advice::GiveChecksum;

impl Core {
    pub(super) fn ended(&mut self, now: Time, ended: Ended) {
        let Err(ended) = self.was_ask(now, ended) else { return };
        let Some(mut transfer) = self.transfers.remove(&ended.transfer) else { return };
        transfer.had_served_others = self.slots.has_served(transfer.slot);
        if was_served(&ended.end) {
            self.slots.served(transfer.slot);
        }
        transfer.has_served = self.slots.has_served(transfer.slot);
        self.set_in_race(&transfer, false);
        match &ended.end {
            end if is_success(end) => self.slots.keeps_pace(&transfer.host, now),
            End::Failed { error, .. } if error.kind().rejection().is_some_and(Rejection::may_be_of_rate) => {
                self.slots.slows_down(&transfer.host, now);
            }
            _ => {}
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
        if job.transfers.is_empty() {
            // Whatever ended it, no trial is in flight any more.
            job.ranges.trial_ended();
        }
        let has_progressed = self.count_brought(now, id, &transfer, &end);
        self.follow_end(now, id, &transfer, end, is_otherwise, has_progressed);
    }

    /// Once one of two racing transfers has ended, the other may be raced again, unless it is redirected and goes on.
    pub(super) fn set_in_race(&mut self, racer: &Transfer, in_race: bool) {
        let Some(job) = self.jobs.get(&racer.job).filter(|_| racer.in_race) else { return };
        for id in &job.transfers {
            if let Some(other) = self.transfers.get_mut(id)
                && other.piece.end() > racer.piece.start()
                && other.piece.start() < racer.piece.end()
            {
                other.in_race = in_race;
            }
        }
    }

    /// Counts the bytes of a transfer. Returns whether it made enough progress to reset the retries.
    fn count_brought(&mut self, now: Time, id: JobId, transfer: &Transfer, end: &End) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let is_success = is_success(end) && !transfer.is_rejected;
        let before = job.content.done.covered();
        job.content.done.insert(transfer.brought());
        let covered = job.content.done.covered();
        if !transfer.brought().is_empty() {
            job.content.answers += 1;
            job.content.requested.get_or_insert(transfer.started);
        }
        // An aborted transfer may have stalled, which says nothing about the next one.
        let rate = transfer.rate_over_all(now).filter(|_| transfer.writes && matches!(end, End::Complete));
        if job.sources.is_many() {
            let is_all = matches!(end, End::Complete) && !is_little(transfer);
            job.sources[transfer.source].brought(transfer.brought(), covered - before, is_all, rate);
        } else {
            let lead = job.lead_mut();
            lead.rate_bps = rate.or(lead.rate_bps);
        }
        let has_progressed = covered >= job.content.high_water_bytes + RENEWING_BYTES_MIN;
        let is_little = matches!(end, End::Complete) && is_little(transfer);
        let is_beginning = matches!(end, End::Complete) && transfer.is_beginning_of(job.content.total_bytes);
        if is_success {
            self.hosts.succeeded_by(&job.own.profile);
        }
        // Where it was redirected to this, the host that did so works too.
        let redirects = job.sources[transfer.source].origin_before_redirects().filter(|_| is_success).cloned();
        if let Some(redirects) = redirects.filter(|_| !is_little && !is_beginning) {
            self.host_recovers(&redirects);
        }
        match has_progressed {
            _ if is_success && !is_little && !is_beginning => self.host_recovers(&transfer.host),
            // The beginning alone: some servers cut each file there.
            true if transfer.is_probe => self.hosts.began(&transfer.host),
            true => self.host_recovers(&transfer.host),
            // It answers, and nothing comes of it.
            false if is_little || is_misfit(end) => {
                self.hosts.failed(&transfer.host, now);
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.tries.is_unpaced = true;
                }
            }
            false => {}
        }
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if has_progressed {
            job.content.high_water_bytes = covered;
            job.ranges.redirect_waits = 0;
            job.tries.comparisons = 0;
            job.tries.refusals = 0;
            job.ranges.was_refused = false;
        }
        has_progressed
    }

    /// A host brings something: what waited because it brought nothing waits no longer.
    pub(super) fn host_recovers(&mut self, host: &Origin) {
        if !self.hosts.succeeded(host) {
            return;
        }
        for id in &self.turns.running {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            if job.lead().host() == host {
                job.tries.failures.wait_no_longer();
            }
            job.sources.all_mut().filter(|source| source.host() == host).for_each(|source| source.wait_no_longer());
        }
    }

    /// Decides what follows an end, by the phase of the job.
    fn follow_end(
        &mut self,
        now: Time,
        id: JobId,
        transfer: &Transfer,
        end: End,
        is_otherwise: bool,
        has_progressed: bool,
    ) {
        match self.jobs[&id].phase {
            Phase::Closing(_) => return self.closed(now, id),
            Phase::Publishing | Phase::Verifying => return,
            Phase::Checking { .. } => return self.check_ended(now, id, transfer, end),
            Phase::Comparing(_) => return self.compare_ended(now, id, transfer, end),
            _ => {}
        }
        if is_otherwise && self.ask_otherwise(id, transfer) {
            return;
        }
        if self.is_optional(id, transfer, &end) {
            return self.optional_failed(now, id, transfer, end);
        }
        let job = &self.jobs[&id];
        match job.phase {
            _ if job.is_sample_of_link(transfer) => self.link_ended(now, id, transfer, end, has_progressed),
            Phase::Moving if self.comes_from_many(job) => self.source_ended(now, id, transfer, end),
            // Its response was not used.
            Phase::Ready if matches!(end, End::Complete) => {}
            _ => self.lead_ended(now, id, transfer, end, has_progressed),
        }
    }

    /// A request to the lead has ended.
    fn lead_ended(&mut self, now: Time, id: JobId, transfer: &Transfer, end: End, has_progressed: bool) {
        if self.is_unchanged(now, id, transfer, &end) {
            return;
        }
        match end {
            End::Complete => self.piece_came(now, id, transfer),
            End::Dropped | End::Gathered(_) | End::Document(_) | End::Checked(_) | End::OtherProtocol { .. } => {}
            End::Redirect(redirect) => self.redirected(now, id, transfer, &redirect),
            End::NotRange(head) => self.not_a_range(now, id, transfer, &head),
            End::WrongRange { head, error } => self.wrong_range(now, id, transfer, &head, error),
            End::NotJoined { head, verdict } => self.not_joined(now, id, transfer, &head, verdict),
            End::OtherOverlap(head) => self.other_overlap(now, id, transfer, &head),
            End::Sampled { same } => self.sampled(now, id, transfer, same),
            End::Unproven(error) => self.unproven(now, id, transfer, error),
            End::Failed { error, retry_after } => {
                self.transfer_failed(now, id, transfer, error, retry_after, has_progressed);
            }
        }
    }

    /// A request is done with its connection. Returns whether it failed over a reused one, which may be the cause.
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
        // Another connection may lead to another server of the host.
        let is_sick = is_of_sick_server(end) && self.slots.is_sick(slot);
        if let Some(worker) = self.slots.give_back(slot, is_reusable && !is_sick, now) {
            self.effects.push(Effect::Work(worker, WorkRequest::CloseSlot(slot)));
        }
        was_kept
    }

    /// A server may count the connections of all its names, or of all who come through one proxy: those that nobody uses
    /// make room for others.
    pub(super) fn make_room(&mut self, idle_since: Time) {
        let closed = self.slots.drop_all_idle(idle_since).into_iter();
        self.effects.extend(closed.map(|(slot, worker)| Effect::Work(worker, WorkRequest::CloseSlot(slot))));
    }

    /// Closes the idle connections to a host.
    pub(super) fn close_idle(&mut self, host: &Origin) {
        let closed = self.slots.drop_idle(host).into_iter();
        self.effects.extend(closed.map(|(slot, worker)| Effect::Work(worker, WorkRequest::CloseSlot(slot))));
    }

    pub(super) fn piece_came(&mut self, now: Time, id: JobId, transfer: &Transfer) {
        let tells_len = transfer.is_probe
            && transfer.writes
            && self.jobs.get(&id).is_some_and(|job| job.content.total_bytes.is_none());
        if tells_len && self.refuses_body(now, id, transfer.piece.position()) {
            return;
        }
        if self.ends_elsewhere(now, id, transfer)
            || self.is_short(id, transfer)
            || self.brought_nothing(now, id, transfer)
        {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.forget_failure(transfer.piece.start());
        job.ranges.ignored = 0;
        if self.is_crumb(now, id, transfer) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if transfer.is_probe && job.content.total_bytes.is_none() && transfer.writes && !job.content.came_in_part {
            let held_to = job.content.done.end();
            if transfer.piece.position() < held_to {
                // It came over what is there, which is of this version.
                job.content.reached_bytes = held_to;
                let error = too_short(job, transfer.piece.position());
                return self.close(now, id, Closing::Fail(error));
            }
            if transfer.piece.position() < job.content.reached_bytes && !job.may_be_shorter(&job.content.held) {
                // What was begun gets its name back.
                job.content.done = RangeSet::new();
                let error = too_short(job, transfer.piece.position());
                return self.close(now, id, Closing::Fail(error));
            }
            // No length was announced: the proper end of the body gives it.
            job.content.total_bytes = Some(transfer.piece.position());
            job.content.held.total_bytes = job.content.total_bytes;
        }
        self.look_whether_whole(now, id);
    }

    /// Whether a body without an announced length has another length than the file.
    fn ends_elsewhere(&mut self, now: Time, id: JobId, transfer: &Transfer) -> bool {
        let position = transfer.piece.position();
        let Some(expected) = transfer.must_end_at.filter(|expected| *expected != position) else { return false };
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        let has = if position > expected { "more".to_owned() } else { position.to_string() };
        let text = format!("the server sends {has} bytes, and the file that was begun has {expected}");
        // Leaves the file incomplete: even what fits may be the beginning of something else.
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

    /// If nothing is missing, aborts the losers of a race and completes the file.
    pub(super) fn look_whether_whole(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(total) = job.content.total_bytes else { return };
        if !matches!(job.phase, Phase::Moving) || !self.snapshot(job).contains(ByteRange::new(0, total)) {
            return;
        }
        match job.transfers.is_empty() {
            true => self.complete(now, id),
            false => self.close(now, id, Closing::Complete),
        }
    }

    /// A body of unknown length ended with its connection, without a TLS close_notify. Only a digest can
    /// prove that it is complete; a second body that is cut at the same offset cannot.
    fn unproven(&mut self, now: Time, id: JobId, transfer: &Transfer, error: Error) {
        let Some(job) = self.jobs.get(&id) else { return };
        match job.promise(self.settings.server_digests) {
            Some(promise) if promise.proves() => self.piece_came(now, id, transfer),
            _ => self.transfer_failed(now, id, transfer, error.with_advice(PROVE), None, false),
        }
    }
}

/// Whether an end shows that the connection served a request.
pub(super) fn was_served(end: &End) -> bool {
    match end {
        End::Dropped | End::OtherProtocol { .. } => false,
        End::Failed { error, .. } => error.kind().rejection().is_some_and(Rejection::shows_life),
        _ => true,
    }
}

/// Whether it is how a server answers that cannot serve anybody.
fn is_of_sick_server(end: &End) -> bool {
    let shows_none = |rejection: Rejection| !rejection.shows_life();
    matches!(end, End::Failed { error, .. } if error.kind().rejection().is_some_and(shows_none))
}

/// Whether a failure may be due to the connection: it stalled or broke, or the server timed it out.
fn is_of_connection(end: &End) -> bool {
    let is_of_it = |kind: ErrorKind| {
        matches!(kind, ErrorKind::Stalled | ErrorKind::Broken) || kind.rejection() == Some(Rejection::TimedOut)
    };
    matches!(end, End::Failed { error, .. } if is_of_it(error.kind()))
}

/// Whether a complete response to a range held next to nothing of it.
fn is_little(transfer: &Transfer) -> bool {
    let FetchKind::Piece { range, .. } = &transfer.kind else { return false };
    let brought = transfer.brought();
    brought.len() < RENEWING_BYTES_MIN && brought.end < range.end
}

impl Transfer {
    /// Whether it brought the beginning of a file of this length alone, in response to a request for all of it.
    fn is_beginning_of(&self, total_bytes: Option<u64>) -> bool {
        let brought = self.brought();
        self.is_probe && !brought.is_empty() && total_bytes.is_some_and(|total_bytes| brought.end < total_bytes)
    }
}

/// Whether a response does not fit what was requested. The whole file for a range is how a server says that it has none.
fn is_misfit(end: &End) -> bool {
    match end {
        End::NotRange(head) => head.shape != Shape::Whole,
        _ => matches!(end, End::WrongRange { .. }),
    }
}

/// Whether everything arrived that was requested. A head alone is no success of its host: the body may never follow. Nor
/// is a sample of what is there: it brings nothing.
fn is_success(end: &End) -> bool {
    matches!(end, End::Complete | End::Gathered(_) | End::Document(_) | End::Checked(_))
}
