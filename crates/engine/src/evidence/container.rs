//! Whether a file is whole of which neither length nor digest are certain: Office files say themselves where they end.
//! Pure, but for the reader that it is given.

use std::io;

const ZIP: &[u8] = b"PK\x03\x04";
const ZIP_LISTING: &[u8] = b"PK\x01\x02";
const ZIP_END: &[u8] = b"PK\x05\x06";
/// The end of a zip archive, without the comment that may follow it (APPNOTE.TXT, section 4.3.16).
const ZIP_END_BYTES: usize = 22;
const ZIP_COMMENT_BYTES_MAX: usize = u16::MAX as usize;
/// The record before, which holds what does not fit into the end (section 4.3.14).
const ZIP64_END: &[u8] = b"PK\x06\x06";
const ZIP64_END_BYTES: u64 = 56;
const ZIP64_LOCATOR: &[u8] = b"PK\x06\x07";
const ZIP64_LOCATOR_BYTES: u64 = 20;

const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
/// The header of a compound file (MS-CFB, section 2.2).
const COMPOUND_HEADER_BYTES: usize = 512;
const SECTOR_SHIFT_AT: usize = 30;
const TABLES_AT: usize = 44;
const FIRST_LIST_AT: usize = 68;
const TABLE_LIST_AT: usize = 76;
/// More of them are listed in sectors of their own.
const TABLES_IN_HEADER: u64 = 109;
const SECTOR_FREE: u64 = u32::MAX as u64;

/// Sections, and the tables of contents beside them (MS-ONESTORE, section 2.3.1).
const ONE_NOTE: [&[u8]; 2] = [
    b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3",
    b"\xa1\x2f\xff\x43\xd9\xef\x76\x4c\x9e\xe2\x10\xea\x57\x22\x76\x5f",
];
/// The format that says how long the file is.
const ONE_NOTE_FORMAT: &[u8] = b"\x3f\xdd\x9a\x10\x1b\x91\xf5\x49\xa5\xd0\x17\x91\xed\xc8\xae\xd8";
/// The format that SharePoint sends, and how it ends (section 2.8.1: `Packaging End`).
const ONE_NOTE_PACKAGE: &[u8] = b"\x2f\xe9\x8d\x63\xd4\xa6\xc1\x4b\x9a\x36\xb3\xfc\x25\x11\xa5\xb7";
const ONE_NOTE_PACKAGE_END: &[u8] = b"\xeb\x01";
const ONE_NOTE_FORMAT_AT: usize = 48;
/// `cbExpectedFileLength`.
const ONE_NOTE_LEN_AT: usize = 196;
const HEAD_BYTES: usize = COMPOUND_HEADER_BYTES;

/// Whether these `len_bytes` are a whole Office file: a zip archive, a compound file or a OneNote section. The service
/// lists it with `listed_bytes`. `read` fills the buffer from an offset within them.
///
/// # Errors
/// Those of `read`.
pub(crate) fn is_whole_office_file(
    len_bytes: u64,
    listed_bytes: Option<u64>,
    read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
) -> io::Result<bool> {
    let mut file = Container { len_bytes, read };
    let head = file.bytes(0, len_bytes.min(HEAD_BYTES as u64))?.unwrap_or_default();
    if head.starts_with(ZIP) {
        return file.has_zip_end();
    }
    if head.starts_with(COMPOUND) {
        return file.has_last_sector(&head);
    }
    let format = head.get(ONE_NOTE_FORMAT_AT..).unwrap_or_default();
    if !ONE_NOTE.iter().any(|begins| head.starts_with(begins)) {
        return Ok(false);
    }
    if format.starts_with(ONE_NOTE_PACKAGE) {
        // Nothing else is known of its length, so that the listed one is as good as that.
        let end_at = len_bytes - ONE_NOTE_PACKAGE_END.len() as u64;
        return Ok(listed_bytes.is_some_and(|listed| len_bytes >= listed)
            || file.begins(end_at, ONE_NOTE_PACKAGE_END, len_bytes)?);
    }
    let told = number(&head, ONE_NOTE_LEN_AT, 8).filter(|_| format.starts_with(ONE_NOTE_FORMAT));
    Ok(told.is_some_and(|told| told > 0 && told <= len_bytes))
}

struct Container<R> {
    len_bytes: u64,
    read: R,
}

