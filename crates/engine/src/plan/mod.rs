//! Which connection fetches which piece. Pure: from the existing data, the pieces in flight and their rates,
//! it decides what an idle connection does next.
//!
//! There are three choices, in this order. *Fetch* a free gap, in pieces of at most half a minute. *Steal* the
//! tail of the piece that would finish last, cut so that both finish together. *Race* it: at the very end,
//! fetch the same bytes once more, so that one slow connection cannot hold up the file.

pub(crate) mod piece;

use crate::ranges::{ByteRange, RangeSet};
use crate::storage::Capabilities;

/// Identifies a transfer: one request and its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransferId(pub(crate) u64);

/// A piece takes at most about this long at its connection's rate. Each request costs a round trip.
const PIECE_SECONDS: f64 = 30.0;
/// The same if there are mirrors: one that waits or joins late finds a connection free.
const PIECE_SECONDS_BESIDE_MIRRORS: f64 = 8.0;
/// Less remaining data than this is not split further.
const STEAL_BYTES_MIN: u64 = 512 << 10;
/// A piece that finishes within this time is not split.
const STEAL_SECONDS_MIN: f64 = 0.5;
/// A piece that finishes within this time is not raced.
const RACE_SECONDS_MIN: f64 = 0.25;
/// A race fetches no more than this a second time.
const RACE_BYTES_MAX: u64 = 4 << 20;
/// The largest piece for a connection whose rate is still unknown. A further request costs a round trip, and what turns
/// out to be too much is shared out again.
const FIRST_BYTES_MAX: u64 = 64 << 20;
/// The same if there are mirrors, in units of the smallest piece.
const FIRST_PIECES_BESIDE_MIRRORS: u64 = 4;

/// A piece in flight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Active {
    /// The transfer that fetches it.
    pub(crate) transfer: TransferId,
    /// The next byte to fetch.
    pub(crate) position: u64,
    /// One past its last byte.
    pub(crate) end: u64,
    /// Bytes per second, once known.
    pub(crate) rate_bps: Option<f64>,
    /// The stream of the first request: cutting it costs its connection.
    pub(crate) is_first: bool,
    /// Whether it is already one side of a race.
    pub(crate) in_race: bool,
}

impl Active {
    fn left(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    fn seconds_left(&self) -> f64 {
        match self.rate_bps {
            Some(rate) if rate >= 1.0 => self.left() as f64 / rate,
            Some(_) => f64::INFINITY,
            None => 0.0,
        }
    }
}

/// What an idle connection should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Fetch this free range.
    Fetch(ByteRange),
    /// Cut `victim` at the range's start and fetch the rest.
    Steal { victim: TransferId, range: ByteRange },
    /// Fetch the same bytes as `victim`; the first to finish wins.
    Race { victim: TransferId, range: ByteRange },
    /// Nothing to do.
    Nothing,
}

/// The input of the decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Length of the file.
    pub(crate) total_bytes: u64,
    /// The existing data, including what running transfers have fetched.
    pub(crate) done: &'a RangeSet,
    /// The pieces in flight.
    pub(crate) active: &'a [Active],
    /// Gaps that wait for a retry, by their start.
    pub(crate) held_back: &'a [u64],
    /// How many connections the file should have.
    pub(crate) connections: usize,
    /// Smallest piece worth a connection.
    pub(crate) piece_size_bytes: u64,
    /// Whether the file has several sources.
    pub(crate) has_mirrors: bool,
    /// What the destination allows of pieces.
    pub(crate) allowed: Capabilities,
}

/// The largest piece for a connection whose rate is unknown.
pub(crate) fn first_bytes_max(piece_size_bytes: u64, has_mirrors: bool) -> u64 {
    match has_mirrors {
        true => piece_size_bytes.saturating_mul(FIRST_PIECES_BESIDE_MIRRORS),
        false => FIRST_BYTES_MAX,
    }
}

