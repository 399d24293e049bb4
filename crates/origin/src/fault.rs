//! What can go wrong, as values: a [`Fault`] says what happens, a [`Scope`] to which requests, and
//! several of them compose. Owns the counters of a rule set; the server's threads share it.
//!
//! To add a fault: a variant here, a field of `Effects`, a line in `RuleSet::apply`, and the place
//! in `respond.rs` or `body.rs` that looks at the field.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, StatusCode};

/// One thing that goes wrong (or slow) on purpose.
///
/// Offsets `k` count the body bytes of one response, not of the resource.
///
/// ```
/// use towline_origin::{Fault, Resource, Scope};
///
/// let flaky = Resource::new("/flaky.bin", 1, 1_000_000)
///     .fault(Fault::CutAt(300_000).when(Scope::every().first(2)))
///     .fault(Fault::RatePerConnection(5_000_000));
/// # drop(flaky);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Closes the connection in order (FIN) once `k` body bytes are on their way. Over HTTP/2 the
    /// stream is reset instead, and the client may see fewer than `k` bytes.
    CutAt(u64),
    /// Resets the TCP connection (RST) once `k` body bytes have been handed to the socket; bytes
    /// that the kernel has not sent by then are lost.
    ResetAt(u64),
    /// Sends nothing more after `k` body bytes: for the time given, or for ever.
    StallAt(u64, Option<Duration>),
    /// Sends the body of each response at this rate.
    Trickle {
        /// Bytes a second.
        bytes_per_sec: u64,
    },
    /// Answers a range request with 200 and the whole content, though ranges were offered.
    IgnoreRange,
    /// From the `request`-th request (1 is the first) on, the resource has another entity tag and
    /// other content of the same length.
    ChangeEtagAt {
        /// Ordinal of the first request that sees the new content.
        request: u64,
        /// The new tag, exactly as sent (with its quotes).
        etag: String,
        /// Seed of the new content.
        seed: u64,
    },
    /// Answers with this status and a line of text.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// How many times; `None` is for ever.
        times: Option<u32>,
        /// The value of `Retry-After`, sensible or not.
        retry_after: Option<String>,
    },
    /// Refuses what is above `max`. For the server these are open connections: one that was
    /// accepted while `max` others were open stays refused. For a resource they are responses in
    /// flight. `Reset` on the server acts at accept, before any request, whatever the scope.
    ConnectionLimit {
        /// How many are served at once.
        max: usize,
        /// What happens to the others.
        above: Above,
    },
    /// Waits before the first byte of the response.
    Latency(Duration),
    /// Bytes a second on one connection, kept over all its requests.
    RatePerConnection(u64),
    /// Bytes a second over all connections of the server.
    RatePerServer(u64),
}

/// What becomes of a connection or a request above a [`Fault::ConnectionLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// It is answered with 503, and HTTP/1.1 connections are closed after that.
    Unavailable,
    /// The connection is reset.
    Reset,
}

/// To which requests a fault applies; everything that was set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    first: Option<u64>,
    from: Option<u64>,
    only_ranges: bool,
    connection: Option<u64>,
}

/// A fault with its scope. Made by [`Fault::when`], or from a fault alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which requests.
    pub scope: Scope,
}

impl Fault {
    /// This fault, for the requests of `scope` only.
    #[must_use]
    pub fn when(self, scope: Scope) -> Rule {
        Rule { fault: self, scope }
    }

    /// This fault, for the first `count` requests only.
    #[must_use]
    pub fn first(self, count: u64) -> Rule {
        self.when(Scope::every().first(count))
    }

    /// Stops a script that could not be sent before it reaches the server's threads.
    fn check(&self) {
        match self {
            Self::Status { code, retry_after, .. } => {
                status_code(*code);
                if let Some(text) = retry_after {
                    header_value(text);
                }
            }
            Self::ChangeEtagAt { etag, .. } => {
                header_value(etag);
            }
            _ => {}
        }
    }
}

impl Scope {
    /// Every request.
    #[must_use]
    pub fn every() -> Self {
        Self::default()
    }

    /// Only the first `count` requests: of the resource for a fault of a resource, of all requests
    /// for a fault of the server.
    #[must_use]
    pub fn first(mut self, count: u64) -> Self {
        self.first = Some(count);
        self
    }

    /// Only from the `number`-th request on (1 is the first).
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

    /// Only requests on this connection (1 is the first that the server accepted).
    #[must_use]
    pub fn only_connection(mut self, connection: u64) -> Self {
        self.connection = Some(connection);
        self
    }

    fn holds(&self, ask: &Ask) -> bool {
        self.first.is_none_or(|count| ask.number <= count)
            && self.from.is_none_or(|number| ask.number >= number)
            && (!self.only_ranges || ask.ranged)
            && self.connection.is_none_or(|id| ask.connection == id)
    }
}

impl From<Fault> for Rule {
    fn from(fault: Fault) -> Self {
        fault.when(Scope::every())
    }
}

/// How a script ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Reset,
}

/// What a rule looks at.
pub(crate) struct Ask {
    /// Ordinal of the request at its resource or at the server, from 1.
    pub(crate) number: u64,
    pub(crate) ranged: bool,
    pub(crate) connection: u64,
    /// Connections open at accept, or responses in flight; this one included.
    pub(crate) load: usize,
}