impl<R: FnMut(&mut [u8], u64) -> io::Result<()>> Container<R> {
    /// The bytes at an offset; `None` if they are not there.
    fn bytes(&mut self, at: u64, count: u64) -> io::Result<Option<Vec<u8>>> {
        if at.checked_add(count).is_none_or(|end| end > self.len_bytes) {
            return Ok(None);
        }
        let mut bytes = vec![0; count as usize];
        (self.read)(&mut bytes, at)?;
        Ok(Some(bytes))
    }

    /// Whether the archive ends where its last record says, and nothing lies between that and the listing, counted from
    /// the first byte: an archive within it ends like this too.
    fn has_zip_end(&mut self) -> io::Result<bool> {
        let tail_bytes = self.len_bytes.min((ZIP_END_BYTES + ZIP_COMMENT_BYTES_MAX) as u64);
        let from = self.len_bytes - tail_bytes;
        let tail = self.bytes(from, tail_bytes)?.unwrap_or_default();
        let is_end = |at: &usize| {
            let end = &tail[*at..];
            let comment = number(end, 20, 2).unwrap_or(0);
            end.starts_with(ZIP_END) && at + ZIP_END_BYTES + comment as usize == tail.len()
        };
        let ends = (0..tail.len().saturating_sub(ZIP_END_BYTES - 1)).rev().filter(is_end);
        for at in ends.collect::<Vec<_>>() {
            let (Some(bytes), Some(offset)) = (number(&tail[at..], 12, 4), number(&tail[at..], 16, 4)) else {
                continue;
            };
            let end_at = from + at as u64;
            // The number of its files may be what is too large for this record.
            let has_listing = offset + bytes == end_at && self.begins(offset, ZIP_LISTING, bytes)?;
            if has_listing || self.has_zip64_end(end_at)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same for the records of a large archive, which end at `end_at`.
    fn has_zip64_end(&mut self, end_at: u64) -> io::Result<bool> {
        let Some(locator_at) = end_at.checked_sub(ZIP64_LOCATOR_BYTES) else { return Ok(false) };
        let locator = self.bytes(locator_at, ZIP64_LOCATOR_BYTES)?.unwrap_or_default();
        let Some(record_at) = number(&locator, 8, 8).filter(|_| locator.starts_with(ZIP64_LOCATOR)) else {
            return Ok(false);
        };
        let record = self.bytes(record_at, ZIP64_END_BYTES)?.unwrap_or_default();
        let (Some(bytes), Some(offset)) = (number(&record, 40, 8), number(&record, 48, 8)) else { return Ok(false) };
        let is_before = record.starts_with(ZIP64_END) && record_at < locator_at;
        Ok(is_before && offset.checked_add(bytes) == Some(record_at) && self.begins(offset, ZIP_LISTING, bytes)?)
    }

    /// Whether a listing begins at an offset; an empty one has no beginning.
    fn begins(&mut self, at: u64, with: &[u8], bytes: u64) -> io::Result<bool> {
        Ok(bytes == 0 || self.bytes(at, with.len() as u64)?.is_some_and(|found| found == with))
    }

    /// Whether the last sector that is in use is there: the last table of sectors names it.
    fn has_last_sector(&mut self, head: &[u8]) -> io::Result<bool> {
        let shift = number(head, SECTOR_SHIFT_AT, 2).filter(|shift| matches!(shift, 9 | 12));
        let tables = number(head, TABLES_AT, 4).filter(|tables| *tables > 0);
        let (Some(shift), Some(tables)) = (shift, tables) else { return Ok(false) };
        let sector_bytes = 1_u64 << shift;
        let in_table = sector_bytes / 4;
        // More tables than the file has sectors for: what follows takes no longer than the file is long.
        if (tables - 1) * in_table * sector_bytes > self.len_bytes {
            return Ok(false);
        }
        let Some(last_table) = self.place_of_table(head, tables - 1, sector_bytes)? else { return Ok(false) };
        let Some(table) = self.sector(last_table, sector_bytes)? else { return Ok(false) };
        let is_used = |at: &u64| number(&table, *at as usize * 4, 4) != Some(SECTOR_FREE);
        let last_used = (tables - 1) * in_table + (0..in_table).rev().find(is_used).unwrap_or(0);
        // The header is a sector too.
        Ok(self.len_bytes >= (last_used + 2) * sector_bytes)
    }

    /// The sector in which a table of sectors lies.
    fn place_of_table(&mut self, head: &[u8], table: u64, sector_bytes: u64) -> io::Result<Option<u64>> {
        if table < TABLES_IN_HEADER {
            return Ok(number(head, TABLE_LIST_AT + 4 * table as usize, 4));
        }
        // Each sector of the list ends with the place of the next.
        let in_list = sector_bytes / 4 - 1;
        let (mut at, mut left) = (number(head, FIRST_LIST_AT, 4), table - TABLES_IN_HEADER);
        while let Some(place) = at {
            let Some(list) = self.sector(place, sector_bytes)? else { return Ok(None) };
            if left < in_list {
                return Ok(number(&list, 4 * left as usize, 4));
            }
            left -= in_list;
            at = number(&list, 4 * in_list as usize, 4);
        }
        Ok(None)
    }

    fn sector(&mut self, number: u64, sector_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        self.bytes((number + 1) * sector_bytes, sector_bytes)
    }
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
        is_whole_office_file(bytes.len() as u64, None, read).unwrap()
    }

    fn zip(comment: &[u8]) -> Vec<u8> {
        let mut bytes = [ZIP, &[1; 3000]].concat();
        let at = bytes.len() as u32;
        bytes.extend(ZIP_LISTING);
        bytes.extend(b"listing");
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
            let entry = if at < sectors { at + 1 } else { u32::MAX };
            bytes[512 + at as usize * 4..][..4].copy_from_slice(&entry.to_le_bytes());
        }
        bytes
    }

