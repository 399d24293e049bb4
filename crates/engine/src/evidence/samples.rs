//! Which parts of a file to compare where nothing else decides whether it is the same. Pure.

use bytes::Bytes;

use crate::ranges::{ByteRange, RangeSet};

/// The most bytes in a sample.
pub(crate) const SAMPLE_BYTES: u64 = 64 << 10;
/// No shortened sample is shorter.
const SHORTENED_BYTES_MIN: u64 = 4 << 10;
/// How many samples show that a source has the file in progress, where its evidence does not suffice.
pub(crate) const IDENTITY_SAMPLES: u64 = 16;
/// How many samples show that a finished file is the one on the server.
pub(crate) const FILE_SAMPLES: u64 = 4;
/// How many holes of a finished file are compared too.
const HOLE_SAMPLES: usize = 8;
/// A file of up to this length is compared whole.
pub(crate) const GATHERED_BYTES_MAX: u64 = 1 << 20;
/// How much of the end of the existing data to fetch again where versions cannot be told apart. More would cost more
/// than half a second of a slow line each time that a download is interrupted.
const OVERLAP_BYTES: u64 = 64 << 10;
/// The minimum of that, for little existing data or responses that break off early.
const OVERLAP_BYTES_MIN: u64 = 16 << 10;

/// How much of a response shows whether it is the range it claims to be, where its length does not.
pub(crate) const OVERLAP_OF_RANGE_BYTES: u64 = 4 << 10;

/// The length of content that was gathered.
pub(crate) fn len_of(content: &[Bytes]) -> u64 {
    content.iter().map(|bytes| bytes.len() as u64).sum()
}

/// How much of the end of the existing data to fetch again, after this many attempts without progress.
pub(crate) fn overlap_of(held_bytes: u64, attempts: u32) -> u64 {
    let wanted = (held_bytes / 4).min(OVERLAP_BYTES) >> attempts.saturating_sub(1).min(8);
    wanted.max(OVERLAP_BYTES_MIN).min(held_bytes)
}

/// Like [`spread`], for data that is compared in each run before it grows: shorter parts, of together about an eighth of
/// what is there. Where one part is all there is, both its ends are compared: many files start alike.
pub(crate) fn spread_of_part(held: &RangeSet, count: u64, random: &mut fastrand::Rng) -> Vec<ByteRange> {
    let most = (held.covered() / 8 / count.max(1)).clamp(SHORTENED_BYTES_MIN, SAMPLE_BYTES);
    let start = |sample: ByteRange| ByteRange::new(sample.start, sample.end.min(sample.start + most));
    let end = |sample: ByteRange| ByteRange::new(sample.end - sample.len().min(most), sample.end);
    let Some(first) = held.iter().next() else { return Vec::new() };
    match spread(held, count, random).as_slice() {
        // It is the end of what may begin before it.
        [only] if held.covered() > 2 * most => vec![start(first), end(*only)],
        [only] => vec![*only],
        several => several.iter().map(|one| if one.start == 0 { start(*one) } else { end(*one) }).collect(),
    }
}

/// Up to `count` parts of the existing data: its first bytes, its last bytes, and some in between. They do not
/// overlap if there is enough data.
pub(crate) fn spread(held: &RangeSet, count: u64, random: &mut fastrand::Rng) -> Vec<ByteRange> {
    let Some(last_range) = held.iter().last() else { return Vec::new() };
    let last = held.covered().saturating_sub(SAMPLE_BYTES);
    let mut at = vec![0];
    let between = count.saturating_sub(2);
    let share = last / (between + 1);
    if share > SAMPLE_BYTES {
        at.extend((1..=between).map(|number| number * share + random.u64(0..share - SAMPLE_BYTES)));
    } else {
        at.extend((1..=last / SAMPLE_BYTES).map(|number| number * SAMPLE_BYTES).take(between as usize));
    }
    at.sort_unstable();
    at.dedup();
    // The end says most, however short the last range is.
    let mut samples: Vec<_> = at.into_iter().filter(|at| *at < last).filter_map(|at| sample_at(held, at)).collect();
    let end = end_of(last_range);
    samples.retain(|sample| sample.end <= end.start);
    samples.push(end);
    samples
}

/// The start and the end of a finished file, and some random places in it.
pub(crate) fn of_file(len_bytes: u64, random: &mut fastrand::Rng) -> Vec<ByteRange> {
    let last = len_bytes.saturating_sub(SAMPLE_BYTES);
    let mut at: Vec<u64> = (2..FILE_SAMPLES).map(|_| random.u64(0..=last)).collect();
    at.extend([0, last]);
    at.sort_unstable();
    at.dedup();
    at.into_iter().map(|at| ByteRange::new(at, (at + SAMPLE_BYTES).min(len_bytes))).collect()
}

/// Parts of what was never written, as the file system has it: zeros, if it is the file.
pub(crate) fn of_holes(holes: &[ByteRange], random: &mut fastrand::Rng) -> Vec<ByteRange> {
    let mut chosen: Vec<_> = (0..holes.len()).collect();
    random.shuffle(&mut chosen);
    let of_hole = |at: usize| ByteRange::new(holes[at].start, holes[at].end.min(holes[at].start + SAMPLE_BYTES));
    chosen.into_iter().take(HOLE_SAMPLES).map(of_hole).collect()
}

