//! Faults as values. A [`Fault`] says what goes wrong; a [`Scope`](crate::Scope) says for which
//! requests. Several faults can apply to the same response.
//!
//! To add a fault, add a variant here, a field to `Effects` (`effects.rs`), an arm to `Armed::play`
//! (`rule_set.rs`), and code that reads the field: in `respond.rs` and `reply.rs` for the response,
//! `version.rs` for its validators, `body.rs` for the flow of its bytes, `raw.rs` for responses that no
//! HTTP library would send, or `worker.rs` for connections.

use std::time::{Duration, SystemTime};

use crate::header::{header_bytes, header_name, header_value, status_code};
use crate::page::{Page, PageBy};

/// Leaves room in `HeaderMap`, which panics above about 24,000 fields.
const HEADERS_MAX: usize = 20_000;

/// A deliberate failure or slowdown.
///
/// Offsets `k` count the body bytes of one response, not of the resource. Random choices derive from a
/// seed and the request's number, so a script behaves the same on every run.
///
/// ```
/// use towline_origin::{Fault, Resource, Scope};
///
/// let flaky = Resource::new("/flaky.bin", 1, 1_000_000)
///     .fault(Fault::CutAt(300_000).when(Scope::every().first(2)))
///     .fault(Fault::IgnoreRange.when(Scope::every().now_and_then(25, 7)))
///     .fault(Fault::RatePerConnection(5_000_000));
/// # drop(flaky);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Closes the connection gracefully (FIN) after `k` body bytes. Over HTTP/2 the stream is reset
    /// instead, and the client may see fewer than `k` bytes.
    CutAt(u64),
    /// Like [`Self::CutAt`], but at a pseudorandom offset inside the body, derived from the seed and the
    /// request's number.
    CutSomewhere {
        /// Seed of the cut positions.
        seed: u64,
    },
    /// Resets the TCP connection (RST) after writing `k` body bytes to the socket. Bytes that the
    /// kernel has not sent by then are lost.
    ResetAt(u64),
    /// Pauses after `k` body bytes, for the given time or forever.
    StallAt(u64, Option<Duration>),
    /// Sends the body of each response at this rate.
    Trickle {
        /// Bytes per second.
        bytes_per_sec: u64,
    },
    /// Answers a range request with 200 and the whole content, although the server advertises ranges.
    IgnoreRange,
    /// Answers a request that has `If-Range` with 200 and the whole content, although nothing has
    /// changed.
    IgnoreIfRange,
    /// Ignores `If-Match`, `If-None-Match`, `If-Modified-Since` and `If-Unmodified-Since`. For
    /// `If-Range`, see [`Self::IgnoreIfRange`].
    IgnoreConditions,
    /// Answers every range request with 416 and the correct total length.
    RefuseRange,
    /// Sends a false `Content-Range` in a 206. The bytes are the requested ones.
    ContentRange(RangeLie),
    /// Answers a range request with a shifted range of the same length, with a correct `Content-Range`.
    OtherRange {
        /// The shift in bytes; negative is towards the start.
        by: i64,
    },
    /// Answers a range request with a range that starts where requested but ends elsewhere, with a
    /// correct `Content-Range`. It has at least one byte.
    OtherEnd {
        /// The shift of the end in bytes; negative makes the range shorter.
        by: i64,
    },
    /// Answers a range request with at most this many bytes of it, at least one, and a correct `Content-Range`.
    RangeAtMost(u64),
    /// Omits the last bytes of a 206. `Content-Length` matches the body; `Content-Range` does not.
    ShortRange {
        /// Number of bytes omitted.
        by: u64,
    },
    /// Answers a range request with a `multipart/byteranges` body of one part.
    Multipart,
    /// Serves the content of another seed from byte `from` of the resource on. Length, validators and
    /// ranges stay the same.
    OtherContent {
        /// First byte of the resource that differs.
        from: u64,
        /// Seed of the content from there on.
        seed: u64,
    },
    /// From the given request on, the resource has a new entity tag and new content of the same length.
    ChangeEtagAt {
        /// Number of the first request that sees the new content, counted from 1.
        request: u64,
        /// The new tag, exactly as sent (with its quotes).
        etag: String,
        /// Seed of the new content.
        seed: u64,
    },
    /// Changes the validators that responses send and that conditions are evaluated against. The
    /// content stays the same. Combine it with [`Self::OtherContent`] in the same scope to simulate a new
    /// version.
    Validators(Validators),
    /// Sends no `Date`.
    NoDate,
    /// Sets the server's clock, as seen in `Date`, this many seconds fast (or slow, if negative).
    ClockOff(i64),
    /// Distributes requests over this many servers in turn. All have the same content, but each has its
    /// own entity tag.
    Backends(u64),
    /// Answers with this status and one line of text.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// How many times; `None` means always.
        times: Option<u32>,
        /// The value of `Retry-After`, valid or not.
        retry_after: Option<String>,
    },
    /// Answers with a page instead of the content, as a captive portal does.
    Page(Page),
    /// Redirects to `location`, which may form a loop.
    Redirect {
        /// The status code, 100 to 999.
        status: u16,
        /// The value of `Location`.
        location: String,
    },
    /// Redirects several times to the same path (with the relative references `?hop=1`, `?hop=2` and so
    /// on) before it answers.
    RedirectHops {
        /// The status code, 100 to 999.
        status: u16,
        /// Number of redirects.
        hops: u32,
    },
    /// Sends a wrong `Content-Length`. If the body is shorter than that, the connection closes after it.
    /// HTTP/1 only.
    ContentLength {
        /// Added to the correct length.
        by: i64,
    },
    /// Sends more bytes than `Content-Length` says and keeps the connection open. HTTP/1 only.
    LongBody {
        /// Number of extra bytes.
        extra: u64,
    },
    /// Sends the body chunked, with a malformed chunk. HTTP/1 only.
    BadChunk {
        /// First body byte of the malformed chunk. The connection closes after that chunk.
        at: u64,
        /// The defect.
        how: BadChunk,
    },
    /// Sends these `Transfer-Encoding` fields. The body is chunked if the last field ends with
    /// `chunked`; no other coding is applied. Affects only 2xx responses. HTTP/1 only.
    TransferEncoding {
        /// The values, one per field.
        fields: Vec<String>,
        /// Whether to send `Content-Length` too. Without it, a body that is not chunked ends when the
        /// connection closes.
        length: bool,
    },
    /// Sends `Connection: close` and no length in an HTTP/1.1 response: the body ends when the
    /// connection closes. Affects only 2xx responses. HTTP/1 only.
    CloseDelimited {
        /// Whether TLS sends `close_notify` first.
        close_notify: bool,
    },
    /// Sends these trailers after the body, even if the client did not ask for any. Over HTTP/1 the body
    /// is then chunked.
    Trailers(Vec<(String, String)>),
    /// Sets a header on every response and overrides the resource's own. The value need not be text.
    Header {
        /// The name.
        name: String,
        /// The value: any bytes except control characters.
        value: Vec<u8>,
    },
    /// Sends this line verbatim among the headers, including NUL bytes. HTTP/1 only.
    RawHeader(Vec<u8>),
    /// Sends a header with a value of this many bytes.
    LargeHeader(usize),
    /// Sends this many extra headers, at most 20,000.
    ManyHeaders(usize),
    /// Sends these bytes instead of a response and closes the connection. HTTP/1 only.
    Raw(Vec<u8>),
    /// Closes the connection after each response and announces it with `Connection: close`. HTTP/1 only.
    CloseAfterEach,
    /// Answers as HTTP/1.0 and closes the connection after each response. HTTP/1 only.
    Http10,
    /// Ends the stream early after `at` body bytes. If it is reset, the client may see fewer of them.
    /// HTTP/2 only.
    EndStream {
        /// Body bytes before the end.
        at: u64,
        /// How the stream ends.
        how: StreamEnd,
    },
    /// Resets the stream with this code (RFC 9113, section 7) instead of answering: 7 is REFUSED_STREAM,
    /// 13 is HTTP_1_1_REQUIRED. HTTP/2 only.
    RefuseStream(u32),
    /// Answers the first `streams` requests of each connection. Later ones get only a GOAWAY (NO_ERROR)
    /// that names the last answered stream. HTTP/2 only.
    GoAwayAbove {
        /// Number of requests answered.
        streams: u32,
    },
    /// Closes the connection during the TLS handshake, after the server has sent `at` bytes (0: after
    /// the client's first message). For the server only; its scope counts connections.
    CutHandshake {
        /// Bytes sent by the server, including TLS framing.
        at: u64,
    },
    /// Limits concurrency. For the server, the limit is on open connections: a connection accepted while
    /// `max` others are open stays refused. For a resource, it is on responses in flight; a `max` of 0
    /// refuses every request in scope. On the server, `Reset`, `Close` and `Alert` act on accept, before
    /// any request, and the scope counts connections.
    ConnectionLimit {
        /// How many are served at once.
        max: usize,
        /// What happens to the others.
        above: Above,
    },
    /// Waits before the first byte of the response.
    Latency(Duration),
    /// Limits each connection to this many bytes per second across all its requests.
    RatePerConnection(u64),
    /// Limits the server to this many bytes per second across all connections.
    RatePerServer(u64),
}

