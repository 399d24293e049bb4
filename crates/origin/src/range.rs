//! Evaluates the `Range` and `If-Range` fields of a request (RFC 9110, sections 13.1.5 and 14.2) and
//! builds the `Content-Range` of a response. Pure; the serving threads call it once per request.

use std::time::SystemTime;

use crate::date::seconds;
use crate::fault::RangeLie;

/// The result of evaluating a `Range` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The whole content: the request has no range, an invalid one, or several.
    Whole,
    /// Bytes `first` to `last`, inclusive, within the content.
    Part { first: u64, last: u64 },
    /// A valid range that covers no byte of the content.
    Unsatisfiable,
}

/// Evaluates a `Range` value for content of `size` bytes.
pub(crate) fn parse(value: &str, size: u64) -> Asked {
    read(value, size).unwrap_or(Asked::Whole)
}

/// Whether an `If-Range` value matches: as an equal strong entity tag or as the exact date of last
/// modification.
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

/// Shifts a range by `by` bytes and clamps it to content of `size` bytes.
pub(crate) fn shifted(first: u64, last: u64, by: i64, size: u64) -> Asked {
    let len = last - first;
    let first = first.saturating_add_signed(by).min(size - 1);
    Asked::Part { first, last: first.saturating_add(len).min(size - 1) }
}

/// Shifts the end of a range by `by` bytes, but keeps at least one byte and stays within content of
/// `size` bytes.
pub(crate) fn ending(first: u64, last: u64, by: i64, size: u64) -> Asked {
    Asked::Part { first, last: last.saturating_add_signed(by).clamp(first, size - 1) }
}

/// The `Content-Range` for bytes `first` to `last` of `size`, after `lies`; `None` if they remove it.
pub(crate) fn content_range(first: u64, last: u64, size: u64, lies: &[RangeLie]) -> Option<String> {
    let (mut first, mut last, mut total, mut unit, mut form) = (first, last, Some(size), "bytes", None);
    for lie in lies {
        match lie {
            RangeLie::Start(by) => first = first.saturating_add_signed(*by),
            RangeLie::End(by) => last = last.saturating_add_signed(*by),
            RangeLie::Total(by) => total = total.map(|total| total.saturating_add_signed(*by)),
            RangeLie::UnknownTotal => total = None,
            RangeLie::Unit(other) => unit = other,
            RangeLie::Form(other) => form = Some(other),
            RangeLie::Missing => return None,
        }
    }
    let total = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
    let Some(form) = form else {
        return Some(format!("{unit} {first}-{last}/{total}"));
    };
    let form = form.replace("{first}", &first.to_string()).replace("{last}", &last.to_string());
    Some(form.replace("{total}", &total))
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

/// Parses decimal digits; a number that does not fit becomes `u64::MAX`.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

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
    fn a_shifted_range_stays_inside() {
        assert_eq!(shifted(10, 19, 5, 100), part(15, 24));
        assert_eq!(shifted(10, 19, -50, 100), part(0, 9));
        assert_eq!(shifted(10, 19, 85, 100), part(95, 99));
        assert_eq!(shifted(10, 19, i64::MAX, 100), part(99, 99));
    }

    #[test]
    fn a_range_with_another_end_keeps_its_first_byte() {
        assert_eq!(ending(10, 19, 5, 100), part(10, 24));
        assert_eq!(ending(10, 19, -5, 100), part(10, 14));
        assert_eq!(ending(10, 19, -50, 100), part(10, 10));
        assert_eq!(ending(10, 19, i64::MAX, 100), part(10, 99));
    }

    #[test]
    fn lies_add_up() {
        let said = |lies: &[RangeLie]| content_range(10, 19, 100, lies);
        assert_eq!(said(&[]).as_deref(), Some("bytes 10-19/100"));
        let all = [RangeLie::Start(1), RangeLie::End(-2), RangeLie::Total(3), RangeLie::Unit("items".to_owned())];
        assert_eq!(said(&all).as_deref(), Some("items 11-17/103"));
        assert_eq!(said(&[RangeLie::UnknownTotal]).as_deref(), Some("bytes 10-19/*"));
        let form = RangeLie::Form("BYTES={first}-{last} of {total}".to_owned());
        assert_eq!(said(&[form, RangeLie::End(1), RangeLie::UnknownTotal]).as_deref(), Some("BYTES=10-20 of *"));
        assert_eq!(said(&[RangeLie::Missing, RangeLie::Start(1)]), None);
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
