//! Whether a file makes progress.

use crate::message::Time;

/// A file that gets less than [`BYTES_MIN`] within this time is quiet.
const QUIET_AFTER: Time = Time::from_secs(5);
const BYTES_MIN: u64 = 1024;
/// A file that gets a little, but less than that, for this long drips. A dead network sends nothing at all.
const DRIPS_AFTER: Time = Time::from_secs(15);

/// When a file last made progress, and how many bytes it had then.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pulse {
    at: Time,
    bytes: u64,
}

impl Pulse {
    /// `bytes` had arrived by `now`. Without a pending request to its server, a file cannot be quiet.
    pub(crate) fn observe(&mut self, now: Time, bytes: u64, is_asked: bool) {
        let brought = bytes.abs_diff(self.bytes) >= BYTES_MIN;
        if brought || !is_asked {
            *self = Self { at: now, bytes };
        }
    }

    /// Whether the file gets so little that it will hardly end; `bytes` have arrived by `now`.
    pub(crate) fn is_dripping(&self, now: Time, bytes: u64) -> bool {
        now >= self.at + DRIPS_AFTER && bytes > self.bytes
    }

    pub(crate) fn is_quiet(&self, now: Time) -> bool {
        now >= self.at + QUIET_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brings_less_than_a_kilobyte_in_five_seconds_is_quiet() {
        let at = Time::from_secs;
        let mut pulse = Pulse::default();
        pulse.observe(at(10), 0, false);
        pulse.observe(at(14), 1000, true);
        assert!(!pulse.is_quiet(at(14)));
        assert!(pulse.is_quiet(at(15)));
        pulse.observe(at(16), 1024, true);
        assert!(!pulse.is_quiet(at(20)));
        assert!(pulse.is_quiet(at(21)));
    }

    #[test]
    fn a_little_is_a_drip_and_nothing_is_none() {
        let mut pulse = Pulse::default();
        pulse.observe(Time::from_secs(10), 5000, false);
        pulse.observe(Time::from_secs(24), 5100, true);
        assert!(!pulse.is_dripping(Time::from_secs(24), 5100));
        assert!(pulse.is_dripping(Time::from_secs(25), 5100));
        assert!(!pulse.is_dripping(Time::from_secs(25), 5000));
    }

    #[test]
    fn nothing_is_missed_while_nothing_is_asked_for() {
        let mut pulse = Pulse::default();
        pulse.observe(Time::from_secs(60), 0, false);
        assert!(!pulse.is_quiet(Time::from_secs(64)));
    }
}
