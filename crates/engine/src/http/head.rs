//! The heads of HTTP/1 responses, as servers really send them (RFC 9112, sections 2.2, 4 and 5).
//!
//! A strict parser refuses responses that curl and browsers accept; a lax one ignores what it cannot read, and
//! an ignored `Content-Length` makes a truncated body look complete. So a head is mended before it is parsed:
//! odd but meaningless parts are dropped, and damage to the body's framing is an error.

use std::fmt;

/// Fields that define where a body ends and what it is: none of them is dropped when it is damaged.
const FRAMING: [(&str, &str); 4] = [
    ("contentlength", "Content-Length"),
    ("transferencoding", "Transfer-Encoding"),
    ("contentrange", "Content-Range"),
    ("contentencoding", "Content-Encoding"),
];
/// A validator that differs from what was sent is none.
const VALIDATOR: &str = "etag";

/// Why a head cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// This field is unreadable.
    Field(&'static str),
    /// It contains a NUL.
    Nul,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, "its {name} cannot be read"),
            Self::Nul => f.write_str("it has a NUL"),
        }
    }
}

impl std::error::Error for Damage {}

/// Where the head at the start of `bytes` ends, after its empty line; blank lines before it belong to it. Bytes
/// before `from` are not scanned again; pass the length that was scanned last time.
pub(crate) fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let first = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let from = first.max(from.saturating_sub(2));
    memchr::memchr_iter(b'\n', bytes.get(from..)?).map(|at| from + at).find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Whether every parser accepts the head as it is. Every response is asked this.
pub(crate) fn is_plain(head: &[u8]) -> bool {
    let mut lines = lines(head);
    let is_status = lines.next().is_some_and(is_status_line);
    is_status
        && lines.all(|line| match split(line) {
            Some((name, value)) => is_token(name) && is_value(value),
            None => line.is_empty(),
        })
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', head).chain([head.len()]).map(move |end| {
        let line = &head[start..end];
        start = end + 1;
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}

/// The status of a head, if it has one.
pub(crate) fn status(head: &[u8]) -> Option<u16> {
    let first = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line = head[first..].split(|byte| *byte == b'\n').next()?;
    let code = line.strip_prefix(b"HTTP/")?.split(|byte| *byte == b' ').skip(1).find(|word| !word.is_empty())?;
    std::str::from_utf8(code.get(..3)?).ok()?.parse().ok()
}

/// The same head without anything odd.
///
/// # Errors
/// If the body's framing is damaged.
pub(crate) fn mend(head: &[u8]) -> Result<Vec<u8>, Damage> {
    if head.contains(&0) {
        return Err(Damage::Nul);
    }
    let mut lines = lines(head);
    let status = lines.find(|line| !line.is_empty()).unwrap_or_default();
    let mut mended = Vec::with_capacity(head.len() + 2);
    mended.extend(mended_status(status));
    let mut lines = lines.take_while(|line| !line.is_empty()).peekable();
    let goes_on_with_nothing = lines.peek().filter(|line| matches!(line.first(), Some(b' ' | b'\t')));
    if let Some(name) = goes_on_with_nothing.and_then(|line| framing_that_begins(line)) {
        // Section 2.2 wants this line ignored, but the sender meant it.
        return Err(Damage::Field(name));
    }
    for field in unfolded(lines) {
        if let Some((name, value)) = mended_field(&field)? {
            mended.extend_from_slice(b"\r\n");
            mended.extend_from_slice(name);
            mended.push(b':');
            mended.extend(value);
        }
    }
    mended.extend_from_slice(b"\r\n\r\n");
    Ok(mended)
}