/// What happens to a connection or request above a [`Fault::ConnectionLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// Answers with 503, then closes the connection if it is HTTP/1.
    Unavailable,
    /// Like [`Self::Unavailable`], with this status.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// The value of `Retry-After`, valid or not.
        retry_after: Option<&'static str>,
    },
    /// Resets the connection.
    Reset,
    /// Closes the connection gracefully (FIN) without a response.
    Close,
    /// Answers the client's first message with a TLS alert (`internal_error`) and closes the connection.
    /// For a resource, or without TLS, the same as [`Self::Close`].
    Alert,
}

/// How a [`Fault::Validators`] changes the entity tag and the date.
///
/// ```
/// use towline_origin::{Fault, Resource, Scope, Switch, Validators};
///
/// let changed = Switch::default();
/// let other_version = Scope::every().while_on(&changed);
/// let resource = Resource::new("/a.bin", 1, 1_000_000)
///     .fault(Fault::Validators(Validators::NoTag).when(other_version.clone()))
///     .fault(Fault::OtherContent { from: 0, seed: 2 }.when(other_version));
/// # drop(resource);
/// changed.on();
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validators {
    /// No entity tag.
    NoTag,
    /// No `Last-Modified`.
    NoDate,
    /// Neither entity tag nor `Last-Modified`.
    Neither,
    /// The entity tag, made weak.
    WeakTag,
    /// This entity tag, exactly as sent (with its quotes).
    Tag(String),
    /// This `Last-Modified`.
    Date(SystemTime),
    /// `Last-Modified` this many seconds before the `Date` of the same response; 0 makes them equal.
    DateBefore(u64),
    /// The entity tag only on whole responses, not on ranges.
    TagOnWholeOnly,
    /// Entity tag and date only on ranges, not on whole responses.
    OnRangesOnly,
}

