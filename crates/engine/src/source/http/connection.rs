//! An open HTTP/1.1 or HTTP/2 connection, and how requests are sent over it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};

use crate::error::{Error, ErrorKind, Result, find};
use crate::http::head::Damage;
use crate::message::Protocol;
use crate::source::http::heads::{Expected, HEAD_BYTES_MAX, Heads};
use crate::source::http::network::{Connected, PlainProxy};

/// The maximum number of fields in a head.
const HEAD_FIELDS_MAX: usize = 200;
/// The maximum size of a read. Fewer, larger reads cost less; each connection needs this much memory.
const READ_BYTES_MAX: usize = 256 << 10;
/// HTTP/2 flow control windows. The connection's window covers the data in flight on all streams.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// A dead HTTP/2 connection is detected by an unanswered PING.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_WITHIN: Duration = Duration::from_secs(10);

pub(crate) type Body = Full<Bytes>;

/// An open connection.
pub(crate) enum Connection {
    Http1 { sender: http1::SendRequest<Body>, plain_proxy: Option<PlainProxy>, head: Expected },
    Http2 { sender: http2::SendRequest<Body>, has_answered: Rc<Cell<bool>> },
}

/// Runs the HTTP connection's own task on this thread.
#[derive(Clone, Copy, Debug)]
struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

impl Connection {
    /// Starts HTTP on a connection.
    pub(crate) async fn open(connected: Connected) -> Result<Self> {
        match connected.protocol {
            Protocol::Http1 => {
                let head = Expected::default();
                let io = TokioIo::new(Heads::new(connected.stream, head.clone()));
                let (sender, connection) = http1::Builder::new()
                    .max_buf_size(READ_BYTES_MAX)
                    .max_headers(HEAD_FIELDS_MAX)
                    .max_header_size(HEAD_BYTES_MAX)
                    // Some servers expect `Host` in title case.
                    .title_case_headers(true)
                    .handshake(io)
                    .await
                    .map_err(|source| broken(&source))?;
                // Its errors reach whoever waits for a response.
                tokio::task::spawn_local(async move { connection.await.ok() });
                Ok(Self::Http1 { sender, plain_proxy: connected.plain_proxy, head })
            }
            Protocol::Http2 => {
                let io = TokioIo::new(connected.stream);
                let (sender, connection) = http2::Builder::new(LocalExecutor)
                    .timer(TokioTimer::new())
                    .initial_stream_window_size(STREAM_WINDOW_BYTES)
                    .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                    .max_header_list_size(HEAD_BYTES_MAX as u32)
                    .keep_alive_interval(PING_EVERY)
                    .keep_alive_timeout(PING_WITHIN)
                    .handshake(io)
                    .await
                    .map_err(|source| broken(&source))?;
                tokio::task::spawn_local(async move { connection.await.ok() });
                Ok(Self::Http2 { sender, has_answered: Rc::default() })
            }
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        match self {
            Self::Http1 { .. } => Protocol::Http1,
            Self::Http2 { .. } => Protocol::Http2,
        }
    }

    /// Where to say that data has come of a body.
    pub(crate) fn expected(&self) -> Option<&Expected> {
        match self {
            Self::Http1 { head, .. } => Some(head),
            Self::Http2 { .. } => None,
        }
    }

    pub(crate) fn plain_proxy(&self) -> Option<&PlainProxy> {
        match self {
            Self::Http1 { plain_proxy, .. } => plain_proxy.as_ref(),
            Self::Http2 { .. } => None,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Http1 { sender, .. } => sender.is_closed(),
            Self::Http2 { sender, .. } => sender.is_closed(),
        }
    }

    /// Whether a request may have failed because the server was just closing the connection, as idle or after
    /// enough requests. That is not a failure of the request.
    pub(crate) fn may_have_been_closing(&self, is_fresh: bool) -> bool {
        match self {
            Self::Http1 { .. } => !is_fresh,
            Self::Http2 { has_answered, .. } => has_answered.get() && self.is_closed(),
        }
    }

    /// Another handle to the same connection, if it can carry several requests at once.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1 { .. } => None,
            Self::Http2 { sender, has_answered } => {
                Some(Self::Http2 { sender: sender.clone(), has_answered: Rc::clone(has_answered) })
            }
        }
    }

    /// Waits until the connection is ready, then sends the request.
    pub(crate) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>> {
        let sent = match self {
            Self::Http1 { sender, head, .. } => match sender.ready().await {
                Ok(()) => {
                    head.set();
                    sender.send_request(request).await
                }
                Err(error) => Err(error),
            },
            Self::Http2 { sender, has_answered } => {
                let sent = match sender.ready().await {
                    Ok(()) => sender.send_request(request).await,
                    Err(error) => Err(error),
                };
                has_answered.set(has_answered.get() || sent.is_ok());
                sent
            }
        };
        sent.map_err(|source| broken(&source))
    }
}

