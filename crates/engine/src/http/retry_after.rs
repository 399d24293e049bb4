//! `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// Longer waits are capped at this.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// Seconds or a date; a date in the past means no wait, an invalid value is `None`.
pub(crate) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Numbers that overflow are capped like other long waits.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default().min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_taken_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(parse(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(parse("99999999999999999999999", now), Some(RETRY_AFTER_MAX));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        for wrong in ["", "-1", "soon", "1.5"] {
            assert_eq!(parse(wrong, now), None, "{wrong:?}");
        }
    }
}
