//! Dates that HTTP can express: whole seconds from 1970 to the end of 9999. Pure functions, used for
//! validators, conditions and the server's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of 31 December 9999, the latest date that HTTP can express.
const DATE_MAX: Duration = Duration::from_secs(253_402_300_799);

/// Adds `seconds` to `time`, clamped to the dates that HTTP can express.
pub(crate) fn moved(time: SystemTime, seconds: i64) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let by = Duration::from_secs(seconds.unsigned_abs());
    let since = if seconds < 0 { since.saturating_sub(by) } else { since.saturating_add(by) };
    UNIX_EPOCH + since.min(DATE_MAX)
}

/// Whole seconds since 1970, the precision of HTTP dates.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stay_where_http_can_name_them() {
        let time = UNIX_EPOCH + Duration::from_secs(100);
        assert_eq!(seconds(moved(time, 7)), 107);
        assert_eq!(seconds(moved(time, -7)), 93);
        assert_eq!(moved(time, i64::MIN), UNIX_EPOCH);
        assert_eq!(moved(time, i64::MAX), UNIX_EPOCH + DATE_MAX);
    }
}
