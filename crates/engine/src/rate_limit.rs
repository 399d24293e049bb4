//! Rate limits: token buckets that workers draw from. One is over everything, and each file may have one
//! of its own within it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A burst of so long a time is let through at once.
const BURST: Duration = Duration::from_millis(50);

/// Bytes a second, or no limit.
#[derive(Debug)]
pub(crate) struct RateLimit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bps: Option<u64>,
    /// When everything that was let through so far will have been paid for.
    paid_until: Option<Instant>,
}

impl RateLimit {
    pub(crate) fn new(bps: Option<u64>) -> Self {
        Self { state: Mutex::new(State { bps, paid_until: None }) }
    }

    pub(crate) fn set(&self, bps: Option<u64>) {
        *self.state.lock() = State { bps, paid_until: None };
    }

    /// Takes `bytes` and says how long to wait before the next.
    pub(crate) fn take(&self, bytes: usize, now: Instant) -> Duration {
        let mut state = self.state.lock();
        let Some(bps) = state.bps else { return Duration::ZERO };
        let cost = Duration::from_secs_f64(bytes as f64 / bps.max(1) as f64);
        let free_from = now.checked_sub(BURST).unwrap_or(now);
        let paid_until = state.paid_until.map_or(now, |paid_until| paid_until.max(free_from)) + cost;
        state.paid_until = Some(paid_until);
        paid_until.saturating_duration_since(now)
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.state.lock().bps.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_through_what_the_rate_allows() {
        let start = Instant::now() + Duration::from_secs(1);
        let limit = RateLimit::new(Some(1_000_000));
        let mut now = start;
        let mut bytes = 0u64;
        while now < start + Duration::from_secs(10) {
            bytes += 10_000;
            now += limit.take(10_000, now);
        }
        assert!((9_900_000..=10_200_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let now = Instant::now();
        assert_eq!(RateLimit::new(None).take(usize::MAX, now), Duration::ZERO);
    }
}
