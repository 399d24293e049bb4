//! A binary heap that a panicking comparison leaves unchanged.
//!
//! The standard library's heap compares while it moves entries. If a comparison panics there, a
//! pushed item is already inside, or a popped one is already out and is dropped under the queue's
//! lock. This heap first finds by comparisons where an entry will end up, and then moves entries
//! without comparing. Knowing that place is enough: the path to it from the root leads through its
//! ancestors.

use std::cmp::Ordering;

use super::store::Store;

/// The smallest item first, equal ones in insertion order.
pub(super) struct Heap<T> {
    /// The children of `n` are at `2n + 1` and `2n + 2`, and neither precedes it.
    entries: Vec<Entry<T>>,
    next_number: u64,
}

struct Entry<T> {
    item: T,
    /// Grows with each entry, so that no two are equal.
    number: u64,
}

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), next_number: 0 }
    }
}

impl<T: Ord> Store for Heap<T> {
    type Item = T;
    type Place = usize;

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn place(&self, item: &T) -> usize {
        let mut at = self.entries.len();
        while at > 0 {
            let above = parent(at);
            // Equal items came earlier.
            if item.cmp(&self.entries[above].item) != Ordering::Less {
                break;
            }
            at = above;
        }
        at
    }

    fn insert(&mut self, item: T, place: usize) {
        let mut at = self.entries.len();
        self.entries.push(Entry { item, number: self.next_number });
        self.next_number += 1;
        while at > place {
            let above = parent(at);
            self.entries.swap(at, above);
            at = above;
        }
    }

    fn take(&mut self) -> Option<T> {
        if self.entries.is_empty() {
            return None;
        }
        let place = self.place_of_the_last();
        // The last entry is at the root now.
        let first = self.entries.swap_remove(0);
        // From `place` upwards, each one swaps with the root, so that in the end each has moved up
        // by one and the last entry is at `place`.
        let mut at = place;
        while at > 0 {
            self.entries.swap(0, at);
            at = parent(at);
        }
        Some(first.item)
    }

    fn take_many(&mut self, count: usize, out: &mut Vec<T>) {
        out.reserve(count);
        for _ in 0..count {
            out.extend(self.take());
        }
    }
}

impl<T: Ord> Heap<T> {
    /// Where the last entry ends up when it takes the root's place and sinks.
    fn place_of_the_last(&self) -> usize {
        let Some((last, others)) = self.entries.split_last() else { return 0 };
        let mut at = 0;
        loop {
            let left = 2 * at + 1;
            let Some(mut child) = others.get(left) else { return at };
            let mut below = left;
            if let Some(right) = others.get(left + 1)
                && right.precedes(child)
            {
                child = right;
                below = left + 1;
            }
            if !child.precedes(last) {
                return at;
            }
            at = below;
        }
    }
}

impl<T: Ord> Entry<T> {
    fn precedes(&self, other: &Self) -> bool {
        self.item.cmp(&other.item).then(self.number.cmp(&other.number)).is_lt()
    }
}

fn parent(at: usize) -> usize {
    (at - 1) / 2
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;

    thread_local! {
        /// How many comparisons go well until one panics.
        static PATIENCE: Cell<Option<u32>> = const { Cell::new(None) };
    }

    #[derive(Debug, Clone, Copy)]
    struct Ranked {
        rank: u32,
        serial: u32,
    }

    impl Ord for Ranked {
        fn cmp(&self, other: &Self) -> Ordering {
            match PATIENCE.get() {
                Some(0) => resume_unwind(Box::new("no order")),
                patience => PATIENCE.set(patience.map(|left| left - 1)),
            }
            self.rank.cmp(&other.rank)
        }
    }

    impl PartialOrd for Ranked {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Ranked {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Ranked {}

    fn heap(items: &[Ranked]) -> Heap<Ranked> {
        let mut heap = Heap::default();
        for item in items {
            let place = heap.place(item);
            heap.insert(*item, place);
        }
        heap
    }

    fn drained(mut heap: Heap<Ranked>) -> Vec<(u32, u32)> {
        let mut all = Vec::new();
        let count = heap.len();
        heap.take_many(count, &mut all);
        assert!(heap.take().is_none());
        all.into_iter().map(|item| (item.rank, item.serial)).collect()
    }

    /// Items with many equal ranks, and their serial numbers in the order in which they come.
    fn items(seed: u64) -> Vec<Ranked> {
        let mut random = fastrand::Rng::with_seed(seed);
        (0..random.u32(0..40)).map(|serial| Ranked { rank: random.u32(0..8), serial }).collect()
    }

    fn sorted(items: &[Ranked]) -> Vec<(u32, u32)> {
        let mut all: Vec<_> = items.iter().map(|item| (item.rank, item.serial)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn items_leave_by_rank_and_then_in_the_order_in_which_they_came() {
        for seed in 0..200 {
            let items = items(seed);
            assert_eq!(drained(heap(&items)), sorted(&items), "seed {seed}");
        }
    }

    #[test]
    fn a_comparison_that_panics_leaves_everything_in_its_place() {
        let mut panics = 0;
        for seed in 0..50 {
            let items = items(seed);
            let newcomer = Ranked { rank: 0, serial: u32::MAX };
            for patience in 0.. {
                let mut heap = heap(&items);
                PATIENCE.set(Some(patience));
                let place = catch_unwind(AssertUnwindSafe(|| heap.place(&newcomer)));
                PATIENCE.set(Some(patience));
                let taken = catch_unwind(AssertUnwindSafe(|| heap.take()));
                PATIENCE.set(None);
                if taken.is_ok() && place.is_ok() {
                    break;
                }
                panics += 1;
                let mut expected = sorted(&items);
                if let Ok(Some(taken)) = taken {
                    assert_eq!((taken.rank, taken.serial), expected.remove(0));
                }
                assert_eq!(drained(heap), expected, "seed {seed}, comparison {patience}");
            }
        }
        assert!(panics > 50);
    }
}
