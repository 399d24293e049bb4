//! How fast the bytes of one response come, where the user wants a least speed.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A shorter pause says nothing.
const MEASURED: Duration = Duration::from_secs(10);

/// What has come since when.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Cell<Option<Instant>>,
    bytes: Cell<u64>,
}

impl Pace {
    /// Measures from now on.
    pub(super) fn restart(&self, now: Instant) {
        if self.since.get().is_some() {
            self.since.set(Some(now));
            self.bytes.set(0);
        }
    }

    /// So many bytes have come. Returns how many came per second if those of the last ten seconds were fewer than
    /// `min_bps`.
    pub(super) fn too_slow(&self, bytes: usize, min_bps: u64, now: Instant) -> Option<u64> {
        let Some(since) = self.since.get() else {
            self.since.set(Some(now));
            return None;
        };
        self.bytes.set(self.bytes.get() + bytes as u64);
        let elapsed = now.saturating_duration_since(since);
        if elapsed < MEASURED {
            return None;
        }
        let bps = (self.bytes.take() as f64 / elapsed.as_secs_f64()) as u64;
        self.since.set(Some(now));
        (bps < min_bps).then_some(bps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_are_looked_at_together() {
        let (pace, start) = (Pace::default(), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(pace.too_slow(5000, 100, at(0)), None, "the first bytes begin the measurement");
        assert_eq!(pace.too_slow(10, 100, at(9)), None);
        assert_eq!(pace.too_slow(10, 100, at(10)), Some(2));
        assert_eq!(pace.too_slow(2000, 100, at(20)), None);
        assert_eq!(pace.too_slow(999, 100, at(30)), Some(99));
    }
}
