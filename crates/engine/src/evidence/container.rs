//! Whether a file is whole of which neither length nor digest are certain: Office files say themselves where they end.
//! Pure, but for the reader that it is given.

use std::io;

const ZIP: &[u8] = b"PK\x03\x04";
const ZIP_END: &[u8] = b"PK\x05\x06";
/// The end of a zip archive, without the comment that may follow it (APPNOTE.TXT, section 4.3.16).
const ZIP_END_BYTES: usize = 22;
const ZIP_COMMENT_BYTES_MAX: usize = u16::MAX as usize;
/// Stands for a number that does not fit, and follows elsewhere.
const ZIP_ELSEWHERE: u64 = u32::MAX as u64;

const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// The header of a compound file (MS-CFB, section 2.2).
const COMPOUND_HEADER_BYTES: usize = 512;
const SECTOR_SHIFT_AT: usize = 30;
const TABLES_AT: usize = 44;
const TABLE_LIST_AT: usize = 76;
/// More of them are listed elsewhere.
const TABLES_IN_HEADER: usize = 109;
const SECTOR_FREE: u32 = u32::MAX;

const ONE_NOTE: &[u8] = b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3";
/// Where a section says how long it is (MS-ONESTORE, section 2.3.1: `cbExpectedFileLength`).
const ONE_NOTE_LEN_AT: usize = 196;
const HEAD_BYTES: usize = COMPOUND_HEADER_BYTES;

