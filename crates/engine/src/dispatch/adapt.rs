//! How many connections a file gets if the user did not say: more while each one adds speed, fewer if it does
//! not or if the server refuses. Pure.

use crate::message::Time;

/// The target once ranges are proven.
const CONNECTIONS_FIRST: usize = 4;
/// The maximum, unless the user sets a number.
const CONNECTIONS_MAX: usize = 8;
/// How long the first number is tried. More are tried in any case; this is what they are compared with.
const FIRST_TRIED: Time = Time::from_millis(250);
/// How long each further number is tried.
const TRIED: Time = Time::from_millis(500);
/// More connections are kept only if they add at least this much speed.
const GAIN_MIN: f64 = 1.05;

/// The number of connections for one file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapt {
    /// As the user set it.
    Exactly(usize),
    /// As measured.
    Measured { target: usize, before: Option<Tried>, since: Option<Time>, since_bytes: u64, is_settled: bool },
}

/// A number of connections, and the bytes per second that it brought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    connections: usize,
    rate_bps: f64,
}

impl Adapt {
    pub(crate) fn new(connections: Option<usize>) -> Self {
        match connections {
            Some(connections) => Self::Exactly(connections.max(1)),
            None => Self::Measured {
                target: CONNECTIONS_FIRST,
                before: None,
                since: None,
                since_bytes: 0,
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

    /// How many connections the file is shared out among: as many as it may still get, so that what is left for them is
    /// not too little.
    pub(crate) fn planned(&self) -> usize {
        match *self {
            Self::Measured { is_settled: false, .. } => CONNECTIONS_MAX,
            _ => self.target(),
        }
    }

    /// How many connections a file with this many sources should have now: each of them gets one connection, unless the user set the number.
    pub(crate) fn target_of(&self, sources: usize) -> usize {
        match *self {
            Self::Exactly(connections) => connections,
            Self::Measured { target, .. } => target.max(sources.min(CONNECTIONS_MAX)),
        }
    }

    /// Adjusts the target to the rate since the last judgement. Only while as many connections as it says bring bytes
    /// does the time count: one that is being opened tells nothing yet.
    pub(crate) fn judge(&mut self, now: Time, bytes: u64, are_all_there: bool) {
        let Self::Measured { target, before, since, since_bytes, is_settled } = self else { return };
        if *is_settled {
            return;
        }
        if !are_all_there {
            *since = None;
            return;
        }
        let Some(since_when) = *since else {
            (*since, *since_bytes) = (Some(now), bytes);
            return;
        };
        let elapsed = now.saturating_sub(since_when);
        if elapsed < if before.is_some() { TRIED } else { FIRST_TRIED } {
            return;
        }
        let rate_bps = bytes.saturating_sub(*since_bytes) as f64 / elapsed.as_secs_f64();
        let tried = Tried { connections: *target, rate_bps };
        match before.replace(tried) {
            Some(fewer) if rate_bps < fewer.rate_bps * GAIN_MIN => {
                *target = fewer.connections;
                *is_settled = true;
            }
            _ if *target >= CONNECTIONS_MAX => *is_settled = true,
            _ => *target = (*target * 2).min(CONNECTIONS_MAX),
        }
        *since = None;
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
            adapt.judge(Time::from_millis(step * 250), bytes as u64, true);
            bytes += adapt.target() as f64 * 1e6;
        }
        assert_eq!(adapt.target(), CONNECTIONS_MAX);
    }

    #[test]
    fn a_server_that_is_no_faster_with_more_is_left_with_few() {
        let mut adapt = Adapt::new(None);
        for step in 1..40u64 {
            adapt.judge(Time::from_millis(step * 250), step * 1_000_000, true);
        }
        assert_eq!(adapt.target(), CONNECTIONS_FIRST);
    }

    #[test]
    fn connections_that_are_still_being_opened_are_not_judged() {
        let mut adapt = Adapt::new(None);
        for step in 1..40u64 {
            // It takes two seconds until further ones bring anything.
            let are_all_there = adapt.target() == CONNECTIONS_FIRST || step > 20;
            adapt.judge(Time::from_millis(step * 100), step * 1_000_000, are_all_there);
            if step == 15 {
                assert_eq!(adapt.target(), CONNECTIONS_MAX);
            }
        }
        assert_eq!(adapt.target(), CONNECTIONS_FIRST);
    }

    #[test]
    fn an_explicit_number_stands() {
        let mut adapt = Adapt::new(Some(16));
        adapt.judge(Time::from_secs(9), 1, true);
        assert_eq!(adapt.target(), 16);
        adapt.refused(5);
        assert_eq!(adapt.target(), 16);
    }
}
