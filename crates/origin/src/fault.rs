//! What can go wrong, as values: a [`Fault`] says what happens, a [`Scope`](crate::Scope) to which requests, and
//! several of them compose.
//!
//! To add a fault: a variant here, a field of `Effects` (`effects.rs`), an arm in `Armed::play`
//! (`rule_set.rs`), and the place that looks at the field: `respond.rs` and `reply.rs` for what is answered,
//! `version.rs` for its validators, `body.rs` for how its bytes flow, `raw.rs` for what no HTTP library
//! would send, `worker.rs` for connections.

use std::time::{Duration, SystemTime};

use crate::header::{header_bytes, header_name, header_value, status_code};
use crate::page::{Page, PageBy};

/// More header fields than this do not fit into the table that they are kept in.
const HEADERS_MAX: usize = 20_000;

/// One thing that goes wrong (or slow) on purpose.
///
/// Offsets `k` count the body bytes of one response, not of the resource. What chance decides is
/// decided by a seed and the request's number, so that the same script does the same each time.
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
    /// Closes the connection in order (FIN) once `k` body bytes are on their way. Over HTTP/2 the
    /// stream is reset instead, and the client may see fewer than `k` bytes.
    CutAt(u64),
    /// The same at a byte that the seed and the request's number decide, always before the last.
    CutSomewhere {
        /// Seed of the places.
        seed: u64,
    },
    /// Resets the TCP connection (RST) once `k` body bytes have been handed to the socket; bytes
    /// that the kernel has not sent by then are lost.
    ResetAt(u64),
    /// Sends nothing more after `k` body bytes: for the time given, or for ever.
    StallAt(u64, Option<Duration>),
    /// Sends the body of each response at this rate.
    Trickle {
        /// Bytes a second.
        bytes_per_sec: u64,
    },
    /// Answers a range request with 200 and the whole content, though ranges were offered.
    IgnoreRange,
    /// Answers a request with `If-Range` with 200 and the whole content, though nothing has changed.
    IgnoreIfRange,
    /// Answers as if the request had no `If-Match`, `If-None-Match`, `If-Modified-Since` or
    /// `If-Unmodified-Since`; `If-Range` has a fault of its own.
    IgnoreConditions,
    /// Answers each range request with 416, as if the resource were empty; its length is told right.
    RefuseRange,
    /// Lies in the `Content-Range` of a 206; the bytes are those that were asked for.
    ContentRange(RangeLie),
    /// Answers a range request with the range that begins so many bytes later or earlier, and says so.
    OtherRange {
        /// How far it is off.
        by: i64,
    },
    /// Answers a range request with the range that begins where it was asked for and ends so many bytes
    /// later or earlier, and says so. At least one byte comes.
    OtherEnd {
        /// How far the end is off.
        by: i64,
    },
    /// Leaves out the last bytes of a 206: `Content-Length` says so, `Content-Range` does not.
    ShortRange {
        /// How many.
        by: u64,
    },
    /// Answers a range request with `multipart/byteranges` of one part.
    Multipart,
    /// From byte `from` of the resource on, the content is that of another seed; length, validators
    /// and ranges stay as they were.
    OtherContent {
        /// First byte of the resource that is another.
        from: u64,
        /// Seed of what is there from then on.
        seed: u64,
    },
    /// From the `request`-th request (1 is the first) on, the resource has another entity tag and
    /// other content of the same length.
    ChangeEtagAt {
        /// Ordinal of the first request that sees the new content.
        request: u64,
        /// The new tag, exactly as sent (with its quotes).
        etag: String,
        /// Seed of the new content.
        seed: u64,
    },
    /// Changes what an answer tells of its version, and what conditions are held against. The content
    /// stays; together with [`Self::OtherContent`] in the same scope it is another version.
    Validators(Validators),
    /// Sends no `Date`.
    NoDate,
    /// The server's clock is so many seconds fast, or slow below zero; seen in `Date`.
    ClockOff(i64),
    /// Requests go in turn to so many servers, which have the same content and each a tag of its own.
    Backends(u64),
    /// Answers with this status and a line of text.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// How many times; `None` is for ever.
        times: Option<u32>,
        /// The value of `Retry-After`, sensible or not.
        retry_after: Option<String>,
    },
    /// Answers with a page in place of what was asked for, as a captive portal does.
    Page(Page),
    /// Redirects; a location that leads back here is a loop.
    Redirect {
        /// The status code, 100 to 999.
        status: u16,
        /// The value of `Location`.
        location: String,
    },
    /// Redirects so often to the same path (as the relative `?hop=1`, `?hop=2` and so on) before it
    /// answers.
    RedirectHops {
        /// The status code, 100 to 999.
        status: u16,
        /// How often.
        hops: u32,
    },
    /// Says a length in `Content-Length` that the body does not have. Behind a body that is too short
    /// for it the connection is closed. HTTP/1 only.
    ContentLength {
        /// What is added to the true length.
        by: i64,
    },
    /// Sends more bytes than `Content-Length` says, and keeps the connection. HTTP/1 only.
    LongBody {
        /// How many more.
        extra: u64,
    },
    /// Sends the body chunked, with this defect in the chunks. HTTP/1 only.
    BadChunk {
        /// The body byte with which the broken chunk begins; the connection is closed behind it.
        at: u64,
        /// What is wrong with it.
        how: BadChunk,
    },
    /// Sends these `Transfer-Encoding` fields. The body is chunked if the last field ends with
    /// `chunked`, and as it is otherwise; nothing is coded, whatever they say. Failures are left alone.
    /// HTTP/1 only.
    TransferEncoding {
        /// The values, a field each.
        fields: Vec<String>,
        /// Whether `Content-Length` is there too. Without it a body that is not chunked ends with its
        /// connection.
        length: bool,
    },
    /// Says `Connection: close` and no length in an answer of HTTP/1.1: the body ends with its
    /// connection. Failures are left alone. HTTP/1 only.
    CloseDelimited {
        /// Whether TLS says that this is the end.
        close_notify: bool,
    },
    /// Sends the body with these fields behind it, asked for or not; over HTTP/1 it is chunked then.
    Trailers(Vec<(String, String)>),
    /// Sets a header of each answer, in place of the resource's own; the value may be no text.
    Header {
        /// Its name.
        name: String,
        /// Its value: anything without control characters.
        value: Vec<u8>,
    },
    /// Sends this line among the headers as it stands, NUL and all. HTTP/1 only.
    RawHeader(Vec<u8>),
    /// Sends a header whose value has so many bytes.
    LargeHeader(usize),
    /// Sends so many headers, at most 20,000.
    ManyHeaders(usize),
    /// Sends these bytes in place of an answer, and closes the connection. HTTP/1 only.
    Raw(Vec<u8>),
    /// Closes the connection after each answer, and says so (`Connection: close`). HTTP/1 only.
    CloseAfterEach,
    /// Answers as HTTP/1.0, and closes the connection after each answer. HTTP/1 only.
    Http10,
    /// Ends a stream in this way once `at` body bytes are on their way. If it is reset, the client may
    /// see fewer of them. HTTP/2 only.
    EndStream {
        /// Body bytes before the end.
        at: u64,
        /// What the end is.
        how: StreamEnd,
    },
    /// Resets the stream with this code (RFC 9113, section 7) before there is an answer: 7 is
    /// REFUSED_STREAM, 13 is HTTP_1_1_REQUIRED. HTTP/2 only.
    RefuseStream(u32),
    /// Answers the first requests of each connection, and the next ones with nothing but a GOAWAY
    /// (NO_ERROR) that names the last of those. HTTP/2 only.
    GoAwayAbove {
        /// How many are answered.
        streams: u32,
    },
    /// Closes the connection in the TLS handshake, once so many bytes of the server's have been sent
    /// (0: after the client's first message). Of the server only; its scope counts connections.
    CutHandshake {
        /// Bytes of the server's, in TLS's own framing.
        at: u64,
    },
    /// Refuses what is above `max`. For the server these are open connections: one that was
    /// accepted while `max` others were open stays refused. For a resource they are responses in
    /// flight, and with a `max` of 0 every request of the scope is refused. On the server `Reset`,
    /// `Close` and `Alert` act at accept, before any request, and the scope counts connections.
    ConnectionLimit {
        /// How many are served at once.
        max: usize,
        /// What happens to the others.
        above: Above,
    },
    /// Waits before the first byte of the response.
    Latency(Duration),
    /// Bytes a second on one connection, kept over all its requests.
    RatePerConnection(u64),
    /// Bytes a second over all connections of the server.
    RatePerServer(u64),
}

