//! Reads a plain list as a stream: one URL per line, any length.
//!
//! [`parse_line`] is pure. [`ListReader`] owns one buffer and reads at offsets, so that another
//! thread may still append to the file; runs on the feed thread.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use url::{ParseError, Url};

use crate::error::{Error, ErrorKind};
use crate::job::JobSpec;
use crate::secret::shown_line;

/// A longer line is an error and is not kept.
pub(crate) const LINE_BYTES_MAX: usize = 64 * 1024;

const BUFFER_BYTES: usize = 2 * LINE_BYTES_MAX;
/// An entry that Towline has written itself may be longer: the digests of its pieces are in it.
const SPEC_BYTES_MAX: usize = 8 << 20;
pub(super) const CHANGED: &str = "it was changed while it was read, and entries may be missing";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The content of a line.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all lines are entries")]
pub(crate) enum Line {
    /// Blank, or a comment.
    Nothing,
    /// Something to fetch.
    Entry(Parsed),
    /// Invalid, with [`ErrorKind::ListLine`].
    Bad(Error),
}

/// A line with an entry.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// What to fetch.
    pub(crate) spec: JobSpec,
}

/// Parses one line without its line feed; `number` counts from 1.
pub(crate) fn parse_line(number: u64, bytes: &[u8]) -> Line {
    let bytes = match bytes.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) if number == 1 => rest,
        _ => bytes,
    };
    if bytes.len() > LINE_BYTES_MAX {
        return Line::Bad(too_long(number));
    }
    let bytes = bytes.trim_ascii();
    if bytes.is_empty() || bytes[0] == b'#' {
        return Line::Nothing;
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return bad(number, "not UTF-8 text", &String::from_utf8_lossy(bytes));
    };
    let text = without_comment(text.trim());
    if text.is_empty() {
        return Line::Nothing;
    }
    if text.chars().any(char::is_control) {
        return bad(number, "not a URL: a control character in it", text);
    }
    match url_in(without_quotes(text)) {
        Ok(url) => Line::Entry(Parsed { spec: JobSpec::new(url) }),
        Err(what) => bad(number, &what, text),
    }
}

/// The URL that a text is, or what is wrong with it.
pub(crate) fn url_in(text: &str) -> Result<Url, String> {
    if text.split_whitespace().skip(1).any(begins_with_scheme) {
        return Err("more than one URL in it: give each a line of its own".to_owned());
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(ParseError::RelativeUrlWithoutBase) if looks_like_host(text) => return Err(NO_SCHEME.to_owned()),
        Err(ParseError::RelativeUrlWithoutBase) => return Err("not a URL".to_owned()),
        Err(error) => return Err(format!("not a URL: {error}")),
    };
    match url.scheme() {
        "http" | "https" => {}
        // `example.com:8080/a` parses as a URL with the scheme `example.com`.
        scheme if scheme.contains('.') || scheme == "localhost" => return Err(NO_SCHEME.to_owned()),
        scheme => {
            let scheme: String = scheme.chars().take(20).collect();
            return Err(format!("only http and https can be fetched, not {scheme}"));
        }
    }
    match url.host_str().is_none_or(str::is_empty) {
        true => Err("not a URL to fetch: it names no host".to_owned()),
        false => Ok(url),
    }
}

/// The error for a line longer than [`LINE_BYTES_MAX`].
pub(crate) fn too_long(number: u64) -> Error {
    Error::new(ErrorKind::ListLine, format!("line {number}: longer than {} KiB", LINE_BYTES_MAX / 1024))
}

/// How far a list may be read at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    /// Only bytes before this offset exist.
    pub(crate) end_bytes: u64,
    /// Whether more may follow.
    pub(crate) more: bool,
}

impl Until {
    /// Up to the end of a file that nobody writes to.
    pub(crate) const END_OF_FILE: Self = Self { end_bytes: u64::MAX, more: false };
}

/// What [`ListReader::next_line`] found.
#[derive(Debug)]
pub(crate) enum Next {
    /// A whole line.
    Line(RawLine),
    /// The next line has not arrived yet.
    NotYet,
    /// The list has ended.
    End,
}

