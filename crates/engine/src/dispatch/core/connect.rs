//! Who fetches what next: gives connections to jobs that can use them.

use std::sync::Arc;

use super::Core;
use crate::dispatch::job::{Failures, Job, Phase, Rate, Segmented, Transfer};
use crate::dispatch::message::{Effect, Fetch, FetchKind, Time};
use crate::dispatch::slots::Wanted;
use crate::event::Event;
use crate::job::JobId;
use crate::plan::piece::Piece;
use crate::plan::{Active, Next, TransferId, View};
use crate::ranges::ByteRange;

/// So much of what is there is fetched again where a file has no validator.
pub(super) const SAMPLE_BYTES: u64 = 64 << 10;
/// So many ranges in a row may be answered with something else before none is asked for any more.
pub(super) const RANGE_TRIES: u32 = 3;
/// What one connection brings within this time is not worth a second one.
pub(super) const ALONE_SECONDS_MAX: f64 = 1.0;

impl Core {
    /// Sends what requests the running jobs can use and the caps allow.
    pub(super) fn connect_all(&mut self, now: Time) {
        let mut active = self.active();
        for at in 0..self.running.len() {
            let Some(id) = self.running.get(at).copied() else { break };
            if !matches!(self.jobs[&id].phase, Phase::Ready) {
                self.connect(now, id);
            } else if active < self.settings.jobs {
                self.take_place(now, id);
                active += usize::from(!matches!(self.jobs[&id].phase, Phase::Ready));
            }
        }
    }

    /// A prepared job and a free place: go on with what an earlier run left, or ask for the file.
    fn take_place(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.is_part_open && job.total_bytes.is_some() && !job.done.is_empty() && !job.begins_at_zero {
            job.phase = Phase::Moving;
            let event = Event::Answered {
                job: id,
                url: job.shown_url(),
                path: job.path.clone(),
                total_bytes: job.total_bytes,
                resumed_bytes: job.resumed_bytes,
                protocol: job.protocol.name(),
            };
            self.effects.push(Effect::Report(event));
        }
        self.connect(now, id);
    }

    fn connect(&mut self, now: Time, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        match job.phase {
            Phase::Ready => self.probe(now, id),
            Phase::Moving => while self.fetch_more(now, id) {},
            _ => {}
        }
    }

    fn probe(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        if job.failures.get(&0).is_some_and(|failure| failure.retry_at > now) {
            return;
        }
        let (lead, piece) = (job.sources.lead(), self.whole_piece());
        if self.send(now, id, lead, FetchKind::Probe, piece).is_none() {
            return;
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.phase = Phase::Probing;
            job.answer = None;
            job.whole = None;
        }
    }

    /// One more request for a job whose bytes come; false if there is none to send now.
    fn fetch_more(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let is_alone = job.transfers.is_empty();
        if is_alone && job.is_part_open && job.is_whole() {
            // Its last transfer broke when nothing was missing any more, as that of an empty file can.
            self.complete(now, id);
            return false;
        }
        if job.link.is_doubted() {
            if is_alone {
                self.sample_link(now, id);
            }
            return false;
        }
        if job.total_bytes.is_some() && job.sources.is_many() && !Self::needs_single_stream(job.restarts) {
            return self.fetch_from_many(now, id);
        }
        if job.total_bytes.is_none() || job.segmented == Segmented::Refused {
            // Not under a save that is on its way: its journal would claim what is then cut off.
            return is_alone && !job.is_saving && self.go_on_without_ranges(now, id);
        }
        if job.needs_sample {
            if is_alone {
                self.sample(now, id);
            }
            return false;
        }
        let lead = job.sources.lead();
        match job.segmented {
            Segmented::Unknown if is_alone => self.next_piece(now, id, lead, true),
            Segmented::Unknown => self.try_ranges(now, id),
            // One piece after the other, each behind a sample, where nothing tells versions apart.
            Segmented::Proven if !is_alone && !job.validator.can_tell_versions() => false,
            Segmented::Proven if job.transfers.len() < job.adapt.target() => self.next_piece(now, id, lead, false),
            _ => false,
        }
    }

