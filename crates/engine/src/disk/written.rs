//! What of a partial file was ever written, where that is in doubt. A backup that reads a partial file and
//! then its journal, while both are written, has a journal that claims more than the file holds; so has one
//! that somebody cut, or put an older copy into. What is missing was never written, and reads as zeros; so
//! zeros are not believed, whatever the journal says.

use std::io;

use crate::ranges::{ByteRange, RangeSet};
use crate::storage::PartFile;

/// What is not believed goes in whole blocks of this size; no file system has larger ones.
const BLOCK_BYTES: u64 = 64 << 10;

/// Why it is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It was moved or copied.
    Moved,
    /// The file system has nothing where the journal claims something. Some leave out zeros that were
    /// written, so that fewer of them are no sign of anything.
    Hollow,
}

impl Doubt {
    /// So many zeros in a row, at a multiple of their number, are content that was never written, or are
    /// fetched once more for nothing.
    fn zeros(self) -> &'static [u8] {
        match self {
            Self::Moved => &[0; 16],
            Self::Hollow => &[0; 512],
        }
    }
}

/// Whether the journal's claims on a file that nobody moved are in doubt: they go where it has holes.
pub(crate) fn is_hollow(part: &dyn PartFile, claimed: &RangeSet) -> io::Result<bool> {
    Ok(part.holes()?.into_iter().any(|(start, end)| claimed.overlaps(ByteRange::new(start, end))))
}

/// The holes of a file in which all was written, each with what may be missing beside it: where a hole
/// begins or ends within a block, the rest of that block is there, as zeros.
pub(crate) fn holes_in_whole(part: &dyn PartFile, len_bytes: u64) -> Vec<(u64, u64)> {
    let wider =
        |(start, end): (u64, u64)| (start.saturating_sub(BLOCK_BYTES), end.saturating_add(BLOCK_BYTES).min(len_bytes));
    part.holes().unwrap_or_default().into_iter().map(wider).collect()
}

/// Takes out of `claimed` each block with zeros in a row. Returns how many bytes that were.
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

/// Whether zeros stand in a row in bytes from `start` of a file.
fn has_zeros(bytes: &[u8], start: u64, zeros: &[u8]) -> bool {
    let width = zeros.len();
    let first = start.next_multiple_of(width as u64) - start;
    let (edge, inner) = bytes.split_at((first as usize).min(bytes.len()));
    let chunks = inner.chunks(width);
    // What is shorter than a row counts if there is nothing else in it: it may go on beside it.
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
