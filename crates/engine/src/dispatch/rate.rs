//! How fast bytes come: of one transfer or file, smoothed; of a session, over a window. Pure.

use std::collections::VecDeque;

use crate::message::Time;

/// The rate of a session is measured over this.
const WINDOW: Time = Time::from_secs(3);

/// A rate, smoothed over about a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    bps: Option<f64>,
    seen: Option<(Time, u64)>,
}

impl Rate {
    const MEMORY_SECONDS: f64 = 1.0;
    const EVERY: Time = Time::from_millis(90);
    const FIRST_BYTE_WITHIN: Time = Time::from_secs(1);

    /// `bytes` had come until `now`.
    pub(crate) fn observe(&mut self, now: Time, bytes: u64) {
        let Some((then, before)) = self.seen else {
            self.seen = Some((now, bytes));
            return;
        };
        let elapsed = now.saturating_sub(then);
        // Before the first byte there is no rate, only a latency.
        let is_waiting = self.bps.is_none() && bytes == before && elapsed < Self::FIRST_BYTE_WITHIN;
        if elapsed < Self::EVERY || is_waiting {
            return;
        }
        let seconds = elapsed.as_secs_f64();
        let fresh = bytes.saturating_sub(before) as f64 / seconds;
        let keep = (-seconds / Self::MEMORY_SECONDS).exp();
        self.bps = Some(self.bps.map_or(fresh, |bps| bps * keep + fresh * (1.0 - keep)));
        self.seen = Some((now, bytes));
    }

    pub(crate) fn bps(&self) -> Option<f64> {
        self.bps
    }
}

/// A rate over a window of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct WindowRate {
    samples: VecDeque<(Time, u64)>,
}

impl WindowRate {
    /// Notes how much had come until now.
    pub(crate) fn observe(&mut self, now: Time, bytes: u64) {
        self.samples.push_back((now, bytes));
        while self.samples.len() > 2 && self.samples[1].0 + WINDOW <= now {
            self.samples.pop_front();
        }
    }

    /// Bytes a second of late.
    pub(crate) fn bps(&self) -> u64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0 };
        let seconds = last.0.saturating_sub(first.0).as_secs_f64();
        if seconds < 0.01 { 0 } else { (last.1.saturating_sub(first.1) as f64 / seconds) as u64 }
    }
}
