//! Which requests a fault meets, and what all faults together do to one response. Owns the counters
//! of a rule set; the server's threads share it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};

use crate::content::dice;
use crate::fault::{Above, BadChunk, Fault, RangeLie, StreamEnd, Validators, header_bytes, header_name};
use crate::page::Page;
use crate::switch::Switch;
use crate::version::moved;

/// To which requests a fault applies; everything that was set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    first: Option<u64>,
    from: Option<u64>,
    only_ranges: bool,
    only_conditional: bool,
    query: Option<String>,
    connection: Option<u64>,
    /// In how many of a hundred cases, and by which seed.
    share: Option<(u64, u64)>,
    /// Each has to be on (true) or off.
    switches: Vec<(Switch, bool)>,
    times: Option<u64>,
}

/// A fault with its scope. Made by [`Fault::when`], or from a fault alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// To which requests.
    pub scope: Scope,
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

    /// Only requests with `If-Match`, `If-None-Match`, `If-Modified-Since` or `If-Unmodified-Since`.
    #[must_use]
    pub fn only_conditional(mut self) -> Self {
        self.only_conditional = true;
        self
    }

    /// Only requests with this query, which is no part of a resource's path.
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

    /// Only the first `count` of the requests that meet everything else; [`Self::first`] counts all.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Only requests on this connection (1 is the first that the server accepted).
    #[must_use]
    pub fn only_connection(mut self, connection: u64) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Only about `percent` of a hundred requests: which of them, the seed and their numbers decide.
    #[must_use]
    pub fn now_and_then(mut self, percent: u8, seed: u64) -> Self {
        self.share = Some((u64::from(percent), seed));
        self
    }

    fn holds(&self, ask: &Ask) -> bool {
        self.first.is_none_or(|count| ask.number <= count)
            && self.from.is_none_or(|number| ask.number >= number)
            && (!self.only_ranges || ask.ranged)
            && (!self.only_conditional || ask.conditional)
            && self.query.as_ref().is_none_or(|query| ask.query.as_ref() == Some(query))
            && self.connection.is_none_or(|id| ask.connection == id)
            && self.share.is_none_or(|(percent, seed)| dice(seed, ask.number) % 100 < percent)
            && self.switches.iter().all(|(switch, on)| switch.is_on() == *on)
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
    pub(crate) conditional: bool,
    pub(crate) query: Option<String>,
    pub(crate) connection: u64,
    /// Connections open at accept, or responses in flight; this one included.
    pub(crate) load: usize,
    /// Whether the same rules have let the connection in.
    pub(crate) was_accepted: bool,
}

impl Ask {
    /// A connection before its first request.
    fn at_accept(connection: u64, load: usize) -> Self {
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

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    To(String),
    /// Back to the same path until it has been asked so often.
    Hops(u32),
}

/// What all rules together do to one response.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) cut: Option<(u64, Ending)>,
    /// Cuts at this number modulo the body's length.
    pub(crate) cut_dice: Option<u64>,
    pub(crate) stall: Option<(u64, Option<Duration>)>,
    pub(crate) trickle: Option<u64>,
    pub(crate) ignore_range: bool,
    pub(crate) ignore_if_range: bool,
    pub(crate) ignore_conditions: bool,
    pub(crate) refuse_range: bool,
    pub(crate) range_lies: Vec<RangeLie>,
    pub(crate) shift: Option<i64>,
    pub(crate) end_by: i64,
    pub(crate) range_short: u64,
    pub(crate) multipart: bool,
    /// From which byte of the resource on, and whose content.
    pub(crate) other_content: Option<(u64, u64)>,
    pub(crate) replaced: Option<(String, u64)>,
    pub(crate) validators: Vec<Validators>,
    pub(crate) no_date: bool,
    pub(crate) clock_off: i64,
    pub(crate) backend: Option<u64>,
    pub(crate) status: Option<(u16, Option<String>)>,
    pub(crate) page: Option<Page>,
    pub(crate) redirect: Option<(u16, Detour)>,
    pub(crate) length_by: i64,
    pub(crate) surplus: u64,
    pub(crate) bad_chunk: Option<(u64, BadChunk)>,
    /// The fields, and whether there is a length beside them.
    pub(crate) transfer_encoding: Option<(Vec<String>, bool)>,
    /// Whether TLS says that the connection ends, where a body ends with it.
    pub(crate) close_delimited: Option<bool>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) raw_headers: Vec<Vec<u8>>,
    pub(crate) large_header: Option<usize>,
    pub(crate) many_headers: usize,
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) close: bool,
    pub(crate) http10: bool,
    pub(crate) stream_end: Option<(u64, StreamEnd)>,
    pub(crate) refuse_stream: Option<u32>,
    pub(crate) streams_max: Option<u32>,
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

    /// What the server's clock says at `now`.
    pub(crate) fn clock(&self, now: SystemTime) -> SystemTime {
        moved(now, self.clock_off)
    }

    /// Leaves out what only a body could show.
    pub(crate) fn without_body(&mut self) {
        (self.cut, self.cut_dice, self.stream_end) = (None, None, None);
        self.trailers.clear();
    }

    /// Decides what hangs on the length of the body.
    pub(crate) fn settle(&mut self, len: u64) {
        if let Some(dice) = self.cut_dice.take()
            && len > 0
        {
            self.cut(dice % len, Ending::Close);
        }
    }
}

