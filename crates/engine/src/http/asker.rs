//! Who asks, and for what: the user and the fields of a request may choose another file at the same URL.
//!
//! Whatever identifies a URL has to tell such files apart, so the URL carries a mark in its fragment, which is never sent
//! (RFC 9110, section 4.2.5), as that of a [form](super::form) does. What changes between two runs (tokens,
//! cookies) chooses nothing. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, COOKIE, HOST, HeaderName, IF_RANGE, PROXY_AUTHORIZATION, RANGE,
    USER_AGENT,
};
use http::{HeaderMap, HeaderValue};
use url::Url;

use super::credentials;
use super::netrc::Netrc;
use crate::job::JobSpec;
use crate::options::{HttpOptions, OfHosts};

const MARK: &str = "asker=";
/// Before the first mark of a URL.
const OURS: &str = "towline-";
/// Between two marks.
const AND: char = '+';

/// These choose no file.
const INDIFFERENT: [HeaderName; 7] =
    [ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, COOKIE, IF_RANGE, PROXY_AUTHORIZATION, RANGE];

/// What a session sends with each request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    headers: HeaderMap,
    of_hosts: OfHosts,
    netrc: Option<Arc<Netrc>>,
}

impl Asker {
    pub(crate) fn of(http: &HttpOptions) -> Self {
        let mut headers = http.headers.clone();
        // Each build has a name of its own.
        if http.user_agent != HttpOptions::default().user_agent {
            headers.entry(USER_AGENT).or_insert(http.user_agent.clone());
        }
        Self { headers, of_hosts: http.of_hosts.clone(), netrc: http.netrc.clone() }
    }

    /// Identifies who asks for an entry; `None` if nothing is sent that may choose another file. The user in the URL
    /// is part of the URL.
    pub(crate) fn identify(&self, spec: &JobSpec) -> Option<String> {
        let own = &spec.options.headers;
        if own.is_empty() && self.headers.is_empty() && self.of_hosts.is_empty() && self.netrc.is_none() {
            return None;
        }
        let of_host = self.of_hosts.of(spec.url.host_str().unwrap_or_default());
        let user = self.user_of(spec, of_host.authorization.as_ref()).unwrap_or_default();
        // The session's take the place of its host's, and its own that of both.
        let is_own = |name: &HeaderName| own.iter().any(|(other, _)| other == name);
        let of_session = self.headers.iter().filter(|(name, _)| !is_own(name));
        let of_host = of_host.headers.iter().filter(|(name, _)| !is_own(name) && !self.headers.contains_key(*name));
        let fields = own.iter().map(|(name, value)| (name, value)).chain(of_session).chain(of_host);
        let mut fields: Vec<(&HeaderName, &HeaderValue)> =
            fields.filter(|(name, value)| chooses(&spec.url, name, value)).collect();
        if user.is_empty() && fields.is_empty() {
            return None;
        }
        fields.sort_by_key(|(name, _)| name.as_str());
        let mut hasher = blake3::Hasher::new();
        hasher.update(user.as_bytes());
        for (name, value) in fields {
            hasher.update(&[0]).update(name.as_str().as_bytes()).update(&[0]).update(value.as_bytes());
        }
        Some(hasher.finalize().to_hex()[..16].to_owned())
    }

    /// Marks the URLs of an entry.
    pub(crate) fn mark(&self, spec: &mut JobSpec) {
        let Some(asker) = self.identify(spec) else { return };
        for url in std::iter::once(&mut spec.url).chain(&mut spec.mirrors) {
            add(url, &format!("{MARK}{asker}"));
        }
    }

    /// The user of Basic credentials, unless the URL names one.
    fn user_of(&self, spec: &JobSpec, of_host: Option<&HeaderValue>) -> Option<String> {
        if !spec.url.username().is_empty() {
            return None;
        }
        let own = spec.options.headers.iter().find(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value);
        let given = own.or(self.headers.get(AUTHORIZATION)).or(of_host).cloned();
        let host = spec.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let of_netrc = || self.netrc.as_ref()?.of(host, true);
        given.or_else(of_netrc).as_ref().and_then(credentials::pair_of).map(|(user, _)| user)
    }
}

/// Whether a field may choose another file at a URL.
fn chooses(url: &Url, name: &HeaderName, value: &HeaderValue) -> bool {
    let host = || match (url.host_str().unwrap_or_default(), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let is_its_own_host = *name == HOST && value.as_bytes().eq_ignore_ascii_case(host().as_bytes());
    !INDIFFERENT.contains(name) && !is_its_own_host
}

/// All marks of a URL.
pub(crate) fn marks(url: &Url) -> Option<&str> {
    url.fragment().filter(|fragment| fragment.starts_with(OURS))
}

/// A URL without the mark of who asks.
pub(crate) fn unmarked(url: &Url) -> Cow<'_, Url> {
    let Some((others, _)) = split(url) else { return Cow::Borrowed(url) };
    let others = others.to_owned();
    let mut url = url.clone();
    url.set_fragment(Some(&*others).filter(|others| !others.is_empty()));
    Cow::Owned(url)
}

