//! Builds requests.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri, Version};

use crate::error::{Advice, Error, ErrorKind, Result};
use crate::evidence::{EntityTag, Evidence};
use crate::http::cookies::merged;
use crate::http::credentials;
use crate::http::form::{self, Form};
use crate::http::reserved::is_reserved;
use crate::message::{Fetch, FetchKind, Protocol};
use crate::source::http::connection::Body;
use crate::source::http::network::{Network, PlainProxy, seconds};

/// The user's fields that any origin may see; all others go only to the origin that they are for.
const HARMLESS: [HeaderName; 4] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT, header::CACHE_CONTROL];

/// The request of this transfer for this kind of connection.
pub(crate) fn build(
    network: &Network,
    fetch: &Fetch,
    protocol: Protocol,
    proxy: Option<&PlainProxy>,
) -> Result<Request<Body>> {
    let url = &fetch.url;
    let unusable =
        |source: http::Error| Error::new(ErrorKind::Usage, "the URL cannot be used in a request").with_source(source);
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let whole = protocol == Protocol::Http2 || proxy.is_some();
    let target: Uri = if whole { format!("{}{path}", fetch.origin).parse() } else { path.parse() }
        .map_err(|source: http::uri::InvalidUri| unusable(source.into()))?;
    let form = network.options.form.as_ref().filter(|_| fetch.is_own_origin && form::mark(url).is_some());
    let (method, body) = match &fetch.kind {
        FetchKind::Document(asked) => (asked.method.clone(), asked.body.clone()),
        _ => match form {
            Some(form) => (form.method.clone(), form.body.clone()),
            None => (Method::GET, Bytes::new()),
        },
    };
    let mut request = Request::builder().method(method).uri(target).body(Body::new(body)).map_err(unusable)?;
    *request.version_mut() = match protocol {
        Protocol::Http1 => Version::HTTP_11,
        Protocol::Http2 => Version::HTTP_2,
    };
    let headers = request.headers_mut();
    if protocol == Protocol::Http1 {
        headers.insert(header::HOST, host_field(fetch)?);
    }
    if form.is_some() {
        headers.insert(header::CONTENT_TYPE, Form::CONTENT_TYPE);
    }
    add_given(headers, network, fetch);
    add_credentials(headers, network, fetch, proxy);
    // Decoding in transit would break offsets, lengths and digests.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(header::RANGE);
    headers.remove(header::IF_RANGE);
    if let Some(range) = fetch.kind.asked() {
        let text = format!("bytes={}-{}", range.start, range.end - 1);
        headers.insert(header::RANGE, HeaderValue::try_from(text).map_err(|source| unusable(source.into()))?);
    }
    match &fetch.kind {
        FetchKind::Piece { if_range: Some(value), .. } => {
            headers.insert(header::IF_RANGE, value.clone());
        }
        FetchKind::Check { expect } => {
            if let Some((name, value)) = condition(expect) {
                headers.insert(name, value);
            }
        }
        _ => {}
    }
    if let Some(than) = fetch.newer_than {
        let date = HeaderValue::try_from(httpdate::fmt_http_date(than));
        headers.insert(header::IF_MODIFIED_SINCE, date.map_err(|source| unusable(source.into()))?);
    }
    Ok(request)
}

/// The form that is sent, if there is one.
pub(crate) fn form_of(network: &Network) -> &[u8] {
    network.options.form.as_ref().map_or(&[], |form| &form.body)
}

/// Adds the fields of the session, the job and redirects that this origin may see.
fn add_given(headers: &mut HeaderMap, network: &Network, fetch: &Fetch) {
    headers.insert(header::USER_AGENT, network.options.user_agent.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    let own = network.options.of_hosts.of(&fetch.origin.host);
    replace(headers, &own.headers, |_| true);
    let may_be_seen = |name: &HeaderName| fetch.is_own_origin || HARMLESS.contains(name);
    replace(headers, &network.options.headers, may_be_seen);
    if let Some(own) = &fetch.headers {
        // The job's fields replace the session's fields of the same name.
        replace(headers, own, |_| true);
    }
    let options = &network.options;
    let kept = match &options.cookie_jar {
        Some(jar) => jar.header(&fetch.url),
        None => options.cookies.as_ref().and_then(|cookies| cookies.header(&fetch.url)),
    };
    for set in kept.iter().chain(&fetch.cookie) {
        let value = headers.get(header::COOKIE).map_or_else(|| set.clone(), |given| merged(given, set));
        headers.insert(header::COOKIE, value);
    }
}

/// Puts these fields, all values of each name, in the place of those of the same name.
fn replace(headers: &mut HeaderMap, given: &HeaderMap, may_be_seen: impl Fn(&HeaderName) -> bool) {
    for name in given.keys().filter(|name| may_be_seen(name) && !is_reserved(name)) {
        headers.remove(name);
        for value in given.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
}

fn add_credentials(headers: &mut HeaderMap, network: &Network, fetch: &Fetch, proxy: Option<&PlainProxy>) {
    if !headers.contains_key(header::AUTHORIZATION) {
        let bare = fetch.origin.host.trim_start_matches('[').trim_end_matches(']');
        let of_login = || {
            let login = credentials::login_alone(&fetch.url)?;
            network.options.netrc.as_ref()?.of_login(bare, &login)
        };
        let of_url = credentials::basic(&fetch.url).map(|value| of_login().unwrap_or(value));
        let of_url = of_url.filter(|_| fetch.keeps_credentials);
        let of_host = network.options.of_hosts.of(bare).authorization;
        let of_netrc = || network.options.netrc.as_ref()?.of(bare, fetch.keeps_credentials);
        if let Some(value) = of_url.or(of_host).or_else(of_netrc) {
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    if let Some(value) = proxy.and_then(|proxy| proxy.0.authorization()) {
        headers.insert(header::PROXY_AUTHORIZATION, value);
    }
}

/// The condition for a 304 response if the file has not changed (RFC 9110, section 13.1).
fn condition(held: &Evidence) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match (held.etag.as_ref().and_then(EntityTag::in_request), &held.last_modified) {
        (Some(tag), _) => (header::IF_NONE_MATCH, tag),
        (None, Some(date)) => (header::IF_MODIFIED_SINCE, date.clone()),
        (None, None) => return None,
    };
    Some((name, HeaderValue::try_from(value).ok()?))
}

fn host_field(fetch: &Fetch) -> Result<HeaderValue> {
    let origin = &fetch.origin;
    let text = match fetch.url.port() {
        Some(port) => format!("{}:{port}", origin.host),
        None => origin.host.to_string(),
    };
    HeaderValue::try_from(text)
        .map_err(|source| Error::new(ErrorKind::Usage, "the host of the URL cannot be used").with_source(source))
}

/// The error for a response head that did not arrive in time.
pub(crate) fn no_answer(limit: Duration) -> Error {
    let text = format!("no response within {}", seconds(limit));
    Error::new(ErrorKind::Stalled, text).with_advice(Advice::RunAgainOrRaiseResponseTimeout)
}