    /// Nothing runs, and no range was served. Some of the servers behind a name may well serve them,
    /// so that one is asked for a few times before everything is fetched from the first byte; true
    /// if that is to be done now.
    pub(super) fn go_on_without_ranges(&mut self, now: Time, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let may_ask = job.total_bytes.is_some()
            && !job.done.is_empty()
            && !job.says_no_ranges
            && job.ignored_ranges < RANGE_TRIES
            && !Self::needs_single_stream(job.restarts);
        if !may_ask {
            self.begin_again_at_zero(id);
            return false;
        }
        if job.failures.get(&0).is_some_and(|failure| failure.retry_at > now) {
            return false;
        }
        job.segmented = Segmented::Unknown;
        true
    }

    /// Without ranges, what came is fetched again from the first byte. If the length is known, it
    /// stays until an answer tells whether it is of the same version.
    fn begin_again_at_zero(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.phase = Phase::Ready;
        match job.total_bytes {
            Some(_) => job.begins_at_zero = !job.done.is_empty(),
            None => job.forget_content(),
        }
    }

    pub(super) fn sample(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(there) = job.done.iter().max_by_key(|range| range.len()) else { return };
        let range = sample_of(there);
        if job.failures.get(&range.start).is_some_and(|failure| failure.retry_at > now) {
            return;
        }
        let kind = FetchKind::Sample { range, expect: job.validator.clone() };
        let (lead, piece) = (job.sources.lead(), Piece::new(range.start, range.end));
        self.send(now, id, lead, kind, piece);
    }

    /// The first stream runs; asks for one range beside it to see whether that works.
    pub(super) fn try_ranges(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let (Some(total), Some(first)) = (job.total_bytes, job.probe.and_then(|probe| self.transfers.get(&probe)))
        else {
            return false;
        };
        if !job.validator.can_tell_versions() {
            // Nothing would show that two pieces are of two versions.
            return false;
        }
        let piece_size = self.settings.piece_size_bytes;
        let position = first.piece.position();
        // Unless the user said how many, more connections have to be worth it: what the first one
        // brings within a second is not.
        let is_slow = |rate: f64| (total.saturating_sub(position)) as f64 > rate * ALONE_SECONDS_MAX;
        let is_worth_it = job.adapt.is_exact() || first.rate.bps().is_some_and(is_slow);
        let is_large = total.saturating_sub(position) >= 2 * piece_size && job.adapt.target() > 1;
        if !is_large || !is_worth_it {
            return false;
        }
        let share = (total / job.adapt.target() as u64).max(piece_size);
        let start = share.max(position + piece_size / 2).min(total - piece_size / 2);
        let range = ByteRange::new(start, (start + 4 * piece_size).min(total));
        if job.failures.get(&start).is_some_and(|failure| failure.retry_at > now) {
            return false;
        }
        let lead = job.sources.lead();
        let kind = piece_kind(job, lead, range);
        if self.send(now, id, lead, kind, Piece::new(range.start, range.end)).is_none() {
            return false;
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.segmented = Segmented::Trying;
        }
        false
    }

    /// The next piece by the plan, from this source.
    pub(super) fn next_piece(&mut self, now: Time, id: JobId, source: usize, is_trial: bool) -> bool {
        let job = &self.jobs[&id];
        let Some(total_bytes) = job.total_bytes else { return false };
        let active: Vec<Active> = job
            .transfers
            .iter()
            .filter_map(|transfer| Some((*transfer, self.transfers.get(transfer)?)))
            .filter(|(_, state)| state.writes)
            .map(|(transfer, state)| state.active(transfer, total_bytes))
            .collect();
        // What one source did not serve, another may.
        let is_held = |failure: &Failures| failure.retry_at > now && source == job.sources.lead();
        let held_back: Vec<u64> =
            job.failures.iter().filter(|(_, failure)| is_held(failure)).map(|(start, _)| *start).collect();
        let rate = self.rate_of(job, source);
        let there = self.snapshot(job);
        let view = View {
            total_bytes,
            done: &there,
            active: &active,
            held_back: &held_back,
            connections: job.connections_max(),
            piece_size_bytes: self.settings.piece_size_bytes,
        };
        let (range, victim, in_race) = match view.next(rate) {
            Next::Fetch(range) => (range, None, false),
            Next::Steal { victim, range } => (range, Some(victim), false),
            Next::Race { victim, range } => (range, Some(victim), true),
            Next::Nothing => return false,
        };
        if is_trial && victim.is_some() && !job.sources.is_many() {
            return false;
        }
        let kind = piece_kind(job, source, range);
        let Some(transfer) = self.send(now, id, source, kind, Piece::new(range.start, range.end)) else { return false };
        if let Some(victim) = victim.and_then(|victim| self.transfers.get_mut(&victim)) {
            victim.in_race |= in_race;
            if !in_race {
                victim.piece.set_end(range.start);
            }
        }
        if let Some(state) = self.transfers.get_mut(&transfer) {
            state.in_race = in_race;
        }
        if let (true, Some(job)) = (is_trial, self.jobs.get_mut(&id)) {
            job.segmented = Segmented::Trying;
        }
        !is_trial
    }

