//! How far apart requests to a host are sent. A host that serves some and refuses others for their number (429, or 503 of
//! many servers) gets fewer, until it serves nearly all of them; then it slowly gets more again. Where fewer requests are
//! no better served, it is not their number that is refused, and the host is left alone. Pure.
//!
//! Where nothing succeeds, this changes nothing: [`Hosts`](super::hosts::Hosts) spaces what is sent to such a host.

use crate::message::Time;

/// The first distance between two requests, at least and at most, and the greatest.
const FIRST: Time = Time::from_millis(50);
const FIRST_MOST: Time = Time::from_millis(250);
const MOST: Time = Time::from_secs(4);
/// A shorter distance is none.
const LEAST: Time = Time::from_millis(20);
/// Answers that come within this time after a change may be to requests that were sent before it.
const SETTLES_WITHIN: Time = Time::from_millis(250);
/// Each request that is served shortens a distance that is long enough by this part of it.
const SHORTENED_BY: u32 = 16;
/// At least so many answers are judged together, of which so many brought something: fewer say nothing of their share.
const JUDGED_MIN: u32 = 16;
const SERVED_MIN: u32 = 5;
/// A host that serves this share of them is asked often enough.
const GOOD_SHARE: f64 = 0.85;
/// Of half as many requests, so many times the share are served, or this part of the share is refused. Otherwise it is not
/// their number that is refused.
const BETTER_SERVED: f64 = 1.3;
const LESS_REFUSED: f64 = 0.75;
/// For so long a host is left alone then.
const LEFT_ALONE_FOR: Time = Time::from_secs(60);

/// The distance between requests to one host.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    apart: Time,
    /// Answers count from this time on.
    since: Time,
    served: u32,
    refused: u32,
    /// The share that was served before the distance was last lengthened, unless it was good meanwhile.
    share_before: Option<f64>,
}

impl Pace {
    /// The distance; zero if there is none.
    pub(crate) fn apart(&self) -> Time {
        self.apart
    }

    /// The host served a request.
    pub(crate) fn served(&mut self, now: Time) {
        if self.share_before.is_none() {
            self.apart -= self.apart / SHORTENED_BY;
        }
        if self.apart < LEAST {
            self.apart = Time::ZERO;
        }
        if now >= self.since {
            self.served += 1;
            self.judge(now);
        }
    }

    /// The host refused a request because there are too many.
    pub(crate) fn refused(&mut self, now: Time) {
        if now >= self.since {
            self.refused += 1;
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Time) {
        let count = self.served + self.refused;
        if count < JUDGED_MIN || self.served < SERVED_MIN {
            return;
        }
        let share = f64::from(self.served) / f64::from(count);
        let elapsed = now.saturating_sub(self.since);
        (self.served, self.refused) = (0, 0);
        match self.share_before {
            _ if share >= GOOD_SHARE => {
                self.share_before = None;
                self.since = now;
            }
            Some(before) if !is_better(share, before) => {
                (self.apart, self.share_before) = (Time::ZERO, None);
                self.since = now + LEFT_ALONE_FOR;
            }
            _ => {
                self.share_before = Some(share);
                // At first, twice as far apart as they were without any distance.
                // A pause of the host is no distance.
                let first = (elapsed / count * 2).min(FIRST_MOST);
                let wanted = if self.apart.is_zero() { first } else { self.apart * 2 };
                self.apart = wanted.clamp(FIRST, MOST);
                self.since = now + SETTLES_WITHIN.max(self.apart * 2);
            }
        }
    }
}

/// Whether this share of requests that are served shows that fewer of them are better served than before.
fn is_better(share: f64, before: f64) -> bool {
    share >= before * BETTER_SERVED || 1.0 - share <= (1.0 - before) * LESS_REFUSED
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests one after the other, at most one in `each`; returns how many were served and refused, once it had twenty
    /// seconds to find out.
    fn run(pace: &mut Pace, each: Time, seconds: u64, mut serves: impl FnMut(Time) -> bool) -> (u32, u32) {
        let (mut now, mut served, mut refused) = (Time::ZERO, 0, 0);
        while now < Time::from_secs(seconds) {
            let counts = u32::from(now >= Time::from_secs(20));
            match serves(now) {
                true => {
                    served += counts;
                    pace.served(now);
                }
                false => {
                    refused += counts;
                    pace.refused(now);
                }
            }
            now += pace.apart().max(each);
        }
        (served, refused)
    }

    /// A bucket that fills with so many tokens a second, and holds one.
    fn bucket(rate: u32) -> impl FnMut(Time) -> bool {
        let mut next = Time::ZERO;
        move |now| {
            let serves = next <= now;
            if serves {
                next = now + Time::from_secs(1) / rate;
            }
            serves
        }
    }

    #[test]
    fn a_host_that_limits_requests_is_asked_about_as_often_as_it_serves() {
        for (rate, each) in [(1, 5), (5, 5), (5, 40), (5, 120), (20, 2)] {
            let (served, refused) = run(&mut Pace::default(), Time::from_millis(each), 120, bucket(rate));
            assert!(served > rate * 100 / 2, "{served} of {} at {rate}/s", rate * 100);
            assert!(refused < served / 2, "{refused} refused, {served} served at {rate}/s, one in {each} ms");
        }
    }

    #[test]
    fn a_host_that_refuses_some_whatever_their_number_is_not_slowed_down() {
        for part in [2, 3, 5] {
            let mut number = 0;
            let (served, refused) = run(&mut Pace::default(), Time::from_millis(10), 60, |_| {
                number += 1;
                number % part != 0
            });
            assert!(served + refused > 3500, "{served} + {refused} requests, one in {part} refused");
        }
    }

    #[test]
    fn a_host_that_serves_nothing_has_no_pace() {
        let mut pace = Pace::default();
        (0..100).for_each(|second| pace.refused(Time::from_secs(second)));
        assert_eq!(pace.apart(), Time::ZERO);
        pace.served(Time::from_secs(100));
        (101..200).for_each(|second| pace.refused(Time::from_secs(second)));
        assert!(pace.apart() <= MOST);
        (200..300).for_each(|second| pace.served(Time::from_secs(second)));
        assert_eq!(pace.apart(), Time::ZERO);
    }
}
