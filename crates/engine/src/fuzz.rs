//! Fuzz bodies: each passes untrusted bytes to a parser and panics if a guarantee is broken. Pure.
//! `tests/fuzz.rs` searches with them; the crate in `fuzz/` passes them to libFuzzer.
//!
//! A body's return value identifies the outcome: a search continues from bytes that produced a new one. To add
//! a body: a function here, its line in [`TARGETS`], a test with seeds in `tests/fuzz.rs`.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::mem;
use std::path::{Component, Path};
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use crate::checksum::Checksum;
use crate::error::ErrorKind;
use crate::evidence::{EntityTag, Evidence};
use crate::feed::list::{Line, parse_line};
use crate::http::{content_range as ranges, digest, disposition, retry_after as patience};
use crate::journal::{Journal, JournalError, with_body};
use crate::name::{NameRules, safe};
use crate::ranges::ByteRange;
use crate::secret::{key_url, shown_url};

/// A fuzz body: takes bytes and returns the outcome.
pub type Body = fn(&[u8]) -> u64;

/// All bodies, by name.
pub const TARGETS: [(&str, Body); 10] = [
    ("journal", journal),
    ("content-range", content_range),
    ("content-disposition", content_disposition),
    ("name", name),
    ("retry-after", retry_after),
    ("list", list),
    ("validator", validator),
    ("checksum", checksum),
    ("server-digest", server_digest),
    ("canary", canary),
];

/// Names that are devices on some systems, with any extension.
const DEVICES: [&str; 22] = [
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9", "lpt1", "lpt2",
    "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];
/// 255, minus the longest suffix of ours.
const NAME_BYTES_MAX: usize = 238;
/// The bytes that make the canary panic.
const CANARY: &[u8] = b"tow!";

/// `NAME.towline.json`: the bytes as they are, and as the body of a journal with a valid CRC, which a search
/// would not find.
pub fn journal(bytes: &[u8]) -> u64 {
    shape(&(decoded(bytes), decoded(&with_body(bytes))))
}

/// `Content-Range`: a parsed range lies within the length, and parses to the same value after formatting.
pub fn content_range(bytes: &[u8]) -> u64 {
    let Some(read) = ranges::parse(&String::from_utf8_lossy(bytes)) else { return shape(&"none") };
    let total = read.total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    let written = match read.range {
        Some(range) => {
            let is_inside = range.start < range.end && read.total.is_none_or(|total| range.end <= total);
            assert!(is_inside, "{read:?}");
            format!("bytes {}-{}/{total}", range.start, range.end - 1)
        }
        None => {
            assert!(read.total.is_some(), "{read:?}");
            format!("bytes */{total}")
        }
    };
    assert_eq!(ranges::parse(&written), Some(read));
    shape(&(read.range.is_some(), read.total.is_some()))
}

/// `Repr-Digest` and similar fields: at most one digest is chosen, the same on every read, and complaints are
/// printable.
pub fn server_digest(bytes: &[u8]) -> u64 {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return shape(&"no header") };
    let mut seen = Vec::new();
    for name in ["repr-digest", "content-digest", "digest", "content-md5", "x-goog-hash"] {
        let headers: HeaderMap = [(HeaderName::from_static(name), value.clone())].into_iter().collect();
        for status in [200, 206] {
            let read = digest::read(&headers, status);
            assert_eq!(digest::read(&headers, status).strongest, read.strongest);
            assert!(read.odd.iter().all(|odd| !odd.contains(char::is_control)), "{:?}", read.odd);
            seen.push((read.strongest.is_some(), read.odd.len()));
        }
    }
    shape(&seen)
}

/// `Content-Disposition`: its file name can be made safe.
pub fn content_disposition(bytes: &[u8]) -> u64 {
    let Some(name) = disposition::file_name(bytes) else { return shape(&"none") };
    assert!(!name.is_empty(), "an empty name was taken for one");
    safe_name(&name)
}

