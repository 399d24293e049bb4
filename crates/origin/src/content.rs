//! Content generated from `(seed, offset)`: any byte of any file can be produced and checked without
//! storing it. Stateless functions that any thread may call.
//!
//! A file is a sequence of 8-byte little-endian words. Word `i` mixes the seed with `i` by a
//! bijection, so no two words of a file are equal, and words written to the wrong offset are always
//! detected.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Difference between the states of neighbouring words: 2^64 divided by the golden ratio, made odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const MIX: u64 = 0xD6E8_FEB8_6659_FD93;
const WORD_BYTES: usize = 8;
const COMPARE_BYTES: usize = 64 * 1024;
const READ_BYTES: usize = 1024 * 1024;

/// Fills `buf` with the bytes of the content `seed`, starting at `offset`.
///
/// Any offset and length work, and separate calls produce the same bytes as one call.
///
/// ```
/// let mut whole = [0; 20];
/// towline_origin::fill(7, 0, &mut whole);
/// let mut part = [0; 5];
/// towline_origin::fill(7, 3, &mut part);
/// assert_eq!(part, whole[3..8]);
/// ```
pub fn fill(seed: u64, offset: u64, buf: &mut [u8]) {
    let mut state = state_of(seed, offset / 8);
    let skip = (offset % 8) as usize;
    let mut rest = buf;
    if skip != 0 {
        let word = mixed(state).to_le_bytes();
        let count = rest.len().min(WORD_BYTES - skip);
        let (head, tail) = std::mem::take(&mut rest).split_at_mut(count);
        head.copy_from_slice(&word[skip..skip + count]);
        rest = tail;
        state = state.wrapping_add(STEP);
    }
    let (words, tail) = rest.as_chunks_mut::<WORD_BYTES>();
    for word in words {
        *word = mixed(state).to_le_bytes();
        state = state.wrapping_add(STEP);
    }
    let count = tail.len();
    tail.copy_from_slice(&mixed(state).to_le_bytes()[..count]);
}

/// The byte at `offset` of the content `seed`.
#[must_use]
pub fn byte_at(seed: u64, offset: u64) -> u8 {
    let word = mixed(state_of(seed, offset / 8)).to_le_bytes();
    word[(offset % 8) as usize]
}

/// Compares `bytes` with the content `seed` at `offset`.
///
/// Returns the offset of the first difference, counted from the start of the content, or `None` if the
/// bytes are correct.
#[must_use]
pub fn first_difference(seed: u64, offset: u64, bytes: &[u8]) -> Option<u64> {
    let mut expected = vec![0; COMPARE_BYTES.min(bytes.len())];
    let mut at = offset;
    for piece in bytes.chunks(COMPARE_BYTES) {
        let expected = &mut expected[..piece.len()];
        fill(seed, at, expected);
        if *expected != *piece {
            let place = expected.iter().zip(piece).position(|(left, right)| left != right);
            return place.map(|place| at + place as u64);
        }
        at += piece.len() as u64;
    }
    None
}

/// Compares the file at `path` with the first `size` bytes of the content `seed`.
///
/// Returns the offset of the first difference: the file's length if it is too short, `size` if it is
/// too long. Returns `None` if the file is correct.
///
/// # Errors
/// If the file cannot be opened or read.
pub fn check_file(path: impl AsRef<Path>, seed: u64, size: u64) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut buf = vec![0; READ_BYTES];
    let mut at = 0;
    loop {
        let count = match file.read(&mut buf) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            return Ok((at < size).then_some(at));
        }
        let inside = (size - at).min(count as u64) as usize;
        if let Some(place) = first_difference(seed, at, &buf[..inside]) {
            return Ok(Some(place));
        }
        if inside < count {
            return Ok(Some(size));
        }
        at += count as u64;
    }
}

/// A pseudorandom number derived from the seed and `number`, for the random choices of a script.
pub(crate) fn dice(seed: u64, number: u64) -> u64 {
    mixed(state_of(seed, number))
}

/// The state of word `index`: the mixed seed plus one step per word.
fn state_of(seed: u64, index: u64) -> u64 {
    let mut start = seed.wrapping_add(STEP);
    start = (start ^ (start >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    start = (start ^ (start >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    start ^= start >> 31;
    start.wrapping_add(index.wrapping_mul(STEP))
}

/// Only one multiplication, because this runs for every eight bytes served.
#[inline(always)]
fn mixed(state: u64) -> u64 {
    let word = (state ^ (state >> 32)).wrapping_mul(MIX);
    word ^ (word >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_gives_the_same_bytes() {
        let mut whole = vec![0; 100];
        fill(42, 5, &mut whole);
        for start in 0..whole.len() {
            for end in start..=whole.len() {
                let mut part = vec![0; end - start];
                fill(42, 5 + start as u64, &mut part);
                assert_eq!(part, whole[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn single_bytes_agree_with_filled_ones() {
        let mut whole = vec![0; 50];
        fill(9, 1_000_003, &mut whole);
        for (index, byte) in whole.iter().enumerate() {
            assert_eq!(*byte, byte_at(9, 1_000_003 + index as u64));
        }
    }

    #[test]
    fn seeds_and_places_give_different_words() {
        let mut left = [0; 64];
        let mut right = [0; 64];
        fill(1, 0, &mut left);
        fill(2, 0, &mut right);
        assert_ne!(left, right);
        fill(1, 64, &mut right);
        assert_ne!(left, right);
    }

    #[test]
    fn the_first_wrong_byte_is_named() {
        let mut bytes = vec![0; 200_000];
        fill(3, 11, &mut bytes);
        assert_eq!(first_difference(3, 11, &bytes), None);
        assert_eq!(first_difference(3, 11, &[]), None);
        bytes[150_000] ^= 1;
        bytes[150_009] ^= 1;
        assert_eq!(first_difference(3, 11, &bytes), Some(150_011));
    }

    #[test]
    fn files_are_checked_for_bytes_and_length() {
        let name = format!("towline-origin-content-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut bytes = vec![0; 3000];
        fill(8, 0, &mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(check_file(&path, 8, 3000).unwrap(), None);
        assert_eq!(check_file(&path, 8, 3001).unwrap(), Some(3000));
        assert_eq!(check_file(&path, 8, 2999).unwrap(), Some(2999));
        bytes[17] ^= 0x80;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(check_file(&path, 8, 3000).unwrap(), Some(17));
        std::fs::remove_file(&path).unwrap();
    }
}
