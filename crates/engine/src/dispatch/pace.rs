//! How far apart requests to a host are sent. A host that serves some and refuses others because there are too many (429)
//! gets fewer, until it serves nearly all of them; then it slowly gets more again. Pure.
//!
//! Where nothing succeeds, this changes nothing: [`Hosts`](super::hosts::Hosts) spaces what is sent to such a host.

use crate::message::Time;

/// The first distance between two requests, and the greatest.
const FIRST: Time = Time::from_millis(50);
const MOST: Time = Time::from_secs(4);
/// A shorter distance is none.
const LEAST: Time = Time::from_millis(20);
/// Refusals that come within this time after a change may be of requests that were sent before it.
const SETTLES_WITHIN: Time = Time::from_millis(250);
/// Each request that is served shortens the distance by this part of it.
const SHORTENED_BY: u32 = 16;

/// The distance between requests to one host.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    apart: Time,
    settles: Time,
    /// Something was served since the distance was changed.
    has_served: bool,
}

impl Pace {
    /// The distance; zero if there is none.
    pub(crate) fn apart(&self) -> Time {
        self.apart
    }

    /// The host served a request.
    pub(crate) fn served(&mut self) {
        self.has_served = true;
        self.apart -= self.apart / SHORTENED_BY;
        if self.apart < LEAST {
            self.apart = Time::ZERO;
        }
    }

    /// The host refused a request because there are too many.
    pub(crate) fn refused(&mut self, now: Time) {
        if !self.has_served || now < self.settles {
            return;
        }
        self.apart = (self.apart * 2).clamp(FIRST, MOST);
        self.settles = now + SETTLES_WITHIN.max(self.apart * 2);
        self.has_served = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests one after the other to a host that serves as many a second; returns how many of them it served and refused.
    fn run(pace: &mut Pace, served_each_second: u64, seconds: u64) -> (u32, u32) {
        let (mut now, mut next_token) = (Time::ZERO, Time::ZERO);
        let (mut served, mut refused) = (0, 0);
        while now < Time::from_secs(seconds) {
            if next_token <= now {
                next_token = next_token.max(now.saturating_sub(Time::from_secs(1)))
                    + Time::from_secs(1) / served_each_second as u32;
                served += 1;
                pace.served();
            } else {
                refused += 1;
                pace.refused(now);
            }
            now += pace.apart().max(Time::from_millis(1));
        }
        (served, refused)
    }

    #[test]
    fn a_host_that_limits_requests_is_asked_about_as_often_as_it_serves() {
        for rate in [1, 5, 20] {
            let (served, refused) = run(&mut Pace::default(), rate, 120);
            assert!(u64::from(served) > rate * 120 / 2, "{served} of {} at {rate}/s", rate * 120);
            assert!(refused < served / 2, "{refused} refused, {served} served at {rate}/s");
        }
    }

    #[test]
    fn a_host_that_serves_nothing_has_no_pace() {
        let mut pace = Pace::default();
        (0..100).for_each(|second| pace.refused(Time::from_secs(second)));
        assert_eq!(pace.apart(), Time::ZERO);
        pace.served();
        pace.refused(Time::from_secs(100));
        (101..200).for_each(|second| pace.refused(Time::from_secs(second)));
        assert_eq!(pace.apart(), FIRST, "it served once, and then nothing more");
        (0..20).for_each(|_| pace.served());
        assert_eq!(pace.apart(), Time::ZERO);
    }
}
