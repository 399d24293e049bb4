//! How often the links that a host gives are asked for again because the place that they led to refuses them. A link may
//! have expired; if all are refused, asking for each of them again brings nothing. Pure.

use crate::message::Time;

/// So many links are asked for again within a minute.
const RENEWALS_MAX: u32 = 30;
const WITHIN: Time = Time::from_secs(60);

/// The renewals of one host.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// When the present minute began.
    since: Time,
    count: u32,
}

impl Renewals {
    /// Whether one more link may be asked for again; counts it if so.
    pub(super) fn may_renew(&mut self, now: Time) -> bool {
        if now >= self.since + WITHIN {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count <= RENEWALS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_whose_links_are_all_refused_is_not_asked_for_all_of_them_again() {
        let mut renewals = Renewals::default();
        let now = Time::from_secs(100);
        assert_eq!((0..300).filter(|_| renewals.may_renew(now)).count(), RENEWALS_MAX as usize);
        assert!(!renewals.may_renew(now + WITHIN - Time::from_millis(1)));
        assert!(renewals.may_renew(now + WITHIN));
    }
}