/// What becomes of a connection or a request above a [`Fault::ConnectionLimit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Above {
    /// It is answered with 503, and HTTP/1.1 connections are closed after that.
    Unavailable,
    /// The same with this status.
    Status {
        /// The status code, 100 to 999.
        code: u16,
        /// The value of `Retry-After`, sensible or not.
        retry_after: Option<&'static str>,
    },
    /// The connection is reset.
    Reset,
    /// The connection is closed in order (FIN), without a word.
    Close,
    /// The client's first message is answered with a TLS alert (`internal_error`), and the connection
    /// closed. For a resource and without TLS the same as [`Self::Close`].
    Alert,
}

/// What a [`Fault::Validators`] makes of the tag and the date.
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
    /// There is no tag.
    NoTag,
    /// There is no `Last-Modified`.
    NoDate,
    /// There is neither.
    Neither,
    /// The tag is weak.
    WeakTag,
    /// The tag is this one, exactly as sent (with its quotes).
    Tag(String),
    /// `Last-Modified` is this.
    Date(SystemTime),
    /// `Last-Modified` is so many seconds before the `Date` of the same answer; 0 is *now*, each time.
    DateBefore(u64),
    /// Whole answers show the tag, and ranges do not.
    TagOnWholeOnly,
    /// Ranges show tag and date, and whole answers do not.
    OnRangesOnly,
}