/// Marks a URL that a redirect leads to within one origin as the URL before it is marked.
pub(crate) fn carry_over(before: &Url, next: &mut Url) {
    if let Some((_, mark)) = split(before) {
        let mark = mark.to_owned();
        add(next, &mark);
    }
}

fn add(url: &mut Url, mark: &str) {
    let marked = match marks(url) {
        Some(held) => format!("{held}{AND}{mark}"),
        None => format!("{OURS}{mark}"),
    };
    url.set_fragment(Some(&marked));
}

/// The other marks of a URL, and the mark of who asks.
fn split(url: &Url) -> Option<(&str, &str)> {
    let marks = marks(url)?;
    match marks.rsplit_once(AND) {
        Some((others, last)) if last.starts_with(MARK) => Some((others, last)),
        _ => marks.strip_prefix(OURS).filter(|mark| mark.starts_with(MARK)).map(|mark| ("", mark)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Given, Place};
    use crate::http::form::{self, Form};
    use crate::options::HostOptions;

    fn spec(headers: &[(&'static str, &'static str)]) -> JobSpec {
        let mut spec = JobSpec::new("http://h/a?x=1#part".parse().unwrap());
        for (name, value) in headers {
            spec.options.headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
        }
        spec
    }

    #[test]
    fn what_may_choose_another_file_tells_askers_apart() {
        let nobody = Asker::default();
        let identify = |headers: &[(&'static str, &'static str)]| nobody.identify(&spec(headers));
        for indifferent in [&[][..], &[("authorization", "Bearer 1"), ("cookie", "a=1")], &[("host", "H")]] {
            assert_eq!(identify(indifferent), None);
        }
        let all = [
            identify(&[("authorization", "Basic YTox")]),
            identify(&[("authorization", "Basic Yjox")]),
            identify(&[("x-key", "1")]),
            identify(&[("x-key", "2")]),
            identify(&[("host", "other")]),
            identify(&[("accept-language", "de")]),
            identify(&[("accept-language", "de"), ("x-key", "1")]),
        ];
        for (one, first) in all.iter().enumerate() {
            assert!(first.is_some());
            for (other, second) in all.iter().enumerate() {
                assert_eq!(first == second, one == other);
            }
        }
        assert_eq!(identify(&[("authorization", "Basic YToy")]), all[0], "another password");
        let mut http = HttpOptions::default();
        assert_eq!(Asker::of(&http).identify(&spec(&[])), None);
        http.netrc = Some(Arc::new(Netrc::parse("machine h login a password 1").unwrap()));
        assert_eq!(Asker::of(&http).identify(&spec(&[])), all[0], "whoever says it");
        http.netrc = None;
        let mut of_host = HostOptions::default();
        of_host.headers.insert("x-key", HeaderValue::from_static("1"));
        http.of_hosts.add("h", of_host);
        assert_eq!(Asker::of(&http).identify(&spec(&[])), all[2]);
        http.headers.insert("x-key", HeaderValue::from_static("2"));
        assert_eq!(Asker::of(&http).identify(&spec(&[])), all[3], "the session's counts");
        let session = Asker::of(&http);
        assert_eq!(session.identify(&spec(&[("x-key", "1")])), all[2], "the entry's own counts");
        http.user_agent = HeaderValue::from_static("other");
        assert_ne!(Asker::of(&http).identify(&spec(&[])), all[3]);
    }

    #[test]
    fn a_mark_makes_another_place_of_the_same_kin() {
        let asker = Asker::default();
        let marked = |headers: &[(&'static str, &'static str)]| {
            let mut spec = spec(headers);
            asker.mark(&mut spec);
            spec.url
        };
        let (plain, one, two) = (marked(&[]), marked(&[("x-key", "1")]), marked(&[("x-key", "2")]));
        assert_eq!(plain.fragment(), Some("part"));
        assert_ne!(Place::of(&one, true), Place::of(&two, true));
        assert_ne!(Place::of(&one, true), Place::of(&plain, true));
        assert!(Given::of(&one).is_kin(Given::of(&two)) && !Given::of(&one).is_same(Given::of(&two)));

        let form = Form::new("POST".parse().unwrap(), "id=1");
        let mut sent = spec(&[("x-key", "1")]);
        sent.url = form.at(sent.url);
        let unsent = sent.url.clone();
        asker.mark(&mut sent);
        assert!(form::mark(&sent.url).is_some() && *unmarked(&sent.url) == unsent);
        let mut next = "http://h/b".parse().unwrap();
        carry_over(&one, &mut next);
        assert_eq!(next.fragment(), one.fragment());
    }
}