/// One space each between the version, the status and the reason, as all parsers expect.
fn mended_status(line: &[u8]) -> Vec<u8> {
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let (version, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let rest = rest.trim_ascii_start().iter().map(|byte| if is_of_value(*byte) { *byte } else { b' ' });
    version.iter().copied().chain([b' ']).chain(rest).collect()
}

/// Joins lines that start with whitespace to the line before (section 5.2); before the first field, the
/// whitespace is ignored.
fn unfolded<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        match (line.first(), fields.last_mut()) {
            (Some(b' ' | b'\t'), Some(field)) => {
                field.push(b' ');
                field.extend_from_slice(line.trim_ascii());
            }
            (Some(b' ' | b'\t'), None) => fields.push(line.trim_ascii_start().to_vec()),
            _ => fields.push(line.to_vec()),
        }
    }
    fields
}

/// A name and its mended value.
type Mended<'a> = (&'a [u8], Vec<u8>);

/// A field to pass on; `None` for a dropped line.
fn mended_field(line: &[u8]) -> Result<Option<Mended<'_>>, Damage> {
    // Who ends lines with CR alone means another field behind it (RFC 9112, section 2.2, lets a space take its place).
    if let Some(name) = line.split(|byte| *byte == b'\r').skip(1).find_map(framing_that_begins) {
        return Err(Damage::Field(name));
    }
    let Some((name, value)) = split(line) else {
        return framing_that_begins(line).map_or(Ok(None), |name| Err(Damage::Field(name)));
    };
    let name = name.trim_ascii_end();
    let framing = FRAMING.iter().find(|(squeezed, _)| squeeze(name).eq(squeezed.bytes())).map(|(_, name)| *name);
    let is_odd = !is_value(value);
    match framing {
        Some(framing) if is_odd || !is_token(name) => Err(Damage::Field(framing)),
        _ if !is_token(name) || is_odd && name.eq_ignore_ascii_case(VALIDATOR.as_bytes()) => Ok(None),
        _ => {
            let value = value.iter().map(|byte| if is_of_value(*byte) { *byte } else { b' ' });
            Ok(Some((name, value.collect())))
        }
    }
}

/// The framing field that a line without a colon was meant to be, if any.
fn framing_that_begins(line: &[u8]) -> Option<&'static str> {
    FRAMING.iter().find(|(squeezed, _)| squeeze(line).take(squeezed.len()).eq(squeezed.bytes())).map(|(_, name)| *name)
}

/// A name without characters that do not belong in one.
fn squeeze(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

fn split(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    Some((&line[..colon], &line[colon + 1..]))
}

/// `HTTP/1.1 200 OK`, with single spaces.
fn is_status_line(line: &[u8]) -> bool {
    let is_version = line.starts_with(b"HTTP/1.") && line.get(8) == Some(&b' ');
    let has_code = line.get(9..12).is_some_and(|code| code.iter().all(u8::is_ascii_digit));
    is_version && has_code && is_value(&line[12..])
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| IS_OF_TOKEN[*byte as usize])
}

