//! The only state that the dispatcher and a worker share while a piece is in flight: its start, position and
//! end. The worker advances the position after it has written the bytes; the dispatcher lowers the end when
//! it gives the rest to another transfer.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::ranges::ByteRange;

/// The end of a piece that runs to the end of the body, wherever that is.
pub(crate) const OPEN_END: u64 = u64::MAX;

/// A piece in flight.
#[derive(Debug)]
pub(crate) struct Piece {
    start: u64,
    position: AtomicU64,
    end: AtomicU64,
}

impl Piece {
    pub(crate) fn new(start: u64, end: u64) -> Self {
        Self { start, position: AtomicU64::new(start), end: AtomicU64::new(end) }
    }

    /// Its first byte.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The next byte to fetch; all before it are written.
    pub(crate) fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// One past its last byte, [`OPEN_END`] if that is not known.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Called by the worker, after the bytes before `position` have been written.
    pub(crate) fn advance(&self, position: u64) {
        self.position.store(position, Ordering::Release);
    }

    /// Moves the end forward, never back. The dispatcher calls it where others fetch the rest, and the worker where the
    /// response holds less than was requested. The worker may already be past the new end; then the same bytes are
    /// written twice, which is harmless.
    pub(crate) fn shorten(&self, end: u64) {
        self.end.fetch_min(end, Ordering::AcqRel);
    }

    /// The range that was fetched so far.
    pub(crate) fn brought(&self) -> ByteRange {
        ByteRange::new(self.start, self.position())
    }
}
