//! The `Range` and `If-Range` fields of a request (RFC 9110, sections 13.1.5 and 14.2), decided
//! against a resource. Pure; the serving threads call it once a request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a `Range` field comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The whole content: no range, one that is not understood, or several.
    Whole,
    /// Bytes `first` to `last`, both included, inside the content.
    Part { first: u64, last: u64 },
    /// A well-formed range that covers no byte.
    Unsatisfiable,
}

/// Reads a `Range` value for content of `size` bytes.
pub(crate) fn parse(value: &str, size: u64) -> Asked {
    read(value, size).unwrap_or(Asked::Whole)
}

/// Whether an `If-Range` value lets the range through: an equal strong entity tag, or the exact
/// date of last modification.
pub(crate) fn if_range_holds(value: &str, etag: Option<&str>, modified: Option<SystemTime>) -> bool {
    let value = value.trim();
    if value.starts_with('"') {
        return etag == Some(value);
    }
    let Ok(date) = httpdate::parse_http_date(value) else {
        return false;
    };
    modified.is_some_and(|modified| seconds(modified) == seconds(date))
}

fn read(value: &str, size: u64) -> Option<Asked> {
    let (unit, set) = value.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    if first.is_empty() {
        let suffix = number(last)?.min(size);
        return Some(match suffix {
            0 => Asked::Unsatisfiable,
            _ => Asked::Part { first: size - suffix, last: size - 1 },
        });
    }
    let first = number(first)?;
    let last = match last {
        "" => u64::MAX,
        last => number(last)?,
    };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Asked::Unsatisfiable);
    }
    Some(Asked::Part { first, last: last.min(size - 1) })
}

/// Digits only; what does not fit becomes the greatest number.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> Asked {
        Asked::Part { first, last }
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            ("bytes=0-0", part(0, 0)),
            ("bytes=5-", part(5, 99)),
            ("bytes=5-9", part(5, 9)),
            ("bytes=90-1000", part(90, 99)),
            ("bytes=0-99999999999999999999999", part(0, 99)),
            ("bytes=-1", part(99, 99)),
            ("bytes=-1000", part(0, 99)),
            ("BYTES=1-2", part(1, 2)),
            ("bytes=100-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=9-5", Asked::Whole),
            ("bytes=1-2,4-5", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("lines=1-2", Asked::Whole),
            ("nonsense", Asked::Whole),
        ];
        for (value, expected) in cases {
            assert_eq!(parse(value, 100), expected, "{value}");
        }
        assert_eq!(parse("bytes=0-", 0), Asked::Unsatisfiable);
        assert_eq!(parse("bytes=-5", 0), Asked::Unsatisfiable);
    }

    #[test]
    fn if_range_needs_a_strong_tag_or_the_exact_date() {
        let modified = UNIX_EPOCH + Duration::from_millis(1_000_500);
        let date = httpdate::fmt_http_date(modified);
        assert!(if_range_holds("\"a\"", Some("\"a\""), None));
        assert!(!if_range_holds("\"a\"", Some("\"b\""), None));
        assert!(!if_range_holds("W/\"a\"", Some("W/\"a\""), None));
        assert!(!if_range_holds("\"a\"", None, Some(modified)));
        assert!(if_range_holds(&date, None, Some(modified)));
        assert!(!if_range_holds(&date, None, None));
        let other = modified + Duration::from_secs(1);
        assert!(!if_range_holds(&date, None, Some(other)));
    }
}