/// What all rules together do to one response.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) cut: Option<(u64, Ending)>,
    pub(crate) stall: Option<(u64, Option<Duration>)>,
    pub(crate) trickle: Option<u64>,
    pub(crate) ignore_range: bool,
    pub(crate) replaced: Option<(String, u64)>,
    pub(crate) status: Option<(u16, Option<String>)>,
    pub(crate) refused: Option<Above>,
    pub(crate) latency: Duration,
    pub(crate) rate_per_connection: Option<u64>,
    pub(crate) rate_per_server: Option<u64>,
}

impl Effects {
    fn cut(&mut self, at: u64, ending: Ending) {
        if self.cut.is_none_or(|(other, _)| at < other) {
            self.cut = Some((at, ending));
        }
    }
}

/// The rules of one resource or of the server, and how often they were asked.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<(Rule, AtomicU64)>,
    requests: AtomicU64,
}

impl RuleSet {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        let rules = rules.into_iter().map(checked).map(|rule| (rule, AtomicU64::new(0)));
        Self { rules: rules.collect(), requests: AtomicU64::new(0) }
    }

    /// Counts a request; returns its ordinal, from 1.
    pub(crate) fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether a connection that makes `load` open ones is reset at accept.
    pub(crate) fn resets_at_accept(&self, load: usize) -> bool {
        self.rules
            .iter()
            .any(|(rule, _)| matches!(rule.fault, Fault::ConnectionLimit { max, above: Above::Reset } if load > max))
    }

    /// Adds what the rules do to the request `ask`. Of two that clash the earlier cut, the first
    /// status and the lower rate win; latencies add up.
    pub(crate) fn apply(&self, ask: &Ask, effects: &mut Effects) {
        for (rule, fired) in &self.rules {
            if !rule.scope.holds(ask) {
                continue;
            }
            match &rule.fault {
                Fault::CutAt(at) => effects.cut(*at, Ending::Close),
                Fault::ResetAt(at) => effects.cut(*at, Ending::Reset),
                Fault::StallAt(at, pause) => effects.stall = Some((*at, *pause)),
                Fault::Trickle { bytes_per_sec } => lower(&mut effects.trickle, *bytes_per_sec),
                Fault::IgnoreRange => effects.ignore_range = true,
                Fault::ChangeEtagAt { request, etag, seed } => {
                    if ask.number >= *request {
                        effects.replaced = Some((etag.clone(), *seed));
                    }
                }
                Fault::Status { code, times, retry_after } => {
                    if effects.status.is_none() && fires(fired, *times) {
                        effects.status = Some((*code, retry_after.clone()));
                    }
                }
                Fault::ConnectionLimit { max, above } => {
                    if ask.load > *max && effects.refused.is_none() {
                        effects.refused = Some(*above);
                    }
                }
                Fault::Latency(pause) => effects.latency += *pause,
                Fault::RatePerConnection(rate) => lower(&mut effects.rate_per_connection, *rate),
                Fault::RatePerServer(rate) => lower(&mut effects.rate_per_server, *rate),
            }
        }
    }
}

/// `text` as a header value.
///
/// # Panics
/// If it holds a control character. Builders call this first, so that the server never does.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| panic!("{text:?} cannot be a header value"))
}

/// `code` as a status; panics like [`header_value`] if it is outside 100 to 999.
pub(crate) fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or_else(|_| panic!("{code} cannot be a status code"))
}

/// Stops a rule that cannot be played when it is scripted, not when it is asked for.
pub(crate) fn checked(rule: Rule) -> Rule {
    rule.fault.check();
    rule
}

fn lower(slot: &mut Option<u64>, rate: u64) {
    *slot = Some(slot.map_or(rate, |old| old.min(rate)));
}

fn fires(fired: &AtomicU64, times: Option<u32>) -> bool {
    match times {
        None => true,
        Some(times) => fired.fetch_add(1, Ordering::Relaxed) < u64::from(times),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(number: u64) -> Ask {
        Ask { number, ranged: matches!(number, 2 | 4 | 6 | 8), connection: number, load: 1 }
    }

    #[test]
    fn a_scope_needs_all_its_conditions() {
        let scope = Scope::every().starting_at(3).first(6).only_ranges();
        let held: Vec<_> = (1..=8).filter(|number| scope.holds(&ask(*number))).collect();
        assert_eq!(held, [4, 6]);
        assert!(Scope::every().only_connection(5).holds(&ask(5)));
        assert!(!Scope::every().only_connection(5).holds(&ask(6)));
    }

    #[test]
    fn a_status_fires_as_often_as_it_says_and_the_earlier_cut_wins() {
        let rules = RuleSet::new(vec![
            Fault::Status { code: 503, times: Some(2), retry_after: None }.into(),
            Fault::CutAt(10).into(),
            Fault::ResetAt(5).into(),
        ]);
        let statuses: Vec<_> = (1..=3)
            .map(|number| {
                let mut effects = Effects::default();
                rules.apply(&ask(number), &mut effects);
                assert_eq!(effects.cut, Some((5, Ending::Reset)));
                effects.status.is_some()
            })
            .collect();
        assert_eq!(statuses, [true, true, false]);
    }
}
