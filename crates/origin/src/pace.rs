//! Rate limiting: assigns each chunk the time at which it may be sent. A response, a connection or the
//! server owns a `Pace`; the serving threads call it.

use std::time::{Duration, Instant};

/// How far a late sender may catch up at once; timers have millisecond resolution.
const CATCH_UP: Duration = Duration::from_millis(50);
const SLICE: Duration = Duration::from_millis(20);
const CHUNK_BYTES: u64 = 16 * 1024;

/// Schedules bytes at a rate.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// When the next `bytes` may be sent; it may be in the past.
    pub(crate) fn reserve(&mut self, now: Instant, bytes: usize, bytes_per_sec: u64) -> Instant {
        let oldest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let start = self.next.map_or(now, |next| next.max(oldest));
        let cost = Duration::from_secs_f64(bytes as f64 / bytes_per_sec.max(1) as f64);
        self.next = Some(start + cost);
        start
    }
}

/// Chunk size for a rate: 20 ms of data up to 16 KiB; above 16 MiB/s, 1 ms of data up to `most`.
pub(crate) fn chunk_bytes(bytes_per_sec: u64, most: usize) -> usize {
    let slice = bytes_per_sec / (1000 / SLICE.as_millis() as u64);
    let chunk = if slice < CHUNK_BYTES { slice } else { (bytes_per_sec / 1000).max(CHUNK_BYTES) };
    chunk.clamp(1, most as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timetable_keeps_the_rate() {
        let mut pace = Pace::default();
        let now = Instant::now();
        assert_eq!(pace.reserve(now, 500, 1000), now);
        assert_eq!(pace.reserve(now, 250, 1000), now + Duration::from_millis(500));
        assert_eq!(pace.reserve(now, 1, 1000), now + Duration::from_millis(750));
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut pace = Pace::default();
        let now = Instant::now();
        pace.reserve(now, 1, 1000);
        let later = now + Duration::from_secs(10);
        assert_eq!(pace.reserve(later, 1, 1000), later - CATCH_UP);
    }

    #[test]
    fn chunks_fit_the_rate() {
        let most = 128 * 1024;
        assert_eq!(chunk_bytes(0, most), 1);
        assert_eq!(chunk_bytes(100_000, most), 2000);
        assert_eq!(chunk_bytes(1_000_000, most), 16 * 1024);
        assert_eq!(chunk_bytes(100_000_000, most), 100_000);
        assert_eq!(chunk_bytes(u64::MAX, most), most);
    }
}
