//! What goes in and out of the dispatcher's core.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use towline_threads::queue::Queue;
use url::Url;

use crate::checksum::Algorithm;
use crate::error::{Error, Result};
use crate::event::{Event, Progress};
use crate::evidence::{Evidence, Given, Verdict};
use crate::feed::ledger::{is_same_time, unix_ns};
use crate::feed::{EntryId, Fed, Owner, Settled};
use crate::http::cookies::SetCookies;
use crate::http::origin::Origin;
use crate::job::{JobId, JobSpec};
use crate::journal::Journal;
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::promise::Promise;
use crate::ranges::ByteRange;
use crate::storage::Stat;

/// Time since the session began: the core has no clock of its own.
pub(crate) type Time = Duration;

/// Names a connection slot: the right to hold one connection to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlotId(pub(crate) u64);

/// Something that the core is told.
#[derive(Debug)]
pub(crate) enum Message {
    /// A user's command.
    Command(Command),
    /// The feed answered [`Effect::Want`].
    Fed(Result<Fed>),
    /// The feed has something to say that stops nothing.
    Warned(String),
    /// The feed could not note something.
    FeedFailed(Error),
    /// A partial file was looked for.
    Prepared(JobId, Result<Box<Prepared>>),
    /// A partial file was opened; what was set aside for it.
    Opened(JobId, Result<Option<String>>),
    /// A part of the file that has the final name was compared: whether it is the same.
    Compared(JobId, Result<bool>),
    /// The feed says which other entry has this name, if any.
    Owned(JobId, Result<Owner>),
    /// A small file was written and published whole.
    Stored(JobId, Result<Published>),
    /// A journal was saved.
    Saved(JobId, Result<()>),
    /// A partial file was published.
    Published(JobId, Result<Published>),
    /// A partial file was not published: nobody has written to these parts of it.
    Hollow(JobId, Vec<(u64, u64)>),
    /// A digest was computed.
    Digested(JobId, Result<Vec<u8>>),
    /// The server answered a probe.
    Answered(TransferId, Box<Head>, Option<Vec<Bytes>>),
    /// An answer to a range was checked and is right.
    Proven(TransferId, Box<Head>),
    /// The same of an answer to a sample, whose bytes are still to be compared.
    Identified(TransferId, Box<Head>),
    /// A connection was made.
    Connected(SlotId, Protocol),
    /// A transfer ended.
    Ended(Ended),
    /// A worker thread was added.
    WorkerAdded(usize),
    /// Nothing happened, but it is time to look at the clock.
    Tick,
    /// The step: save what has come.
    Step,
    /// End now, orderly.
    Stop,
}

/// A user's command.
#[derive(Debug)]
pub(crate) enum Command {
    Add(JobId, Box<JobSpec>),
    Pause(JobId),
    Resume(JobId),
    Cancel(JobId),
    SetJobs(usize),
    SetMaxPerHost(usize),
    SetMaxConnections(usize),
    SetLimitRate(Option<u64>),
    Snapshot(Queue<Progress>),
    Close,
}

/// Something that the core wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Look for the final and the partial file.
    Prepare { job: JobId, path: PathBuf, look: Look },
    /// Open an empty partial file; reserve room.
    Open(Box<Open>),
    /// Compare a part of the file that has the final name with these bytes.
    Compare { job: JobId, path: PathBuf, offset: u64, content: Vec<Bytes> },
    /// Ask the feed who else was completed under this name.
    AskOwner { job: JobId, entry: EntryId, path: PathBuf },
    /// Send a request.
    Fetch(Box<Fetch>),
    /// Let a probe go on: its body goes to the job's partial file.
    Grant { transfer: TransferId, job: JobId, worker: usize },
    /// Let a probe hand its whole body on, for a file that is there to be compared with.
    Gather { transfer: TransferId, worker: usize },
    /// Break a transfer off.
    Drop { transfer: TransferId, worker: usize },
    /// Close an idle connection.
    CloseSlot { slot: SlotId, worker: usize },
    /// Sync the partial file and save its journal.
    Save { job: JobId, path: PathBuf, journal: Box<Journal> },
    /// Let the system begin to write this part to the disk.
    WriteBack { job: JobId, range: ByteRange },
    /// Write a small file whole and publish it.
    Store(Box<Store>),
    /// Sync the partial file, publish it and remove its journal.
    Publish { job: JobId, publish: Box<Publish> },
    /// Compute the digest of the partial file, or of the final one.
    Digest { job: JobId, path: PathBuf, algorithm: Algorithm, of_final: bool, len_bytes: u64 },
    /// Make room for this part ahead of what is written.
    Reserve { job: JobId, range: ByteRange },
    /// The length became known: the partial file gets it.
    SetLen { job: JobId, path: PathBuf, len_bytes: u64 },
    /// Let go of the partial file.
    Release { job: JobId, path: PathBuf, fate: Fate },
    /// Tell the reporter.
    Report(Event),
    /// Ask the feed for up to so many entries.
    Want(usize),
    /// Tell the feed how an entry ended.
    Settle(Settled),
    /// Change the rate limit.
    LimitRate(Option<u64>),
}

/// How closely the place of a file is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Only at what has the final name: the name is another job's.
    Final,
    /// Also at what is in the way of a partial file.
    Anew,
    /// Also for what an earlier run left, to go on with it.
    Resume,
}