/// A line as it appears in the list.
#[derive(Debug)]
pub(crate) struct RawLine {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Whether it was too long to keep; then it has no bytes.
    pub(crate) too_long: bool,
    range: Range<usize>,
}

/// Reads the lines of a file that supports reads at offsets.
#[derive(Debug)]
pub(crate) struct ListReader {
    file: Arc<File>,
    buffer: Vec<u8>,
    line_bytes_max: usize,
    start: usize,
    scanned: usize,
    end: usize,
    /// The file offset of `buffer[start]`.
    offset: u64,
    number: u64,
    /// The current line is too long and is being skipped.
    is_long: bool,
    /// How long the file was at first, if it is a file that nobody writes to.
    len_bytes: Option<u64>,
}

impl ListReader {
    /// How many lines were read.
    pub(crate) fn lines(&self) -> u64 {
        self.number
    }

    /// Reads `file` from its beginning.
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self {
            file,
            buffer: vec![0; BUFFER_BYTES],
            line_bytes_max: LINE_BYTES_MAX,
            start: 0,
            scanned: 0,
            end: 0,
            offset: 0,
            number: 0,
            is_long: false,
            len_bytes: None,
        }
    }

    /// Reads the list of a user, which ends where it ends now: what others write to it meanwhile is no part of it.
    pub(crate) fn of_user(file: Arc<File>) -> Self {
        let len_bytes = file.metadata().ok().map(|found| found.len());
        Self { len_bytes, ..Self::new(file) }
    }

    /// Reads lines that Towline has written itself.
    pub(crate) fn reads_specs(&mut self) {
        self.line_bytes_max = SPEC_BYTES_MAX;
    }

    /// The next line within the readable part of the list.
    pub(crate) fn next_line(&mut self, until: Until) -> io::Result<Next> {
        loop {
            let fresh = &self.buffer[self.scanned..self.end];
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let end = self.scanned + at;
                return Ok(Next::Line(self.cut(end, end + 1)));
            }
            self.scanned = self.end;
            if self.end - self.start > self.line_bytes_max + BYTE_ORDER_MARK.len() + 1 {
                self.is_long = true;
                self.offset += (self.end - self.start) as u64;
                self.start = self.end;
            }
            if self.fill(until.end_bytes)? > 0 {
                continue;
            }
            if until.more {
                return Ok(Next::NotYet);
            }
            let read_bytes = self.offset + (self.end - self.start) as u64;
            if self.len_bytes.is_some_and(|len_bytes| len_bytes != read_bytes) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, CHANGED));
            }
            if self.start == self.end && !self.is_long {
                return Ok(Next::End);
            }
            let end = self.end;
            return Ok(Next::Line(self.cut(end, end)));
        }
    }

    /// The bytes of the line returned last.
    pub(crate) fn bytes(&self, line: &RawLine) -> &[u8] {
        &self.buffer[line.range.clone()]
    }

    fn cut(&mut self, end: usize, next: usize) -> RawLine {
        self.number += 1;
        let too_long = std::mem::take(&mut self.is_long);
        let line = RawLine { number: self.number, too_long, range: if too_long { end..end } else { self.start..end } };
        self.offset += (next - self.start) as u64;
        self.start = next;
        self.scanned = next;
        line
    }

    fn fill(&mut self, end_bytes: u64) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            // Longer than any line of a user's list.
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let at = self.offset + self.end as u64;
        let there = usize::try_from(end_bytes.saturating_sub(at)).unwrap_or(usize::MAX);
        let room = (self.buffer.len() - self.end).min(there);
        let count = read_some(&self.file, &mut self.buffer[self.end..self.end + room], at)?;
        self.end += count;
        Ok(count)
    }
}

