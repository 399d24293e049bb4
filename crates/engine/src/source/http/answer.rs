//! Reads the heads of responses: their framing, their fields, and what they mean for the engine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::{self, HeaderName};
use hyper::body::{Body as _, Incoming};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Evidence, Place};
use crate::http::content_range::ContentRange;
use crate::http::cookies::SetCookies;
use crate::http::{content_range, digest, disposition, retry_after};
use crate::message::{Head, Protocol, Redirect, Shape};
use crate::secret::Credentials;
use crate::source::http::network::PlainProxy;
use crate::source::http::proxy::refusal::{self, Refusal};

/// The media type of a response with several ranges.
/// The most codings of a transfer that are shown.
const CODINGS_MAX: usize = 8;
const MULTIPART: &str = "multipart/byteranges";

/// The parsed head of a response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: Box<Head>,
    pub(crate) content_range: Option<ContentRange>,
    /// It has an unusable `Content-Range`: unreadable, or two that differ.
    pub(crate) has_odd_range: bool,
    pub(crate) location: Option<String>,
    /// The media type, as sent.
    pub(crate) content_type: Option<String>,
    /// A field with two different values: the redirect target, or the file name.
    contradicts_itself: Option<HeaderName>,
    pub(crate) cookies: SetCookies,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) reason: String,
    /// How the body ends.
    pub(crate) framing: Framing,
    /// The authentication schemes that a proxy asks for.
    schemes: Vec<String>,
}

/// How a body ends. A body that ends differently is incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length; only we count the bytes if `Transfer-Encoding: identity` is present too.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of an HTTP/2 stream.
    Stream,
    /// By the end of the connection.
    Close,
}

impl Framing {
    /// Whether the length is known and, for a partial response, equals that of the part.
    fn is_length_of(self, content_range: Option<&ContentRange>) -> bool {
        let part = content_range.and_then(|told| told.range);
        matches!(self, Self::Length(length) if part.is_none_or(|part| part.len() == length))
    }

    /// Determines how the body ends (RFC 9112, section 6.3).
    ///
    /// # Errors
    /// For any encoding other than just `chunked`: nobody would decode it.
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
                let shown = codings.iter().map(|coding| crate::secret::shown_coding(coding)).take(CODINGS_MAX);
                let shown = shown.collect::<Vec<_>>().join(", ");
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
        let text = |name: HeaderName| field(headers, name);
        let says_of_ranges =
            |word: &str| text(header::ACCEPT_RANGES).is_some_and(|value| value.trim().eq_ignore_ascii_case(word));
        let content_range = content_range_of(headers, status.as_u16());
        let told_bytes = content_range.as_ref().and_then(|range| range.total);
        let total_bytes = match (status.as_u16(), framing) {
            (206 | 416, _) => told_bytes,
            (_, Framing::Length(length)) => Some(length),
            // The chunks say where the body ends (RFC 9112, section 6.3), but one of both is wrong if it is elsewhere.
            (_, Framing::Chunked) => {
                text(header::CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()).or(told_bytes)
            }
            // The field has no meaning here (RFC 9110, section 14.4), but a body that ends elsewhere is
            // incomplete.
            _ => told_bytes,
        };
        let digests = match believes_digests {
            true => digest::read(headers, status.as_u16()),
            false => digest::Digests::default(),
        };
        let head = Box::new(Head {
            shape: shape_of(status.as_u16()),
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
            refuses_ranges: says_of_ranges("none"),
            offers_ranges: says_of_ranges("bytes"),
            file_name: headers
                .get(header::CONTENT_DISPOSITION)
                .and_then(|value| disposition::file_name(value.as_bytes())),
            is_page: false,
            may_be_page: false,
            page_title: None,
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
            cookies: SetCookies::read(headers, status.as_u16()),
            // By the server's clock, which may differ from ours.
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

    /// A tag that repeats what may be a secret of its request is stored as a hash.
    pub(crate) fn hide_echoes(&mut self, credentials: &Credentials) {
        let tag = &mut self.head.evidence.etag;
        if let Some(echo) = tag.as_ref().filter(|tag| credentials.are_in(&tag.to_string())) {
            *tag = Some(echo.as_secret());
        }
    }

    /// The same response, attributed to this place.
    pub(crate) fn of_place(mut self, place: Option<Place>) -> Self {
        self.head.evidence.place = place.or(self.head.evidence.place);
        self
    }

    /// # Errors
    /// If a field that must be unique has two different values.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(name) = &self.contradicts_itself else { return Ok(()) };
        let text = format!("the server's answer has two different {name} fields");
        Err(Error::new(ErrorKind::Protocol, text))
    }

    /// The redirect, if the response is one: a 300 may have a target too (RFC 9110, section 15.4.1).
    pub(crate) fn redirect(&self) -> Option<Redirect> {
        let status = self.status;
        let sends = matches!(status, 301..=303 | 307 | 308) || status == 300 && self.location.is_some();
        sends.then(|| Redirect { status, location: self.location.clone(), cookies: self.cookies.clone() })
    }

    /// The error for this status, if no proxy forwarded the request.
    pub(crate) fn status_error(&self) -> Error {
        self.refusal(None)
    }

    /// The error for this status; `proxy` is the one that forwarded the request. With a proxy, 407 is about the
    /// proxy's credentials, not about the server.
    pub(crate) fn refusal(&self, proxy: Option<&PlainProxy>) -> Error {
        if let (407, Some(PlainProxy(proxy))) = (self.status, proxy) {
            let (status, reason) = (self.status, self.reason.clone());
            return Refusal { status, reason, schemes: self.schemes.clone() }.error(proxy, "GET");
        }
        let text = format!("the server answered {} {}", self.status, self.reason);
        Error::new(ErrorKind::Status(self.status), text.trim_end().to_owned())
    }
}

/// A `Location` in the form of a URL. Its bytes are kept, whatever their encoding.
fn place_text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes
            .iter()
            .map(|byte| if byte.is_ascii() { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
            .collect(),
    }
}

fn shape_of(status: u16) -> Shape {
    match status {
        200 | 203 => Shape::Whole,
        206 => Shape::Range,
        416 => Shape::NoSuchRange,
        _ => Shape::Nothing,
    }
}

fn field(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The range that a response claims to contain; `None` if two fields contradict each other.
fn content_range_of(headers: &HeaderMap, status: u16) -> Option<ContentRange> {
    let told = headers.get(header::CONTENT_RANGE);
    let contradicts_itself = headers.get_all(header::CONTENT_RANGE).iter().any(|value| Some(value) != told);
    // In a multipart response, each part has a head of its own in the body (RFC 9110, section 15.3.7.2).
    let is_multipart = field(headers, header::CONTENT_TYPE).is_some_and(|kind| {
        kind.trim_start().get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
    });
    let is_usable = !(contradicts_itself || is_multipart && status == 206);
    field(headers, header::CONTENT_RANGE).filter(|_| is_usable).and_then(content_range::parse)
}
