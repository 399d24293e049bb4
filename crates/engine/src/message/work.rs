//! Requests to workers, what servers respond, and how transfers end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tracing::Span;
use url::Url;

use super::ask::{WebAnswer, WebRequest};
use crate::error::Error;
use crate::evidence::{Evidence, Place, Verdict};
use crate::http::cookies::SetCookies;
use crate::http::origin::Origin;
use crate::job::{JobId, Profile};
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::ranges::ByteRange;
use crate::rate_limit::RateLimits;

/// Identifies a connection slot: the right to hold one connection to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlotId(pub(crate) u64);

/// A request to a worker.
#[derive(Debug)]
pub(crate) enum WorkRequest {
    /// Send a request.
    Fetch(Box<Fetch>),
    /// Continue a probe: its body goes to the job's partial file.
    Grant { transfer: TransferId, job: JobId },
    /// Continue a probe: return its whole body, to be compared with an existing file.
    Gather(TransferId),
    /// Abort a transfer.
    Drop(TransferId),
    /// Close an idle connection.
    CloseSlot(SlotId),
    /// Shut down.
    Stop,
}

/// A request to send.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) transfer: TransferId,
    pub(crate) job: JobId,
    pub(crate) slot: SlotId,
    pub(crate) alpn: Alpn,
    pub(crate) origin: Origin,
    pub(crate) url: Url,
    /// Whether the user's headers are meant for this origin.
    pub(crate) is_own_origin: bool,
    /// Whether the credentials in the URL are meant for this origin.
    pub(crate) keeps_credentials: bool,
    /// The URL that was given, if redirects or its service have led elsewhere.
    pub(crate) given: Option<Box<Url>>,
    /// The place to record for the response, if a provider gave the URL: an entry's URL differs each time.
    pub(crate) place: Option<Place>,
    /// The job's own headers, or its provider's, if they are meant for this origin.
    pub(crate) headers: Option<Arc<HeaderMap>>,
    /// The rate limits of its job and its host, in addition to the session's.
    pub(crate) limits: RateLimits,
    /// How its connection is made.
    pub(crate) profile: Profile,
    /// Its span in the log.
    pub(crate) span: Span,
    /// Cookies for this URL, set by redirects on the way.
    pub(crate) cookie: Option<HeaderValue>,
    /// Send the file only if it has changed since.
    pub(crate) newer_than: Option<SystemTime>,
    pub(crate) kind: FetchKind,
    pub(crate) piece: Arc<Piece>,
}

/// The kind of request, and what its response must be.
#[derive(Clone, Debug)]
pub(crate) enum FetchKind {
    /// The whole file; the response decides how the job continues.
    Probe,
    /// A range; only a response for this range is used.
    Piece {
        range: ByteRange,
        /// This many bytes before the range are requested too and compared with the disk.
        overlap_bytes: u64,
        if_range: Option<HeaderValue>,
        expect: Arc<Evidence>,
        demand: Demand,
    },
    /// A range of existing data: of the partial file, with which it is compared, or of another, for which it is returned.
    Sample { range: ByteRange, expect: Arc<Evidence>, is_of_part: bool },
    /// A small document of a service, returned whole.
    Document(Arc<WebRequest>),
    /// A check whether the file is still the same, without its content.
    Check { expect: Arc<Evidence> },
}

impl FetchKind {
    /// The requested range; `None` for a whole file.
    pub(crate) fn asked(&self) -> Option<ByteRange> {
        match self {
            Self::Probe | Self::Document(_) => None,
            Self::Piece { range, overlap_bytes, .. } => Some(ByteRange::new(range.start - overlap_bytes, range.end)),
            Self::Sample { range, .. } => Some(*range),
            // A server that ignores conditions sends one byte.
            Self::Check { .. } => Some(ByteRange::new(0, 1)),
        }
    }
}

/// How much the response to a range must say about its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// That it is the same, by strong evidence.
    Same,
    /// That it is the same, even by weak evidence.
    SameWeakly,
    /// Nothing that contradicts: overlapping bytes, samples or a digest decide.
    NotDifferent,
}