/// A name, and the last part of a URL's path: both can be made safe.
pub fn name(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let of_url = Url::parse(&format!("http://h/{text}")).map(|url| safe_name(&safe::from_url(&url)));
    shape(&(safe_name(&text), of_url.ok()))
}

/// `Retry-After`: the wait is bounded, and does not grow as time passes.
pub fn retry_after(bytes: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(bytes);
    let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
    let Some(wait) = patience::parse(&text, now) else { return shape(&"none") };
    assert!(wait <= patience::RETRY_AFTER_MAX, "{wait:?}");
    let later = patience::parse(&text, now + Duration::from_secs(60));
    assert!(later.is_some_and(|later| later <= wait), "{wait:?}, a minute later {later:?}");
    shape(&(wait.is_zero(), wait == patience::RETRY_AFTER_MAX))
}

/// A list of URLs: each line is nothing, something to fetch, or a printable complaint.
pub fn list(bytes: &[u8]) -> u64 {
    let lines = bytes.split(|byte| *byte == b'\n').zip(1..);
    shape(&lines.map(|(line, number)| list_line(number, line)).collect::<BTreeSet<u64>>())
}

/// `ETag` and `Last-Modified`: a version never differs from itself, not even after a round trip.
pub fn validator(bytes: &[u8]) -> u64 {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return shape(&"no value") };
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, value.clone());
    headers.insert(header::LAST_MODIFIED, value);
    let read = Evidence::from_headers(&headers, Some(5));
    assert!(!read.compare(&read).is_different(), "{read:?}");
    let written = serde_json::to_vec(&read).expect("strings and numbers always have a JSON form");
    assert_eq!(serde_json::from_slice::<Evidence>(&written).ok().as_ref(), Some(&read));
    assert_eq!(read.last_modified.is_some(), read.last_modified_time().is_some(), "{read:?}");
    let is_weak = read.etag.as_ref().map(EntityTag::is_weak);
    assert_eq!(read.if_range().is_some(), is_weak == Some(false), "{read:?}");
    shape(&(is_weak, read.last_modified.is_some()))
}

/// `ALGORITHM=HEX`: the digest has the right length, and survives a round trip.
pub fn checksum(bytes: &[u8]) -> u64 {
    match String::from_utf8_lossy(bytes).parse::<Checksum>() {
        Ok(read) => {
            assert_eq!(read.digest().len(), read.algorithm().digest_bytes());
            assert_eq!(read.to_string().parse::<Checksum>().ok().as_ref(), Some(&read));
            shape(&read.algorithm().name())
        }
        Err(error) => shape(&mem::discriminant(&error)),
    }
}

/// Has a planted bug: it panics on four specific bytes. A search that misses it would find nothing else either.
pub fn canary(bytes: &[u8]) -> u64 {
    let right = bytes.iter().zip(CANARY).take_while(|(byte, wanted)| byte == wanted).count();
    assert!(right < CANARY.len(), "the planted mistake");
    right as u64
}

/// The outcome of decoding a journal's text.
fn decoded(text: &[u8]) -> u64 {
    let journal = match Journal::decode(text) {
        Ok(journal) => journal,
        Err(JournalError::Newer(_)) => return shape(&"newer"),
        // The words of the error, without those that quote the text.
        Err(JournalError::Damaged(why)) => return shape(&why.split_whitespace().take(3).collect::<Vec<_>>()),
    };
    let total_bytes = journal.identity.total_bytes;
    let ranges: Vec<ByteRange> = journal.done.iter().collect();
    let is_inside = |range: &ByteRange| total_bytes.is_none_or(|total_bytes| range.end <= total_bytes);
    assert!(ranges.iter().all(|range| range.start < range.end && is_inside(range)), "{journal:?}");
    assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start), "{journal:?}");
    let outcome = shape(&(ranges.len().min(3), total_bytes.is_some(), journal.identity.evidence.etag.is_some()));
    assert_eq!(Journal::decode(&journal.encode()), Ok(journal));
    outcome
}

