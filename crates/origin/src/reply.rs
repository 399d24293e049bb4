//! Builds a response from the resource and the faults: status, headers, and the spans of the body.
//! Values that live on the serving thread for one request.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE,
    ETAG, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::{OriginBody, Owner};
use crate::conditions::{self, Verdict};
use crate::effects::Effects;
use crate::header::{header_name, header_value, status_code};
use crate::page::{Page, PageBy};
use crate::range::{self, Asked};
use crate::resource::{Length, Ranges, Resource};
use crate::span::Span;
use crate::version::Seen;

/// Separates the parts of a multipart body.
const BOUNDARY: &str = "towline-origin-boundary";

/// A response that is being built.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) spans: Vec<Span>,
    pub(crate) length: Length,
}

impl Reply {
    /// A response with this status, and the status as one line of text.
    pub(crate) fn text(status: StatusCode) -> Self {
        let text = Bytes::from(format!("{status}\n"));
        let mut reply =
            Self { status, headers: HeaderMap::new(), spans: vec![Span::text(text)], length: Length::Known };
        reply.set(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply
    }

    /// The page, or a redirect to it; see [`PageBy`].
    pub(crate) fn page(page: &Page, path: &str) -> Self {
        if let PageBy::Redirect { status, to } = &page.by
            && to != path
        {
            return Self::redirect(*status, header_value(to));
        }
        let mut reply = Self::text(status_code(page.status));
        reply.spans = vec![Span::text(page.body.clone())];
        if page.by == PageBy::Chunked {
            reply.length = Length::Chunked;
        }
        reply.set(CONTENT_TYPE, header_value(&page.content_type));
        reply.set(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        reply
    }

    /// A redirect with this status and `Location`.
    pub(crate) fn redirect(status: u16, location: HeaderValue) -> Self {
        let mut reply = Self::text(status_code(status));
        reply.set(LOCATION, location);
        reply
    }

    /// The content of `resource`, whole or in part, or 304 or 412 if the request's conditions require it.
    /// `status` replaces 200 and 206. `now` is the time on the server's clock.
    pub(crate) fn content(
        resource: &Resource,
        request: &Request<Incoming>,
        effects: &Effects,
        status: Option<StatusCode>,
        now: SystemTime,
    ) -> Self {
        let seen = Seen::new(resource, effects, now);
        let verdict = match effects.ignore_conditions {
            true => Verdict::Answer,
            false => conditions::verdict(request.headers(), seen.etag.as_deref(), seen.modified),
        };
        let mut reply = match verdict {
            Verdict::Answer => Self::asked(resource, request, effects, &seen),
            Verdict::NotModified => Self::not_modified(),
            Verdict::Failed => Self::text(StatusCode::PRECONDITION_FAILED),
        };
        let is_range = reply.status == StatusCode::PARTIAL_CONTENT;
        if let Some(status) = status
            && reply.status.is_success()
        {
            reply.status = status;
        }
        match resource.ranges {
            Ranges::Honoured => reply.set(ACCEPT_RANGES, HeaderValue::from_static("bytes")),
            Ranges::Refused => reply.set(ACCEPT_RANGES, HeaderValue::from_static("none")),
            Ranges::Ignored => {}
        }
        if let Some(etag) = seen.shown_tag(is_range) {
            reply.set(ETAG, header_value(etag));
        }
        if let Some(time) = seen.shown_date(is_range) {
            reply.set(LAST_MODIFIED, header_value(&httpdate::fmt_http_date(time)));
        }
        reply
    }

    /// The whole content, a range of it, or 416; ignores conditions.
    fn asked(resource: &Resource, request: &Request<Incoming>, effects: &Effects, seen: &Seen) -> Self {
        let size = resource.size;
        match asked(resource, request, effects, seen) {
            Asked::Unsatisfiable => {
                let mut reply = Self::text(StatusCode::RANGE_NOT_SATISFIABLE);
                reply.set(CONTENT_RANGE, header_value(&format!("bytes */{size}")));
                reply
            }
            Asked::Whole => Self::bytes(StatusCode::OK, resource, content(seen.seed, 0, size, effects)),
            Asked::Part { first, last } => Self::part(resource, effects, seen.seed, first, last),
        }
    }

    /// 304, without a body or a length (RFC 9110, section 15.4.5).
    fn not_modified() -> Self {
        let status = StatusCode::NOT_MODIFIED;
        Self { status, headers: HeaderMap::new(), spans: Vec::new(), length: Length::Known }
    }

    /// 206 with bytes `first` to `last`, inclusive.
    fn part(resource: &Resource, effects: &Effects, seed: u64, first: u64, last: u64) -> Self {
        let status = StatusCode::PARTIAL_CONTENT;
        let len = (last - first + 1).saturating_sub(effects.range_short);
        let bytes = content(seed, first, len, effects);
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

    /// 206 with the range as the only part of a multipart body (RFC 9110, section 14.6).
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

    /// Whether the response has neither a body nor a length.
    pub(crate) fn is_bare(&self) -> bool {
        self.status == StatusCode::NOT_MODIFIED
    }

    /// Adds `Date` and the headers that faults set.
    pub(crate) fn dress(&mut self, effects: &Effects, http2: bool, now: SystemTime) {
        if !effects.no_date && !self.headers.contains_key(DATE) {
            self.set(DATE, header_value(&httpdate::fmt_http_date(now)));
        }
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

    /// Length of the body in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.spans.iter().map(Span::len).sum()
    }

    /// Converts it to a response for the HTTP stack; `head` omits the body.
    pub(crate) fn into_response(mut self, head: bool, mut effects: Effects, owner: Owner) -> Response<OriginBody> {
        let mut length_known = self.length == Length::Known;
        if length_known && !self.is_bare() {
            self.set(CONTENT_LENGTH, HeaderValue::from(self.len()));
        }
        if head {
            effects.without_body();
            self.spans.clear();
            length_known = true;
        }
        if !self.status.is_success() {
            effects.trailers.clear();
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

/// `len` bytes of the content `seed`, starting at `offset`, after [`Effects::other_content`].
fn content(seed: u64, offset: u64, len: u64, effects: &Effects) -> Vec<Span> {
    let end = offset + len;
    let (from, other) = effects.other_content.unwrap_or((end, seed));
    let from = from.clamp(offset, end);
    vec![Span::content(seed, offset, from - offset), Span::content(other, from, end - from)]
}

/// Evaluates `Range` and `If-Range`. Only GET has ranges.
fn asked(resource: &Resource, request: &Request<Incoming>, effects: &Effects, seen: &Seen) -> Asked {
    if resource.ranges != Ranges::Honoured || request.method() != Method::GET || effects.ignore_range {
        return Asked::Whole;
    }
    let Some(range) = field(request, RANGE) else {
        return Asked::Whole;
    };
    if effects.refuse_range {
        return Asked::Unsatisfiable;
    }
    let is_current = field(request, IF_RANGE).is_none_or(|value| {
        !effects.ignore_if_range && range::if_range_holds(&value, seen.etag.as_deref(), seen.modified)
    });
    if !is_current {
        return Asked::Whole;
    }
    let asked = match (range::parse(&range, resource.size), effects.shift) {
        (Asked::Part { first, last }, Some(by)) => range::shifted(first, last, by, resource.size),
        (asked, _) => asked,
    };
    match asked {
        Asked::Part { first, last } => {
            let last = effects.range_at_most.map_or(last, |bytes| last.min(first + bytes.saturating_sub(1)));
            range::ending(first, last, effects.end_by, resource.size)
        }
        asked => asked,
    }
}

/// A header field of the request as text.
pub(crate) fn field(request: &Request<Incoming>, name: HeaderName) -> Option<String> {
    request.headers().get(name).map(text)
}

/// A header value as text.
pub(crate) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

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