/// The bytes that may be in a token.
const IS_OF_TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_sign = matches!(
            byte as u8,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
        table[byte] = is_sign || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// Without an early end, so that many bytes are compared at once.
fn is_value(value: &[u8]) -> bool {
    value.iter().fold(true, |is_value, byte| is_value & is_of_value(*byte))
}

/// RFC 9110, section 5.5: bytes allowed in a value.
fn is_of_value(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(fields: &str) -> Result<String, Damage> {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let mended = String::from_utf8(mend(head.as_bytes())?).unwrap();
        assert!(is_plain(mended.as_bytes()), "{mended:?}");
        let rest = mended.strip_prefix("HTTP/1.1 200 OK\r\n").unwrap().strip_suffix("\r\n\r\n");
        Ok(rest.unwrap_or_default().to_owned())
    }

    #[test]
    fn what_is_odd_and_means_nothing_is_left_out_or_put_right() {
        for (sent, meant) in [
            ("A : b\r\nC: d", "A: b\r\nC: d"),
            ("A: b\r\nPHP Warning: it went wrong\r\nC: d", "A: b\r\nC: d"),
            ("A: b\r\nnonsense\r\nC: d", "A: b\r\nC: d"),
            (" A: b\r\nC: d", "A: b\r\nC: d"),
            ("A: b\r\n\tc\r\n  d\r\nE: f", "A: b c d\r\nE: f"),
            ("A: b\u{1}c\u{7f}d", "A: b c d"),
            ("A: b\rc", "A: b c"),
            (": b\r\nA: c", "A: c"),
            ("X-é: b\r\nA: c", "A: c"),
            ("A: b\nC: d", "A: b\r\nC: d"),
            ("ETag: \"a\u{1}b\"\r\nA: b", "A: b"),
            ("Content-Length : 5", "Content-Length: 5"),
            ("Content-Length:\r\n 5", "Content-Length: 5"),
        ] {
            assert_eq!(mended(sent).as_deref(), Ok(meant), "{sent:?}");
        }
    }

    #[test]
    fn framing_that_is_damaged_is_an_error() {
        for sent in [
            "Content Length: 5",
            "Content-Length\u{1}: 5",
            "Content-Length 5",
            "content-length=5",
            "Content-Length: 5\u{1}",
            "Content-Length: 5\r6",
            "ETag: \"a\"\rContent-Length: 5",
            "Transfer-Encoding\u{e9}: chunked",
            "Transfer Encoding: chunked",
            "Content-Range : bytes 0-4/5\u{2}",
            "\"Content-Encoding\": gzip",
        ] {
            assert!(matches!(mended(sent), Err(Damage::Field(_))), "{sent:?}");
        }
        assert_eq!(mended("A: b\0c"), Err(Damage::Nul));
    }

    #[test]
    fn only_a_head_that_every_parser_accepts_is_plain() {
        let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").into_bytes();
        for plain in ["A: b", "A:b\r\nC:", "A!#$%&'*+-.^_`|~z9: \u{e9}\t~", "A: b\nC: d"] {
            assert!(is_plain(&head(plain)), "{plain:?}");
        }
        // Each byte of a field, and of its name, counts.
        for odd in ["A : b", "nonsense", " A: b", ": b", "A: b\u{1}", "A: b\u{7f}c", "A\u{e9}: b", "A: b\rc", "A(: b"] {
            assert!(!is_plain(&head(&format!("C: d\r\n{odd}\r\nE: f"))), "{odd:?}");
        }
        assert!(!is_plain(b"HTTP/1.1 200 O\x01K\r\n\r\n"));
        assert!(!is_plain(b"\r\nHTTP/1.1 200 OK\r\n\r\n"));
    }

    #[test]
    fn status_lines_get_one_blank_each() {
        for (sent, meant) in [
            ("HTTP/1.1  200 OK", "HTTP/1.1 200 OK"),
            ("HTTP/1.1 200", "HTTP/1.1 200"),
            ("HTTP/1.0 404   Not\u{1}Found", "HTTP/1.0 404   Not Found"),
            ("\r\n\nHTTP/1.1 200 OK", "HTTP/1.1 200 OK"),
        ] {
            let head = mend(format!("{sent}\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(String::from_utf8(head).unwrap(), format!("{meant}\r\n\r\n"));
        }
    }

    #[test]
    fn a_head_ends_behind_its_first_empty_line() {
        let head = b"\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
        let ends = head.len() - b"body\r\n\r\n".len();
        for seen in 0..=ends {
            assert_eq!(end(&head[..seen], seen.saturating_sub(1)), (seen == ends).then_some(ends), "{seen}");
        }
        assert_eq!(end(head, 0), Some(ends));
        assert_eq!(end(b"HTTP/1.1 200\nA: b\n\nbody", 0), Some(19));
        assert_eq!(end(b"\r\n\r\n", 0), None);
    }

    #[test]
    fn the_status_is_read_from_odd_lines_too() {
        assert_eq!(status(b"\r\nHTTP/1.1  100 Continue\r\n\r\n"), Some(100));
        assert_eq!(status(b"HTTP/1.1 200\r\n\r\n"), Some(200));
        assert_eq!(status(b"nonsense\r\n\r\n"), None);
    }
}
