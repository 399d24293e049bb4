//! Where a job comes from: the URL that was given for it, and its mirrors. One source leads: it is asked
//! for the whole file, and what the job holds is of its version. The others bring pieces once a sample
//! of theirs agrees with the existing data. Plain values of the dispatcher's.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use http::HeaderMap;
use url::Url;

use crate::error::{Error, ErrorKind};
use crate::event::SourceShare;
use crate::evidence::Evidence;
use crate::http::origin::Origin;
use crate::job::{JobSpec, Located};
use crate::message::Time;
use crate::ranges::RangeSet;
use crate::secret;

/// A link is replaced so long before it expires, or in the middle of a shorter life.
const EXPIRES_WITHIN: Time = Time::from_secs(5);

/// The sources of one job, at least one, in the order given. Those that end stay in the list.
#[derive(Debug)]
pub(crate) struct Sources {
    /// That of the job's own URL. Most jobs have no other, and there are many of them.
    first: Source,
    mirrors: Vec<Source>,
    lead: usize,
}

/// One place that a file comes from.
#[derive(Debug)]
pub(crate) struct Source {
    /// The URL that was given.
    pub(crate) given: Url,
    /// Its origin: the credentials in it stay with that.
    pub(crate) own_origin: Origin,
    /// Where redirects have led to, or its provider.
    sent_to: Option<Box<(Url, Origin)>>,
    /// Whether a provider knows where it is.
    pub(crate) is_provided: bool,
    /// What the provider said last, until it expires or is refused.
    pub(crate) location: Option<Box<Location>>,
    /// The provider is being asked.
    pub(crate) is_locating: bool,
    pub(crate) redirects: u32,
    /// Whether the URL that was given was asked a second time.
    pub(crate) was_resolved_again: bool,
    pub(crate) standing: Standing,
    /// The version of its file as it says itself.
    pub(crate) told: Option<Evidence>,
    /// `If-Range` was answered with the whole file although nothing had changed.
    pub(crate) distrusts_if_range: bool,
    /// Failed tries in a row, and until when it is left alone because of them. Of the one that leads,
    /// the job counts them by the gap.
    pub(crate) attempts: u32,
    pub(crate) retry_at: Time,
    /// How often in a row it was left alone without a failed try being counted, as `Retry-After` asks.
    pub(crate) patience: u32,
    /// What it brought of what is in the file.
    pub(crate) fetched_bytes: u64,
    pub(crate) ranges: RangeSet,
    /// What its connection brought that completed a piece last, bytes a second.
    pub(crate) rate_bps: Option<f64>,
}

/// What a provider said of a source.
#[derive(Debug)]
pub(crate) struct Location {
    /// Whom the headers are for.
    pub(crate) host: Origin,
    pub(crate) headers: Option<Arc<HeaderMap>>,
    /// From then on it is asked for again.
    replace_at: Option<Time>,
    was_used: bool,
}

/// What is known of a source.
#[derive(Clone, Debug)]
pub(crate) enum Standing {
    /// Its bytes have not been compared with the existing data.
    Untried,
    /// They agree, and it serves ranges.
    Joined,
    /// They agree, but nothing that it says of its version does: it may bring the whole file, and
    /// nothing beside others.
    Substitute,
    /// It brings nothing any more, because of this.
    Dropped(Error),
    /// Nor does this one: its file is another than the one that was begun. If that one turns out to be
    /// wrong, it may be the right one.
    Different(Error),
}

