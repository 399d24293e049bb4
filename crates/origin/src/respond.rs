//! One request becomes one response: the faults that apply, and what the resource answers with them.
//! Runs on the connection's serving thread and keeps no state.

use std::io;
use std::sync::Arc;

use http::header::{ALLOW, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::body::{OriginBody, Owner};
use crate::conn::Conn;
use crate::fault::{Above, header_value, status_code};
use crate::raw::{self, RawAnswer};
use crate::reply::{self, Reply};
use crate::resource::InFlight;
use crate::rule::{Ask, Detour, Effects};
use crate::state::Shared;
use crate::stats::RequestLog;

/// What counts how often a request was redirected.
const HOP: &str = "hop=";

/// Answers `request`; an error means that the connection is to be reset, or that the answer has been
/// left with the connection for its driver to write.
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
    reply.dress(&effects, http2);
    if !effects.latency.is_zero() {
        tokio::time::sleep(effects.latency).await;
    }
    let owner = Owner { shared, conn: Arc::clone(&conn), path, http2, _in_flight: in_flight };
    let head = request.method() == Method::HEAD;
    if raw::is_raw(&reply, &effects) && !http2 && !head {
        conn.answer_raw(RawAnswer::new(reply, effects, owner));
        return Err(io::Error::other("the script writes the answer itself"));
    }
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
    if let Some(reply) = redirect(request, effects) {
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

/// The redirect that a fault wants, if the request has not been redirected often enough.
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
    let mut reply = Reply::text(status_code(*status));
    reply.set(LOCATION, header_value(&location));
    Some(reply)
}

fn logged(request: &Request<Incoming>, conn: &Conn, reply: Option<&Reply>) -> RequestLog {
    let path = request.uri().path_and_query();
    let headers = request.headers().iter();
    RequestLog {
        method: request.method().to_string(),
        path: path.map_or_else(String::new, ToString::to_string),
        version: format!("{:?}", request.version()),
        headers: headers.map(|(name, value)| (name.as_str().to_owned(), reply::text(value))).collect(),
        range: reply::field(request, RANGE),
        status: reply.map_or(0, |reply| reply.status.as_u16()),
        connection: conn.id,
    }
}
