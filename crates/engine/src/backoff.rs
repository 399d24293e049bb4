//! How long to wait before the next attempt: exponential backoff with jitter, bounded.

use std::time::Duration;

/// The shortest wait.
pub(crate) const FLOOR: Duration = Duration::from_millis(250);
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// The wait before attempt `attempt + 1`, after `attempt` failed attempts (counting from 1).
///
/// Jitter applies to the upper half only, so the waits of the default five retries add up to at least 7.5 s:
/// the job survives a server restart of that length however the dice fall. Full jitter does not guarantee that.
pub(crate) fn wait(attempt: u32, random: &mut fastrand::Rng) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let longest = doubled.min(LONGEST);
    longest.mul_f64(0.5 + random.f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_are_bounded() {
        let mut random = fastrand::Rng::with_seed(7);
        for attempt in 1..40 {
            let longest = Duration::from_millis(500 << (attempt - 1).min(10)).min(LONGEST);
            let wait = wait(attempt, &mut random);
            assert!(wait >= longest / 2 && wait <= longest, "attempt {attempt}: {wait:?}");
        }
    }
}
