//! The text of a journal: one JSON object with four fields in a fixed order; the last one, the body, is
//! protected by a CRC. Pure.
//!
//! ```text
//! {"format":"towline-journal","version":1,"crc32":"0a1b2c3d","body":{…}}
//! ```
//!
//! The CRC covers the body's bytes without the whitespace between tokens, so a person may reformat a journal.
//! Every version starts with the same two fields, so that an older program recognises a newer journal even if
//! it can read nothing else; the body may gain fields in later versions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::content::{Identity, Journal, JournalError, Verified};
use super::crc::crc32;
use crate::checksum::Checksum;
use crate::ranges::{ByteRange, RangeSet};
use crate::secret::shown_text;
use crate::storage::FileId;

/// The size limit for reading and writing a journal.
pub(crate) const JOURNAL_BYTES_MAX: u64 = 8 << 20;

/// The most ranges in a journal.
const RANGES_MAX: usize = 200_000;

/// The most text for the ranges; the rest is enough for the other fields, including escapes.
const RANGES_BYTES_MAX: u64 = 7 << 20;

/// The longest token of a storage.
const TOKEN_BYTES_MAX: usize = 16 << 10;

/// The longest URL.
const URL_BYTES_MAX: usize = 64 << 10;

const VERSION: u64 = 1;
const BEFORE_VERSION: &str = r#"{"format":"towline-journal","version":"#;
const BEFORE_CRC: &str = r#","crc32":""#;
const BEFORE_BODY: &str = r#"","body":"#;
const AFTER_BODY: &str = "}";
const CRC_DIGITS: usize = 8;

/// The version is within this many bytes, even in a reformatted journal.
const HEAD_BYTES: usize = 256;

/// The body as serialised.
#[derive(Serialize, Deserialize)]
struct Body {
    generation: u64,
    saved_unix_ms: u64,
    identity: Identity,
    verified: Verified,
    /// The first byte of each range and one past its last.
    done: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replaces_old: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_short: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joined_by: Option<Checksum>,
}

/// The fields of a journal of any version, in any order.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

impl Journal {
    /// The journal's text, with a newline at the end.
    ///
    /// Drops what exceeds a limit, the last ranges first, so that the journal claims too little rather than too
    /// much.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text_bytes = 0_u64;
        let done = self
            .done
            .iter()
            .take(RANGES_MAX)
            .take_while(|range| {
                text_bytes += digits(range.start) + digits(range.end) + "[,],".len() as u64;
                text_bytes <= RANGES_BYTES_MAX
            })
            .map(|range| (range.start, range.end))
            .collect();
        let body = Body {
            generation: self.generation,
            saved_unix_ms: self.saved_unix_ms,
            identity: Identity { url: shortened(&self.identity.url).to_owned(), ..self.identity.clone() },
            verified: self.verified,
            done,
            file: self.file,
            token: self.token.clone().filter(|token| token.len() <= TOKEN_BYTES_MAX),
            replaces_old: self.replaces_old,
            is_short: self.is_short,
            joined_by: self.joined_by.clone(),
        };
        let body = serde_json::to_vec(&body).expect("strings and numbers always have a JSON form");
        let crc = crc32(&body);
        let mut text = format!("{BEFORE_VERSION}{VERSION}{BEFORE_CRC}{crc:08x}{BEFORE_BODY}").into_bytes();
        text.extend_from_slice(&body);
        text.extend_from_slice(AFTER_BODY.as_bytes());
        text.push(b'\n');
        text
    }

    /// Parses the text and checks everything in it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, JournalError> {
        match version(bytes) {
            Some(VERSION) => {}
            Some(newer) if newer > VERSION => return Err(JournalError::Newer(newer)),
            Some(other) => return Err(damaged(format!("there is no format version {other}"))),
            None => return Err(damaged("it does not begin like a journal")),
        }
        if bytes.len() as u64 > JOURNAL_BYTES_MAX {
            return Err(damaged(format!("it is longer than {JOURNAL_BYTES_MAX} bytes")));
        }
        let text = without_white_space(bytes);
        let (crc, body) = parts(&text).ok_or_else(|| damaged("its fields are not where they belong"))?;
        if format!("{:08x}", crc32(body)).as_bytes() != crc {
            return Err(damaged("its CRC is wrong"));
        }
        let body: Body = serde_json::from_slice(body).map_err(|error| damaged(shown_text(&error.to_string())))?;
        if body.identity.url.len() > URL_BYTES_MAX {
            return Err(damaged(format!("its URL is longer than {URL_BYTES_MAX} bytes")));
        }
        Ok(Self {
            generation: body.generation,
            done: checked(&body.done, body.identity.total_bytes)?,
            identity: body.identity,
            verified: body.verified,
            file: body.file,
            token: body.token.filter(|token| token.len() <= TOKEN_BYTES_MAX),
            replaces_old: body.replaces_old,
            is_short: body.is_short,
            joined_by: body.joined_by,
            saved_unix_ms: body.saved_unix_ms,
        })
    }
}

