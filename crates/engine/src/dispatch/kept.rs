//! Whether connections to a host are worth keeping: some servers close each after its response, and do not say so.

use crate::message::Time;

/// After this many failures in a row over reused connections, connections are not kept any more.
const FAILURES_MAX: u32 = 3;
/// Failures closer together than this have one cause.
const FAILURES_APART: Time = Time::from_millis(250);
/// This many connections are used once; then one is kept again.
const CLOSED_MAX: u32 = 64;

/// Whether connections to a host are worth keeping.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Requests in a row that failed over reused connections, and when the last one did. Simultaneous
    /// failures count as one.
    failures: u32,
    failed_at: Option<Time>,
    /// How many connections were closed after one request because of that.
    closed: u32,
}

impl Kept {
    pub(super) fn failed(&mut self, now: Time) {
        if self.failed_at.is_none_or(|at| now >= at + FAILURES_APART) {
            self.failures += 1;
            self.failed_at = Some(now);
        }
    }

    /// Whether to keep one more connection. After a while, keeping is tried again.
    pub(super) fn keeps(&mut self) -> bool {
        if self.failures < FAILURES_MAX {
            return true;
        }
        self.closed += 1;
        if self.closed >= CLOSED_MAX {
            (self.failures, self.closed) = (FAILURES_MAX - 1, 0);
        }
        false
    }

    /// A reused connection has carried a response.
    pub(super) fn served(&mut self) {
        if self.failures < FAILURES_MAX {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_fail_when_they_are_used_again_are_not_kept_for_a_while() {
        let mut kept = Kept::default();
        // Failures at the same moment have one cause.
        (0..10).for_each(|_| kept.failed(Time::ZERO));
        assert!(kept.keeps());
        for moment in 1..u64::from(FAILURES_MAX) {
            kept.failed(Time::from_secs(moment));
        }
        assert!((0..CLOSED_MAX).all(|_| !kept.keeps()));
        assert!(kept.keeps(), "it is tried again");
        kept.failed(Time::from_secs(10));
        assert!(!kept.keeps());
    }
}
