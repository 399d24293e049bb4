//! Finds out which claimed bytes of a partial file were ever written, where that is in doubt. If a backup
//! copies a partial file and then its journal while both are being written, its journal claims more than its
//! file holds. The same goes for a file that somebody truncated or replaced with an older copy. Bytes that were
//! never written read as zeros, so zeros are not believed, whatever the journal claims.

use std::io;

use crate::ranges::{ByteRange, RangeSet};
use crate::storage::PartFile;

/// Doubted bytes are discarded in blocks of this size; no file system has larger ones.
const BLOCK_BYTES: u64 = 64 << 10;

/// Why a file is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It was moved or copied.
    Moved,
    /// The file system has holes where the journal claims data. Some file systems turn written zeros into
    /// holes, so a few zeros prove nothing.
    Hollow,
    /// Another program has begun it, which may have made room for what it was yet to write, by writing zeros.
    Foreign,
}

impl Doubt {
    /// A run of this many zeros, aligned to its length, counts as never written. If it was real content, it is
    /// fetched again needlessly.
    fn zeros(self) -> &'static [u8] {
        match self {
            Self::Moved => &[0; 16],
            Self::Hollow => &[0; 512],
            Self::Foreign => &[0; 4096],
        }
    }
}

/// Whether the claims on a file that nobody moved are in doubt: they are if they overlap holes.
pub(crate) fn is_hollow(part: &dyn PartFile, claimed: &RangeSet) -> io::Result<bool> {
    Ok(part.holes()?.into_iter().any(|(start, end)| claimed.overlaps(ByteRange::new(start, end))))
}

/// A hole, widened by what may be missing next to it: where it starts or ends within a block, the rest of that block
/// reads as zeros.
pub(crate) fn wider((start, end): (u64, u64), len_bytes: u64) -> (u64, u64) {
    (start.saturating_sub(BLOCK_BYTES), end.saturating_add(BLOCK_BYTES).min(len_bytes))
}

/// The holes of a fully written file, widened.
pub(crate) fn holes_in_whole(part: &dyn PartFile, len_bytes: u64) -> Vec<(u64, u64)> {
    part.holes().unwrap_or_default().into_iter().map(|hole| wider(hole, len_bytes)).collect()
}

/// Removes from `claimed` each block with a run of zeros. Returns how many bytes were removed.
pub(crate) fn believe_written(part: &dyn PartFile, claimed: &mut RangeSet, doubt: Doubt) -> io::Result<u64> {
    let before = claimed.covered();
    if doubt == Doubt::Hollow {
        let holes = part.holes()?.into_iter().map(|(start, end)| ByteRange::new(start, end));
        for hole in holes.filter(|hole| claimed.overlaps(*hole)).collect::<Vec<_>>() {
            claimed.remove(ByteRange::new(hole.start.saturating_sub(BLOCK_BYTES), hole.end + BLOCK_BYTES));
        }
    }
    let mut bytes = vec![0; BLOCK_BYTES as usize];
    for range in claimed.clone().iter() {
        let mut at = range.start;
        while at < range.end {
            let block = ByteRange::new(at, range.end.min((at / BLOCK_BYTES + 1) * BLOCK_BYTES));
            let bytes = &mut bytes[..block.len() as usize];
            part.read_at(bytes, block.start)?;
            if has_zeros(bytes, block.start, doubt.zeros()) {
                claimed.remove(block);
            }
            at = block.end;
        }
    }
    Ok(before - claimed.covered())
}

/// Whether `bytes`, which start at offset `start` of the file, contain an aligned run of zeros.
fn has_zeros(bytes: &[u8], start: u64, zeros: &[u8]) -> bool {
    let width = zeros.len();
    let first = start.next_multiple_of(width as u64) - start;
    let (edge, inner) = bytes.split_at((first as usize).min(bytes.len()));
    let chunks = inner.chunks(width);
    // A chunk shorter than a run counts if it is all zeros: the run may continue beyond it.
    std::iter::once(edge).chain(chunks).any(|chunk| !chunk.is_empty() && *chunk == zeros[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_found_wherever_they_begin() {
        let zeros = Doubt::Moved.zeros();
        for start in 0..40 {
            for at in 0..60 {
                let mut bytes = vec![7; 100];
                assert!(!has_zeros(&bytes, start, zeros));
                bytes[at..at + 31].fill(0);
                assert!(has_zeros(&bytes, start, zeros), "{start} {at}");
            }
        }
        let mut bytes = vec![7; 100];
        bytes[30..38].fill(0);
        assert!(!has_zeros(&bytes, 0, zeros), "eight zeros are no row");
    }
}
