//! Gives connections to jobs that can use them, and decides what each one fetches.

use std::sync::Arc;

use url::Url;

use super::Core;
use crate::dispatch::connection_slots::Wanted;
use crate::dispatch::job::{Closing, Doubts, Job, Phase, Segmented, Transfer};
use crate::dispatch::redirect_chain::RedirectChain;
use crate::error::Error;
use crate::event::Event;
use crate::evidence::{Place, samples};
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{Demand, Effect, Fetch, FetchKind, Head, Protocol, Time, WorkRequest};
use crate::plan::piece::Piece;
use crate::plan::{Active, Next, TransferId, View, first_bytes_max};
use crate::ranges::{ByteRange, RangeSet};
use crate::size;

/// After this many range requests in a row that got something else, no more are sent.
pub(super) const RANGE_TRIES: u32 = 3;
/// What one connection can fetch within this time is not worth a second one.
pub(super) const ALONE_SECONDS_MAX: f64 = 1.0;

/// A request for the file of a job.
pub(super) struct Request {
    /// Which of the job's sources is asked.
    pub(super) source: usize,
    pub(super) target: (Url, Origin),
    /// The hosts that have redirected it.
    pub(super) chain: RedirectChain,
    pub(super) kind: FetchKind,
    pub(super) piece: Piece,
}

impl Core {
    /// Sends all requests that a job can use and the caps allow.
    pub(super) fn connect(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        match job.phase {
            Phase::Ready => self.probe(now, id),
            Phase::Moving => while self.fetch_more(now, id) {},
            Phase::Checking { .. } => self.ask_check(now, id),
            Phase::Comparing(_) => self.ask_sample_of_existing(now, id),
            _ => {}
        }
    }

    fn probe(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        if job.retry_at(0) > now {
            return self.fail_with_its_host(now, id);
        }
        let (lead, piece) = (job.sources.lead(), self.whole_piece(job));
        if self.send(now, id, lead, FetchKind::Probe, piece).is_none() {
            return;
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.phase = Phase::Probing;
        }
    }

    /// Sends one more request for a job in progress; false if there is none to send now.
    fn fetch_more(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let is_alone = job.transfers.is_empty();
        if is_alone && job.part.is_open && job.content.is_whole() {
            // Its last transfer broke when nothing was missing, as can happen with an empty file.
            self.complete(now, id);
            return false;
        }
        if job.link.is_doubted() {
            if is_alone {
                self.sample_link(now, id);
            }
            return false;
        }
        if self.comes_from_many(job) {
            return self.fetch_from_many(now, id);
        }
        if job.may_learn_len() {
            if is_alone {
                self.sample(now, id);
            }
            return false;
        }
        if job.content.total_bytes.is_none() || job.ranges.segmented == Segmented::Refused {
            // Not during a save: its journal would claim bytes that are then cut off.
            return is_alone && !job.part.is_saving && self.go_on_without_ranges(now, id);
        }
        if job.ranges.needs_sample {
            if is_alone {
                self.sample(now, id);
            }
            return false;
        }
        if job.demand(self.settings.server_digests).is_none() {
            // Nothing would show that two pieces are of different versions.
            if is_alone {
                self.next_stream(now, id);
            }
            return false;
        }
        let lead = job.sources.lead();
        match job.ranges.segmented {
            Segmented::Unknown if is_alone && job.ranges.trials.retry_at > now => false,
            Segmented::Unknown if is_alone => self.next_piece(now, id, lead, true),
            Segmented::Unknown => {
                self.try_ranges(now, id);
                false
            }
            Segmented::Proven if job.transfers.len() < job.ranges.adapt.target() => {
                self.next_piece(now, id, lead, false)
            }
            _ => false,
        }
    }

