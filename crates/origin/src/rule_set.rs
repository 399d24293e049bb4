//! The rules of one resource or of the server: matches requests against them and collects their
//! effects. Owns the counters of its rules; all serving threads share it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::dice;
use crate::effects::{Detour, Effects, Ending};
use crate::fault::{Above, Fault};
use crate::header::{header_bytes, header_name};
use crate::rule::{Rule, checked};
use crate::scope::Ask;

/// The rules of one resource or of the server, with a count of requests.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    rules: Vec<Armed>,
    requests: AtomicU64,
}

/// A rule with its counters.
#[derive(Debug)]
struct Armed {
    rule: Rule,
    met: AtomicU64,
    fired: AtomicU64,
}

impl RuleSet {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self { rules: rules.into_iter().map(Armed::new).collect(), requests: AtomicU64::new(0) }
    }

    /// Counts a request and returns its number, from 1.
    pub(crate) fn next_number(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How to refuse a new connection before its first request, if `load` open ones are too many.
    pub(crate) fn ends_at_accept(&self, connection: u64, load: usize) -> Option<Above> {
        let ask = Ask::at_accept(connection, load);
        self.rules.iter().find_map(|armed| match armed.rule.fault {
            Fault::ConnectionLimit { max, above } if above.acts_at_accept() && load > max && armed.meets(&ask) => {
                Some(above)
            }
            _ => None,
        })
    }

    /// After how many bytes from the server to cut the TLS handshake of this connection.
    pub(crate) fn cuts_handshake(&self, connection: u64) -> Option<u64> {
        let ask = Ask::at_accept(connection, 0);
        let cut = |armed: &Armed| match armed.rule.fault {
            Fault::CutHandshake { at } if armed.meets(&ask) => Some(at),
            _ => None,
        };
        self.rules.iter().filter_map(cut).min()
    }

    /// Adds the effects of all rules that match `ask`. In a conflict the earlier cut, the first status
    /// and the lower rate win; otherwise the later rule wins. Latencies add up.
    pub(crate) fn apply(&self, ask: &Ask, effects: &mut Effects) {
        for armed in &self.rules {
            if armed.meets(ask) {
                armed.play(ask, effects);
            }
        }
    }
}

impl Armed {
    fn new(rule: Rule) -> Self {
        Self { rule: checked(rule), met: AtomicU64::new(0), fired: AtomicU64::new(0) }
    }

    /// Whether the rule matches `ask`. Counts the request towards the scope's `times`.
    fn meets(&self, ask: &Ask) -> bool {
        let scope = &self.rule.scope;
        scope.holds(ask) && scope.times.is_none_or(|times| self.met.fetch_add(1, Ordering::Relaxed) < times)
    }

    /// Adds the effects of this rule's fault on `ask`.
    fn play(&self, ask: &Ask, effects: &mut Effects) {
        match &self.rule.fault {
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
            Fault::RangeAtMost(bytes) => effects.range_at_most = Some(*bytes),
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
                if effects.status.is_none() && fires(&self.fired, *times) {
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
    use crate::scope::Scope;

    fn ask(number: u64) -> Ask {
        Ask { ranged: matches!(number, 2 | 4 | 6 | 8), ..Ask::at_accept(number, 1) }
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
