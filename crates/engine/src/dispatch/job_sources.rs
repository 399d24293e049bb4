//! The sources of a job: its own URL and its mirrors. One source is the lead: it is asked for the whole file,
//! and the existing data is of its version. The others send pieces once a sample of theirs agrees with the
//! existing data. Plain values of the dispatcher.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use http::HeaderMap;
use url::Url;

use crate::dispatch::redirect_chain::RedirectChain;
use crate::error::{Error, ErrorKind};
use crate::event::SourceShare;
use crate::evidence::Evidence;
use crate::http::origin::Origin;
use crate::job::{JobSpec, Located};
use crate::message::Time;
use crate::ranges::{ByteRange, RangeSet};
use crate::secret;

/// Fewer new bytes of responses that broke off do not show that a source works while there are others.
const WORKING_BYTES_MIN: u64 = 16 << 10;
/// A link is replaced this long before it expires, or halfway through a shorter life.
const EXPIRES_WITHIN: Time = Time::from_secs(5);

/// The sources of one job, at least one, in the order given. Dropped ones stay in the list.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The job's own URL, stored inline: most jobs have no other source, and there are many jobs.
    first: Source,
    mirrors: Vec<Source>,
    lead: usize,
}

/// One place that a file comes from.
#[derive(Debug)]
pub(crate) struct Source {
    /// The given URL.
    pub(crate) given: Url,
    /// Its origin: the credentials in the URL stay with that.
    pub(crate) own_origin: Origin,
    /// Where redirects, or its provider, have led.
    sent_to: Option<Box<(Url, Origin)>>,
    /// Whether a provider locates it.
    pub(crate) is_provided: bool,
    /// The provider's last location, until it expires or is refused.
    pub(crate) location: Option<Box<Location>>,
    /// The provider is being asked.
    pub(crate) is_locating: bool,
    /// The hosts that have redirected it since it was at its own URL or its provider's location.
    pub(crate) chain: RedirectChain,
    /// Whether its content was requested where it is now.
    pub(crate) was_requested: bool,
    /// How often its provider has located it, or it went back to the given URL.
    pub(crate) locations: u32,
    /// Whether the given URL was asked a second time.
    pub(crate) was_resolved_again: bool,
    /// Whether it went back to the given URL because requests had failed.
    was_left: bool,
    /// It led, and another one was asked because it brought next to nothing.
    pub(crate) was_slow: bool,
    pub(crate) standing: Standing,
    /// The version that it reports for its file.
    pub(crate) told: Option<Evidence>,
    /// It answered `If-Range` with the whole file although nothing had changed.
    pub(crate) distrusts_if_range: bool,
    /// Failed attempts in a row, and the time of the next one. For the lead, the job counts them by the gap.
    pub(crate) attempts: u32,
    pub(crate) retry_at: Time,
    /// When it would be asked again if its host were not in trouble.
    own_retry_at: Time,
    /// How often what it had brought was given up because it brought no more.
    pub(crate) losses: u32,
    /// Waits in a row that do not count as failed attempts, as for `Retry-After`.
    pub(crate) patience: u32,
    /// The bytes in the file that came from it.
    pub(crate) fetched_bytes: u64,
    pub(crate) ranges: RangeSet,
    /// The most that it ever brought of one version: what is fetched again is no progress.
    pub(crate) most_bytes: u64,
    /// The rate of its last connection that completed a piece, in bytes per second.
    pub(crate) rate_bps: Option<f64>,
}

/// Where a provider located a source.
#[derive(Debug)]
pub(crate) struct Location {
    /// The host that the headers are for.
    pub(crate) host: Origin,
    pub(crate) headers: Option<Arc<HeaderMap>>,
    /// When to ask for a new location.
    replace_at: Option<Time>,
    was_used: bool,
}

/// What is known about a source.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Its bytes have not been compared with the existing data.
    Untried,
    /// They agree, and it serves ranges.
    Joined,
    /// They agree, but nothing that it says about its version does: it may send the whole file, but no pieces
    /// beside other sources.
    Substitute,
    /// It is not used any more, because of this error.
    Dropped(Error),
    /// It is not used: its file is not the one that was started. If that one turns out to be wrong, this may
    /// be the right one.
    Different(Error),
}

/// The search for the source that sent wrong bytes: bytes of the other sources are refetched from one.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The source that is asked.
    pub(crate) base: usize,
    /// The sources whose bytes were refetched from it, in order.
    pub(crate) replaced: Vec<usize>,
    /// The sources that were asked before it.
    pub(crate) bases_before: Vec<usize>,
}