/// A journal text with this body, valid or not, and the right CRC.
#[cfg(feature = "fuzz")]
pub(crate) fn with_body(body: &[u8]) -> Vec<u8> {
    let crc = crc32(&without_white_space(body));
    let before = format!("{BEFORE_VERSION}{VERSION}{BEFORE_CRC}{crc:08x}{BEFORE_BODY}");
    [before.as_bytes(), body, AFTER_BODY.as_bytes()].concat()
}

/// The version; the first bytes suffice if they have the form of every version.
fn version(bytes: &[u8]) -> Option<u64> {
    let head = without_white_space(bytes.get(..HEAD_BYTES).unwrap_or(bytes));
    if let Some(rest) = head.strip_prefix(BEFORE_VERSION.as_bytes()) {
        let mut version = None;
        for digit in rest.iter().take_while(|byte| byte.is_ascii_digit()) {
            let so_far: u64 = version.unwrap_or(0);
            version = Some(so_far.saturating_mul(10).saturating_add(u64::from(*digit - b'0')));
        }
        return version;
    }
    if bytes.len() as u64 > JOURNAL_BYTES_MAX {
        return None;
    }
    let head: Head = serde_json::from_slice(bytes).ok()?;
    (head.format == "towline-journal").then_some(head.version)
}

/// The CRC's digits and the body.
fn parts(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = text.strip_prefix(BEFORE_VERSION.as_bytes())?;
    let rest = rest.strip_prefix(VERSION.to_string().as_bytes())?;
    let rest = rest.strip_prefix(BEFORE_CRC.as_bytes())?;
    let (crc, rest) = rest.split_at_checked(CRC_DIGITS)?;
    let rest = rest.strip_prefix(BEFORE_BODY.as_bytes())?;
    Some((crc, rest.strip_suffix(AFTER_BODY.as_bytes())?))
}

/// The ranges, if they are sorted, separate and inside the file.
fn checked(ranges: &[(u64, u64)], total_bytes: Option<u64>) -> Result<RangeSet, JournalError> {
    if ranges.len() > RANGES_MAX {
        return Err(damaged(format!("it has more than {RANGES_MAX} ranges")));
    }
    let mut end_before: Option<u64> = None;
    for &(start, end) in ranges {
        if start >= end {
            return Err(damaged(format!("the range {start}..{end} is empty")));
        }
        if end_before.is_some_and(|before| start <= before) {
            return Err(damaged(format!("the range {start}..{end} is not behind the one before it")));
        }
        if total_bytes.is_some_and(|total_bytes| end > total_bytes) {
            return Err(damaged(format!("the range {start}..{end} is not inside the file")));
        }
        end_before = Some(end);
    }
    Ok(ranges.iter().map(|&(start, end)| ByteRange::new(start, end)).collect())
}

/// JSON without the whitespace between tokens.
fn without_white_space(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for &byte in text {
        if in_string {
            kept.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            kept.push(byte);
            in_string = byte == b'"';
        }
    }
    kept
}