/// Which protocols a connection offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Alpn {
    /// HTTP/2, or else HTTP/1.1.
    Any,
    /// HTTP/1.1 only.
    Http1,
}

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Http1,
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Http1 => Self::Http2,
            Self::Http2 => Self::Http1,
        }
    }
}

/// What a response holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The whole file.
    Whole,
    /// A range of it.
    Range,
    /// None of the file: it has no such range.
    NoSuchRange,
    /// None of the file: it has not changed, or the response is something else.
    Nothing,
}

/// The part of a response's head that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) shape: Shape,
    pub(crate) protocol: Protocol,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) evidence: Evidence,
    /// Its framing gives the length of its body.
    pub(crate) tells_length: bool,
    /// It holds only the first part of the file, although the whole was requested.
    pub(crate) is_part: bool,
    /// The server says `Accept-Ranges: none`.
    pub(crate) refuses_ranges: bool,
    /// The server says `Accept-Ranges: bytes`.
    pub(crate) offers_ranges: bool,
    /// The name in `Content-Disposition`, as sent.
    pub(crate) file_name: Option<String>,
    /// It is an HTML page, by its type and, if known, its first bytes.
    pub(crate) is_page: bool,
    /// Its first bytes are those of a page, or text whose type says that it is one.
    pub(crate) may_be_page: bool,
    /// The title of the page, if it is one.
    pub(crate) page_title: Option<Box<str>>,
    /// It is a message in JSON or XML, by its type and its first bytes.
    pub(crate) is_message: bool,
    /// Oddities that change nothing, in words.
    pub(crate) remarks: Vec<String>,
}

/// A transfer ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) transfer: TransferId,
    pub(crate) end: End,
    /// Whether the connection can carry another request.
    pub(crate) is_reusable: bool,
}

/// A redirect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirect {
    /// Its status, for error texts.
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// The cookies that it sets.
    pub(crate) cookies: SetCookies,
}

/// How a transfer ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Its piece is complete, or its body ended where no length was known.
    Complete,
    /// The server redirected the request.
    Redirect(Redirect),
    /// The response to a range is no error and no range: it is the whole file, or says that there is no such range.
    NotRange(Box<Head>),
    /// The response to a range is a range that cannot be used: another one, one without a usable
    /// `Content-Range`, or an encoded one.
    WrongRange { head: Box<Head>, error: Error },
    /// The response is the requested range, but the verdict on its version forbids using it.
    NotJoined { head: Box<Head>, verdict: Verdict },
    /// The bytes before the range differ from those on the disk.
    OtherOverlap(Box<Head>),
    /// The requested content, to be compared.
    Gathered(Vec<Bytes>),
    /// The requested document.
    Document(Box<WebAnswer>),
    /// The result of a check: the current version, if the server reported one.
    Checked(Option<Box<Head>>),
    /// The connection closed, which may be the end of a body of unknown length.
    Unproven(Error),
    /// A sample was compared with the disk.
    Sampled { same: bool },
    /// It failed.
    Failed { error: Error, retry_after: Option<Duration> },
    /// The server says that it does not serve this over the protocol used.
    OtherProtocol { error: Error, retry_after: Option<Duration> },
    /// It was aborted on request.
    Dropped,
}

impl End {
    /// Its name in the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Redirect(_) => "redirect",
            Self::NotRange(_) => "not_range",
            Self::WrongRange { .. } => "wrong_range",
            Self::NotJoined { .. } => "not_joined",
            Self::OtherOverlap(_) => "other_overlap",
            Self::Gathered(_) => "gathered",
            Self::Document(_) => "document",
            Self::Checked(_) => "checked",
            Self::Unproven(_) => "unproven",
            Self::Sampled { .. } => "sampled",
            Self::Failed { .. } => "failed",
            Self::OtherProtocol { .. } => "other_protocol",
            Self::Dropped => "dropped",
        }
    }
}
