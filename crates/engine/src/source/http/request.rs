//! Builds requests and reads the heads of their answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use url::Url;

use crate::error::{Advice, Error, ErrorKind, Result};
use crate::evidence::{Evidence, Place};
use crate::http::content_range::ContentRange;
use crate::http::cookies::SetCookies;
use crate::http::{content_range, digest, disposition, retry_after};
use crate::message::{Fetch, FetchKind, Head, Protocol, Redirect, Shape};
use crate::source::http::network::{Network, PlainProxy, seconds};
use crate::source::http::proxy::refusal::{self, Refusal};

/// What an answer with several ranges is.
const MULTIPART: &str = "multipart/byteranges";
/// Fields of the user's that any origin may see; everything else stays with the one it is for.
const HARMLESS: [HeaderName; 4] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT, header::CACHE_CONTROL];

/// Conditions are the engine's: those of a user would be about another version.
const CONDITIONS: [HeaderName; 4] =
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE];

/// The request for this transfer over this sort of connection.
pub(crate) fn build(
    network: &Network,
    fetch: &Fetch,
    protocol: Protocol,
    proxy: Option<&PlainProxy>,
) -> Result<Request<Empty<Bytes>>> {
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
    let mut request = Request::builder().method(Method::GET).uri(target).body(Empty::new()).map_err(unusable)?;
    *request.version_mut() = match protocol {
        Protocol::Http1 => Version::HTTP_11,
        Protocol::Http2 => Version::HTTP_2,
    };
    let headers = request.headers_mut();
    if protocol == Protocol::Http1 {
        headers.insert(header::HOST, host_field(fetch)?);
    }
    headers.insert(header::USER_AGENT, network.options.user_agent.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for (name, value) in &network.options.headers {
        if (fetch.is_own_origin || HARMLESS.contains(name)) && !CONDITIONS.contains(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if let Some(own) = &fetch.headers {
        // Of one name, those of the job replace those of the session.
        for name in own.keys().filter(|name| !CONDITIONS.contains(name)) {
            headers.remove(name);
            for value in own.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    if let Some(set) = &fetch.cookie {
        let value = with_given(headers.get(header::COOKIE), set);
        headers.insert(header::COOKIE, value);
    }
    if fetch.keeps_credentials
        && !headers.contains_key(header::AUTHORIZATION)
        && let Some(value) = credentials(url)
    {
        headers.insert(header::AUTHORIZATION, value);
    }
    if let Some(value) = proxy.and_then(|proxy| proxy.0.authorization()) {
        headers.insert(header::PROXY_AUTHORIZATION, value);
    }
    // Decoding on the way would break offsets, lengths and digests.
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
    Ok(request)
}

/// What a server is to answer with 304 if the file has not changed (RFC 9110, section 13.1).
fn condition(held: &Evidence) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match (&held.etag, &held.last_modified) {
        (Some(tag), _) => (header::IF_NONE_MATCH, tag.to_string()),
        (None, Some(date)) => (header::IF_MODIFIED_SINCE, date.clone()),
        (None, None) => return None,
    };
    Some((name, HeaderValue::try_from(value).ok()?))
}

/// A `Location` as a URL has it. Its bytes are kept, whatever their encoding is.
fn place_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .map(|byte| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
            .collect(),
    }
}

fn host_field(fetch: &Fetch) -> Result<HeaderValue> {
    let origin = &fetch.origin;
    let text = match fetch.url.port() {
        Some(port) => format!("{}:{port}", origin.host),
        None => origin.host.clone(),
    };
    HeaderValue::try_from(text)
        .map_err(|source| Error::new(ErrorKind::Usage, "the host of the URL cannot be used").with_source(source))
}

/// The user's own cookies, and those that redirects have set.
fn with_given(given: Option<&HeaderValue>, set: &HeaderValue) -> HeaderValue {
    let both = given.map(|given| [given.as_bytes(), b"; ", set.as_bytes()].concat());
    let mut value = both.and_then(|both| HeaderValue::from_bytes(&both).ok()).unwrap_or_else(|| set.clone());
    value.set_sensitive(true);
    value
}

/// Basic credentials from the URL's userinfo.
fn credentials(url: &Url) -> Option<HeaderValue> {
    use base64::Engine as _;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decode(url.username());
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The head of an answer did not come within this time.
pub(crate) fn no_answer(limit: Duration) -> Error {
    let text = format!("no answer came for {}", seconds(limit));
    Error::new(ErrorKind::Stalled, text).with_advice(Advice::RunAgainOrRaiseResponseTimeout)
}

/// An answer's head, read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Box<Head>,
    pub(crate) content_range: Option<ContentRange>,
    /// It has a `Content-Range` that cannot be used: unreadable, or two that differ.
    pub(crate) has_odd_range: bool,
    pub(crate) location: Option<String>,
    /// The media type, as sent.
    pub(crate) content_type: Option<String>,
    /// It names two places to go to, or two names of the file.
    contradicts_itself: Option<HeaderName>,
    pub(crate) cookies: SetCookies,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) reason: String,
    /// How the end of the body is told.
    pub(crate) framing: Framing,
    /// How a proxy wants us to say who we are.
    schemes: Vec<String>,
}

/// How the end of a body is told. A body that ends in another way has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length; nobody but us counts where `Transfer-Encoding: identity` stands beside it.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// By the end of an HTTP/2 stream.
    Stream,
    /// By the end of the connection.
    Close,
}

impl Framing {
    /// Whether it tells the length, and the same as the part that the answer holds, if it holds one.
    fn is_length_of(self, content_range: Option<&ContentRange>) -> bool {
        let part = content_range.and_then(|told| told.range);
        matches!(self, Self::Length(length) if part.is_none_or(|part| part.len() == length))
    }

    /// Reads how the end is told (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// For an encoding other than `chunked` alone: nobody would take it off the content.
    fn read(response: &http::Response<Incoming>, protocol: Protocol) -> Result<Self> {
        if let Some(length) = response.body().size_hint().exact() {
            return Ok(Self::Length(length));
        }
        if protocol == Protocol::Http2 {
            return Ok(Self::Stream);
        }
        let values = response.headers().get_all(header::TRANSFER_ENCODING);
        let codings: Vec<String> = values
            .iter()
            .flat_map(|value| {
                String::from_utf8_lossy(value.as_bytes()).split(',').map(str::to_owned).collect::<Vec<_>>()
            })
            .map(|coding| coding.trim().to_ascii_lowercase())
            .collect();
        let length = response.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Ok(Self::Close),
            ["chunked"] => Ok(Self::Chunked),
            ["identity"] => Ok(length.and_then(|length| length.trim().parse().ok()).map_or(Self::Close, Self::Length)),
            _ => {
                let shown = crate::secret::shown_text(&codings.join(", "));
                let text = format!("the server's answer has the Transfer-Encoding {shown}, which was not asked for");
                Err(Error::new(ErrorKind::Protocol, text))
            }
        }
    }
}