    /// Whether several sources send pieces of a file. Before its length is known, and if nothing would show that two
    /// pieces are of different versions, the others only stand by.
    pub(super) fn comes_from_many(&self, job: &Job) -> bool {
        job.sources.is_many()
            && job.content.total_bytes.is_some()
            && self.settings.allowed.reads_back
            && !Self::needs_single_stream(job.tries.restarts)
            && job.demand(self.settings.server_digests).is_some()
    }

    /// Nothing runs, and no range was served. Another server behind the same name may well serve one, so a
    /// range is requested a few more times before everything is fetched from the first byte. True if a range
    /// is to be requested now.
    pub(super) fn go_on_without_ranges(&mut self, now: Time, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let may_ask = job.content.total_bytes.is_some()
            && !job.content.done.is_empty()
            && !job.ranges.are_denied
            && job.ranges.ignored < RANGE_TRIES
            && !Self::needs_single_stream(job.tries.restarts);
        if !may_ask {
            self.begin_again_at_zero(id);
            return false;
        }
        if job.retry_at(0) > now {
            return false;
        }
        job.ranges.segmented = Segmented::Unknown;
        true
    }

    /// Without ranges, everything is fetched again from the first byte. If the length or the version is known, the
    /// existing data stays until a response shows whether it is of the same version.
    pub(super) fn begin_again_at_zero(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Ready;
        match job.is_of_use() {
            true => job.ranges.begins_at_zero = !job.content.done.is_empty(),
            false => job.forget_content(),
        }
    }

    /// Requests the missing data in one stream. If versions cannot be told apart, the existing data
    /// right before it is refetched and compared.
    fn next_stream(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(total_bytes) = job.content.total_bytes else { return };
        let Some(gap) = job.content.done.gaps(total_bytes).next() else { return };
        if job.retry_at(gap.start) > now {
            return;
        }
        let before = job.content.done.iter().find(|range| range.end == gap.start);
        let attempts = job.attempts_at(gap.start);
        let reads_back = self.settings.allowed.reads_back;
        let before = before.filter(|_| reads_back || job.content.held.can_join());
        let Some(overlap) = before.map(|range| match job.content.held.can_join() {
            true if !reads_back => 0,
            // The version is certain: the overlap only shows that the response is the range.
            true => range.len().min(samples::OVERLAP_OF_RANGE_BYTES),
            false => {
                let room = job.ranges.held_by_answer.map_or(u64::MAX, |bytes| bytes / 4);
                samples::overlap_of(range.len(), attempts).min(room.max(samples::OVERLAP_OF_RANGE_BYTES))
            }
        }) else {
            self.begin_again_at_zero(id);
            return;
        };
        // If nothing was ever said about the version, the overlap is all there is.
        let is_checked = job.promise(self.settings.server_digests).is_some_and(|promise| promise.proves());
        let demand = match &job.content.held {
            held if held.is_silent() => Demand::NotDifferent,
            // The digest is checked in the end; responses to ranges need not repeat it.
            held if is_checked && !held.is_named_by_ranges() => Demand::NotDifferent,
            held if held.can_join() => Demand::Same,
            _ => Demand::SameWeakly,
        };
        let lead = job.sources.lead();
        let kind = FetchKind::Piece {
            range: gap,
            overlap_bytes: overlap,
            if_range: if job.lead().distrusts_if_range { None } else { job.content.held.if_range() },
            expect: Arc::new(job.content.held.clone()),
            demand,
        };
        self.send(now, id, lead, kind, Piece::new(gap.start, gap.end));
    }

