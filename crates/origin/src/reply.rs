//! A response in the making: its status, its headers, and where the bytes of its body come from, as
//! the resource and the faults want them. Values that live on the serving thread for one request.

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::{OriginBody, Owner, Span};
use crate::fault::{header_name, header_value};
use crate::range::{self, Asked};
use crate::resource::{Length, Ranges, Resource};
use crate::rule::Effects;

/// Between the parts of a body that has several.
const BOUNDARY: &str = "towline-origin-boundary";

/// A response in the making.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) spans: Vec<Span>,
    pub(crate) length: Length,
}

impl Reply {
    /// A status with a line that says it again.
    pub(crate) fn text(status: StatusCode) -> Self {
        let text = Bytes::from(format!("{status}\n"));
        let mut reply =
            Self { status, headers: HeaderMap::new(), spans: vec![Span::text(text)], length: Length::Known };
        reply.set(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply
    }

    /// The content of `resource`, whole or in part; `status` takes the place of 200 and 206.
    pub(crate) fn content(
        resource: &Resource,
        request: &Request<Incoming>,
        effects: &Effects,
        status: Option<StatusCode>,
    ) -> Self {
        let (etag, seed) = version(resource, effects);
        let size = resource.size;
        let asked = asked(resource, request, effects, etag.as_deref());
        let mut reply = match asked {
            Asked::Unsatisfiable => {
                let mut reply = Self::text(StatusCode::RANGE_NOT_SATISFIABLE);
                reply.set(CONTENT_RANGE, header_value(&format!("bytes */{size}")));
                reply
            }
            Asked::Whole => Self::bytes(StatusCode::OK, resource, content(seed, 0, size, effects)),
            Asked::Part { first, last } => Self::part(resource, effects, seed, first, last),
        };
        if let Some(status) = status
            && asked != Asked::Unsatisfiable
        {
            reply.status = status;
        }
        match resource.ranges {
            Ranges::Honoured => reply.set(ACCEPT_RANGES, HeaderValue::from_static("bytes")),
            Ranges::Refused => reply.set(ACCEPT_RANGES, HeaderValue::from_static("none")),
            Ranges::Ignored => {}
        }
        if let Some(etag) = etag {
            reply.set(ETAG, header_value(&etag));
        }
        if let Some(time) = resource.last_modified {
            reply.set(LAST_MODIFIED, header_value(&httpdate::fmt_http_date(time)));
        }
        reply
    }

    /// Bytes `first` to `last`, both included.
    fn part(resource: &Resource, effects: &Effects, seed: u64, first: u64, last: u64) -> Self {
        let status = StatusCode::PARTIAL_CONTENT;
        let bytes = content(seed, first, last - first + 1, effects);
        let range = range::content_range(first, last, resource.size, &effects.range_lies);
        if effects.multipart {
            return Self::multipart(resource, range, bytes);
        }
        let mut reply = Self::bytes(status, resource, bytes);
        if let Some(range) = range {
            reply.set(CONTENT_RANGE, header_value(&range));
        }
        reply
    }

    /// RFC 9110, section 14.6: the range is told inside of the body, before its bytes.
    fn multipart(resource: &Resource, range: Option<String>, bytes: Vec<Span>) -> Self {
        let range = range.map_or_else(String::new, |range| format!("Content-Range: {range}\r\n"));
        let head = format!("--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\n{range}\r\n");
        let mut spans = vec![Span::text(head)];
        spans.extend(bytes);
        spans.push(Span::text(format!("\r\n--{BOUNDARY}--\r\n")));
        let mut reply = Self::bytes(StatusCode::PARTIAL_CONTENT, resource, spans);
        reply.set(CONTENT_TYPE, header_value(&format!("multipart/byteranges; boundary={BOUNDARY}")));
        reply
    }

    fn bytes(status: StatusCode, resource: &Resource, spans: Vec<Span>) -> Self {
        let mut reply = Self { status, headers: HeaderMap::new(), spans, length: resource.length };
        if let Some(text) = &resource.content_type {
            reply.set(CONTENT_TYPE, text.clone());
        }
        if let Some(text) = &resource.content_disposition {
            reply.set(CONTENT_DISPOSITION, text.clone());
        }
        reply
    }

    pub(crate) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    /// Adds what the faults want among the headers.
    pub(crate) fn dress(&mut self, effects: &Effects, http2: bool) {
        for (name, value) in &effects.headers {
            self.set(name.clone(), value.clone());
        }
        if let Some(bytes) = effects.large_header {
            self.set(HeaderName::from_static("x-large"), header_value(&"x".repeat(bytes)));
        }
        for number in 0..effects.many_headers {
            self.set(header_name(&format!("x-many-{number}")), HeaderValue::from_static("x"));
        }
        let closes = effects.close || effects.http10 || effects.refused.is_some() || self.length == Length::UntilClose;
        if closes && !http2 {
            self.set(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// How many bytes the body has.
    pub(crate) fn len(&self) -> u64 {
        self.spans.iter().map(Span::len).sum()
    }

    /// For the HTTP stack to send; without its body if it answers HEAD.
    pub(crate) fn into_response(mut self, head: bool, mut effects: Effects, owner: Owner) -> Response<OriginBody> {
        let mut length_known = self.length == Length::Known;
        if length_known {
            self.set(CONTENT_LENGTH, HeaderValue::from(self.len()));
        }
        if head {
            // There is no body that could be cut.
            (effects.cut, effects.cut_dice) = (None, None);
            self.spans.clear();
            length_known = true;
        }
        let is_old = !owner.http2 && (effects.http10 || self.length == Length::UntilClose);
        let body = OriginBody::new(self.spans, length_known, effects, owner);
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if is_old {
            *response.version_mut() = Version::HTTP_10;
        }
        response
    }
}

/// The tag and the content that this request sees.
fn version(resource: &Resource, effects: &Effects) -> (Option<String>, u64) {
    let (etag, seed) = match &effects.replaced {
        Some((etag, seed)) => (Some(etag.clone()), *seed),
        None => (resource.etag_text(), resource.seed),
    };
    let etag = match effects.backend {
        Some(backend) => etag.map(|etag| of_backend(&etag, backend)),
        None => etag,
    };
    (etag, seed)
}

/// `"a"` → `"a-1"`.
fn of_backend(etag: &str, backend: u64) -> String {
    match etag.strip_suffix('"') {
        Some(open) => format!("{open}-{backend}\""),
        None => format!("{etag}-{backend}"),
    }
}

/// `len` bytes of the content `seed` from `offset` on, or what is there in its place.
fn content(seed: u64, offset: u64, len: u64, effects: &Effects) -> Vec<Span> {
    let end = offset + len;
    let (from, other) = effects.other_content.unwrap_or((end, seed));
    let from = from.clamp(offset, end);
    vec![Span::content(seed, offset, from - offset), Span::content(other, from, end - from)]
}

/// What the range fields of a request come to; ranges are defined for GET alone.
fn asked(resource: &Resource, request: &Request<Incoming>, effects: &Effects, etag: Option<&str>) -> Asked {
    if resource.ranges != Ranges::Honoured || request.method() != Method::GET || effects.ignore_range {
        return Asked::Whole;
    }
    let Some(range) = field(request, RANGE) else {
        return Asked::Whole;
    };
    if effects.refuse_range {
        return Asked::Unsatisfiable;
    }
    let is_current = field(request, IF_RANGE)
        .is_none_or(|value| !effects.ignore_if_range && range::if_range_holds(&value, etag, resource.last_modified));
    if !is_current {
        return Asked::Whole;
    }
    match (range::parse(&range, resource.size), effects.shift) {
        (Asked::Part { first, last }, Some(by)) => range::shifted(first, last, by, resource.size),
        (asked, _) => asked,
    }
}

/// A field of the request as text.
pub(crate) fn field(request: &Request<Incoming>, name: HeaderName) -> Option<String> {
    request.headers().get(name).map(text)
}

/// A header's value as text.
pub(crate) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_backend_has_a_tag_of_its_own() {
        assert_eq!(of_backend("\"a\"", 1), "\"a-1\"");
        assert_eq!(of_backend("W/\"a\"", 0), "W/\"a-0\"");
        assert_eq!(of_backend("odd", 2), "odd-2");
    }

    #[test]
    fn other_content_begins_where_it_says() {
        for (from, expected) in [(0, [0, 50]), (110, [10, 40]), (150, [50, 0]), (1000, [50, 0])] {
            let effects = Effects { other_content: Some((from, 2)), ..Effects::default() };
            let lens: Vec<u64> = content(1, 100, 50, &effects).iter().map(Span::len).collect();
            assert_eq!(lens, expected, "from {from}");
        }
        assert_eq!(content(1, 100, 50, &Effects::default()).iter().map(Span::len).sum::<u64>(), 50);
    }
}