impl View<'_> {
    /// What a connection with this rate, if known, should do next.
    pub(crate) fn next(&self, rate_bps: Option<f64>) -> Next {
        if let Some(range) = self.free_piece(rate_bps) {
            return Next::Fetch(range);
        }
        self.share(rate_bps)
    }

    /// Bytes that are neither fetched nor in flight.
    pub(crate) fn free(&self) -> RangeSet {
        let mut free: RangeSet = self.done.gaps(self.total_bytes).collect();
        for active in self.active {
            free.remove(ByteRange::new(active.position, active.end));
        }
        free
    }

    fn free_piece(&self, rate_bps: Option<f64>) -> Option<ByteRange> {
        let free = self.free();
        let gap = free.iter().find(|gap| !self.held_back.contains(&gap.start))?;
        // Those that have a piece already take no part of what is free: equal shares end together. A mirror may still
        // join.
        let busy = if self.has_mirrors { 0 } else { self.active.len() };
        let share = free.covered() / self.connections.saturating_sub(busy).max(1) as u64;
        let wanted = match rate_bps {
            Some(rate) if self.has_mirrors => (rate * PIECE_SECONDS_BESIDE_MIRRORS) as u64,
            Some(rate) => (rate * PIECE_SECONDS) as u64,
            None => first_bytes_max(self.piece_size_bytes, self.has_mirrors),
        };
        let length = wanted.min(share).max(self.piece_size_bytes);
        // A tiny remainder at the end of the gap would cost a request of its own.
        let length = if gap.len() < length + self.piece_size_bytes / 2 { gap.len() } else { length };
        let end = self.grain_from(gap.start + length).min(gap.end);
        let length = end - gap.start;
        Some(ByteRange::new(gap.start, gap.start + length))
    }

    /// Helps the piece that would finish last; the first stream is helped last.
    fn share(&self, rate_bps: Option<f64>) -> Next {
        let last = |first: bool| {
            self.active
                .iter()
                .filter(|active| active.is_first == first && !active.in_race && active.left() > 0)
                .max_by(|a, b| a.seconds_left().total_cmp(&b.seconds_left()))
        };
        for victim in [last(false), last(true)].into_iter().flatten() {
            match share_with(victim, rate_bps) {
                Next::Steal { victim, range } => {
                    let start = self.grain_from(range.start);
                    if start < range.end {
                        return Next::Steal { victim, range: ByteRange::new(start, range.end) };
                    }
                }
                Next::Race { .. } if !self.allowed.overlapping_writes => {}
                Next::Nothing => {}
                next => return next,
            }
        }
        Next::Nothing
    }

    /// Where the next piece may begin, from here on.
    fn grain_from(&self, offset: u64) -> u64 {
        offset.next_multiple_of(self.allowed.piece_grain_bytes.max(1))
    }
}

