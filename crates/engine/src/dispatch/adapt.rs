//! How many connections a file gets if the user did not say: more while each one adds speed, fewer if it does
//! not or if the server refuses. Pure.

use crate::message::Time;

/// The target once ranges are proven.
const CONNECTIONS_FIRST: usize = 4;
/// The maximum, unless the user sets a number.
const CONNECTIONS_MAX: usize = 8;
const CONNECTIONS_STEP: usize = 2;
/// Not judged more often than this.
const JUDGE_EVERY: Time = Time::from_millis(500);
/// More connections are kept only if they add at least this much speed.
const GAIN_MIN: f64 = 1.05;

/// The number of connections for one file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapt {
    /// As the user set it.
    Exactly(usize),
    /// As measured.
    Measured { target: usize, since: Time, since_bytes: u64, rate_before: f64, is_settled: bool },
}

impl Adapt {
    pub(crate) fn new(connections: Option<usize>) -> Self {
        match connections {
            Some(connections) => Self::Exactly(connections.max(1)),
            None => Self::Measured {
                target: CONNECTIONS_FIRST,
                since: Time::ZERO,
                since_bytes: 0,
                rate_before: 0.0,
                is_settled: false,
            },
        }
    }

    /// Whether the user set the number.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self, Self::Exactly(_))
    }

    /// How many connections the file should have now.
    pub(crate) fn target(&self) -> usize {
        match *self {
            Self::Exactly(connections) => connections,
            Self::Measured { target, .. } => target,
        }
    }

    /// The same for a file with this many sources: each of them gets one connection, unless the user set the number.
    pub(crate) fn target_of(&self, sources: usize) -> usize {
        match *self {
            Self::Exactly(connections) => connections,
            Self::Measured { target, .. } => target.max(sources.min(CONNECTIONS_MAX)),
        }
    }

    /// Adjusts the target to the rate since the last judgement.
    pub(crate) fn judge(&mut self, now: Time, bytes: u64) {
        let Self::Measured { target, since, since_bytes, rate_before, is_settled } = self else { return };
        if *since == Time::ZERO {
            (*since, *since_bytes) = (now, bytes);
            return;
        }
        let elapsed = now.saturating_sub(*since);
        if *is_settled || elapsed < JUDGE_EVERY {
            return;
        }
        let rate = bytes.saturating_sub(*since_bytes) as f64 / elapsed.as_secs_f64();
        if rate >= *rate_before * GAIN_MIN && *target < CONNECTIONS_MAX {
            *target += CONNECTIONS_STEP;
        } else if rate < *rate_before / GAIN_MIN && *target > CONNECTIONS_STEP {
            *target -= CONNECTIONS_STEP;
            *is_settled = true;
        } else {
            *is_settled = true;
        }
        (*since, *since_bytes, *rate_before) = (now, bytes, rate);
    }

    /// The server refused a connection while `working` others work.
    pub(crate) fn refused(&mut self, working: usize) {
        let fewer = working.max(1);
        // The user's number stands; the host's own cap is lowered for a while.
        if let Self::Measured { target, is_settled, .. } = self {
            *target = fewer.min(*target);
            *is_settled = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_added_while_each_brings_more_and_then_kept() {
        let mut adapt = Adapt::new(None);
        let mut bytes = 0.0;
        for step in 1..40u64 {
            adapt.judge(Time::from_millis(step * 250), bytes as u64);
            bytes += adapt.target() as f64 * 1e6;
        }
        assert_eq!(adapt.target(), CONNECTIONS_MAX);
    }

    #[test]
    fn a_server_that_is_no_faster_with_more_is_left_with_few() {
        let mut adapt = Adapt::new(None);
        for step in 1..40u64 {
            adapt.judge(Time::from_millis(step * 250), step * 1_000_000);
        }
        assert!(adapt.target() <= CONNECTIONS_FIRST + CONNECTIONS_STEP, "{}", adapt.target());
    }

    #[test]
    fn an_explicit_number_stands() {
        let mut adapt = Adapt::new(Some(16));
        adapt.judge(Time::from_secs(9), 1);
        assert_eq!(adapt.target(), 16);
        adapt.refused(5);
        assert_eq!(adapt.target(), 16);
    }
}
