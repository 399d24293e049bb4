//! What of a copied partial file was ever written. A backup that reads a partial file and then its
//! journal, while both are written, has a journal that claims more than the file holds. What is
//! missing was never written, and reads as zeros; so zeros are not believed, whatever the journal says.

use std::io;

use crate::ranges::{ByteRange, RangeSet};
use crate::storage::PartFile;

/// What is not believed goes in whole blocks of this size.
const BLOCK_BYTES: u64 = 64 << 10;
/// So many zeros in a row, at a multiple of their number, are content that was never written, or are
/// fetched once more for nothing.
const ZEROS: [u8; 16] = [0; 16];

/// Takes out of `claimed` each block with zeros in a row. Returns how many bytes that were.
pub(crate) fn believe_written(part: &dyn PartFile, claimed: &mut RangeSet) -> io::Result<u64> {
    let before = claimed.covered();
    let mut bytes = vec![0; BLOCK_BYTES as usize];
    for range in claimed.clone().iter() {
        let mut at = range.start;
        while at < range.end {
            let block = ByteRange::new(at, range.end.min((at / BLOCK_BYTES + 1) * BLOCK_BYTES));
            let bytes = &mut bytes[..block.len() as usize];
            part.read_at(bytes, block.start)?;
            if has_zeros(bytes, block.start) {
                claimed.remove(block);
            }
            at = block.end;
        }
    }
    Ok(before - claimed.covered())
}

/// Whether zeros stand in a row in bytes from `start` of a file.
fn has_zeros(bytes: &[u8], start: u64) -> bool {
    let width = ZEROS.len();
    let first = start.next_multiple_of(width as u64) - start;
    let (edge, inner) = bytes.split_at((first as usize).min(bytes.len()));
    let chunks = inner.chunks(width);
    // What is shorter than a row counts if there is nothing else in it: it may go on beside it.
    std::iter::once(edge).chain(chunks).any(|chunk| !chunk.is_empty() && *chunk == ZEROS[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_found_wherever_they_begin() {
        for start in 0..40 {
            for at in 0..60 {
                let mut bytes = vec![7; 100];
                assert!(!has_zeros(&bytes, start));
                bytes[at..at + 31].fill(0);
                assert!(has_zeros(&bytes, start), "{start} {at}");
            }
        }
        let mut bytes = vec![7; 100];
        bytes[30..38].fill(0);
        assert!(!has_zeros(&bytes, 0), "eight zeros are no row");
    }
}
