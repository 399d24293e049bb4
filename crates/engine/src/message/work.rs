//! What a worker is asked, what servers answer, and how transfers end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tracing::Span;
use url::Url;

use super::ask::WebAnswer;
use crate::error::Error;
use crate::evidence::{Evidence, Place, Verdict};
use crate::http::cookies::SetCookies;
use crate::http::origin::Origin;
use crate::job::{JobId, Profile};
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::ranges::ByteRange;
use crate::rate_limit::RateLimits;

/// Names a connection slot: the right to hold one connection to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlotId(pub(crate) u64);

/// What a worker is asked.
#[derive(Debug)]
pub(crate) enum WorkRequest {
    /// Send a request.
    Fetch(Box<Fetch>),
    /// Let a probe go on: its body goes to the job's partial file.
    Grant { transfer: TransferId, job: JobId },
    /// Let a probe hand its whole body on, for a file that is there to be compared with.
    Gather(TransferId),
    /// Break a transfer off.
    Drop(TransferId),
    /// Close an idle connection.
    CloseSlot(SlotId),
    /// End.
    Stop,
}

/// A request to be sent.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) transfer: TransferId,
    pub(crate) job: JobId,
    pub(crate) slot: SlotId,
    pub(crate) alpn: Alpn,
    pub(crate) origin: Origin,
    pub(crate) url: Url,
    /// Whether this is the origin that the user's headers are for.
    pub(crate) is_own_origin: bool,
    /// Whether this is the origin that the credentials in the URL are for.
    pub(crate) keeps_credentials: bool,
    /// Whether the user gave this URL, and no server.
    pub(crate) is_given: bool,
    /// What the answer's URL stands for, where a provider gave it: that of an entry is another each time.
    pub(crate) place: Option<Place>,
    /// The job's own headers, or those of its provider, where they are for this origin.
    pub(crate) headers: Option<Arc<HeaderMap>>,
    /// The rate limits of its job and its host, within that of everything.
    pub(crate) limits: RateLimits,
    /// How its connection is made.
    pub(crate) profile: Profile,
    /// Its own span in the log.
    pub(crate) span: Span,
    /// What redirects on the way have set for this place.
    pub(crate) cookie: Option<HeaderValue>,
    pub(crate) kind: FetchKind,
    pub(crate) piece: Arc<Piece>,
}

/// What sort of request, and what its answer must be.
#[derive(Clone, Debug)]
pub(crate) enum FetchKind {
    /// The whole file; the answer decides how it goes on.
    Probe,
    /// A range, which must be answered exactly.
    Piece {
        range: ByteRange,
        /// So many bytes before the range are asked for too and compared with what is on the disk.
        overlap_bytes: u64,
        if_range: Option<HeaderValue>,
        expect: Arc<Evidence>,
        demand: Demand,
    },
    /// A range that is there already, to be compared with what is on the disk; without a partial
    /// file, it is handed on.
    Sample { range: ByteRange, expect: Arc<Evidence> },
    /// A small document of a service, which is handed on whole.
    Document,
    /// Whether the file is still the same, without its content.
    Check { expect: Arc<Evidence> },
}

impl FetchKind {
    /// The range that is asked for; none for a whole file.
    pub(crate) fn asked(&self) -> Option<ByteRange> {
        match self {
            Self::Probe | Self::Document => None,
            Self::Piece { range, overlap_bytes, .. } => Some(ByteRange::new(range.start - overlap_bytes, range.end)),
            Self::Sample { range, .. } => Some(*range),
            // A server that does not know conditions sends one byte.
            Self::Check { .. } => Some(ByteRange::new(0, 1)),
        }
    }
}

/// How much the answer to a range has to say of its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// That it is the same, strongly.
    Same,
    /// That it is the same, however weakly.
    SameWeakly,
    /// Nothing that contradicts: bytes that overlap, samples or a digest decide.
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

/// What a connection speaks.
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

/// What an answer brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The whole file.
    Whole,
    /// A range of it.
    Range,
    /// Word that the file has no such range.
    NoSuchRange,
    /// Word that the file has not changed, or of something else.
    Nothing,
}

/// The part of an answer's head that decisions rest on.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) shape: Shape,
    pub(crate) protocol: Protocol,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) evidence: Evidence,
    /// Its framing tells how long its body is.
    pub(crate) tells_length: bool,
    /// Only the first part of the file comes, although the whole was asked for.
    pub(crate) is_part: bool,
    /// The server says `Accept-Ranges: none`.
    pub(crate) refuses_ranges: bool,
    /// The name in `Content-Disposition`, as sent.
    pub(crate) file_name: Option<String>,
    /// It is an HTML page, by type and by its first bytes as far as they are known.
    pub(crate) is_page: bool,
    /// Its first bytes are those of a page, or text that is said to be one.
    pub(crate) may_be_page: bool,
    /// It is a message in JSON or XML, by type and by its first bytes.
    pub(crate) is_message: bool,
    /// What is odd about it and changes nothing, in words.
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

/// Where a server sends a request on to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redirect {
    /// The status that says so, for error texts.
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
    /// The server sends elsewhere.
    Redirect(Redirect),
    /// A range was answered with something else that is no error: the whole file, or that there is no such
    /// range.
    NotRange(Box<Head>),
    /// A range was answered with a range and something that cannot be used: another range, none that is
    /// told, or an encoded one.
    WrongRange { head: Box<Head>, error: Error },
    /// A range was answered with this range, and the verdict on its version does not let it be used.
    NotJoined { head: Box<Head>, verdict: Verdict },
    /// The bytes before the range are not those on the disk.
    OtherOverlap(Box<Head>),
    /// The content that was asked for, to be compared.
    Gathered(Vec<Bytes>),
    /// The document that was asked for.
    Document(Box<WebAnswer>),
    /// The answer to a check: the version that is current, if it was told.
    Checked(Option<Box<Head>>),
    /// The connection was closed, which may be the end of a body whose length nobody told.
    Unproven(Error),
    /// The sample agrees with the disk, or does not.
    Sampled { same: bool },
    /// It failed.
    Failed { error: Error, retry_after: Option<Duration> },
    /// The server does not serve it over the protocol that was spoken, and says so.
    OtherProtocol(Error),
    /// It was broken off as asked.
    Dropped,
}

impl End {
    /// One word for it, as the log shows it.
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
            Self::OtherProtocol(_) => "other_protocol",
            Self::Dropped => "dropped",
        }
    }
}
