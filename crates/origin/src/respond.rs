//! Turns one request into one response: collects the faults that apply and answers for the resource.
//! Runs on the connection's serving thread and keeps no state.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{ALLOW, IF_RANGE, RANGE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::body::{BoxError, OriginBody, Owner};
use crate::conditions;
use crate::conn::Conn;
use crate::effects::{Detour, Effects, Ending};
use crate::entry::InFlight;
use crate::fault::Above;
use crate::header::{header_value, status_code};
use crate::raw::{self, RawAnswer, RawSlot};
use crate::reply::{self, Reply};
use crate::scope::Ask;
use crate::state::Shared;
use crate::stats::RequestLog;

/// Query prefix that counts the redirects of a request.
const HOP: &str = "hop=";

/// The protocol of a request, with its protocol-specific data.
pub(crate) enum Via {
    /// HTTP/1, with the slot for a raw answer.
    Http1(Arc<RawSlot>),
    /// HTTP/2, with the number of the request on its connection, from 1.
    Http2(u32),
}

/// What happens instead of a response.
enum NoReply {
    End(Ending),
    /// RST_STREAM with this code.
    Refuse(u32),
    /// GOAWAY that names this stream as the last; 0 is none.
    GoAway(u32),
}

/// Answers `request`. An error ends the connection or resets the stream, or means that the slot in
/// `via` holds a raw answer.
pub(crate) async fn respond(
    shared: Arc<Shared>,
    conn: Arc<Conn>,
    via: Via,
    request: Request<Incoming>,
) -> Result<Response<OriginBody>, BoxError> {
    let (effects, in_flight) = effects(&shared, &conn, &request);
    let (http2, stream) = match via {
        Via::Http1(_) => (false, 0),
        Via::Http2(stream) => (true, stream),
    };
    let path = shared.counters.request(request.uri().path(), http2);
    let now = effects.clock(SystemTime::now());
    let reply = reply(&shared, &request, &effects, stream, now);
    shared.counters.log(logged(&shared, &request, &conn, reply.as_ref().ok()));
    let mut reply = match reply {
        Ok(reply) => reply,
        Err(NoReply::End(ending)) => {
            conn.end_now(ending);
            return Err("the script ends the connection here".into());
        }
        Err(NoReply::Refuse(code)) => return Err(h2::Error::from(h2::Reason::from(code)).into()),
        Err(NoReply::GoAway(last)) => {
            conn.go_away(last, h2::Reason::NO_ERROR.into());
            return std::future::pending().await;
        }
    };
    reply.dress(&effects, http2, now);
    if !effects.latency.is_zero() {
        tokio::time::sleep(effects.latency).await;
    }
    let owner = Owner { shared, conn, path, http2, stream, _in_flight: in_flight };
    let head = request.method() == Method::HEAD;
    if let Via::Http1(slot) = &via
        && !head
        && raw::is_raw(&reply, &effects)
    {
        slot.leave(RawAnswer::new(reply, effects, owner));
        return Err("the script writes the response itself".into());
    }
    Ok(reply.into_response(head, effects, owner))
}

/// Counts the request at the server and its resource, and applies the rules of both.
fn effects(shared: &Shared, conn: &Conn, request: &Request<Incoming>) -> (Effects, Option<InFlight>) {
    let mut effects = Effects::default();
    let rules = shared.rules();
    let mut ask = Ask {
        number: rules.next_number(),
        ranged: request.headers().contains_key(RANGE),
        conditional: conditions::are_in(request.headers()),
        query: request.uri().query().map(ToOwned::to_owned),
        connection: conn.id,
        load: conn.open_at_accept,
        was_accepted: true,
    };
    rules.apply(&ask, &mut effects);
    let in_flight = shared.find(request.uri().path()).map(|entry| {
        let (in_flight, load) = InFlight::begin(&entry);
        ask.number = entry.rules.next_number();
        ask.load = load;
        ask.was_accepted = false;
        entry.rules.apply(&ask, &mut effects);
        in_flight
    });
    (effects, in_flight)
}

