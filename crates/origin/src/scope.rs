//! Which requests a rule applies to: the conditions that a script sets, and the facts about a request
//! that they are matched against. Plain values, except for the switches that a test flips.

use crate::content::dice;
use crate::switch::Switch;

/// Which requests a fault applies to. A request must meet every condition that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    first: Option<u64>,
    from: Option<u64>,
    only_ranges: bool,
    only_conditional: bool,
    query: Option<String>,
    connection: Option<u64>,
    every_other_connection: bool,
    /// Percentage of requests, and the seed that selects them.
    share: Option<(u64, u64)>,
    /// Each with the position that it must have; true is on.
    switches: Vec<(Switch, bool)>,
    pub(crate) times: Option<u64>,
}

impl Scope {
    /// Every request.
    #[must_use]
    pub fn every() -> Self {
        Self::default()
    }

    /// Only the first `count` requests, counted per resource for a fault of a resource and over all
    /// requests for a fault of the server.
    #[must_use]
    pub fn first(mut self, count: u64) -> Self {
        self.first = Some(count);
        self
    }

    /// Only the `number`-th and later requests; the first is 1.
    #[must_use]
    pub fn starting_at(mut self, number: u64) -> Self {
        self.from = Some(number);
        self
    }

    /// Only requests with a `Range` field.
    #[must_use]
    pub fn only_ranges(mut self) -> Self {
        self.only_ranges = true;
        self
    }

    /// Only requests with `If-Match`, `If-None-Match`, `If-Modified-Since` or `If-Unmodified-Since`.
    #[must_use]
    pub fn only_conditional(mut self) -> Self {
        self.only_conditional = true;
        self
    }

    /// Only requests with this query string, which is not part of a resource's path.
    #[must_use]
    pub fn only_query(mut self, query: &str) -> Self {
        self.query = Some(query.to_owned());
        self
    }

    /// Only while `switch` is on.
    #[must_use]
    pub fn while_on(mut self, switch: &Switch) -> Self {
        self.switches.push((switch.clone(), true));
        self
    }

    /// Only while `switch` is off.
    #[must_use]
    pub fn while_off(mut self, switch: &Switch) -> Self {
        self.switches.push((switch.clone(), false));
        self
    }

    /// Only the first `count` requests that meet all other conditions. [`Self::first`] counts every
    /// request instead.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Only requests on this connection; the first that the server accepts is 1.
    #[must_use]
    pub fn only_connection(mut self, connection: u64) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Only requests on the second connection that the server accepts, the fourth, and so on.
    #[must_use]
    pub fn every_other_connection(mut self) -> Self {
        self.every_other_connection = true;
        self
    }

    /// Only about `percent` percent of the requests, selected by the seed and the request's number.
    #[must_use]
    pub fn now_and_then(mut self, percent: u8, seed: u64) -> Self {
        self.share = Some((u64::from(percent), seed));
        self
    }

    /// Whether `ask` meets all conditions except `times`.
    pub(crate) fn holds(&self, ask: &Ask) -> bool {
        self.first.is_none_or(|count| ask.number <= count)
            && self.from.is_none_or(|number| ask.number >= number)
            && (!self.only_ranges || ask.ranged)
            && (!self.only_conditional || ask.conditional)
            && self.query.as_ref().is_none_or(|query| ask.query.as_ref() == Some(query))
            && self.connection.is_none_or(|id| ask.connection == id)
            && (!self.every_other_connection || ask.connection.is_multiple_of(2))
            && self.share.is_none_or(|(percent, seed)| dice(seed, ask.number) % 100 < percent)
            && self.switches.iter().all(|(switch, on)| switch.is_on() == *on)
    }
}

/// The facts about a request that rules depend on.
pub(crate) struct Ask {
    /// Number of the request at its resource or at the server, from 1.
    pub(crate) number: u64,
    pub(crate) ranged: bool,
    pub(crate) conditional: bool,
    pub(crate) query: Option<String>,
    pub(crate) connection: u64,
    /// Connections open on accept, or responses in flight, including this one.
    pub(crate) load: usize,
    /// Whether the same rules already accepted the connection.
    pub(crate) was_accepted: bool,
}

impl Ask {
    /// A connection before its first request.
    pub(crate) fn at_accept(connection: u64, load: usize) -> Self {
        Self {
            number: connection,
            ranged: false,
            conditional: false,
            query: None,
            connection,
            load,
            was_accepted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(number: u64) -> Ask {
        let ranged = matches!(number, 2 | 4 | 6 | 8);
        Ask {
            number,
            ranged,
            conditional: number == 3,
            query: (number == 5).then(|| "slow".to_owned()),
            connection: number,
            load: 1,
            was_accepted: false,
        }
    }

    #[test]
    fn a_scope_needs_all_its_conditions() {
        let scope = Scope::every().starting_at(3).first(6).only_ranges();
        let held: Vec<_> = (1..=8).filter(|number| scope.holds(&ask(*number))).collect();
        assert_eq!(held, [4, 6]);
        assert!(Scope::every().only_connection(5).holds(&ask(5)));
        assert!(!Scope::every().only_connection(5).holds(&ask(6)));
        assert!(Scope::every().every_other_connection().holds(&ask(6)));
        assert!(!Scope::every().every_other_connection().holds(&ask(5)));
        let held: Vec<_> = (1..=8).filter(|number| Scope::every().only_conditional().holds(&ask(*number))).collect();
        assert_eq!(held, [3]);
        let held: Vec<_> = (1..=8).filter(|number| Scope::every().only_query("slow").holds(&ask(*number))).collect();
        assert_eq!(held, [5]);
    }

    #[test]
    fn a_switch_decides_at_each_request() {
        let (one, other) = (Switch::default(), Switch::default());
        let scope = Scope::every().while_on(&one).while_off(&other);
        let mut held = vec![scope.holds(&ask(1))];
        one.on();
        held.push(scope.holds(&ask(2)));
        other.on();
        held.push(scope.holds(&ask(3)));
        assert_eq!(held, [false, true, false]);
    }

    #[test]
    fn now_and_then_is_about_so_often_and_the_same_each_time() {
        let held = |seed| -> Vec<u64> {
            let scope = Scope::every().now_and_then(25, seed);
            (1..=1000).filter(|number| scope.holds(&ask(*number))).collect()
        };
        assert!((200..300).contains(&held(7).len()), "{} of 1000", held(7).len());
        assert_eq!(held(7), held(7));
        assert_ne!(held(7), held(8));
        assert_eq!((1..=100).filter(|number| Scope::every().now_and_then(100, 7).holds(&ask(*number))).count(), 100);
    }
}
