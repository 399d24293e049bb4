//! Content that begins and ends like a zip archive.

const BEGINNING: &[u8] = b"PK\x03\x04";
/// The end of an archive that lists nothing (APPNOTE.TXT, section 4.3.16).
const END: [u8; 22] = *b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// In it, where the list begins.
const LIST_AT: usize = 16;

/// Makes the content of a file of `size` bytes look like a zip archive from outside: writes the beginning and the end of
/// one over those bytes of `buf` that are theirs. `buf` holds the content from `offset` on.
///
/// ```
/// let mut bytes = [7; 100];
/// towline_origin::fill_archive(100, 0, &mut bytes);
/// assert!(bytes.starts_with(b"PK\x03\x04\x07") && bytes[78..].starts_with(b"PK\x05\x06"));
/// ```
pub fn fill_archive(size: u64, offset: u64, buf: &mut [u8]) {
    let end_at = size.saturating_sub(END.len() as u64);
    let mut end = END;
    end[LIST_AT..LIST_AT + 4].copy_from_slice(&u32::try_from(end_at).unwrap_or(u32::MAX).to_le_bytes());
    for (byte, at) in buf.iter_mut().zip(offset..) {
        let marks = [(0, BEGINNING), (end_at, &end[..])];
        let mark = marks.into_iter().find_map(|(from, mark)| mark.get(usize::try_from(at.checked_sub(from)?).ok()?));
        *byte = mark.copied().unwrap_or(*byte);
    }
}