    /// A file's host fails everybody. A file that has failed once goes behind the files that were not
    /// requested yet, once: one of them may show that the host is alive.
    pub(super) fn leave_to_host(&mut self, now: Time, id: JobId, attempts: u32, error: Error) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let others = self.turns.waiting.len_of(|host| *host == *job.lead().host());
        if attempts > 1 || job.tries.put_behind.is_some() || others == 0 {
            return self.give_up(now, id, error.with_attempts(attempts));
        }
        job.tries.put_behind = Some(error);
        self.close(now, id, Closing::Requeue);
    }

    /// Gives up the source of a file that was put behind the others of its host, if none of them got anything. Returns
    /// whether the start ends here: if the file has another source, it starts with that, from what the disk has.
    pub(super) fn fails_behind(&mut self, now: Time, id: JobId) -> bool {
        let Some(job) = self.jobs.get(&id) else { return true };
        let Some(error) = job
            .tries
            .put_behind
            .clone()
            .filter(|_| self.hosts.is_given_up(job.lead().host(), &job.own.profile, 1, now))
        else {
            return false;
        };
        self.give_up(now, id, error.with_attempts(1));
        let starts_with_mirror =
            self.jobs.get(&id).is_some_and(|job| matches!(job.phase, Phase::Ready) && !job.part.is_open);
        !starts_with_mirror
    }

    /// Files do not wait one by one for a host that fails everybody.
    fn fail_with_its_host(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        // Waits for `Retry-After` count too.
        let attempts = job.attempts_at(0) + job.lead().patience;
        if !self.hosts.is_given_up(job.lead().host(), &job.own.profile, attempts, now) {
            return;
        }
        if let Some(error) = job.tries.last_error.clone() {
            self.leave_to_host(now, id, attempts, error);
        }
    }

    pub(super) fn sample(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(there) = job.content.done.iter().max_by_key(|range| range.len()) else { return };
        // The version decides, and the sample shows the length.
        let is_known = job.may_learn_len() && !job.ranges.needs_sample && job.content.held.can_join();
        let range = if is_known { samples::little_end_of(there) } else { samples::end_of(there) };
        if job.retry_at(range.start) > now {
            return;
        }
        let kind = FetchKind::Sample { range, expect: Arc::new(job.content.held.clone()), is_of_part: true };
        let (lead, piece) = (job.sources.lead(), Piece::new(range.start, range.end));
        self.send(now, id, lead, kind, piece);
    }

    /// The first stream runs: requests one range beside it to see whether that works. If the server offers ranges and
    /// names the version, and the user wants so many connections, the others do not wait for that.
    pub(super) fn try_ranges(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        if self.trials_of(job).next().is_some() {
            // An earlier trial has not ended yet.
            return;
        }
        let (Some(total), Some(first)) =
            (job.content.total_bytes, job.answer.probe.and_then(|probe| self.transfers.get(&probe)))
        else {
            return;
        };
        let is_over = job.ranges.trials.retry_at > now;
        let Some(demand) = job.demand(self.settings.server_digests).filter(|_| !is_over) else { return };
        let piece_size = self.settings.piece_size_bytes;
        let position = first.piece.position();
        // Unless the user set the number, more connections must be worth it: they are not if the first
        // one needs less than a second.
        let is_slow = |rate: f64| (total.saturating_sub(position)) as f64 > rate * ALONE_SECONDS_MAX;
        let is_worth_it = job.ranges.adapt.is_exact() || first.rate.bps().is_some_and(is_slow);
        let is_large = total.saturating_sub(position) >= 2 * piece_size && job.ranges.adapt.target() > 1;
        if !is_large || !is_worth_it {
            return;
        }
        let share = (total / job.ranges.adapt.planned() as u64).max(piece_size);
        let start = share.max(position + piece_size / 2).min(total - piece_size / 2);
        let grain = self.settings.allowed.piece_grain_bytes.max(1);
        let start = start.next_multiple_of(grain);
        let trials_at_once = if self.tries_ranges_at_once(job) { job.ranges.adapt.target() - 1 } else { 1 };
        let lead = job.sources.lead();
        let most = first_bytes_max(piece_size, job.sources.is_many());
        let length = share.min(most).next_multiple_of(grain);
        for start in (0..trials_at_once as u64).map(|trial| start.saturating_add(trial.saturating_mul(length))) {
            if start >= total {
                break;
            }
            let end = start.saturating_add(length);
            let end = if total.saturating_sub(end) < piece_size { total } else { end };
            let kind = piece_kind(&self.jobs[&id], lead, ByteRange::new(start, end), demand);
            if self.send(now, id, lead, kind, Piece::new(start, end)).is_none() {
                break;
            }
            if let Some(job) = self.jobs.get_mut(&id) {
                job.ranges.segmented = Segmented::Trying;
            }
            if end >= total {
                break;
            }
        }
    }

    /// The pieces that the lead is asked for beside its first stream.
    pub(super) fn trials_of<'a>(&'a self, job: &'a Job) -> impl Iterator<Item = &'a Transfer> {
        let transfers = job.transfers.iter().filter_map(|transfer| self.transfers.get(transfer));
        let is_piece = |transfer: &&Transfer| matches!(transfer.kind, FetchKind::Piece { .. });
        transfers.filter(is_piece).filter(|transfer| transfer.source == job.sources.lead())
    }

    /// Whether the first trial of ranges is one for each connection. Mirrors would get none of them. Pieces come over
    /// HTTP/1.1, and nobody knows whether a host that has answered over HTTP/2 serves that.
    fn tries_ranges_at_once(&self, job: &Job) -> bool {
        let has_failed = job.ranges.trials.attempts > 0 || job.lead().distrusts_if_range;
        let is_likely = job.ranges.are_offered && job.content.held.has_strong_tag();
        let is_of_http1 = job.answer.protocol == Some(Protocol::Http1);
        is_likely && is_of_http1 && !has_failed && job.ranges.adapt.is_exact() && !job.sources.is_many()
    }

    /// Requests the plan's next piece from this source.
    pub(super) fn next_piece(&mut self, now: Time, id: JobId, source: usize, is_trial: bool) -> bool {
        let job = &self.jobs[&id];
        let Some(total_bytes) = job.content.total_bytes else { return false };
        // A mirror's bytes are identified by what it reports itself, and by the sample with which it joined.
        let demand = match job.demand(self.settings.server_digests) {
            Some(demand) => demand,
            None if job.sources.is_many() => Demand::NotDifferent,
            None => return false,
        };
        let active: Vec<Active> = job
            .transfers
            .iter()
            .filter_map(|transfer| Some((*transfer, self.transfers.get(transfer)?)))
            .filter(|(_, state)| state.writes)
            .map(|(transfer, state)| state.active(transfer, total_bytes))
            .collect();
        // What one source did not serve, another may.
        let is_lead = source == job.sources.lead();
        let held_back = if is_lead { job.tries.failures.waiting(now) } else { Vec::new() };
        let rate = self.rate_of(job, source);
        let there = self.snapshot(job);
        let view = View {
            total_bytes,
            done: &there,
            active: &active,
            held_back: &held_back,
            connections: job.connections_max().max(job.ranges.adapt.planned()),
            piece_size_bytes: self.settings.piece_size_bytes,
            has_mirrors: job.sources.is_many(),
            allowed: self.settings.allowed,
        };
        let (range, victim, in_race) = match view.next(rate) {
            Next::Fetch(range) => (range, None, false),
            Next::Steal { victim, range } => (range, Some(victim), false),
            Next::Race { .. } if job.ranges.trials.retry_at > now => return false,
            Next::Race { victim, range } => (range, Some(victim), true),
            Next::Nothing => return false,
        };
        if is_trial && victim.is_some() && !job.sources.is_many() {
            return false;
        }
        let mut kind = piece_kind(job, source, range, demand);
        if self.settings.allowed.reads_back {
            compare_before(&mut kind, &job.content.done);
        }
        let Some(transfer) = self.send(now, id, source, kind, Piece::new(range.start, range.end)) else { return false };
        if let Some(victim) = victim.and_then(|victim| self.transfers.get_mut(&victim)) {
            victim.in_race |= in_race;
            if !in_race {
                victim.piece.shorten(range.start);
            }
        }
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.in_race = in_race;
        }
        if let (true, Some(job)) = (is_trial, self.jobs.get_mut(&id)) {
            job.ranges.segmented = Segmented::Trying;
        }
        !is_trial
    }

    /// The response to a range was right: the first stream gets its share, the rest is free.
    pub(super) fn proven(&mut self, transfer: TransferId, head: &Head) {
        let Some(state) = self.transfers.get(&transfer) else { return };
        let (id, source) = (state.job, state.source);
        self.slots.served(state.slot);
        self.hosts.served_range(&state.host);
        if let FetchKind::Piece { overlap_bytes: overlap @ 1.., .. } = &state.kind {
            let again = size::bytes(*overlap);
            self.remark(id, format!("the last {again} were fetched again and are the same: it goes on behind them"));
        }
        let Some(state) = self.transfers.get(&transfer) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.answer.protocol = Some(head.protocol);
        if source != job.sources.lead() {
            if job.ranges.told_segmented.replace(true) != Some(true) {
                self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: true }));
            }
            return;
        }
        let lead = job.lead_mut();
        (lead.patience, lead.was_resolved_again) = (0, false);
        job.tries.doubts = Doubts::default();
        job.tries.left_to_others = 0;
        job.content.held.place = job.content.held.place.or(head.evidence.place);
        job.content.held.learn_digest(&head.evidence);
        if job.transfers.len() == 1 && state.url != *job.lead().url() {
            // It was redirected while nothing else ran, and has shown that the file is there.
            job.lead_mut().go_to((state.url.clone(), state.host.clone()));
        }
        if job.ranges.segmented != Segmented::Trying {
            return;
        }
        job.ranges.segmented = Segmented::Proven;
        if job.ranges.told_segmented.replace(true) != Some(true) {
            self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: true }));
        }
        let job = &self.jobs[&id];
        let Some(cut) = self.trials_of(job).map(|trial| trial.piece.start()).min() else { return };
        if let Some(first) = job.answer.probe.and_then(|probe| self.transfers.get(&probe)) {
            first.piece.shorten(cut.max(first.piece.position()).min(first.piece.end()));
        }
    }

    /// Takes a connection to a source and sends a request over it.
    pub(super) fn send(
        &mut self,
        now: Time,
        id: JobId,
        source: usize,
        kind: FetchKind,
        piece: Piece,
    ) -> Option<TransferId> {
        if let Some(redirect) = self.jobs.get_mut(&id)?.pending_redirects.take(now, source, piece.start(), &kind) {
            return self.follow_redirect(now, id, redirect, kind, piece);
        }
        let source_of = &self.jobs.get(&id)?.sources[source];
        if source_of.needs_location(now) {
            self.locate(now, id, source);
            return None;
        }
        let (url, host) = (source_of.url(), source_of.host());
        let place = (url.clone(), host.clone());
        let request = Request { source, target: place, chain: RedirectChain::default(), kind, piece };
        let sent = self.send_to(now, id, request)?;
        self.jobs.get_mut(&id)?.sources[source].use_location();
        Some(sent)
    }

    /// The same, where its target is known. A redirected request is no other request than the one that was allowed.
    pub(super) fn send_to(&mut self, now: Time, id: JobId, request: Request) -> Option<TransferId> {
        let Request { source, target: (url, host), chain, kind, piece } = request;
        let job = self.jobs.get(&id)?;
        let wanted = match kind {
            FetchKind::Probe if job.tries.keeps_apart => Wanted::Apart,
            // What waits unread would hold up the other files of a shared connection.
            FetchKind::Probe if job.own.is_limited() => Wanted::Own,
            // A check has no body: it goes over any connection.
            FetchKind::Probe | FetchKind::Check { .. } => Wanted::Whole,
            _ => Wanted::Own,
        };
        if self.hosts.held_until(&host) > now {
            return None;
        }
        // Nobody waits for a source beside the lead.
        let is_beside = source != job.sources.lead() && self.hosts.is_paced(&host);
        let is_of_content = matches!(kind, FetchKind::Probe | FetchKind::Piece { .. });
        let is_again = is_of_content && job.sources[source].was_requested && job.transfers.is_empty();
        let is_unpaced = job.tries.is_unpaced || is_beside || is_again && self.hosts.is_asked_too_often(&host);
        if is_unpaced && chain.is_empty() && !self.hosts.may_ask_again(&host, now) {
            return None;
        }
        let profile = job.own.profile.clone();
        if job.tries.wants_new_connection {
            self.close_idle(&host);
        }
        let (taken, closed) = self.slots.take(&host, &profile, wanted, now)?;
        if let Some((slot, worker)) = closed {
            self.effects.push(Effect::Work(worker, WorkRequest::CloseSlot(slot)));
        }
        if is_unpaced {
            self.hosts.asks_again(&host, now);
            self.jobs.get_mut(&id)?.tries.is_unpaced = false;
        }
        if is_again && chain.is_empty() {
            self.hosts.counts_again(&host);
        }
        self.jobs.get_mut(&id)?.sources[source].was_requested |= is_of_content;
        let job = self.jobs.get(&id)?;
        let transfer = self.numbers.transfer();
        let piece = Arc::new(piece);
        let place = (url.clone(), host.clone());
        let mut state = Transfer::new(now, (id, source), (taken.slot, taken.worker), place, &kind, &piece);
        (state.location, state.chain) = (job.sources[source].locations, chain);
        let fetch = Fetch {
            transfer,
            job: id,
            slot: taken.slot,
            alpn: taken.alpn,
            origin: host.clone(),
            given: (url != job.sources[source].given).then(|| Box::new(job.sources[source].given.clone())),
            place: job.sources[source].is_provided.then(|| Place::of(&job.sources[source].given, true)),
            headers: job.headers_for(source, &host),
            limits: self.limits.of(&host, job.own.limit.as_ref()),
            profile,
            span: tracing::debug_span!(parent: &job.own.span, "transfer", id = transfer.0, slot = taken.slot.0, %host),
            cookie: job.own.cookies.header(&url),
            newer_than: self.newer_than(job, &kind),
            url,
            is_own_origin: host == *job.own_origin(),
            keeps_credentials: host == job.sources[source].own_origin,
            kind,
            piece,
        };
        self.transfers.insert(transfer, state);
        let job = self.jobs.get_mut(&id)?;
        job.transfers.push(transfer);
        job.tries.wants_new_connection = false;
        self.effects.push(Effect::Work(taken.worker, WorkRequest::Fetch(Box::new(fetch))));
        Some(transfer)
    }
}

/// The request for a range from this source; the response must be of the version that it had.
fn piece_kind(job: &Job, source: usize, range: ByteRange, demand: Demand) -> FetchKind {
    let (asked, is_lead) = (&job.sources[source], source == job.sources.lead());
    let evidence = if is_lead { job.content.held.clone() } else { asked.told.clone().unwrap_or_default() };
    // A mirror that reports no version has joined by a sample, which is all there is.
    let demand = if is_lead || evidence.can_join() { demand } else { Demand::NotDifferent };
    let if_range = if asked.distrusts_if_range { None } else { evidence.if_range() };
    FetchKind::Piece { range, overlap_bytes: 0, if_range, expect: Arc::new(evidence), demand }
}

/// Where nothing names the version, the bytes before a range are compared, if they are here: a digest shows that some
/// are wrong, but not which.
fn compare_before(kind: &mut FetchKind, done: &RangeSet) {
    if let FetchKind::Piece { range, overlap_bytes, demand: Demand::NotDifferent, .. } = kind {
        let before = done.iter().find(|held| held.end == range.start);
        *overlap_bytes = before.map_or(0, |held| held.len().min(samples::OVERLAP_OF_RANGE_BYTES));
    }
}
