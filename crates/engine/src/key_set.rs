//! A set of hashes that takes little more memory than the hashes: there may be a million names, or entries.
//!
//! Most hashes lie in one sorted list. New ones are gathered in a small table, which is merged into the list when it is
//! full. Removals, which are rare, are noted until the next merge.

use std::collections::HashSet;

/// This many hashes are gathered before they are merged.
const GATHERED_MAX: usize = 1 << 16;

/// A set of hashes.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    sorted: Vec<u64>,
    /// Not in `sorted`.
    gathered: HashSet<u64>,
    /// In `sorted`, and not in the set.
    removed: HashSet<u64>,
}

impl KeySet {
    /// Adds a hash; false if it was there.
    pub(crate) fn insert(&mut self, key: u64) -> bool {
        if self.sorted.binary_search(&key).is_ok() {
            return self.removed.remove(&key);
        }
        let is_new = self.gathered.insert(key);
        if self.gathered.len() >= GATHERED_MAX {
            self.merge();
        }
        is_new
    }

    /// Removes a hash, if it is there.
    pub(crate) fn remove(&mut self, key: u64) {
        if !self.gathered.remove(&key) && self.sorted.binary_search(&key).is_ok() {
            self.removed.insert(key);
        }
    }

    fn merge(&mut self) {
        let removed = std::mem::take(&mut self.removed);
        self.sorted.retain(|key| !removed.contains(key));
        // Room for what is added and no more: doubling would take as much as the set itself.
        self.sorted.reserve_exact(self.gathered.len());
        self.sorted.extend(self.gathered.drain());
        self.sorted.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_a_table_does() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut set, mut table) = (KeySet::default(), HashSet::new());
        for _ in 0..400_000 {
            // Few enough that many are there already.
            let key = random.u64(..150_000).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            match random.u8(..4) {
                0 => {
                    set.remove(key);
                    table.remove(&key);
                }
                _ => assert_eq!(set.insert(key), table.insert(key), "{key}"),
            }
        }
        assert!(!set.sorted.is_empty() && !set.gathered.is_empty());
        assert_eq!(set.sorted.len() + set.gathered.len() - set.removed.len(), table.len());
    }
}