/// The outcome of a line of a list.
fn list_line(number: u64, line: &[u8]) -> u64 {
    match parse_line(number, line) {
        Line::Nothing => shape(&"nothing"),
        Line::Bad(error) => {
            let message = error.message();
            assert_eq!(error.kind(), ErrorKind::ListLine);
            assert!(message.starts_with(&format!("line {number}: ")), "{message:?}");
            assert_eq!(message.chars().find(|char| is_misleading(*char)), None, "{message:?}");
            shape(&message.split_whitespace().skip(2).take(4).collect::<Vec<_>>())
        }
        Line::Entry(parsed) => {
            let url = &parsed.spec.url;
            let has_host = url.host_str().is_some_and(|host| !host.is_empty());
            assert!(matches!(url.scheme(), "http" | "https") && has_host, "{url}");
            match parse_line(number + 1, url.as_str().as_bytes()) {
                Line::Entry(again) => assert_eq!(again.spec.url, *url),
                other => panic!("{url} is read as {other:?}"),
            }
            shape(&(url.scheme(), without_secrets(url), output(parsed.spec.output.as_deref())))
        }
    }
}

/// Fails if credentials are shown or stored.
fn without_secrets(url: &Url) -> (bool, bool) {
    for text in [shown_url(url), key_url(url)] {
        assert_eq!(text.chars().find(|char| is_misleading(*char)), None, "{text:?}");
        let kept = Url::parse(&text).unwrap_or_else(|error| panic!("{text:?} is no URL: {error}"));
        let is_bare = kept.username().is_empty() && kept.password().is_none() && kept.fragment().is_none();
        assert!(is_bare, "{text:?}");
    }
    (url.password().is_some(), url.query().is_some())
}

/// Fails if an output name from a list leaves the directory.
fn output(output: Option<&Path>) -> Option<bool> {
    let checked = safe::check_output(output?);
    if let Ok(clean) = &checked {
        let is_below = clean.components().all(|component| matches!(component, Component::Normal(_)));
        assert!(is_below && clean.file_name().is_some(), "{clean:?}");
    }
    Some(checked.is_ok())
}

/// Makes a name safe, and fails unless it is.
fn safe_name(name: &str) -> u64 {
    let safe = safe::make_safe(name);
    harmless(&safe);
    assert_eq!(safe::make_safe(&safe), safe);
    assert_eq!(safe::check_output(Path::new(&safe)).ok().as_deref(), Some(Path::new(&safe)));
    for number in [1, 1234] {
        harmless(&NameRules::default().numbered(&safe, number));
    }
    let length = (safe.len().cmp(&name.len()), safe.len() == NAME_BYTES_MAX);
    shape(&(safe == name, length, safe.starts_with('_'), safe.ends_with('_')))
}

/// Fails unless this name is harmless everywhere.
fn harmless(name: &str) {
    assert!((1..=NAME_BYTES_MAX).contains(&name.len()), "{} bytes: {name:?}", name.len());
    let components: Vec<Component<'_>> = Path::new(name).components().collect();
    assert!(matches!(components[..], [Component::Normal(only)] if *only == *name), "{name:?}");
    let is_wrong = |char: &char| is_misleading(*char) || matches!(char, '/' | '\\' | ':');
    assert_eq!(name.chars().find(is_wrong), None, "{name:?}");
    assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{name:?}");
    let lower = name.to_lowercase();
    let stem = lower.split('.').next().unwrap_or_default().trim_end();
    assert!(!DEVICES.contains(&stem), "{name:?} is a device");
    for ours in [".towline", ".towline.json", ".towline.json.tmp"] {
        assert!(!lower.ends_with(ours), "{name:?} is a name of ours");
    }
}

/// Characters that control a terminal or the text direction.
fn is_misleading(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shape(outcome: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(outcome)
}