    fn one_note(told: u64) -> Vec<u8> {
        let mut bytes = [ONE_NOTE[0], &[0; 2000]].concat();
        bytes[ONE_NOTE_FORMAT_AT..][..16].copy_from_slice(ONE_NOTE_FORMAT);
        bytes[ONE_NOTE_LEN_AT..][..8].copy_from_slice(&told.to_le_bytes());
        bytes
    }

    #[test]
    fn whole_office_files_are_known_by_how_they_end() {
        for whole in [zip(b""), zip(b"a comment"), zip(&[b'x'; 65_535]), compound(3), compound(128), one_note(2016)] {
            assert!(is_whole(&whole), "{} bytes", whole.len());
        }
        // A file that grew behind what its header says is still whole.
        assert!(is_whole(&one_note(1000)));
    }

    #[test]
    fn a_section_as_sharepoint_sends_it_ends_with_its_package() {
        let mut bytes = one_note(0);
        bytes[ONE_NOTE_FORMAT_AT..][..16].copy_from_slice(ONE_NOTE_PACKAGE);
        assert!(!is_whole(&bytes));
        bytes.extend(ONE_NOTE_PACKAGE_END);
        assert!(is_whole(&bytes));
    }

    #[test]
    fn no_beginning_of_an_office_file_is_whole() {
        for whole in [zip(b""), zip(b"a comment"), compound(3), one_note(2016)] {
            for len in (0..whole.len()).rev().step_by(7) {
                assert!(!is_whole(&whole[..len]), "{len} of {} bytes", whole.len());
            }
        }
        // The end of an archive within it, or of another copy, is not its own.
        let inner = zip(b"");
        let outer = [ZIP, b"name.xlsx", &inner].concat();
        assert!(!is_whole(&outer) && !is_whole(&inner.repeat(2)));
    }

    #[test]
    fn the_list_of_tables_is_followed_where_the_header_ends() {
        // 110 tables: the last one is in sector 1, by the list in sector 0, and names two sectors more than the others.
        let sectors = 109 * 128 + 2;
        let mut bytes = vec![0; 512 * (sectors + 1)];
        bytes[..8].copy_from_slice(COMPOUND);
        bytes[SECTOR_SHIFT_AT] = 9;
        bytes[TABLES_AT] = 110;
        bytes[512..][..4].copy_from_slice(&1_u32.to_le_bytes());
        bytes[1024 + 8..1024 + 512].fill(0xff);
        assert!(is_whole(&bytes));
        assert!(!is_whole(&bytes[..bytes.len() - 1]));
        // A list that leads back to itself ends too.
        bytes[TABLES_AT..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(!is_whole(&bytes[..512 * 100]));
    }

    #[test]
    fn what_is_no_office_file_is_not_whole() {
        let others: [&[u8]; 6] = [b"", b"busy", b"PK\x03\x04", b"<html>", COMPOUND, ONE_NOTE[0]];
        for other in others {
            assert!(!is_whole(other), "{other:?}");
        }
        let mut damaged = compound(3);
        damaged[TABLE_LIST_AT..][..4].copy_from_slice(&[0xff; 4]);
        assert!(!is_whole(&damaged));
    }
}