/// The rules of one resource or of the server, and how often they were asked.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Armed>,
    requests: AtomicU64,
}

/// A rule, and how often it came true.
#[derive(Debug)]
struct Armed {
    rule: Rule,
    met: AtomicU64,
    fired: AtomicU64,
}

impl Armed {
    fn new(rule: Rule) -> Self {
        Self { rule: checked(rule), met: AtomicU64::new(0), fired: AtomicU64::new(0) }
    }

    /// Whether the rule is for `ask`, which counts.
    fn meets(&self, ask: &Ask) -> bool {
        let scope = &self.rule.scope;
        scope.holds(ask) && scope.times.is_none_or(|times| self.met.fetch_add(1, Ordering::Relaxed) < times)
    }
}

impl RuleSet {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self { rules: rules.into_iter().map(Armed::new).collect(), requests: AtomicU64::new(0) }
    }

    /// Counts a request; returns its ordinal, from 1.
    pub(crate) fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What ends a connection that makes `load` open ones before its first request.
    pub(crate) fn ends_at_accept(&self, connection: u64, load: usize) -> Option<Above> {
        let ask = Ask::at_accept(connection, load);
        self.rules.iter().find_map(|armed| match armed.rule.fault {
            Fault::ConnectionLimit { max, above } if above.acts_at_accept() && load > max && armed.meets(&ask) => {
                Some(above)
            }
            _ => None,
        })
    }

    /// After how many bytes of the server's the TLS handshake of this connection is cut.
    pub(crate) fn cuts_handshake(&self, connection: u64) -> Option<u64> {
        let ask = Ask::at_accept(connection, 0);
        let cut = |armed: &Armed| match armed.rule.fault {
            Fault::CutHandshake { at } if armed.meets(&ask) => Some(at),
            _ => None,
        };
        self.rules.iter().filter_map(cut).min()
    }

    /// Adds what the rules do to the request `ask`. Of two that clash the earlier cut, the first
    /// status and the lower rate win, and otherwise the later rule; latencies add up.
    pub(crate) fn apply(&self, ask: &Ask, effects: &mut Effects) {
        for armed in &self.rules {
            if !armed.meets(ask) {
                continue;
            }
            match &armed.rule.fault {
                Fault::CutAt(at) => effects.cut(*at, Ending::Close),
                Fault::CutSomewhere { seed } => effects.cut_dice = Some(dice(*seed, ask.number)),
                Fault::ResetAt(at) => effects.cut(*at, Ending::Reset),
                Fault::StallAt(at, pause) => effects.stall = Some((*at, *pause)),
                Fault::Trickle { bytes_per_sec } => lower(&mut effects.trickle, *bytes_per_sec),
                Fault::IgnoreRange => effects.ignore_range = true,
                Fault::IgnoreIfRange => effects.ignore_if_range = true,
                Fault::IgnoreConditions => effects.ignore_conditions = true,
                Fault::RefuseRange => effects.refuse_range = true,
                Fault::ContentRange(lie) => effects.range_lies.push(lie.clone()),
                Fault::OtherRange { by } => effects.shift = Some(*by),
                Fault::OtherEnd { by } => effects.end_by = *by,
                Fault::ShortRange { by } => effects.range_short = *by,
                Fault::Multipart => effects.multipart = true,
                Fault::OtherContent { from, seed } => effects.other_content = Some((*from, *seed)),
                Fault::ChangeEtagAt { request, etag, seed } => {
                    if ask.number >= *request {
                        effects.replaced = Some((etag.clone(), *seed));
                    }
                }
                Fault::Validators(validators) => effects.validators.push(validators.clone()),
                Fault::NoDate => effects.no_date = true,
                Fault::ClockOff(seconds) => effects.clock_off = *seconds,
                Fault::Backends(count) => effects.backend = Some(ask.number % count),
                Fault::Status { code, times, retry_after } => {
                    if effects.status.is_none() && fires(&armed.fired, *times) {
                        effects.status = Some((*code, retry_after.clone()));
                    }
                }
                Fault::Page(page) => effects.page = Some(page.clone()),
                Fault::Redirect { status, location } => {
                    effects.redirect = Some((*status, Detour::To(location.clone())));
                }
                Fault::RedirectHops { status, hops } => effects.redirect = Some((*status, Detour::Hops(*hops))),
                Fault::ContentLength { by } => effects.length_by = *by,
                Fault::LongBody { extra } => effects.surplus = *extra,
                Fault::BadChunk { at, how } => effects.bad_chunk = Some((*at, *how)),
                Fault::TransferEncoding { fields, length } => {
                    effects.transfer_encoding = Some((fields.clone(), *length));
                }
                Fault::CloseDelimited { close_notify } => effects.close_delimited = Some(*close_notify),
                Fault::Trailers(fields) => effects.trailers.extend(fields.iter().cloned()),
                Fault::Header { name, value } => effects.headers.push((header_name(name), header_bytes(value))),
                Fault::RawHeader(line) => effects.raw_headers.push(line.clone()),
                Fault::LargeHeader(bytes) => effects.large_header = Some(*bytes),
                Fault::ManyHeaders(count) => effects.many_headers = *count,
                Fault::Raw(bytes) => effects.raw = Some(bytes.clone()),
                Fault::CloseAfterEach => effects.close = true,
                Fault::Http10 => effects.http10 = true,
                Fault::EndStream { at, how } => effects.stream_end = Some((*at, *how)),
                Fault::RefuseStream(code) => effects.refuse_stream = Some(*code),
                Fault::GoAwayAbove { streams } => effects.streams_max = Some(*streams),
                Fault::CutHandshake { .. } => {}
                Fault::ConnectionLimit { max, above } => {
                    let has_acted = ask.was_accepted && above.acts_at_accept();
                    if ask.load > *max && effects.refused.is_none() && !has_acted {
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
    fn times_counts_only_what_the_rest_of_the_scope_meets() {
        let rules = RuleSet::new(vec![Fault::IgnoreRange.when(Scope::every().only_ranges().times(2))]);
        let met: Vec<_> = (1..=8)
            .filter(|number| {
                let mut effects = Effects::default();
                rules.apply(&ask(*number), &mut effects);
                effects.ignore_range
            })
            .collect();
        assert_eq!(met, [2, 4]);
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

    #[test]
    fn a_place_that_chance_decides_is_inside_the_body() {
        let rules = RuleSet::new(vec![Fault::CutSomewhere { seed: 3 }.into()]);
        for number in 1..100 {
            let mut effects = Effects::default();
            rules.apply(&ask(number), &mut effects);
            effects.settle(10);
            assert!(effects.cut.is_some_and(|(at, ending)| at < 10 && ending == Ending::Close), "{effects:?}");
        }
        let mut effects = Effects::default();
        rules.apply(&ask(1), &mut effects);
        effects.settle(0);
        assert_eq!(effects.cut, None);
    }

    #[test]
    fn a_handshake_is_cut_for_the_connections_of_its_scope() {
        let rules = RuleSet::new(vec![Fault::CutHandshake { at: 9 }.first(2)]);
        let cuts: Vec<_> = (1..=3).map(|connection| rules.cuts_handshake(connection)).collect();
        assert_eq!(cuts, [Some(9), Some(9), None]);
    }
}