fn share_with(victim: &Active, rate_bps: Option<f64>) -> Next {
    let seconds_left = victim.seconds_left();
    let left = victim.left();
    let theirs = victim.rate_bps.unwrap_or(0.0);
    let ours = rate_bps.unwrap_or(theirs).max(1.0);
    if seconds_left > STEAL_SECONDS_MIN && left >= STEAL_BYTES_MIN {
        // Both finish together: each gets bytes in proportion to its rate.
        let keep = (left as f64 * theirs / (ours + theirs)) as u64;
        let keep = keep.min(left - STEAL_BYTES_MIN / 2);
        // A slow connection that had to take more than its share would finish later.
        let is_sooner = (left - keep) as f64 / ours < seconds_left;
        if keep >= STEAL_BYTES_MIN / 4 && is_sooner {
            let range = ByteRange::new(victim.position + keep, victim.end);
            return Next::Steal { victim: victim.transfer, range };
        }
    }
    let ours_seconds = left as f64 / ours;
    if seconds_left > RACE_SECONDS_MIN + 1.5 * ours_seconds && left <= RACE_BYTES_MAX {
        let range = ByteRange::new(victim.position, victim.end);
        return Next::Race { victim: victim.transfer, range };
    }
    if seconds_left.is_infinite() && left > RACE_BYTES_MAX {
        // It has stalled: take all but what a race can fetch later.
        let range = ByteRange::new(victim.position + RACE_BYTES_MAX / 2, victim.end);
        return Next::Steal { victim: victim.transfer, range };
    }
    Next::Nothing
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn active(transfer: u64, position: u64, end: u64, rate_bps: f64) -> Active {
        Active {
            transfer: TransferId(transfer),
            position,
            end,
            rate_bps: Some(rate_bps),
            is_first: false,
            in_race: false,
        }
    }

    fn view<'a>(total_bytes: u64, done: &'a RangeSet, active: &'a [Active]) -> View<'a> {
        View {
            total_bytes,
            done,
            active,
            held_back: &[],
            connections: 4,
            piece_size_bytes: MIB,
            has_mirrors: false,
            allowed: Capabilities::default(),
        }
    }

    #[test]
    fn a_free_gap_comes_before_anything_else() {
        let done = RangeSet::from_iter([ByteRange::new(0, 10 * MIB)]);
        let busy = [active(1, 10 * MIB, 20 * MIB, 1.0)];
        let next = view(100 * MIB, &done, &busy).next(None);
        assert_eq!(next, Next::Fetch(ByteRange::new(20 * MIB, 20 * MIB + 80 * MIB / 3)));
    }

    #[test]
    fn connections_that_begin_together_get_equal_shares() {
        let (done, mut busy) = (RangeSet::new(), vec![active(0, 0, 10 * MIB, 1.0)]);
        for transfer in 1..4 {
            let Next::Fetch(range) = view(40 * MIB, &done, &busy).next(None) else { panic!("nothing is free") };
            assert_eq!(range, ByteRange::new(transfer * 10 * MIB, (transfer + 1) * 10 * MIB));
            busy.push(active(transfer, range.start, range.end, 1.0));
        }
    }

    #[test]
    fn a_piece_lasts_half_a_minute_at_the_measured_rate() {
        let done = RangeSet::new();
        let next = view(1000 * MIB, &done, &[]).next(Some(2.0 * MIB as f64));
        assert_eq!(next, Next::Fetch(ByteRange::new(0, 60 * MIB)));
    }

    #[test]
    fn pieces_beside_mirrors_are_smaller() {
        let done = RangeSet::new();
        let beside = View { has_mirrors: true, ..view(1000 * MIB, &done, &[]) };
        assert_eq!(beside.next(Some(2.0 * MIB as f64)), Next::Fetch(ByteRange::new(0, 16 * MIB)));
        assert_eq!(beside.next(None), Next::Fetch(ByteRange::new(0, 4 * MIB)));
    }

    #[test]
    fn a_slow_piece_is_cut_so_that_both_finish_together() {
        let done = RangeSet::new();
        let busy = [active(1, 0, 8 * MIB, 1.0 * MIB as f64)];
        let next = view(8 * MIB, &done, &busy).next(Some(3.0 * MIB as f64));
        assert_eq!(next, Next::Steal { victim: TransferId(1), range: ByteRange::new(2 * MIB, 8 * MIB) });
    }

    #[test]
    fn pieces_are_as_the_destination_allows() {
        let allowed =
            Capabilities { overlapping_writes: false, piece_grain_bytes: 5 * MIB, reads_back: false, replaces: true };
        let done = RangeSet::new();
        let next = View { allowed, ..view(1000 * MIB, &done, &[]) }.next(Some(2.0 * MIB as f64));
        assert_eq!(next, Next::Fetch(ByteRange::new(0, 60 * MIB)));
        let busy = [active(1, 0, 8 * MIB, 1.0 * MIB as f64)];
        let next = View { allowed, ..view(8 * MIB, &done, &busy) }.next(Some(3.0 * MIB as f64));
        assert_eq!(next, Next::Steal { victim: TransferId(1), range: ByteRange::new(5 * MIB, 8 * MIB) });
        // The very last bytes of a stream that stands still would be raced for.
        let done = RangeSet::from_iter([ByteRange::new(0, 7 * MIB)]);
        let stalled = [active(1, 7 * MIB, 8 * MIB, 0.0)];
        assert!(matches!(view(8 * MIB, &done, &stalled).next(Some(1e6)), Next::Race { .. }));
        assert_eq!(View { allowed, ..view(8 * MIB, &done, &stalled) }.next(Some(1e6)), Next::Nothing);
    }

    #[test]
    fn a_slow_connection_takes_nothing_of_a_fast_one_that_would_be_done_sooner() {
        let done = RangeSet::new();
        let busy = [active(1, 0, 4 * MIB, 2.0 * MIB as f64)];
        assert_eq!(view(4 * MIB, &done, &busy).next(Some(50_000.0)), Next::Nothing);
    }

    #[test]
    fn a_stalled_tail_is_raced() {
        let done = RangeSet::new();
        let busy = [active(1, 7 * MIB, 8 * MIB, 0.0)];
        let next = View {
            total_bytes: 8 * MIB,
            done: &RangeSet::from_iter([ByteRange::new(0, 7 * MIB)]),
            ..view(8 * MIB, &done, &busy)
        }
        .next(Some(1.0 * MIB as f64));
        assert_eq!(next, Next::Race { victim: TransferId(1), range: ByteRange::new(7 * MIB, 8 * MIB) });
    }

    #[test]
    fn the_first_stream_is_helped_last() {
        let done = RangeSet::new();
        let first = Active { is_first: true, ..active(1, 0, 50 * MIB, 1.0 * MIB as f64) };
        let busy = [first, active(2, 50 * MIB, 60 * MIB, 1.0 * MIB as f64)];
        let next = view(60 * MIB, &done, &busy).next(Some(1.0 * MIB as f64));
        assert!(matches!(next, Next::Steal { victim: TransferId(2), .. }));
    }

    proptest! {
        /// Simulated to the end with random rates: every byte is fetched, and the plan never hangs.
        #[test]
        fn every_byte_is_fetched_whatever_the_rates(
            total in 1u64..64 * MIB,
            rates in prop::collection::vec(1u64..64 * MIB, 1..9),
        ) {
            let mut done = RangeSet::new();
            let mut busy: Vec<Option<Active>> = vec![None; rates.len()];
            for round in 0..100_000u64 {
                for who in 0..rates.len() {
                    if busy[who].is_some() {
                        continue;
                    }
                    let now: Vec<Active> = busy.iter().flatten().copied().collect();
                    let view = View { connections: rates.len(), ..view(total, &done, &now) };
                    let id = TransferId(round * 100 + who as u64);
                    let (range, in_race) = match view.next(Some(rates[who] as f64)) {
                        Next::Fetch(range) => (range, false),
                        Next::Steal { victim, range } => {
                            let victim = busy.iter_mut().flatten().find(|active| active.transfer == victim).unwrap();
                            prop_assert!(range.start > victim.position && range.end == victim.end);
                            victim.end = range.start;
                            (range, false)
                        }
                        Next::Race { victim, range } => {
                            let victim = busy.iter_mut().flatten().find(|active| active.transfer == victim).unwrap();
                            victim.in_race = true;
                            (range, true)
                        }
                        Next::Nothing => continue,
                    };
                    prop_assert!(!range.is_empty() && range.end <= total);
                    busy[who] = Some(Active { in_race, ..active(id.0, range.start, range.end, rates[who] as f64) });
                }
                for who in 0..rates.len() {
                    let Some(piece) = &mut busy[who] else { continue };
                    let from = piece.position;
                    piece.position = (from + rates[who] / 10 + 1).min(piece.end);
                    done.insert(ByteRange::new(from, piece.position));
                    if piece.position == piece.end {
                        busy[who] = None;
                    }
                }
                if done.covered() == total {
                    return Ok(());
                }
            }
            prop_assert!(false, "not done after 100,000 rounds");
        }
    }
}