/// How a partial file is to be opened.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) job: JobId,
    pub(crate) path: PathBuf,
    pub(crate) total_bytes: Option<u64>,
    /// Says what the file is before it is there, so that none is left that nobody knows.
    pub(crate) journal: Journal,
    /// What is there is kept as the old one until the new one is complete.
    pub(crate) keeps_old: bool,
}

/// What becomes of a partial file that is let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, with its journal.
    Kept,
    /// It goes, with its journal. What it was to replace comes back.
    Discarded,
    /// It changes its name with what it was to replace; where that cannot be, it goes as if discarded.
    Exchanged,
    /// It goes, and so does what it was to replace: the file is complete.
    Superseded,
}

/// What was found where a file is to go.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// What has the final name, and what the engine noted about it.
    pub(crate) existing: Option<Existing>,
    /// Whether there is a partial file of ours, usable or not.
    pub(crate) has_part: bool,
    /// Whether a partial file of another version is kept beside it.
    pub(crate) has_old: bool,
    /// What that one says of itself.
    pub(crate) old: Option<Box<Evidence>>,
    /// What an earlier run left; the partial file is open and locked then.
    pub(crate) partial: Option<Journal>,
    /// The partial file may be another one than the one that the journal is of: it was moved.
    pub(crate) is_moved: bool,
    /// What the user should know of what was found.
    pub(crate) warnings: Vec<String>,
}

impl Prepared {
    /// Whether the file under the final name is as we left it, later than this journal, and of another
    /// version.
    pub(crate) fn is_replaced(&self, journal: &Journal) -> bool {
        self.existing.as_ref().is_some_and(|existing| {
            let is_other = |note: &Note| {
                let is_later = note.noted_unix_ms >= journal.saved_unix_ms;
                is_later && journal.identity.evidence.compare(&note.evidence).is_different()
            };
            existing.is_as_noted() && existing.note.as_ref().is_some_and(is_other)
        })
    }
}

impl Existing {
    /// Whether size and time are those that were noted when it was fetched.
    pub(crate) fn is_as_noted(&self) -> bool {
        self.note.as_ref().and_then(|note| note.file).is_some_and(|noted| self.has(noted))
    }

    /// Whether it has this length, and this time in nanoseconds since 1970.
    pub(crate) fn has(&self, (len_bytes, modified_ns): (u64, i64)) -> bool {
        len_bytes == self.stat.len_bytes && is_same_time(modified_ns, unix_ns(self.stat.modified))
    }
}

/// A file under the final name.
#[derive(Debug)]
pub(crate) struct Existing {
    pub(crate) stat: Stat,
    pub(crate) note: Option<Note>,
}

/// What the engine notes about a complete file, beside it (an extended attribute).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    /// The URL without credentials and query.
    pub(crate) url: String,
    /// The whole of it, as a hash, unless there is a secret in it. Builds before this one did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Given>,
    /// Whether nothing had to be left out of it.
    #[serde(default)]
    pub(crate) is_whole_url: bool,
    /// The version that was fetched.
    #[serde(rename = "validator")]
    pub(crate) evidence: Evidence,
    /// Its length and when it was changed last, in nanoseconds since 1970: if they are others now,
    /// somebody has changed it. Missing in notes of builds up to 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<(u64, i64)>,
    /// When it was noted.
    #[serde(default)]
    pub(crate) noted_unix_ms: u64,
}

impl Note {
    /// Whether it says which URL it is of. That of a URL with secrets does not, and content has to tell.
    pub(crate) fn names_url(&self) -> bool {
        self.given.is_some() || self.is_whole_url
    }
}

/// A file that got its final name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) len_bytes: u64,
    pub(crate) modified: SystemTime,
}

/// What publishing needs to know.
#[derive(Debug)]
pub(crate) struct Publish {
    /// The final name under which the partial file was opened.
    pub(crate) part_of: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) replace: bool,
    pub(crate) note: Option<Note>,
    pub(crate) len_bytes: u64,
    /// The partial file of another version is kept beside it, and goes with the publication.
    pub(crate) replaces_old: bool,
    /// Whether parts that nobody wrote to are looked for first.
    pub(crate) looks_for_holes: bool,
}

/// A small file that came whole.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) job: JobId,
    /// It can do without a partial name: nothing is there that it would have to replace.
    pub(crate) is_alone: bool,
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<Bytes>,
    pub(crate) replace: bool,
    pub(crate) note: Option<Note>,
    pub(crate) promise: Option<Promise>,
}

/// A request to be sent.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) transfer: TransferId,
    pub(crate) job: JobId,
    pub(crate) worker: usize,
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
    /// Whether the file is still the same, without its content.
    Check { expect: Arc<Evidence> },
}

impl FetchKind {
    /// The range that is asked for; none for a whole file.
    pub(crate) fn asked(&self) -> Option<ByteRange> {
        match self {
            Self::Probe => None,
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

/// The part of an answer's head that decisions rest on.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) protocol: Protocol,
    pub(crate) total_bytes: Option<u64>,
    pub(crate) evidence: Evidence,
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
    /// A range was answered with something else that is no error: the whole file, or 416.
    NotRange(Box<Head>),
    /// A range was answered with 206 and something that cannot be used: another range, none that is
    /// told, or an encoded one.
    WrongRange { head: Box<Head>, error: Error },
    /// A range was answered with this range, and the verdict on its version does not let it be used.
    NotJoined { head: Box<Head>, verdict: Verdict },
    /// The bytes before the range are not those on the disk.
    OtherOverlap(Box<Head>),
    /// The content that was asked for, to be compared.
    Gathered(Vec<Bytes>),
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