/// The beginning of what is missing before the existing data: nothing stands before it that would show that a response is
/// of the same file, and what is on the disk there may be right.
pub(crate) fn first_gap(held: &RangeSet) -> Option<ByteRange> {
    let first = held.iter().next()?;
    (first.start > 0).then(|| ByteRange::new(0, first.start.min(GATHERED_BYTES_MAX)))
}

/// The whole file, in parts that are compared one by one.
pub(crate) fn all(len_bytes: u64) -> Vec<ByteRange> {
    let parts = (0..len_bytes).step_by(GATHERED_BYTES_MAX as usize);
    parts.map(|at| ByteRange::new(at, (at + GATHERED_BYTES_MAX).min(len_bytes))).collect()
}

/// The part of the existing data to compare with a mirror: its end, because many files start alike.
pub(crate) fn end_of(held: ByteRange) -> ByteRange {
    ByteRange::new(held.end.saturating_sub(SAMPLE_BYTES).max(held.start), held.end)
}

/// The last bytes of the existing data, which show with the version whether a response is the range that it claims to be.
pub(crate) fn little_end_of(held: ByteRange) -> ByteRange {
    ByteRange::new(held.end.saturating_sub(OVERLAP_OF_RANGE_BYTES).max(held.start), held.end)
}

/// The sample that starts after `skip` bytes of the existing data. It ends early where its range does.
fn sample_at(held: &RangeSet, mut skip: u64) -> Option<ByteRange> {
    for range in held.iter() {
        if skip < range.len() {
            let start = range.start + skip;
            return Some(ByteRange::new(start, range.end.min(start + SAMPLE_BYTES)));
        }
        skip -= range.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn of_a_little_both_ends_are_compared() {
        let chosen = |bytes: u64| {
            let held: RangeSet = [ByteRange::new(0, bytes)].into_iter().collect();
            spread_of_part(&held, IDENTITY_SAMPLES, &mut fastrand::Rng::with_seed(7))
        };
        assert_eq!(chosen(48 << 10), [ByteRange::new(0, 4 << 10), ByteRange::new(44 << 10, 48 << 10)]);
        assert_eq!(chosen(100 << 10), [ByteRange::new(0, 4 << 10), ByteRange::new(96 << 10, 100 << 10)]);
        assert_eq!(chosen(5000), [ByteRange::new(0, 5000)]);
        assert_eq!(chosen(1 << 20).last().unwrap().end, 1 << 20);
    }

    #[test]
    fn samples_are_the_first_bytes_the_last_and_some_in_between() {
        let held: RangeSet = [ByteRange::new(0, 1 << 20), ByteRange::new(8 << 20, 9 << 20)].into_iter().collect();
        let chosen = spread(&held, 5, &mut fastrand::Rng::with_seed(7));
        assert_eq!(chosen.len(), 5);
        assert_eq!(chosen[0], ByteRange::new(0, SAMPLE_BYTES));
        assert_eq!(chosen[4], ByteRange::new((9 << 20) - SAMPLE_BYTES, 9 << 20));
        assert!(chosen.windows(2).all(|pair| pair[0].end <= pair[1].start), "{chosen:?}");
        let short_end: RangeSet =
            [ByteRange::new(0, 1 << 20), ByteRange::new(8 << 20, (8 << 20) + 10)].into_iter().collect();
        let chosen = spread(&short_end, 5, &mut fastrand::Rng::with_seed(7));
        assert_eq!(chosen.last(), Some(&ByteRange::new(8 << 20, (8 << 20) + 10)));
        let little: RangeSet = [ByteRange::new(5, 10)].into_iter().collect();
        assert_eq!(spread(&little, 16, &mut fastrand::Rng::with_seed(7)), [ByteRange::new(5, 10)]);
        assert!(spread(&RangeSet::new(), 16, &mut fastrand::Rng::with_seed(7)).is_empty());
    }

    proptest! {
        #[test]
        fn samples_lie_in_what_is_held(
            steps in prop::collection::vec((1..5_000_000_u64, 1..5_000_000_u64), 1..9),
            count in 2..20_u64,
            seed in any::<u64>(),
        ) {
            let mut end = 0;
            let held: RangeSet = steps
                .into_iter()
                .map(|(gap, len)| {
                    let start = end + gap;
                    end = start + len;
                    ByteRange::new(start, end)
                })
                .collect();
            let mut random = fastrand::Rng::with_seed(seed);
            let chosen = spread(&held, count, &mut random);
            prop_assert!(!chosen.is_empty() && chosen.len() as u64 <= count);
            for sample in chosen {
                prop_assert!(!sample.is_empty() && sample.len() <= SAMPLE_BYTES && held.contains(sample), "{:?}", sample);
            }
            for sample in of_file(end, &mut random) {
                prop_assert!(!sample.is_empty() && sample.len() <= SAMPLE_BYTES && sample.end <= end, "{:?}", sample);
            }
        }
    }
}