const CLOSED_EARLY: &str = "closed before the answer was complete";

/// Converts a hyper error.
pub(crate) fn broken(source: &hyper::Error) -> Error {
    if source.is_parse() {
        let what = if source.is_parse_too_large() {
            "the head of the server's answer, or the length that it tells, is too large"
        } else {
            "the server's answer is not HTTP"
        };
        let why = source.to_string();
        return Error::new(ErrorKind::Protocol, format!("{what} ({})", why.trim_end_matches(" parsed")));
    }
    if let Some(damage) = find::<io::Error>(source).and_then(|io| io.get_ref()).and_then(|inner| inner.downcast_ref()) {
        let damage: &Damage = damage;
        return Error::new(ErrorKind::Protocol, format!("the head of the server's answer is damaged: {damage}"));
    }
    if let Some(error) = find::<h2::Error>(source).filter(|error| error.reason().is_some()) {
        return broken_stream(error);
    }
    let mut why = source.to_string();
    let mut beneath = None;
    let mut cause = std::error::Error::source(source);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            let of_tls = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if let Some(alert @ rustls::Error::AlertReceived(_)) = of_tls {
                return super::tls::alert_error(alert);
            }
            // From the chunk decoder; a broken connection has other kinds.
            if matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) {
                return Error::new(ErrorKind::Protocol, format!("the body of the server's answer is not HTTP ({io})"));
            }
            why = match io.kind() {
                _ if io.to_string().contains("close_notify") => {
                    "closed although TLS did not say that all had come".to_owned()
                }
                io::ErrorKind::UnexpectedEof => CLOSED_EARLY.to_owned(),
                _ => crate::error::plain_io(io),
            };
            beneath = Some(io.raw_os_error().map_or_else(|| io.kind().into(), io::Error::from_raw_os_error));
            break;
        }
        cause = inner.source();
    }
    if source.is_incomplete_message() {
        why = CLOSED_EARLY.to_owned();
    }
    let error = Error::new(ErrorKind::Broken, format!("the connection broke: {why}"));
    match beneath {
        Some(io) => error.with_source(io),
        None => error,
    }
}

/// The error for a stream, or its whole connection, that one side aborted.
/// Whether what came of a body is not what HTTP/2 allows: more than its `content-length`, for one (RFC 9113, section 8.1.1).
pub(crate) fn breaks_rules(source: &hyper::Error) -> bool {
    find::<h2::Error>(source).is_some_and(|error| !error.is_remote() && error.reason().is_some())
}

fn broken_stream(error: &h2::Error) -> Error {
    let reason = error.reason().unwrap_or(h2::Reason::NO_ERROR);
    let what = match (error.is_remote(), error.is_go_away()) {
        (true, true) => "the server is closing the connection",
        (true, false) => "the server broke the stream off",
        (false, _) => "the server's answer breaks the rules of HTTP/2",
    };
    Error::new(ErrorKind::Broken, format!("the connection broke: {what} ({})", reason_name(reason)))
        .with_source(h2::Error::from(reason))
}

/// Error code names from RFC 9113, section 7.
fn reason_name(reason: h2::Reason) -> String {
    match reason {
        h2::Reason::NO_ERROR => "NO_ERROR".to_owned(),
        h2::Reason::PROTOCOL_ERROR => "PROTOCOL_ERROR".to_owned(),
        h2::Reason::INTERNAL_ERROR => "INTERNAL_ERROR".to_owned(),
        h2::Reason::FLOW_CONTROL_ERROR => "FLOW_CONTROL_ERROR".to_owned(),
        h2::Reason::REFUSED_STREAM => "REFUSED_STREAM".to_owned(),
        h2::Reason::CANCEL => "CANCEL".to_owned(),
        h2::Reason::ENHANCE_YOUR_CALM => "ENHANCE_YOUR_CALM".to_owned(),
        h2::Reason::HTTP_1_1_REQUIRED => "HTTP_1_1_REQUIRED".to_owned(),
        other => format!("code {}", u32::from(other)),
    }
}

/// Whether a server said that it serves this only over the other protocol: HTTP_1_1_REQUIRED (RFC 9113, section
/// 7), or no_application_protocol (RFC 7301, section 3.2) where HTTP/1.1 was offered.
pub(crate) fn wants_other_protocol(error: &Error) -> bool {
    let is_http1_required =
        find::<h2::Error>(error).is_some_and(|error| error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED));
    let alert = find::<io::Error>(error)
        .and_then(|error| error.get_ref())
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    is_http1_required
        || matches!(alert, Some(rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)))
}
