//! How long to wait before the next try: exponential, jittered, bounded.

use std::time::Duration;

/// No wait is shorter.
pub(crate) const FLOOR: Duration = Duration::from_millis(250);
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// The wait before try `attempt + 1`, where `attempt` tries (from 1 on) have failed.
///
/// Jittered over the upper half, so that the waits of the default five retries add up to at least
/// 7.5 s: a server that is restarted within that time is survived whatever the dice say, which full
/// jitter does not promise.
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
