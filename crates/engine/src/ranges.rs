//! Sets of byte ranges: sorted, merged, half-open. Pure.

use std::fmt;

/// A half-open range of bytes, never empty inside a [`RangeSet`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// `start..end`.
    pub fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// Its length in bytes.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it contains no byte.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A set of bytes as sorted ranges that neither touch nor overlap.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<ByteRange>,
}

impl RangeSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a range, merging it with ranges that it touches or overlaps.
    pub fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|have| have.end < range.start);
        let to = self.ranges.partition_point(|have| have.start <= range.end);
        let merged = match self.ranges.get(from..to) {
            Some([first, .., last]) => ByteRange::new(first.start.min(range.start), last.end.max(range.end)),
            Some([only]) => ByteRange::new(only.start.min(range.start), only.end.max(range.end)),
            _ => range,
        };
        self.ranges.splice(from..to, [merged]);
    }

    /// Removes a range.
    pub fn remove(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        let from = self.ranges.partition_point(|have| have.end <= range.start);
        let to = self.ranges.partition_point(|have| have.start < range.end);
        if from >= to {
            return;
        }
        let before = ByteRange::new(self.ranges[from].start, range.start);
        let after = ByteRange::new(range.end, self.ranges[to - 1].end);
        let left = [before, after].into_iter().filter(|part| !part.is_empty());
        self.ranges.splice(from..to, left);
    }

    /// The number of bytes in the set.
    pub fn covered(&self) -> u64 {
        self.ranges.iter().map(|range| range.len()).sum()
    }

    /// Where the last range ends; 0 if there is none.
    pub fn end(&self) -> u64 {
        self.iter().next_back().map_or(0, |range| range.end)
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the set contains every byte of `range`.
    pub fn contains(&self, range: ByteRange) -> bool {
        let at = self.ranges.partition_point(|have| have.end < range.end);
        range.is_empty() || self.ranges.get(at).is_some_and(|have| have.start <= range.start)
    }

    /// Whether the set contains any byte of `range`.
    pub fn overlaps(&self, range: ByteRange) -> bool {
        let at = self.ranges.partition_point(|have| have.end <= range.start);
        !range.is_empty() && self.ranges.get(at).is_some_and(|have| have.start < range.end)
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = ByteRange> + '_ {
        self.ranges.iter().copied()
    }

    /// The missing parts of `0..total`, in order.
    pub fn gaps(&self, total: u64) -> impl Iterator<Item = ByteRange> + '_ {
        let starts = std::iter::once(0).chain(self.ranges.iter().map(|range| range.end));
        let ends = self.ranges.iter().map(|range| range.start).chain(std::iter::once(total));
        starts.zip(ends).map(move |(start, end)| ByteRange::new(start, end.min(total))).filter(|gap| !gap.is_empty())
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.ranges).finish()
    }
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: usize = 64;

    fn model(set: &RangeSet) -> Vec<bool> {
        let mut bytes = vec![false; SPACE];
        for range in set.iter() {
            bytes[range.start as usize..range.end as usize].fill(true);
        }
        bytes
    }

    proptest! {
        #[test]
        fn a_range_set_agrees_with_a_row_of_booleans(
            steps in prop::collection::vec((any::<bool>(), 0..SPACE as u64, 0..SPACE as u64), 0..40)
        ) {
            let mut set = RangeSet::new();
            let mut bytes = vec![false; SPACE];
            for (add, a, b) in steps {
                let range = ByteRange::new(a.min(b), a.max(b));
                if add { set.insert(range) } else { set.remove(range) }
                bytes[range.start as usize..range.end as usize].fill(add);
                prop_assert_eq!(model(&set), bytes.clone());
                let ranges: Vec<_> = set.iter().collect();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
                prop_assert_eq!(set.covered(), bytes.iter().filter(|bit| **bit).count() as u64);
                let missing: u64 = set.gaps(SPACE as u64).map(ByteRange::len).sum();
                prop_assert_eq!(missing + set.covered(), SPACE as u64);
                prop_assert_eq!(
                    set.contains(range),
                    bytes[range.start as usize..range.end as usize].iter().all(|bit| *bit)
                );
            }
        }
    }
}
