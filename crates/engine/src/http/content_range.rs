//! `Content-Range` (RFC 9110, section 14.4).

use crate::ranges::ByteRange;

/// Which part of which length a server says it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// The part, half-open; `None` in a 416.
    pub(crate) range: Option<ByteRange>,
    /// The total length; `None` for `*`.
    pub(crate) total: Option<u64>,
}

/// Parses `bytes 0-499/1234`, `bytes 0-499/*`, `bytes */1234`, and equivalent forms that servers send:
/// `bytes=0-499/1234`, extra whitespace.
pub(crate) fn parse(value: &str) -> Option<ContentRange> {
    let value = value.trim();
    let (unit, rest) = value.split_at_checked("bytes".len())?;
    if !unit.eq_ignore_ascii_case("bytes") || !rest.starts_with([' ', '\t', '=', ':']) {
        return None;
    }
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    let (range, total) = rest.split_once('/')?;
    let (range, total) = (range.trim(), total.trim());
    let total = match total {
        "*" => None,
        digits => Some(number(digits)?),
    };
    if range == "*" {
        return total.map(|total| ContentRange { range: None, total: Some(total) });
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let end = last.checked_add(1)?;
    if first > last || total.is_some_and(|total| end > total) {
        return None;
    }
    Some(ContentRange { range: Some(ByteRange::new(first, end)), total })
}

/// `u64::from_str` would accept a plus sign.
fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_well_formed_values_are_taken() {
        let range = |start, end, total| Some(ContentRange { range: Some(ByteRange::new(start, end)), total });
        assert_eq!(parse("bytes 0-499/1234"), range(0, 500, Some(1234)));
        assert_eq!(parse("Bytes 5-5/*"), range(5, 6, None));
        for odd in
            ["bytes=0-9/10", "BYTES 0-9/10", "bytes  0-9/10", "bytes\t0-9/10", "bytes: 0-9/10", "bytes 0 - 9 / 10"]
        {
            assert_eq!(parse(odd), range(0, 10, Some(10)), "{odd:?}");
        }
        assert_eq!(parse("bytes */10"), Some(ContentRange { range: None, total: Some(10) }));
        for wrong in [
            "",
            "bytes",
            "bytes 0-1",
            "bytes 2-1/9",
            "bytes 0-9/9",
            "bytes -1/9",
            "bytes +0-1/9",
            "bytes */*",
            "items 0-1/9",
            "bytes 0-18446744073709551615/*",
            "bytes 0-1/1x",
            "0-1/9",
            "bytes0-1/9",
            "bytes 0-/9",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_survived(value in ".*") {
            parse(&value);
        }

        #[test]
        fn what_a_server_may_say_is_read_back(first in 0u64..1 << 40, len in 1u64..1 << 40, more in 0u64..1 << 40) {
            let (end, total) = (first + len, first + len + more);
            let parsed = parse(&format!("bytes {first}-{}/{total}", end - 1));
            prop_assert_eq!(parsed, Some(ContentRange { range: Some(ByteRange::new(first, end)), total: Some(total) }));
        }
    }
}