/// The search for the source that sent wrong bytes: what others brought is fetched from one again.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    /// The one that is asked.
    pub(crate) base: usize,
    /// Whose bytes were fetched again from it, in this order.
    pub(crate) replaced: Vec<usize>,
    /// Those that were asked before it.
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
    /// The URL of a job, which leads at first, and its mirrors. A URL that is given twice is one
    /// source, and one that cannot be fetched from is none.
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

    /// Whether there is more than one, whatever became of them.
    pub(crate) fn is_many(&self) -> bool {
        !self.mirrors.is_empty()
    }

    /// Which one leads.
    pub(crate) fn lead(&self) -> usize {
        self.lead
    }

    pub(crate) fn set_lead(&mut self, lead: usize) {
        self.lead = lead;
    }

    /// All of them, whatever became of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &Source)> {
        std::iter::once(&self.first).chain(&self.mirrors).enumerate()
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        std::iter::once(&mut self.first).chain(&mut self.mirrors)
    }

    /// Those that can still bring something, the one that leads included, in the order given.
    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.all().filter(|(_, source)| !source.is_dropped())
    }

    /// Whether one that does not lead brings pieces.
    pub(crate) fn has_joined(&self) -> bool {
        self.live().any(|(at, source)| at != self.lead && source.is_joined())
    }

    /// Who would lead next: one that has joined, the fastest first, else the one that waits least.
    pub(crate) fn next_lead(&self) -> Option<usize> {
        let others = || self.live().filter(|(at, _)| *at != self.lead);
        let rate = |source: &Source| source.rate_bps.unwrap_or(0.0);
        let fastest = others()
            .filter(|(_, source)| source.is_joined())
            .max_by(|(_, one), (_, other)| rate(one).total_cmp(&rate(other)));
        fastest.or_else(|| others().min_by_key(|(_, source)| source.retry_at)).map(|(at, _)| at)
    }

    /// The source of the URL that a journal or a note names.
    pub(crate) fn position_of(&self, identity_url: &str) -> Option<usize> {
        let is_of = |(_, source): &(usize, &Source)| secret::identity_url(&source.given) == identity_url;
        self.all().find(is_of).map(|(at, _)| at)
    }

    /// Whether the existing data is of a version that this source has told.
    pub(crate) fn is_first_known(&self, source: usize) -> bool {
        self.all().find(|(_, source)| source.told.is_some()).map(|(at, _)| at) == Some(source)
    }

    /// The first source whose version is known, and that version; only of several one has to be found.
    pub(crate) fn first_known(&self) -> Option<(&Url, &Evidence)> {
        self.all().filter(|_| self.is_many()).find_map(|(_, source)| Some((&source.given, source.told.as_ref()?)))
    }

    /// What was compared is gone: those that had joined have to be compared anew.
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

    /// What was begun is wrong: the sources that have another file may be asked for theirs.
    pub(crate) fn revive_different(&mut self) {
        for source in self.all_mut() {
            if matches!(source.standing, Standing::Different(_)) {
                source.standing = Standing::Untried;
                (source.attempts, source.retry_at) = (0, Time::ZERO);
            }
        }
    }

    /// Why nothing more comes, once all have been dropped: each source with its reason.
    pub(crate) fn failure(&self) -> Error {
        let errors = || self.all().filter_map(|(_, source)| Some((source, source.dropped_for()?)));
        // If one may well work a little later, so may the whole.
        let transient = errors().find(|(_, error)| error.is_transient());
        let Some((_, first)) = transient.or_else(|| errors().next()) else {
            return Error::new(ErrorKind::Internal, "a file with sources was given up; please report it");
        };
        let reasons: Vec<String> = errors().map(|(source, error)| reason(source, error)).collect();
        let message = format!("none of {} sources could bring it: {}", self.all().count(), reasons.join("; "));
        Error::new(first.kind(), message).with_transient(first.is_transient()).with_source(first.clone())
    }

    /// How much each of them brought.
    pub(crate) fn shares(&self) -> Vec<SourceShare> {
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
            redirects: 0,
            was_resolved_again: false,
            standing: Standing::Untried,
            told: None,
            distrusts_if_range: false,
            attempts: 0,
            retry_at: Time::ZERO,
            patience: 0,
            fetched_bytes: 0,
            ranges: RangeSet::new(),
            rate_bps: None,
        }
    }

    /// Where it is after redirects.
    pub(crate) fn url(&self) -> &Url {
        self.sent_to.as_ref().map_or(&self.given, |place| &place.0)
    }

    /// The origin of that.
    pub(crate) fn host(&self) -> &Origin {
        self.sent_to.as_ref().map_or(&self.own_origin, |place| &place.1)
    }

    /// Its provider has said where it is.
    pub(crate) fn locate(&mut self, now: Time, (url, origin): (Url, Origin), located: &Located) {
        let mut headers = HeaderMap::new();
        for (name, value) in &located.headers {
            headers.append(name.clone(), value.clone());
        }
        let headers = (!headers.is_empty()).then(|| Arc::new(headers));
        let replace_at = located.expires_in.map(|life| now.saturating_add(life - (life / 2).min(EXPIRES_WITHIN)));
        self.location = Some(Box::new(Location { host: origin.clone(), headers, replace_at, was_used: false }));
        self.redirects = 0;
        self.go_to((url, origin));
    }

    /// Whether its provider has to be asked before anything is sent to it. What it said is used once at
    /// least, however soon that expires.
    pub(crate) fn needs_location(&self, now: Time) -> bool {
        let is_good = |location: &Location| !location.was_used || location.replace_at.is_none_or(|at| now < at);
        self.is_provided && !self.location.as_deref().is_some_and(is_good)
    }

    /// Something is sent to where it is.
    pub(crate) fn use_location(&mut self) {
        if let Some(location) = &mut self.location {
            location.was_used = true;
        }
    }

    /// Redirects have led to this place.
    pub(crate) fn go_to(&mut self, place: (Url, Origin)) {
        self.sent_to = Some(Box::new(place));
    }

    /// Goes back to the URL that was given: where it sends to may be another place now.
    pub(crate) fn go_back(&mut self) {
        self.sent_to = None;
        self.location = None;
        self.redirects = 0;
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

    /// It answered as it should.
    pub(crate) fn works(&mut self) {
        self.attempts = 0;
        self.patience = 0;
        self.was_resolved_again = false;
    }

    /// One of its connections has ended, which brought so many bytes that nobody else had.
    pub(crate) fn brought(&mut self, bytes: u64, rate_bps: Option<f64>) {
        self.fetched_bytes += bytes;
        self.rate_bps = rate_bps.or(self.rate_bps);
        if bytes > 0 {
            self.works();
        }
    }

    /// Goes back to the URL that was given, if the place that it was sent to has expired and this
    /// was not done before; false if there is no going back.
    pub(crate) fn resolve_again(&mut self) -> bool {
        if self.was_resolved_again || *self.url() == self.given {
            return false;
        }
        self.was_resolved_again = true;
        self.go_back();
        true
    }

    /// Why it brings nothing any more.
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