impl Index<usize> for Sources {
    type Output = Source;

    fn index(&self, source: usize) -> &Source {
        if source == 0 { &self.first } else { &self.mirrors[source - 1] }
    }
}

impl IndexMut<usize> for Sources {
    fn index_mut(&mut self, source: usize) -> &mut Source {
        if source == 0 { &mut self.first } else { &mut self.mirrors[source - 1] }
    }
}

impl Sources {
    /// The URL of a job, which is the lead at first, and its mirrors. A URL that is given twice is one
    /// source, and a URL that cannot be fetched is none.
    pub(crate) fn new(spec: &JobSpec, origin: Origin) -> Self {
        let mut sources = Self { first: Source::new(spec.url.clone(), origin), mirrors: Vec::new(), lead: 0 };
        for url in &spec.mirrors {
            let is_known = sources.all().any(|(_, source)| source.given == *url);
            if let Some(origin) = Origin::of(url).filter(|_| !is_known) {
                sources.mirrors.push(Source::new(url.clone(), origin));
            }
        }
        sources
    }

    /// Whether there is more than one, dropped ones included.
    pub(crate) fn is_many(&self) -> bool {
        !self.mirrors.is_empty()
    }

    /// The index of the lead.
    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    pub(crate) fn set_lead(&mut self, lead: usize) {
        self.lead = lead;
    }

    /// All of them, dropped ones included.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Source)> {
        std::iter::once(&self.first).chain(&self.mirrors).enumerate()
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        std::iter::once(&mut self.first).chain(&mut self.mirrors)
    }

    /// Those that are not dropped, the lead included, in the order given.
    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.all().filter(|(_, source)| !source.is_dropped())
    }

    /// Whether a source other than the lead sends pieces.
    pub(crate) fn has_joined(&self) -> bool {
        self.live().any(|(at, source)| at != self.lead && source.is_joined())
    }

    /// The next lead: the fastest one that has joined, else the one that waits least; substitutes come last.
    pub(crate) fn next_lead(&self) -> Option<usize> {
        let others = || self.live().filter(|(at, _)| *at != self.lead);
        let rate = |source: &Source| source.rate_bps.unwrap_or(0.0);
        let fastest = others()
            .filter(|(_, source)| source.is_joined())
            .max_by(|(_, one), (_, other)| rate(one).total_cmp(&rate(other)));
        fastest
            .or_else(|| others().min_by_key(|(_, source)| (source.is_substitute(), source.retry_at)))
            .map(|(at, _)| at)
    }

    /// The source of the URL that a journal or a note names.
    pub(crate) fn position_of(&self, identity_url: &str) -> Option<usize> {
        let is_of = |(_, source): &(usize, &Source)| secret::identity_url(&source.given) == identity_url;
        self.all().find(is_of).map(|(at, _)| at)
    }

    /// Whether the existing data is of the version that this source reported.
    pub(crate) fn is_first_known(&self, source: usize) -> bool {
        self.all().find(|(_, source)| source.told.is_some()).map(|(at, _)| at) == Some(source)
    }

    /// The first source whose version is known, and that version; `None` if there is only one source.
    pub(crate) fn first_known(&self) -> Option<(&Url, &Evidence)> {
        self.all().filter(|_| self.is_many()).find_map(|(_, source)| Some((&source.given, source.told.as_ref()?)))
    }

    /// The compared data is gone: sources that had joined must be compared again.
    pub(crate) fn forget(&mut self) {
        for source in self.all_mut() {
            source.told = None;
            source.fetched_bytes = 0;
            source.ranges = RangeSet::new();
            if source.is_joined() || source.is_substitute() {
                source.standing = Standing::Untried;
            }
        }
    }

    /// Whether the job's own URL is left out only because its file is another one. What a mirror has instead is
    /// never the file.
    pub(crate) fn is_own_url_different(&self) -> bool {
        self.all().next().is_some_and(|(_, source)| matches!(source.standing, Standing::Different(_)))
    }

    /// The existing data is wrong: sources with a different file may be asked for theirs.
    pub(crate) fn revive_different(&mut self) {
        for source in self.all_mut() {
            if matches!(source.standing, Standing::Different(_)) {
                source.standing = Standing::Untried;
                source.attempts = 0;
                source.wait_until(Time::ZERO);
            }
        }
    }

    /// The error once all have been dropped: each source with its reason.
    pub(crate) fn failure(&self) -> Error {
        let errors = || self.all().filter_map(|(_, source)| Some((source, source.dropped_for()?)));
        // If one of them may work later, so may the whole.
        let transient = errors().find(|(_, error)| error.is_transient());
        let Some((_, first)) = transient.or_else(|| errors().next()) else {
            return Error::new(ErrorKind::Internal, "a file with sources was given up; please report it");
        };
        let reasons: Vec<String> = errors().map(|(source, error)| reason(source, error)).collect();
        let message = format!("none of {} sources could bring it: {}", self.all().count(), reasons.join("; "));
        Error::new(first.kind(), message).with_transient(first.is_transient()).with_source(first.clone())
    }

    /// How much came from each of them.
    pub(crate) fn shares(&self) -> Vec<SourceShare> {
        if self.all().count() < 2 {
            return Vec::new();
        }
        let share = |(_, source): (usize, &Source)| SourceShare {
            url: secret::shown_url(&source.given),
            fetched_bytes: source.fetched_bytes,
            dropped: source.is_dropped(),
        };
        self.all().map(share).collect()
    }
}