/// How a [`Fault::EndStream`] ends a stream. Codes are those of RFC 9113, section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// RST_STREAM with this code: 0 is NO_ERROR, 8 is CANCEL.
    Reset(u32),
    /// END_STREAM, whatever `Content-Length` has said.
    Early,
    /// GOAWAY with this code; its last stream is this one, which goes on to its proper end.
    GoAway(u32),
    /// GOAWAY with this code; its last stream is the one before this, which brings nothing more.
    GoAwayBefore(u32),
    /// GOAWAY with this code, whose last stream is this one; then the connection is closed.
    GoAwayAndClose(u32),
    /// The connection is closed (FIN), without a word of TLS or HTTP/2.
    Close,
}

/// What a [`Fault::ContentRange`] says instead of the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeLie {
    /// The first byte, moved by so many.
    Start(i64),
    /// The last byte, moved by so many.
    End(i64),
    /// The whole length, changed by so many.
    Total(i64),
    /// `*` for the whole length, which is allowed.
    UnknownTotal,
    /// Another unit than `bytes`.
    Unit(String),
    /// This text, in which `{first}`, `{last}` and `{total}` stand for the numbers. See
    /// [`range_forms`](crate::range_forms).
    Form(String),
    /// No `Content-Range` at all.
    Missing,
}

/// What is wrong with the chunk of a [`Fault::BadChunk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadChunk {
    /// Its size is no number.
    Size,
    /// Its size has more than 64 bits.
    Overflow,
    /// There is something else than a line's end behind its bytes.
    End,
    /// All chunks are right, but the one that ends the body is missing, wherever `at` is.
    NoLast,
}

impl Above {
    /// Whether it ends a connection of the server before there is a request.
    pub(crate) fn acts_at_accept(self) -> bool {
        matches!(self, Self::Reset | Self::Close | Self::Alert)
    }
}

impl Fault {
    /// Stops a script that could not be sent before it reaches the server's threads.
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
            Self::ManyHeaders(count) => assert!(*count <= HEADERS_MAX, "{count} headers are too many"),
            Self::Backends(count) => assert!(*count > 0, "there must be a server"),
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
