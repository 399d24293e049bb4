//! How entries ended that the ledger could not note, for another try: a full disk may have room again. Without its row, a
//! finished file is a stranger to the next run; so a run that ends with some of them counts as interrupted.

use super::Settled;
use super::waiting::Place;

/// More are not kept: a disk that stays full is no reason to use up the memory.
const KEPT_MAX: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Unnoted {
    kept: Vec<(Settled, Option<Place>)>,
    has_lost: bool,
}

impl Unnoted {
    pub(super) fn keep(&mut self, settled: Vec<(Settled, Option<Place>)>) {
        let room = KEPT_MAX.saturating_sub(self.kept.len());
        self.has_lost |= settled.len() > room;
        self.kept.extend(settled.into_iter().take(room));
    }

    pub(super) fn take(&mut self) -> Vec<(Settled, Option<Place>)> {
        std::mem::take(&mut self.kept)
    }

    pub(super) fn exists(&self) -> bool {
        self.has_lost || !self.kept.is_empty()
    }
}