impl Source {
    fn new(given: Url, origin: Origin) -> Self {
        Self {
            given,
            own_origin: origin,
            sent_to: None,
            is_provided: false,
            location: None,
            is_locating: false,
            chain: RedirectChain::default(),
            was_requested: false,
            locations: 0,
            was_resolved_again: false,
            was_left: false,
            was_slow: false,
            standing: Standing::Untried,
            told: None,
            distrusts_if_range: false,
            attempts: 0,
            retry_at: Time::ZERO,
            own_retry_at: Time::ZERO,
            losses: 0,
            patience: 0,
            fetched_bytes: 0,
            ranges: RangeSet::new(),
            most_bytes: 0,
            rate_bps: None,
        }
    }

    /// It is not asked before this.
    pub(crate) fn wait_until(&mut self, retry_at: Time) {
        self.wait_for_host(retry_at, retry_at);
    }

    /// The same where its host is what it waits for, unless that recovers.
    pub(crate) fn wait_for_host(&mut self, retry_at: Time, own_retry_at: Time) {
        (self.retry_at, self.own_retry_at) = (retry_at, own_retry_at);
    }

    /// Its host has recovered.
    pub(crate) fn wait_no_longer(&mut self) {
        self.retry_at = self.retry_at.min(self.own_retry_at);
    }

    /// Where it is after redirects.
    pub(crate) fn url(&self) -> &Url {
        self.sent_to.as_ref().map_or(&self.given, |place| &place.0)
    }

    /// The origin of that URL.
    pub(crate) fn host(&self) -> &Origin {
        self.sent_to.as_ref().map_or(&self.own_origin, |place| &place.1)
    }

    /// Its provider has located it.
    pub(crate) fn locate(&mut self, now: Time, (url, origin): (Url, Origin), located: &Located) {
        let mut headers = HeaderMap::new();
        for (name, value) in &located.headers {
            headers.append(name.clone(), value.clone());
        }
        let headers = (!headers.is_empty()).then(|| Arc::new(headers));
        let replace_at = located.expires_in.map(|life| now.saturating_add(life - (life / 2).min(EXPIRES_WITHIN)));
        self.location = Some(Box::new(Location { host: origin.clone(), headers, replace_at, was_used: false }));
        self.chain = RedirectChain::default();
        self.locations = self.locations.wrapping_add(1);
        self.go_to((url, origin));
    }

    /// Whether its provider must be asked before the next request. A location is used at least once, however
    /// soon it expires.
    pub(crate) fn needs_location(&self, now: Time) -> bool {
        let is_good = |location: &Location| !location.was_used || location.replace_at.is_none_or(|at| now < at);
        self.is_provided && !self.location.as_deref().is_some_and(is_good)
    }

    /// A request is sent to its location.
    pub(crate) fn use_location(&mut self) {
        if let Some(location) = &mut self.location {
            location.was_used = true;
        }
    }

    /// Redirects, or its provider, lead to this URL.
    pub(crate) fn go_to(&mut self, place: (Url, Origin)) {
        self.sent_to = Some(Box::new(place));
    }

    /// The origin of the URL that was given, if another one was asked.
    pub(crate) fn origin_before_redirects(&self) -> Option<&Origin> {
        self.sent_to.as_ref().filter(|place| place.1 != self.own_origin).map(|_| &self.own_origin)
    }

    /// Goes back to the given URL: it may redirect elsewhere now.
    pub(crate) fn go_back(&mut self) {
        self.sent_to = None;
        self.location = None;
        self.chain = RedirectChain::default();
        self.locations = self.locations.wrapping_add(1);
    }

