//! Who fetches what next: gives connections to jobs that can use them.

use std::sync::Arc;

use super::Core;
use crate::dispatch::job::{Job, Phase, Rate, Segmented, Transfer};
use crate::dispatch::message::{Effect, Fetch, FetchKind, Time};
use crate::dispatch::slots::Wanted;
use crate::event::Event;
use crate::job::JobId;
use crate::plan::piece::{OPEN_END, Piece};
use crate::plan::{Active, Next, TransferId, View};
use crate::ranges::ByteRange;

/// So much of what is there is fetched again where a file has no validator.
const SAMPLE_BYTES: u64 = 64 << 10;
/// What one connection brings within this time is not worth a second one.
const ALONE_SECONDS_MAX: f64 = 1.0;

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
        if job.is_part_open && job.total_bytes.is_some() && !job.done.is_empty() {
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
        let piece = Piece::new(0, OPEN_END);
        if self.send(now, id, FetchKind::Probe, piece).is_none() {
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
        if job.total_bytes.is_none() || job.segmented == Segmented::Refused {
            // Not under a save that is on its way: its journal would claim what is then cut off.
            if is_alone && !job.is_saving {
                self.begin_again_at_zero(id);
            }
            return false;
        }
        if job.needs_sample {
            if is_alone {
                self.sample(now, id);
            }
            return false;
        }
        match job.segmented {
            Segmented::Unknown if is_alone => self.next_piece(now, id, true),
            Segmented::Unknown => self.try_ranges(now, id),
            Segmented::Proven if job.transfers.len() < job.adapt.target() => self.next_piece(now, id, false),
            _ => false,
        }
    }

    /// Without ranges, what came is fetched again from the first byte.
    fn begin_again_at_zero(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.fetched_bytes += job.done.covered().saturating_sub(job.resumed_bytes);
        job.done = crate::ranges::RangeSet::new();
        job.resumed_bytes = 0;
        job.saved_bytes = 0;
        job.phase = Phase::Ready;
    }

    fn sample(&mut self, now: Time, id: JobId) {
        let job = &self.jobs[&id];
        let Some(last) = job.done.iter().next_back() else { return };
        let range = ByteRange::new(last.end.saturating_sub(SAMPLE_BYTES).max(last.start), last.end);
        if job.failures.get(&range.start).is_some_and(|failure| failure.retry_at > now) {
            return;
        }
        let kind = FetchKind::Sample { range, expect: job.validator.clone() };
        let piece = Piece::new(range.start, range.end);
        self.send(now, id, kind, piece);
    }

    /// The first stream runs; asks for one range beside it to see whether that works.
    fn try_ranges(&mut self, now: Time, id: JobId) -> bool {
        let job = &self.jobs[&id];
        let (Some(total), Some(first)) = (job.total_bytes, job.probe.and_then(|probe| self.transfers.get(&probe)))
        else {
            return false;
        };
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
        let kind = self.piece_kind(job, range);
        if self.send(now, id, kind, Piece::new(range.start, range.end)).is_none() {
            return false;
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.segmented = Segmented::Trying;
        }
        false
    }

    /// The next piece by the plan.
    fn next_piece(&mut self, now: Time, id: JobId, is_trial: bool) -> bool {
        let job = &self.jobs[&id];
        let Some(total_bytes) = job.total_bytes else { return false };
        let active: Vec<Active> = job
            .transfers
            .iter()
            .filter_map(|transfer| Some(self.transfers.get(transfer)?.active(*transfer, total_bytes)))
            .collect();
        let held_back: Vec<u64> =
            job.failures.iter().filter(|(_, failure)| failure.retry_at > now).map(|(start, _)| *start).collect();
        let rates: Vec<f64> = active.iter().filter_map(|active| active.rate_bps).collect();
        let rate = (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64);
        let there = self.snapshot(job);
        let view = View {
            total_bytes,
            done: &there,
            active: &active,
            held_back: &held_back,
            connections: job.adapt.target(),
            piece_size_bytes: self.settings.piece_size_bytes,
        };
        let (range, victim, in_race) = match view.next(rate) {
            Next::Fetch(range) => (range, None, false),
            Next::Steal { victim, range } => (range, Some(victim), false),
            Next::Race { victim, range } => (range, Some(victim), true),
            Next::Nothing => return false,
        };
        if is_trial && victim.is_some() {
            return false;
        }
        let kind = self.piece_kind(job, range);
        let Some(transfer) = self.send(now, id, kind, Piece::new(range.start, range.end)) else { return false };
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

    fn piece_kind(&self, job: &Job, range: ByteRange) -> FetchKind {
        let if_range = if job.distrusts_if_range { None } else { job.validator.if_range() };
        FetchKind::Piece { range, if_range, expect: job.validator.clone() }
    }

    /// An answer to a range was right: the first stream gets its share, the rest is free.
    pub(super) fn proven(&mut self, transfer: TransferId) {
        let Some(id) = self.transfers.get(&transfer).map(|transfer| transfer.job) else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.patience = 0;
        job.was_resolved_again = false;
        if job.segmented != Segmented::Trying {
            return;
        }
        job.segmented = Segmented::Proven;
        self.effects.push(Effect::Report(Event::Ranges { job: id, segmented: true }));
        let cut = self.transfers[&transfer].piece.start();
        if let Some(first) = job.probe.and_then(|probe| self.transfers.get(&probe)) {
            first.piece.set_end(cut.max(first.piece.position()));
        }
    }

    /// Takes a connection and sends a request over it.
    fn send(&mut self, now: Time, id: JobId, kind: FetchKind, piece: Piece) -> Option<TransferId> {
        let job = self.jobs.get(&id)?;
        let wanted = match kind {
            FetchKind::Probe => Wanted::Whole,
            _ => Wanted::Own,
        };
        let (taken, closed) = self.slots.take(&job.host, wanted, now)?;
        if let Some((slot, worker)) = closed {
            self.effects.push(Effect::CloseSlot { slot, worker });
        }
        let transfer = TransferId(self.next_transfer);
        self.next_transfer += 1;
        let piece = Arc::new(piece);
        let state = Transfer {
            job: id,
            slot: taken.slot,
            worker: taken.worker,
            host: job.host.clone(),
            url: job.url.clone(),
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
            origin: job.host.clone(),
            url: job.url.clone(),
            is_own_origin: job.host == job.own_origin,
            kind,
            piece,
        };
        self.transfers.insert(transfer, state);
        self.jobs.get_mut(&id)?.transfers.push(transfer);
        self.effects.push(Effect::Fetch(Box::new(fetch)));
        Some(transfer)
    }
}