/// How a [`Fault::EndStream`] ends a stream, with error codes from RFC 9113, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// RST_STREAM with this code: 0 is NO_ERROR, 8 is CANCEL.
    Reset(u32),
    /// END_STREAM, regardless of `Content-Length`; with [`Fault::Trailers`], on these.
    Early,
    /// GOAWAY with this code that names this stream as the last. The stream then completes normally.
    GoAway(u32),
    /// GOAWAY with this code that names the previous stream as the last. This one sends nothing more.
    GoAwayBefore(u32),
    /// GOAWAY with this code that names this stream as the last. The connection then closes.
    GoAwayAndClose(u32),
    /// A closed connection (FIN), without `close_notify` or GOAWAY.
    Close,
}

/// How a [`Fault::ContentRange`] changes `Content-Range`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeLie {
    /// Shifts the first byte position by this many bytes.
    Start(i64),
    /// Shifts the last byte position by this many bytes.
    End(i64),
    /// Changes the total length by this many bytes.
    Total(i64),
    /// Sends `*` as the total length, which is valid.
    UnknownTotal,
    /// Sends this unit instead of `bytes`.
    Unit(String),
    /// Sends this text with `{first}`, `{last}` and `{total}` replaced by the numbers. See
    /// [`range_forms`](crate::range_forms).
    Form(String),
    /// Sends no `Content-Range`.
    Missing,
}

/// The defect of a [`Fault::BadChunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChunk {
    /// The chunk size is not a number.
    Size,
    /// The chunk size does not fit in 64 bits.
    Overflow,
    /// The chunk data is not followed by CRLF.
    End,
    /// All chunks are valid, but the last, empty chunk is missing. `at` has no effect.
    NoLast,
}

impl Above {
    /// Whether the server applies it on accept, before any request.
    pub(crate) fn acts_at_accept(self) -> bool {
        matches!(self, Self::Reset | Self::Close | Self::Alert)
    }
}

impl Fault {
    /// Panics if the fault holds a value that cannot be sent, so that no serving thread does.
    pub(crate) fn check(&self) {
        match self {
            Self::Status { code, retry_after, .. } => {
                status_code(*code);
                if let Some(text) = retry_after {
                    header_value(text);
                }
            }
            Self::ChangeEtagAt { etag, .. } => {
                header_value(etag);
            }
            Self::Redirect { status, location } => {
                status_code(*status);
                header_value(location);
            }
            Self::RedirectHops { status, .. } => {
                status_code(*status);
            }
            Self::Header { name, value } => {
                header_name(name);
                header_bytes(value);
            }
            Self::ContentRange(RangeLie::Unit(text) | RangeLie::Form(text))
            | Self::Validators(Validators::Tag(text)) => {
                header_value(text);
            }
            Self::Page(page) => {
                status_code(page.status);
                header_value(&page.content_type);
                if let PageBy::Redirect { status, to } = &page.by {
                    status_code(*status);
                    header_value(to);
                }
            }
            Self::TransferEncoding { fields, .. } => {
                for field in fields {
                    header_value(field);
                }
            }
            Self::Trailers(fields) => {
                for (name, value) in fields {
                    header_name(name);
                    header_value(value);
                }
            }
            Self::ConnectionLimit { above: Above::Status { code, retry_after }, .. } => {
                status_code(*code);
                if let Some(text) = retry_after {
                    header_value(text);
                }
            }
            Self::ManyHeaders(count) => assert!(*count <= HEADERS_MAX, "at most {HEADERS_MAX} headers, not {count}"),
            Self::Backends(count) => assert!(*count > 0, "the number of backends must not be 0"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cannot be a header value")]
    fn a_header_that_cannot_be_sent_is_refused_when_it_is_scripted() {
        Fault::Header { name: "X-Odd".to_owned(), value: b"a\0b".to_vec() }.check();
    }

    #[test]
    fn a_header_need_not_be_text() {
        Fault::Header { name: "X-Odd".to_owned(), value: vec![0xff, 0xfe] }.check();
    }
}