    pub(crate) fn is_joined(&self) -> bool {
        matches!(self.standing, Standing::Joined)
    }

    pub(crate) fn is_substitute(&self) -> bool {
        matches!(self.standing, Standing::Substitute)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self.standing, Standing::Dropped(_) | Standing::Different(_))
    }

    /// It responded properly.
    pub(crate) fn works(&mut self) {
        self.attempts = 0;
        self.patience = 0;
        self.was_resolved_again = false;
        self.was_left = false;
    }

    /// One of its connections has ended, which fetched this range, and this many new bytes of it; whether it brought
    /// all that it was to bring.
    pub(crate) fn brought(&mut self, range: ByteRange, bytes: u64, is_all: bool, rate_bps: Option<f64>) {
        self.fetched_bytes += bytes;
        self.ranges.insert(range);
        self.rate_bps = rate_bps.or(self.rate_bps);
        let new = self.ranges.covered().saturating_sub(self.most_bytes);
        if bytes > 0 && new >= if is_all { 1 } else { WORKING_BYTES_MIN } {
            self.most_bytes += new;
            self.works();
        }
    }

    /// Whether it can go back to the given URL, which it does once.
    pub(crate) fn may_resolve_again(&self) -> bool {
        !self.was_resolved_again && *self.url() != self.given
    }

    /// Goes back to the given URL: the URL that it led to has expired.
    pub(crate) fn resolve_again(&mut self) {
        self.was_resolved_again = true;
        self.go_back();
    }

    /// Goes back to the given URL, once, if the URL that it led to does not answer: its server may be gone for good.
    pub(crate) fn leave(&mut self) {
        if *self.url() != self.given && !std::mem::replace(&mut self.was_left, true) {
            self.go_back();
        }
    }

    /// Why it was dropped.
    pub(crate) fn dropped_for(&self) -> Option<&Error> {
        match &self.standing {
            Standing::Dropped(error) | Standing::Different(error) => Some(error),
            _ => None,
        }
    }
}

/// `URL: what happened (tried N times)`.
fn reason(source: &Source, error: &Error) -> String {
    let tried = match error.attempts() {
        attempts @ 2.. => format!(" (tried {attempts} times)"),
        _ => String::new(),
    };
    format!("{}: {}{tried}", secret::shown_url(&source.given), error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(mirrors: &[&str]) -> Sources {
        let mut spec = JobSpec::new("http://a/f".parse().unwrap());
        for mirror in mirrors {
            spec = spec.mirror(mirror.parse().unwrap());
        }
        let origin = Origin::of(&spec.url).unwrap();
        Sources::new(&spec, origin)
    }

    fn drop_source(sources: &mut Sources, source: usize, error: Error) {
        sources[source].standing = Standing::Dropped(error);
    }

    #[test]
    fn a_url_that_is_given_twice_is_one_source() {
        assert!(!sources(&[]).is_many());
        assert!(!sources(&["http://a/f"]).is_many());
        assert_eq!(sources(&["http://b/f", "http://a/f", "http://b/f"]).live().count(), 2);
    }

    #[test]
    fn the_next_to_lead_has_joined_or_waits_least() {
        let mut sources = sources(&["http://b/f", "http://c/f", "http://d/f"]);
        sources[1].retry_at = Time::from_secs(3);
        assert_eq!(sources.next_lead(), Some(2));
        for (source, rate) in [(1, 10.0), (3, 20.0)] {
            let source = &mut sources[source];
            (source.standing, source.rate_bps) = (Standing::Joined, Some(rate));
        }
        assert_eq!(sources.next_lead(), Some(3));
        for source in [1, 2, 3] {
            drop_source(&mut sources, source, Error::new(ErrorKind::Status(404), "gone"));
        }
        assert_eq!(sources.next_lead(), None);
    }

    #[test]
    fn the_failure_of_all_names_each_with_its_reason() {
        let mut sources = sources(&["http://u:p@b/f"]);
        drop_source(&mut sources, 0, Error::new(ErrorKind::Status(404), "the server answered 404 Not Found"));
        let refused = Error::new(ErrorKind::Connect, "connection refused").with_attempts(6);
        drop_source(&mut sources, 1, refused);
        let error = sources.failure();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(
            error.message(),
            "none of 2 sources could bring it: http://a/f: the server answered 404 Not Found; \
             http://b/f: connection refused (tried 6 times)"
        );
    }
}