impl Answer {
    pub(crate) fn read(
        response: &http::Response<Incoming>,
        protocol: Protocol,
        url: &Url,
        is_given: bool,
        believes_digests: bool,
        now: SystemTime,
    ) -> Result<Self> {
        let framing = Framing::read(response, protocol)?;
        let headers = response.headers();
        let status = response.status();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        // Two of them contradict each other.
        let contradicts_itself = headers
            .get_all(header::CONTENT_RANGE)
            .iter()
            .any(|value| Some(value) != headers.get(header::CONTENT_RANGE));
        // In several parts, each has a head of its own in the body (RFC 9110, section 15.3.7.2).
        let is_multipart = text(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.trim_start().get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
        });
        let content_range = text(header::CONTENT_RANGE)
            .filter(|_| !(contradicts_itself || is_multipart && status.as_u16() == 206))
            .and_then(content_range::parse);
        let total_bytes = match status.as_u16() {
            206 | 416 => content_range.as_ref().and_then(|range| range.total),
            _ => match framing {
                Framing::Length(length) => Some(length),
                // It has no meaning there (RFC 9110, section 14.4); but what ends elsewhere is not all.
                _ => content_range.as_ref().and_then(|range| range.total),
            },
        };
        let digests = match believes_digests {
            true => digest::read(headers, status.as_u16()),
            false => digest::Digests::default(),
        };
        let head = Box::new(Head {
            shape: match status.as_u16() {
                200 | 203 => Shape::Whole,
                206 => Shape::Range,
                416 => Shape::NoSuchRange,
                _ => Shape::Nothing,
            },
            protocol,
            total_bytes,
            evidence: Evidence {
                digest: digests.strongest,
                seen_unix: now.duration_since(UNIX_EPOCH).ok().map(|time| time.as_secs()),
                place: Some(Place::of(url, is_given)),
                ..Evidence::from_headers(headers, total_bytes)
            },
            tells_length: framing.is_length_of(content_range.as_ref()),
            is_part: false,
            refuses_ranges: text(header::ACCEPT_RANGES).is_some_and(|value| value.trim().eq_ignore_ascii_case("none")),
            file_name: headers
                .get(header::CONTENT_DISPOSITION)
                .and_then(|value| disposition::file_name(value.as_bytes())),
            is_page: false,
            may_be_page: false,
            is_message: false,
            remarks: digests.odd,
        });
        Ok(Self {
            status: status.as_u16(),
            head,
            has_odd_range: content_range.is_none() && headers.contains_key(header::CONTENT_RANGE),
            content_range,
            location: headers.get(header::LOCATION).map(|value| place_text(value.as_bytes())),
            content_type: text(header::CONTENT_TYPE).map(ToOwned::to_owned),
            contradicts_itself: [header::LOCATION, header::CONTENT_DISPOSITION]
                .into_iter()
                .find(|name| headers.get_all(name).iter().any(|value| Some(value) != headers.get(name))),
            cookies: SetCookies::read(headers),
            // By the server's clock, which may be another than ours.
            retry_after: text(header::RETRY_AFTER).and_then(|value| {
                let date = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
                retry_after::parse(value, date.unwrap_or(now))
            }),
            reason: status.canonical_reason().unwrap_or("").to_owned(),
            framing,
            schemes: headers
                .get_all(header::PROXY_AUTHENTICATE)
                .iter()
                .flat_map(|value| refusal::schemes(&String::from_utf8_lossy(value.as_bytes())))
                .collect(),
        })
    }

    /// The same, said of this place.
    pub(crate) fn of_place(mut self, place: Option<Place>) -> Self {
        self.head.evidence.place = place.or(self.head.evidence.place);
        self
    }

    /// # Errors
    /// If a field that may be there once says two things.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(name) = &self.contradicts_itself else { return Ok(()) };
        let text = format!("the server's answer has two different {name} fields");
        Err(Error::new(ErrorKind::Protocol, text))
    }

    /// Where it sends to, if it does: 300 may name a place too (RFC 9110, section 15.4.1).
    pub(crate) fn redirect(&self) -> Option<Redirect> {
        let status = self.status;
        let sends = matches!(status, 301..=303 | 307 | 308) || status == 300 && self.location.is_some();
        sends.then(|| Redirect { status, location: self.location.clone(), cookies: self.cookies.clone() })
    }

    /// The error that this status is, if no proxy forwarded the request.
    pub(crate) fn status_error(&self) -> Error {
        self.refusal(None)
    }

    /// The error that this status is; `proxy` is the one that forwarded the request. Then 407 is
    /// about the proxy's credentials, and nothing that the server could say.
    pub(crate) fn refusal(&self, proxy: Option<&PlainProxy>) -> Error {
        if let (407, Some(PlainProxy(proxy))) = (self.status, proxy) {
            let (status, reason) = (self.status, self.reason.clone());
            return Refusal { status, reason, schemes: self.schemes.clone() }.error(proxy, "GET");
        }
        let text = format!("the server answered {} {}", self.status, self.reason);
        Error::new(ErrorKind::Status(self.status), text.trim_end().to_owned())
    }
}