/// Whether a word is a URL by itself, and not the rest of a URL with a space in it (`a b?from=http://h/`).
fn begins_with_scheme(word: &str) -> bool {
    word.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

const NO_SCHEME: &str = "not a URL: write https:// or http:// before it";

fn bad(number: u64, what: &str, text: &str) -> Line {
    let message = format!("line {number}: {what} (got \"{}\")", shown_line(text));
    Line::Bad(Error::new(ErrorKind::ListLine, message))
}

/// Strips quotes or angle brackets, which prose and tables put around URLs.
fn without_quotes(text: &str) -> &str {
    let pairs = [('"', '"'), ('\'', '\''), ('<', '>')];
    let inside = pairs.into_iter().find_map(|(opens, closes)| text.strip_prefix(opens)?.strip_suffix(closes));
    inside.map_or(text, str::trim)
}

/// A `#` after whitespace starts a comment; any other `#` is part of the URL.
fn without_comment(text: &str) -> &str {
    let mut blank_before = false;
    for (at, character) in text.char_indices() {
        if character == '#' && blank_before {
            return text[..at].trim_end();
        }
        blank_before = character.is_whitespace();
    }
    text
}

/// Whether a text may be a URL without its scheme.
pub fn looks_like_host(text: &str) -> bool {
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    let name = host.split(':').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
    is_name && !name.starts_with(['.', '-']) && (name.contains('.') || name == "localhost" || host.contains(':'))
}

fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    if buffer.is_empty() {
        return Ok(0);
    }
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn url(line: &[u8]) -> String {
        match parse_line(2, line) {
            Line::Entry(parsed) => parsed.spec.url.to_string(),
            other => panic!("not an entry: {other:?}"),
        }
    }

    fn complaint(line: &[u8]) -> String {
        match parse_line(7, line) {
            Line::Bad(error) => {
                assert_eq!(error.kind(), ErrorKind::ListLine);
                error.message().to_owned()
            }
            other => panic!("not a bad line: {other:?}"),
        }
    }

    fn lines(content: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let mut reader = ListReader::new(Arc::new(file));
        let mut all = Vec::new();
        while let Next::Line(line) = reader.next_line(Until::END_OF_FILE).unwrap() {
            all.push((line.number, reader.bytes(&line).to_vec(), line.too_long));
        }
        all
    }

    #[test]
    fn white_space_line_ends_and_comments_are_taken_away() {
        assert_eq!(url(b"  http://h/a \r"), "http://h/a");
        assert_eq!(url(b"http://h/a#part"), "http://h/a#part");
        assert_eq!(url(b"http://h/a\t# the first"), "http://h/a");
        for quoted in [&b"\"http://h/a\""[..], b"'http://h/a'", b"<http://h/a>", b"  < http://h/a >  # the first"] {
            assert_eq!(url(quoted), "http://h/a");
        }
        for nothing in [&b""[..], b" \t\r", b"# http://h/a", b"  #"] {
            assert!(matches!(parse_line(2, nothing), Line::Nothing), "{nothing:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_taken_away_from_the_first_line_only() {
        let marked = b"\xef\xbb\xbfhttp://h/a";
        assert!(matches!(parse_line(1, marked), Line::Entry(_)));
        assert!(matches!(parse_line(2, marked), Line::Bad(_)));
    }

    #[test]
    fn a_bad_line_says_its_number_and_what_is_wrong() {
        assert_eq!(complaint(b"foo bar"), "line 7: not a URL (got \"foo…\")");
        let two = complaint(b"http://u:SECRET@h/a http://h/b");
        assert!(two.contains("more than one URL") && !two.contains("SECRET"), "{two}");
        assert!(complaint(b"ftp://h/a").contains("only http and https can be fetched, not ftp"));
        assert!(complaint(b"http://").contains("empty host"));
        assert!(complaint(b"http://h/\xff").contains("not UTF-8"));
        assert!(complaint(b"http://h/a\tb").contains("control character"));
        assert!(complaint(&vec![b'a'; LINE_BYTES_MAX + 1]).contains("longer than 64 KiB"));
        assert!(complaint(&[b'a'; 500]).len() < 250);
    }

    #[test]
    fn a_url_without_its_scheme_is_told_to_have_one() {
        for line in ["example.com/a", "example.com:8080/a", "localhost:80/a", "localhost/a"] {
            assert!(complaint(line.as_bytes()).contains("write https://"), "{line}");
        }
    }

    #[test]
    fn a_complaint_holds_no_secret() {
        for line in [
            "ftp://me:hunter2@h/a?token=hunter2",
            "http://me:hunter2@h:99999999/",
            "me:hunter2@h",
            "http://me:hun?ter2@[/",
            "ftp://h/a#hunter2",
            "header=Authorization: Bearer hunter2",
            "  header=X-Key: hunter2",
            "Authorization: Bearer hunter2",
            "Cookie:hunter2",
            "-u me:hunter2 http://h/a",
            "curl -H 'Authorization: Bearer hunter2' http://h/a",
            "user = \"me:hunter2\"",
            "machine h login me password hunter2",
            "{\"password\": \"hunter2\"}",
            "token:hunter2",
            "{\"url\":\"http://h/x\",\"token\":\"hunter2\"}",
            "http-passwd=hunter2",
            "http://me:hun ter2@[/",
            "http://h/a b?x=hunter2\u{1}",
        ] {
            let said = complaint(line.as_bytes());
            assert!(!said.contains("hunter2") && !said.contains("ter2"), "{said}");
        }
    }

    #[test]
    fn lines_have_numbers_and_the_last_needs_no_line_feed() {
        assert_eq!(
            lines(b"one\n\nthree"),
            [(1, b"one".to_vec(), false), (2, Vec::new(), false), (3, b"three".to_vec(), false)]
        );
        assert!(lines(b"").is_empty());
    }

    #[test]
    fn a_very_long_line_is_skipped_without_being_kept() {
        let mut content = b"first\n".to_vec();
        content.resize(content.len() + 5 * BUFFER_BYTES, b'x');
        content.extend_from_slice(b"\nlast\n");
        let all = lines(&content);
        assert_eq!(all[1], (2, Vec::new(), true));
        assert_eq!(all[2].0, 3);
        assert_eq!(all[2].1, b"last");
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn a_list_that_others_change_while_it_is_read_is_not_taken_for_all_of_it() {
        for (change, is_changed) in [(None, false), (Some(5), true), (Some(40), true)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"http://h/a\nhttp://h/b\n").unwrap();
            let mut reader = ListReader::of_user(Arc::new(file.try_clone().unwrap()));
            if let Some(len_bytes) = change {
                file.set_len(len_bytes).unwrap();
            }
            let end = loop {
                match reader.next_line(Until::END_OF_FILE) {
                    Ok(Next::Line(_)) => {}
                    other => break other,
                }
            };
            assert_eq!(end.is_err(), is_changed, "{change:?}");
        }
    }

    #[test]
    fn a_line_that_is_still_being_written_waits() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\ntwo\n").unwrap();
        let mut reader = ListReader::new(Arc::new(file));
        let until = Until { end_bytes: 6, more: true };
        assert!(matches!(reader.next_line(until).unwrap(), Next::Line(_)));
        assert!(matches!(reader.next_line(until).unwrap(), Next::NotYet));
        let Next::Line(line) = reader.next_line(Until { end_bytes: 8, more: true }).unwrap() else { panic!("no line") };
        assert_eq!(reader.bytes(&line), b"two");
        assert!(matches!(reader.next_line(Until { end_bytes: 8, more: false }).unwrap(), Next::End));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_entry_nothing_or_a_complaint(
            number in 1_u64..5, bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            if let Line::Bad(error) = parse_line(number, &bytes) {
                prop_assert_eq!(error.kind(), ErrorKind::ListLine);
                let begins_so = format!("line {number}: ");
                prop_assert!(error.message().starts_with(&begins_so));
            }
        }

        #[test]
        fn lines_are_those_of_the_content(content in proptest::collection::vec(
            prop_oneof![Just(b'\n'), any::<u8>()], 0..300
        )) {
            let mut wanted: Vec<Vec<u8>> = content.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
            if wanted.last().is_some_and(Vec::is_empty) {
                wanted.pop();
            }
            let got: Vec<Vec<u8>> = lines(&content).into_iter().map(|line| line.1).collect();
            prop_assert_eq!(got, wanted);
        }
    }
}