/// Builds the response. `now` is the time on the server's clock.
fn reply(
    shared: &Shared,
    request: &Request<Incoming>,
    effects: &Effects,
    stream: u32,
    now: SystemTime,
) -> Result<Reply, NoReply> {
    // 0 means HTTP/1, which has no streams.
    if stream > 0 {
        if let Some(last) = effects.streams_max
            && stream > last
        {
            return Err(NoReply::GoAway(last));
        }
        if let Some(code) = effects.refuse_stream {
            return Err(NoReply::Refuse(code));
        }
    }
    match effects.refused {
        Some(Above::Reset) => return Err(NoReply::End(Ending::Reset)),
        Some(Above::Close | Above::Alert) => return Err(NoReply::End(Ending::Close)),
        Some(Above::Unavailable) => return Ok(Reply::text(StatusCode::SERVICE_UNAVAILABLE)),
        Some(Above::Status { code, retry_after }) => return Ok(failure(code, retry_after)),
        None => {}
    }
    if let Some((code, retry_after)) = &effects.status {
        return Ok(failure(*code, retry_after.as_deref()));
    }
    if let Some(page) = &effects.page {
        return Ok(Reply::page(page, request.uri().path()));
    }
    if let Some(reply) = redirect(request, effects) {
        return Ok(reply);
    }
    let Some(entry) = shared.find(request.uri().path()) else {
        return Ok(Reply::text(StatusCode::NOT_FOUND));
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut reply = Reply::text(StatusCode::METHOD_NOT_ALLOWED);
        reply.set(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(reply);
    }
    let resource = &entry.resource;
    let mut reply = match (&resource.redirect, resource.status.map(status_code)) {
        (Some((status, location)), _) => Reply::redirect(*status, location.clone()),
        (None, Some(status)) if !status.is_success() => Reply::text(status),
        (None, status) => Reply::content(resource, request, effects, status, now),
    };
    for (name, value) in &resource.headers {
        reply.headers.append(name.clone(), value.clone());
    }
    Ok(reply)
}

/// An error status with an optional `Retry-After`.
fn failure(code: u16, retry_after: Option<&str>) -> Reply {
    let mut reply = Reply::text(status_code(code));
    if let Some(text) = retry_after {
        reply.set(RETRY_AFTER, header_value(text));
    }
    reply
}

/// The redirect that a fault requires, unless the request has already made all its hops.
fn redirect(request: &Request<Incoming>, effects: &Effects) -> Option<Reply> {
    let (status, detour) = effects.redirect.as_ref()?;
    let location = match detour {
        Detour::To(location) => location.clone(),
        Detour::Hops(hops) => {
            let hop = request.uri().query().and_then(|query| query.strip_prefix(HOP)?.parse::<u32>().ok()).unwrap_or(0);
            if hop >= *hops {
                return None;
            }
            format!("?{HOP}{}", hop + 1)
        }
    };
    Some(Reply::redirect(*status, header_value(&location)))
}

fn logged(shared: &Shared, request: &Request<Incoming>, conn: &Conn, reply: Option<&Reply>) -> RequestLog {
    let path = request.uri().path_and_query();
    let headers = request.headers().iter();
    let conditions = request.headers().iter().filter(|(name, _)| conditions::FIELDS.contains(*name));
    let as_text = |(name, value): (&HeaderName, &HeaderValue)| (name.as_str().to_owned(), reply::text(value));
    RequestLog {
        method: request.method().to_string(),
        path: path.map_or_else(String::new, ToString::to_string),
        version: format!("{:?}", request.version()),
        at: shared.counters.since_start(),
        headers: headers.map(as_text).collect(),
        range: reply::field(request, RANGE),
        if_range: reply::field(request, IF_RANGE),
        conditions: conditions.map(as_text).collect(),
        status: reply.map_or(0, |reply| reply.status.as_u16()),
        connection: conn.id,
    }
}
