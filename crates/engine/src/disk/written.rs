//! Finds out which claimed bytes of a partial file were ever written, where that is in doubt. If a backup
//! copies a partial file and then its journal while both are being written, its journal claims more than its
//! file holds. The same goes for a file that somebody truncated or replaced with an older copy. Bytes that were
//! never written read as zeros, so zeros are not believed, whatever the journal claims.

use std::io;
use std::path::Path;

use crate::ranges::{ByteRange, RangeSet};
use crate::storage::{PartFile, Storage};

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
            Self::Hollow | Self::Foreign => &[0; 512],
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

/// A file whose bytes are in doubt.
pub(crate) trait Doubted {
    /// Fills all of `bytes` from `offset`.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// What was never written, as far as the file system can tell.
    fn holes(&self) -> io::Result<Vec<(u64, u64)>>;
}

impl Doubted for &dyn PartFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        PartFile::read_at(*self, bytes, offset)
    }

    fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
        PartFile::holes(*self)
    }
}

/// A file that nobody has opened.
pub(crate) struct Unopened<'a>(pub(crate) &'a dyn Storage, pub(crate) &'a Path);

impl Doubted for Unopened<'_> {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(self.1, bytes, offset)
    }

    fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
        self.0.holes(self.1)
    }
}

/// Removes from `claimed` each block with a run of zeros, and those beside it where the run may go on. Returns how many
/// bytes were removed.
pub(crate) fn believe_written(file: &impl Doubted, claimed: &mut RangeSet, doubt: Doubt) -> io::Result<u64> {
    let before = claimed.covered();
    if doubt != Doubt::Moved {
        let holes = file.holes()?.into_iter().map(|(start, end)| ByteRange::new(start, end));
        for hole in holes.filter(|hole| claimed.overlaps(*hole)).collect::<Vec<_>>() {
            claimed.remove(ByteRange::new(hole.start.saturating_sub(BLOCK_BYTES), hole.end + BLOCK_BYTES));
        }
    }
    let mut bytes = vec![0; BLOCK_BYTES as usize];
    // What was read before: whether it ends with a zero, and whether it was believed.
    let mut last: Option<(ByteRange, bool, bool)> = None;
    for range in claimed.clone().iter() {
        let mut at = range.start;
        while at < range.end {
            let block = ByteRange::new(at, range.end.min((at / BLOCK_BYTES + 1) * BLOCK_BYTES));
            let bytes = &mut bytes[..block.len() as usize];
            file.read_at(bytes, block.start)?;
            let was_written = !has_zeros(bytes, block.start, doubt.zeros());
            let before = last.filter(|(before, ..)| before.end == block.start);
            // The run that is not believed may begin in the block before, or end in this one.
            let goes_on = bytes[0] == 0 && before.is_some_and(|(_, is_zero, was_written)| is_zero && !was_written);
            if !was_written || goes_on {
                claimed.remove(block);
            }
            if let Some((before, true, true)) = before
                && !was_written
                && bytes[0] == 0
            {
                claimed.remove(before);
            }
            last = Some((block, bytes.last() == Some(&0), was_written));
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

    struct Bytes(Vec<u8>);

    impl Doubted for Bytes {
        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
            bytes.copy_from_slice(&self.0[offset as usize..][..bytes.len()]);
            Ok(())
        }

        fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn no_byte_of_a_run_of_zeros_is_believed_wherever_it_begins_and_ends() {
        const LEN: usize = 5 * BLOCK_BYTES as usize;
        let mut random = fastrand::Rng::with_seed(1);
        for round in 0..300 {
            let doubt = [Doubt::Moved, Doubt::Foreign][round % 2];
            let least = 2 * doubt.zeros().len();
            let near = random.usize(1..5) * BLOCK_BYTES as usize + random.usize(0..80) - 40;
            let before = if random.bool() { random.usize(0..2 * least) } else { 0 };
            let start = near.saturating_sub(before).min(LEN - least);
            let end = (start + least + random.usize(0..140_000)).min(LEN);
            let mut bytes = vec![7; LEN];
            bytes[start..end].fill(0);
            let mut claimed = RangeSet::from_iter([ByteRange::new(0, LEN as u64)]);
            believe_written(&Bytes(bytes), &mut claimed, doubt).unwrap();
            let zeros = ByteRange::new(start as u64, end as u64);
            assert!(end - start < least || !claimed.overlaps(zeros), "{start} {end}");
            assert!(claimed.covered() + zeros.len() + 4 * BLOCK_BYTES >= LEN as u64, "{start} {end}");
        }
    }
}