/// The part of a URL that fits.
pub(crate) fn shortened(url: &str) -> &str {
    let mut end = url.len().min(URL_BYTES_MAX);
    while !url.is_char_boundary(end) {
        end -= 1;
    }
    &url[..end]
}

fn digits(number: u64) -> u64 {
    u64::from(number.checked_ilog10().unwrap_or(0)) + 1
}

fn damaged(why: impl Into<String>) -> JournalError {
    JournalError::Damaged(why.into())
}

/// How much a journal claims, and of what total, whatever its version and CRC: good enough to display.
pub(crate) fn glance(bytes: &[u8]) -> Option<(u64, Option<u64>)> {
    let journal: Value = serde_json::from_slice(bytes).ok()?;
    let body = journal.get("body")?;
    let at = |range: &Value, index: usize| range.get(index).and_then(Value::as_u64).unwrap_or(0);
    let len = |range: &Value| at(range, 1).saturating_sub(at(range, 0));
    let done_bytes = body.get("done")?.as_array()?.iter().map(len).fold(0, u64::saturating_add);
    let total_bytes = body.get("identity").and_then(|identity| identity.get("total_bytes")).and_then(Value::as_u64);
    Some((done_bytes, total_bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::Evidence;
    use crate::evidence::Given;

    const GOLDEN_V1: &str = include_str!("../../tests/golden/journal-v1.json");

    fn ranges(ranges: &[(u64, u64)]) -> RangeSet {
        ranges.iter().map(|&(start, end)| ByteRange::new(start, end)).collect()
    }

    fn journal() -> Journal {
        Journal {
            generation: 7,
            identity: Identity {
                url: "https://example.org/a b/\"quoted\"\\".to_owned(),
                given: Some(Given::of(&"https://example.org/a".parse().unwrap())),
                evidence: Evidence::default(),
                total_bytes: Some(1000),
            },
            done: ranges(&[(0, 10), (20, 1000)]),
            verified: Verified::Unchecked,
            joined_by: None,
            file: None,
            token: Some("part-1".to_owned()),
            replaces_old: false,
            is_short: false,
            saved_unix_ms: 1_750_000_000_000,
        }
    }

    /// A journal text with this body and the right CRC.
    fn with_body(body: &str) -> Vec<u8> {
        let crc = crc32(&without_white_space(body.as_bytes()));
        format!("{BEFORE_VERSION}{VERSION}{BEFORE_CRC}{crc:08x}{BEFORE_BODY}{body}{AFTER_BODY}\n").into_bytes()
    }

    fn body_of(journal: &Journal) -> String {
        let text = journal.encode();
        let (_, body) = parts(text.trim_ascii_end()).unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn why(text: &[u8]) -> String {
        match Journal::decode(text) {
            Err(JournalError::Damaged(why)) => why,
            other => panic!("not damaged: {other:?}"),
        }
    }

    #[test]
    fn version_1_is_read_as_it_was_written_then() {
        let journal = Journal::decode(GOLDEN_V1.as_bytes()).unwrap();
        assert_eq!(journal.generation, 42);
        assert_eq!(journal.saved_unix_ms, 1_751_364_000_123);
        assert_eq!(journal.identity.url, "https://example.org/data/räder.tar");
        assert_eq!(journal.identity.total_bytes, Some(1_048_576));
        assert_eq!(journal.identity.evidence.total_bytes, Some(1_048_576));
        assert_ne!(journal.identity.evidence.etag, Evidence::default().etag);
        assert_ne!(journal.identity.evidence.last_modified, Evidence::default().last_modified);
        assert_eq!(journal.done, ranges(&[(0, 262_144), (524_288, 1_048_576)]));
        assert_eq!(journal.verified, Verified::Failed);
        assert_eq!(Journal::decode(&journal.encode()), Ok(journal));
    }

    #[test]
    fn a_journal_that_a_person_reformatted_is_read() {
        let url = "a \\\" b".to_owned();
        let journal = Journal { identity: Identity { url, ..journal().identity }, ..journal() };
        let text = String::from_utf8(journal.encode()).unwrap();
        let spread = text.replace("\":", "\" :\t").replace("],[", " ],\r\n  [ ").replace('{', "\n{ ");
        assert_ne!(spread, text);
        assert_eq!(Journal::decode(spread.as_bytes()), Ok(journal));
    }

    #[test]
    fn fields_that_we_do_not_know_are_passed_over() {
        let body = body_of(&journal()).replacen('{', r#"{"later":[1.5e300,{"a":null}],"#, 1);
        assert_eq!(Journal::decode(&with_body(&body)), Ok(journal()));
    }

    #[test]
    fn a_newer_version_is_told_apart_even_if_nothing_else_can_be_read() {
        let newer = [
            &br#"{"format":"towline-journal","version":2"#[..],
            b"{ \"format\" : \"towline-journal\",\n \"version\" : 2, \xff\x00",
            br#"{"body":{},"version":2,"format":"towline-journal"}"#,
        ];
        for text in newer {
            assert_eq!(Journal::decode(text), Err(JournalError::Newer(2)));
        }
        let far = format!("{BEFORE_VERSION}99999999999999999999999,");
        assert_eq!(Journal::decode(far.as_bytes()), Err(JournalError::Newer(u64::MAX)));
        let mut long = format!("{BEFORE_VERSION}2,").into_bytes();
        long.resize(JOURNAL_BYTES_MAX as usize + 1, b'x');
        assert_eq!(Journal::decode(&long), Err(JournalError::Newer(2)));
    }

    #[test]
    fn what_is_no_journal_is_damaged() {
        let texts = ["", "{}", "null", r#"{"format":"towline-journal","version":}"#, r#"{"format":"x","version":2}"#];
        for text in texts {
            assert_eq!(why(text.as_bytes()), "it does not begin like a journal", "{text}");
        }
        assert_eq!(why(format!("{BEFORE_VERSION}0}}").as_bytes()), "there is no format version 0");
        assert_eq!(why(format!("{BEFORE_VERSION}1}}").as_bytes()), "its fields are not where they belong");
        let text = journal().encode();
        for end in 0..text.len() - 1 {
            why(&text[..end]);
        }
    }

    #[test]
    fn impossible_ranges_are_damaged() {
        let body = body_of(&journal());
        let cases = [
            ("[0,10],[20,1001]", "inside"),
            ("[0,10],[20,20]", "empty"),
            ("[0,10],[30,20]", "empty"),
            ("[0,10],[10,20]", "behind"),
            ("[0,10],[5,20]", "behind"),
            ("[20,30],[0,10]", "behind"),
            ("[0,10,20]", "trailing"),
            ("[-1,10]", "invalid"),
            ("[0,1e3]", "invalid"),
        ];
        for (done, expected) in cases {
            let text = with_body(&body.replace("[0,10],[20,1000]", done));
            assert!(why(&text).contains(expected), "{done}: {}", why(&text));
        }
        let open = body.replace("[20,1000]", "[20,1001]").replace(r#""total_bytes":1000"#, r#""total_bytes":null"#);
        assert_eq!(Journal::decode(&with_body(&open)).unwrap().done, ranges(&[(0, 10), (20, 1001)]));
    }

    #[test]
    fn what_is_over_a_limit_is_damaged() {
        let body = body_of(&journal());
        let url = "x".repeat(URL_BYTES_MAX + 1);
        assert!(why(&with_body(&body.replace("https://", &url))).contains("URL"));
        let many: Vec<_> = (0..=RANGES_MAX as u64).map(|at| format!("[{},{}]", 2 * at, 2 * at + 1)).collect();
        let many = body.replace("[0,10],[20,1000]", &many.join(",")).replace(":1000}", ":null}");
        assert!(why(&with_body(&many)).contains("more than 200000 ranges"));
        let mut long = with_body(&body);
        long.resize(JOURNAL_BYTES_MAX as usize + 1, b' ');
        assert!(why(&long).contains("longer"));
    }

    #[test]
    fn too_much_is_cut_and_never_claims_what_is_not_there() {
        let far = u64::MAX - 1_000_000;
        for (first, count) in [(0, RANGES_MAX as u64), (far, RANGES_MAX as u64 - 1)] {
            let all: RangeSet = (0..=count).map(|at| ByteRange::new(first + 3 * at, first + 3 * at + 1)).collect();
            let big = Journal {
                identity: Identity { url: "\u{1}".repeat(3 * URL_BYTES_MAX), total_bytes: None, ..journal().identity },
                done: all.clone(),
                ..journal()
            };
            let text = big.encode();
            assert!(text.len() as u64 <= JOURNAL_BYTES_MAX);
            let read = Journal::decode(&text).unwrap();
            assert!(read.done.covered() > 100_000);
            assert!(read.done.iter().all(|range| all.contains(range)));
            assert_eq!(read.identity.url.len(), URL_BYTES_MAX);
        }
        assert_eq!(shortened(&"ä".repeat(URL_BYTES_MAX)).len(), URL_BYTES_MAX);
        assert_eq!(shortened(&format!("x{}", "ä".repeat(URL_BYTES_MAX))).len(), URL_BYTES_MAX - 1);
    }

    #[test]
    fn no_flipped_byte_of_this_journal_makes_another_one() {
        let journal = journal();
        let text = journal.encode();
        for at in 0..text.len() {
            for mask in 1..=u8::MAX {
                let mut flipped = text.clone();
                flipped[at] ^= mask;
                if let Ok(read) = Journal::decode(&flipped) {
                    assert_eq!(read, journal, "byte {at}, mask {mask}");
                }
            }
        }
    }

    fn any_journal() -> impl Strategy<Value = Journal> {
        let done = prop::collection::vec((1..1_000_000_u64, 1..1_000_000_u64), 0..30);
        (any::<u64>(), any::<String>(), done, prop::option::of(0..1000_u64), any::<bool>(), any::<u64>()).prop_map(
            |(generation, url, steps, beyond, failed, saved_unix_ms)| {
                let mut end = 0_u64;
                let done: RangeSet = steps
                    .into_iter()
                    .map(|(gap, len)| {
                        let start = end + gap;
                        end = start + len;
                        ByteRange::new(start, end)
                    })
                    .collect();
                let total_bytes = beyond.map(|beyond| end + beyond);
                let verified = if failed { Verified::Failed } else { Verified::Unchecked };
                let identity = Identity { url, total_bytes, ..Identity::default() };
                let file = (generation % 2 == 0).then_some(FileId {
                    device: 1,
                    inode: generation,
                    born_unix_ns: (generation % 4 == 0).then_some(generation),
                    generation: (generation % 8 == 2).then_some(7),
                });
                let replaces_old = generation % 3 == 0;
                let is_short = generation % 11 == 0;
                let token = (generation % 5 == 0).then(|| format!("part-{generation}"));
                let joined_by = (generation % 7 == 0).then(|| "crc32c=00000001".parse().unwrap());
                Journal {
                    generation,
                    identity,
                    done,
                    verified,
                    joined_by,
                    file,
                    token,
                    replaces_old,
                    is_short,
                    saved_unix_ms,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_journal_is_read_as_it_was_written(journal in any_journal()) {
            prop_assert_eq!(Journal::decode(&journal.encode()), Ok(journal));
        }

        #[test]
        fn a_flipped_byte_never_makes_another_journal(
            journal in any_journal(), at in any::<prop::sample::Index>(), mask in 1..=u8::MAX
        ) {
            let mut text = journal.encode();
            let at = at.index(text.len());
            text[at] ^= mask;
            if let Ok(read) = Journal::decode(&text) {
                prop_assert_eq!(read, journal);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), body in any::<String>()) {
            let _ = Journal::decode(&bytes);
            let _ = Journal::decode(&with_body(&body));
            let _ = Journal::decode(&[BEFORE_VERSION.as_bytes(), &bytes].concat());
        }
    }
}