/// Whether these `len_bytes` are a whole Office file: a zip archive, a compound file or a OneNote section. `read` fills
/// the buffer from an offset within them.
///
/// # Errors
/// Those of `read`.
pub(crate) fn is_whole_office_file(
    len_bytes: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<bool> {
    let mut head = vec![0; len_bytes.min(HEAD_BYTES as u64) as usize];
    read(&mut head, 0)?;
    if head.starts_with(ZIP) {
        return has_zip_end(len_bytes, read);
    }
    if head.starts_with(COMPOUND) {
        return has_last_sector(&head, len_bytes, read);
    }
    Ok(head.starts_with(ONE_NOTE) && number(&head, ONE_NOTE_LEN_AT, 8).is_some_and(|told| told <= len_bytes))
}

/// Whether the archive ends where its last record says.
fn has_zip_end(len_bytes: u64, mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>) -> io::Result<bool> {
    let tail_bytes = len_bytes.min((ZIP_END_BYTES + ZIP_COMMENT_BYTES_MAX) as u64);
    let from = len_bytes - tail_bytes;
    let mut tail = vec![0; tail_bytes as usize];
    read(&mut tail, from)?;
    let is_end = |at: usize| {
        let end = &tail[at..];
        let (Some(listing), Some(offset), Some(comment)) = (number(end, 12, 4), number(end, 16, 4), number(end, 20, 2))
        else {
            return false;
        };
        let fits = [listing, offset].contains(&ZIP_ELSEWHERE) || offset + listing <= from + at as u64;
        end.starts_with(ZIP_END) && at as u64 + ZIP_END_BYTES as u64 + comment == tail_bytes && fits
    };
    Ok((0..tail.len().saturating_sub(ZIP_END_BYTES - 1)).rev().any(is_end))
}

/// Whether the last sector that is in use is there: the last table of sectors names it.
fn has_last_sector(
    head: &[u8],
    len_bytes: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<bool> {
    let shift = number(head, SECTOR_SHIFT_AT, 2).filter(|shift| matches!(shift, 9 | 12));
    let tables = number(head, TABLES_AT, 4).filter(|tables| *tables > 0);
    let (Some(shift), Some(tables)) = (shift, tables) else { return Ok(false) };
    let sector_bytes = 1_u64 << shift;
    let in_table = sector_bytes / 4;
    // The header is a sector too.
    let end_of = |sector: u64| (sector + 2) * sector_bytes;
    let before = (tables - 1) * in_table;
    if tables > TABLES_IN_HEADER as u64 {
        return Ok(len_bytes >= end_of(before));
    }
    let Some(last) = number(head, TABLE_LIST_AT + 4 * (tables as usize - 1), 4) else { return Ok(false) };
    if len_bytes < end_of(last) {
        return Ok(false);
    }
    let mut table = vec![0; sector_bytes as usize];
    read(&mut table, (last + 1) * sector_bytes)?;
    let used = |at: &usize| number(&table, at * 4, 4) != Some(u64::from(SECTOR_FREE));
    let last_used = (0..in_table as usize).rev().find(used).map_or(0, |at| before + at as u64);
    // Some programs leave out the rest of the last sector.
    Ok(len_bytes > (last_used + 1) * sector_bytes)
}

/// A little-endian number of `count` bytes.
fn number(bytes: &[u8], at: usize, count: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + count)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_whole(bytes: &[u8]) -> bool {
        let read = |buffer: &mut [u8], at: u64| {
            buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
            Ok(())
        };
        is_whole_office_file(bytes.len() as u64, read).unwrap()
    }

    fn zip(comment: &[u8]) -> Vec<u8> {
        let mut bytes = [ZIP, &[1; 3000]].concat();
        let at = bytes.len() as u32;
        bytes.extend(b"PK\x01\x02listing");
        let listing = bytes.len() as u32 - at;
        bytes.extend(ZIP_END);
        bytes.extend([0; 8]);
        bytes.extend(listing.to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend((comment.len() as u16).to_le_bytes());
        bytes.extend(comment);
        bytes
    }

    /// A compound file with this many sectors, the first of which is the table of sectors.
    fn compound(sectors: u32) -> Vec<u8> {
        let mut bytes = vec![0; 512 * (sectors as usize + 1)];
        bytes[..8].copy_from_slice(COMPOUND);
        bytes[SECTOR_SHIFT_AT] = 9;
        bytes[TABLES_AT] = 1;
        for at in 0..128 {
            let entry = if at < sectors { at + 1 } else { SECTOR_FREE };
            bytes[512 + at as usize * 4..][..4].copy_from_slice(&entry.to_le_bytes());
        }
        bytes
    }

    fn one_note(told: u64) -> Vec<u8> {
        let mut bytes = [ONE_NOTE, &[0; 2000]].concat();
        bytes[ONE_NOTE_LEN_AT..][..8].copy_from_slice(&told.to_le_bytes());
        bytes
    }

    #[test]
    fn whole_office_files_are_known_by_how_they_end() {
        for whole in [zip(b""), zip(b"a comment"), zip(&[b'x'; 65_535]), compound(3), compound(128), one_note(2016)] {
            assert!(is_whole(&whole), "{} bytes", whole.len());
        }
        // A file that grew behind what its header says is still whole; the rest of a last sector may be missing.
        assert!(is_whole(&one_note(1000)) && is_whole(&compound(3)[..512 * 3 + 100]));
    }

    #[test]
    fn no_beginning_of_an_office_file_is_whole() {
        for whole in [zip(b""), zip(b"a comment"), compound(3), one_note(2016)] {
            for len in (0..whole.len() - 512).step_by(7).chain([whole.len() - 512]) {
                assert!(!is_whole(&whole[..len]), "{len} of {} bytes", whole.len());
            }
        }
        let archive = zip(b"");
        assert!(!is_whole(&archive[..archive.len() - 1]));
    }

    #[test]
    fn what_is_no_office_file_is_not_whole() {
        let others: [&[u8]; 6] = [b"", b"busy", b"PK\x03\x04", b"<html>", COMPOUND, ONE_NOTE];
        for other in others {
            assert!(!is_whole(other), "{other:?}");
        }
        let mut damaged = compound(3);
        damaged[TABLE_LIST_AT..][..4].copy_from_slice(&[0xff; 4]);
        assert!(!is_whole(&damaged));
    }
}