    /// An answer to a range was right: the first stream gets its share, the rest is free.
    pub(super) fn proven(&mut self, transfer: TransferId) {
        let Some((id, source)) = self.transfers.get(&transfer).map(|transfer| (transfer.job, transfer.source)) else {
            return;
        };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if source != job.sources.lead() {
            if job.told_segmented.replace(true) != Some(true) {
                self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: true }));
            }
            return;
        }
        job.patience = 0;
        job.was_resolved_again = false;
        job.ignored_ranges = 0;
        if job.segmented != Segmented::Trying {
            return;
        }
        job.segmented = Segmented::Proven;
        if job.told_segmented.replace(true) != Some(true) {
            self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: true }));
        }
        let cut = self.transfers[&transfer].piece.start();
        if let Some(first) = job.probe.and_then(|probe| self.transfers.get(&probe)) {
            first.piece.set_end(cut.max(first.piece.position()).min(first.piece.end()));
        }
        let has_validator = job.validator.etag.is_some() || job.validator.last_modified.is_some();
        if !has_validator && job.spec.checksum.is_none() {
            let text = "the server gives the file neither an entity tag nor a date: that all pieces are of one \
                        version cannot be checked, only that its length stays the same";
            self.warn(Some(id), text.to_owned());
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
        let job = self.jobs.get(&id)?;
        let (url, host) = job.place_of(source);
        let wanted = match kind {
            FetchKind::Probe => Wanted::Whole,
            _ => Wanted::Own,
        };
        let (taken, closed) = self.slots.take(host, wanted, now)?;
        if let Some((slot, worker)) = closed {
            self.effects.push(Effect::CloseSlot { slot, worker });
        }
        let transfer = TransferId(self.next_transfer);
        self.next_transfer += 1;
        let piece = Arc::new(piece);
        let state = Transfer {
            started: now,
            job: id,
            slot: taken.slot,
            worker: taken.worker,
            host: host.clone(),
            source,
            url: url.clone(),
            had_if_range: matches!(kind, FetchKind::Piece { if_range: Some(_), .. }),
            head: None,
            piece: Arc::clone(&piece),
            is_probe: matches!(kind, FetchKind::Probe),
            in_race: false,
            written_back: piece.start(),
            writes: matches!(kind, FetchKind::Piece { .. }),
            rate: Rate::default(),
        };
        let fetch = Fetch {
            transfer,
            job: id,
            worker: taken.worker,
            slot: taken.slot,
            alpn: taken.alpn,
            origin: host.clone(),
            url: url.clone(),
            is_own_origin: *host == job.own_origin,
            keeps_credentials: host == job.sources.get(source).map_or(&job.own_origin, |source| &source.own_origin),
            kind,
            piece,
        };
        self.transfers.insert(transfer, state);
        self.jobs.get_mut(&id)?.transfers.push(transfer);
        self.effects.push(Effect::Fetch(Box::new(fetch)));
        Some(transfer)
    }
}

/// The request for a range of this source, whose answer must be of the version that it had.
fn piece_kind(job: &Job, source: usize, range: ByteRange) -> FetchKind {
    let mirror = job.sources.get(source).filter(|_| source != job.sources.lead());
    let (validator, distrusts_if_range) = match mirror {
        Some(mirror) => (mirror.validator.clone().unwrap_or_default(), mirror.distrusts_if_range),
        None => (job.validator.clone(), job.distrusts_if_range),
    };
    let if_range = if distrusts_if_range { None } else { validator.if_range() };
    FetchKind::Piece { range, if_range, expect: validator }
}

/// The part of what is there that is compared with what a server sends: its end, for what stands at
/// the beginning of a file is often the same in many.
pub(super) fn sample_of(there: ByteRange) -> ByteRange {
    ByteRange::new(there.end.saturating_sub(SAMPLE_BYTES).max(there.start), there.end)
}
