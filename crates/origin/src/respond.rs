//! One request becomes one response: the faults that apply, the status, the headers, and a body
//! that knows its script. Runs on the connection's serving thread and keeps no state.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CONNECTION, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE,
    LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::{OriginBody, Owner, Source};
use crate::conn::Conn;
use crate::fault::{Above, Ask, Effects, header_value, status_code};
use crate::range::{self, Asked};
use crate::resource::{InFlight, Length, Ranges, Resource};
use crate::state::Shared;
use crate::stats::RequestLog;

/// Answers `request`; an error means that the connection is to be reset.
pub(crate) async fn respond(
    shared: Arc<Shared>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> io::Result<Response<OriginBody>> {
    let (effects, in_flight) = effects(&shared, &conn, &request);
    let http2 = request.version() == Version::HTTP_2;
    let path = shared.counters.request(request.uri().path(), http2);
    let reply = reply(&shared, &request, &effects);
    shared.counters.log(logged(&request, &conn, reply.as_ref()));
    let Some(mut reply) = reply else {
        conn.reset_now();
        return Err(io::Error::other("the script resets the connection here"));
    };
    if effects.refused.is_some() && !http2 {
        reply.set(CONNECTION, HeaderValue::from_static("close"));
    }
    if !effects.latency.is_zero() {
        tokio::time::sleep(effects.latency).await;
    }
    let owner = Owner { shared, conn, path, http2, _in_flight: in_flight };
    let head = request.method() == Method::HEAD;
    Ok(reply.into_response(head, effects, owner))
}

/// Counts the request at the server and at its resource, and asks the rules of both.
fn effects(shared: &Shared, conn: &Conn, request: &Request<Incoming>) -> (Effects, Option<InFlight>) {
    let mut effects = Effects::default();
    let rules = shared.rules();
    let mut ask = Ask {
        number: rules.next_number(),
        ranged: request.headers().contains_key(RANGE),
        connection: conn.id,
        load: conn.open_at_accept,
    };
    rules.apply(&ask, &mut effects);
    let in_flight = shared.find(request.uri().path()).map(|entry| {
        let (in_flight, load) = InFlight::begin(&entry);
        ask.number = entry.rules.next_number();
        ask.load = load;
        entry.rules.apply(&ask, &mut effects);
        in_flight
    });
    (effects, in_flight)
}

/// What is to be sent, before it is known how fast; `None` is a reset.
fn reply(shared: &Shared, request: &Request<Incoming>, effects: &Effects) -> Option<Reply> {
    match effects.refused {
        Some(Above::Reset) => return None,
        Some(Above::Unavailable) => {
            return Some(Reply::text(StatusCode::SERVICE_UNAVAILABLE));
        }
        None => {}
    }
    if let Some((code, retry_after)) = &effects.status {
        let mut reply = Reply::text(status_code(*code));
        if let Some(text) = retry_after {
            reply.set(RETRY_AFTER, header_value(text));
        }
        return Some(reply);
    }
    let Some(entry) = shared.find(request.uri().path()) else {
        return Some(Reply::text(StatusCode::NOT_FOUND));
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut reply = Reply::text(StatusCode::METHOD_NOT_ALLOWED);
        reply.set(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(reply);
    }
    let resource = &entry.resource;
    let mut reply = match (&resource.redirect, resource.status.map(status_code)) {
        (Some((status, location)), _) => {
            let mut reply = Reply::text(status_code(*status));
            reply.set(LOCATION, location.clone());
            reply
        }
        (None, Some(status)) if !status.is_success() => Reply::text(status),
        (None, status) => Reply::content(resource, request, effects, status),
    };
    for (name, value) in &resource.headers {
        reply.headers.append(name.clone(), value.clone());
    }
    Some(reply)
}

/// A response in the making.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    source: Source,
    len: u64,
    length_known: bool,
}

impl Reply {
    /// A status with a line that says it again.
    fn text(status: StatusCode) -> Self {
        let text = Bytes::from(format!("{status}\n"));
        let mut reply = Self {
            status,
            headers: HeaderMap::new(),
            len: text.len() as u64,
            source: Source::Text(text),
            length_known: true,
        };
        reply.set(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        reply
    }

    /// The content of `resource`, whole or in part; `status` takes the place of 200 and 206.
    fn content(
        resource: &Resource,
        request: &Request<Incoming>,
        effects: &Effects,
        status: Option<StatusCode>,
    ) -> Self {
        let (etag, seed) = match &effects.replaced {
            Some((etag, seed)) => (Some(etag.clone()), *seed),
            None => (resource.etag_text(), resource.seed),
        };
        let size = resource.size;
        let asked = if effects.ignore_range { Asked::Whole } else { asked(resource, request, etag.as_deref()) };
        let mut reply = match asked {
            Asked::Unsatisfiable => {
                let mut reply = Self::text(StatusCode::RANGE_NOT_SATISFIABLE);
                reply.set(CONTENT_RANGE, header_value(&format!("bytes */{size}")));
                reply
            }
            Asked::Whole => Self::bytes(StatusCode::OK, resource, seed, 0, size),
            Asked::Part { first, last } => {
                let status = StatusCode::PARTIAL_CONTENT;
                let mut reply = Self::bytes(status, resource, seed, first, last - first + 1);
                let range = format!("bytes {first}-{last}/{size}");
                reply.set(CONTENT_RANGE, header_value(&range));
                reply
            }
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

    /// `len` bytes of the content `seed` from `offset` on.
    fn bytes(status: StatusCode, resource: &Resource, seed: u64, offset: u64, len: u64) -> Self {
        let mut reply = Self {
            status,
            headers: HeaderMap::new(),
            source: Source::Content { seed, offset },
            len,
            length_known: resource.length == Length::Known,
        };
        if let Some(text) = &resource.content_type {
            reply.set(CONTENT_TYPE, text.clone());
        }
        if let Some(text) = &resource.content_disposition {
            reply.set(CONTENT_DISPOSITION, text.clone());
        }
        reply
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.insert(name, value);
    }

    fn into_response(mut self, head: bool, mut effects: Effects, owner: Owner) -> Response<OriginBody> {
        if self.length_known {
            self.set(CONTENT_LENGTH, HeaderValue::from(self.len));
        }
        if head {
            // There is no body that could be cut.
            effects.cut = None;
        }
        let len = if head { 0 } else { self.len };
        let length_known = self.length_known || head;
        let body = OriginBody::new(self.source, len, length_known, effects, owner);
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// What the range fields of a request come to; ranges are defined for GET alone.
fn asked(resource: &Resource, request: &Request<Incoming>, etag: Option<&str>) -> Asked {
    if resource.ranges != Ranges::Honoured || request.method() != Method::GET {
        return Asked::Whole;
    }
    let Some(range) = field(request, RANGE) else {
        return Asked::Whole;
    };
    let current =
        field(request, IF_RANGE).is_none_or(|value| range::if_range_holds(&value, etag, resource.last_modified));
    if !current {
        return Asked::Whole;
    }
    range::parse(&range, resource.size)
}

fn field(request: &Request<Incoming>, name: HeaderName) -> Option<String> {
    request.headers().get(name).map(text)
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn logged(request: &Request<Incoming>, conn: &Conn, reply: Option<&Reply>) -> RequestLog {
    let path = request.uri().path_and_query();
    let headers = request.headers().iter();
    RequestLog {
        method: request.method().to_string(),
        path: path.map_or_else(String::new, ToString::to_string),
        version: format!("{:?}", request.version()),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        range: field(request, RANGE),
        status: reply.map_or(0, |reply| reply.status.as_u16()),
        connection: conn.id,
    }
}
