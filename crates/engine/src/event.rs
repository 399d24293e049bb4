//! What a session reports while it runs. Events are the only progress interface: the terminal, the JSON stream
//! and the status file are all built from them. They contain no secrets.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Advice, Blame, Error, ErrorKind};
use crate::job::JobId;

/// Something happened. Serialised as one JSON object with the field `event`; see `docs/events.md`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Work on a file has begun.
    Started {
        /// The job.
        job: JobId,
        /// Its URL, without secrets.
        url: String,
    },
    /// The server has responded: name, length and how to fetch the file are known.
    Answered {
        /// The job.
        job: JobId,
        /// The URL after redirects, without secrets.
        url: String,
        /// The final path of the file.
        path: PathBuf,
        /// Its length, if the server reports it.
        total_bytes: Option<u64>,
        /// Bytes from an earlier run that are not fetched again.
        resumed_bytes: u64,
        /// `HTTP/1.1` or `HTTP/2`; `None` on a resume before any request.
        protocol: Option<&'static str>,
    },
    /// Range requests turned out to work, or not to; without them, one connection continues alone.
    Ranges {
        /// The job.
        job: JobId,
        /// Whether the file is fetched in pieces.
        segmented: bool,
    },
    /// A transient failure; a retry follows.
    Retrying {
        /// The job.
        job: JobId,
        /// What happened.
        error: ErrorReport,
        /// The number of the next attempt, from 2 on.
        attempt: u32,
        /// The wait before the retry, in milliseconds.
        wait_ms: u64,
    },
    /// The existing data cannot be used, and the file starts over from its first byte.
    Restarted {
        /// The job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// Something that the user should know but that stops nothing.
    Warning {
        /// The job, if it is about one.
        job: Option<JobId>,
        /// The text.
        message: String,
    },
    /// Something odd that changes nothing; of interest only for a close look.
    Remark {
        /// The job.
        job: JobId,
        /// The text.
        message: String,
    },
    /// A source of a file was dropped; the remaining ones continue.
    SourceDropped {
        /// The job.
        job: JobId,
        /// The source: the URL as given, without secrets.
        url: String,
        /// Why.
        error: ErrorReport,
        /// Sources left; with none, the file fails.
        sources_left: u32,
    },
    /// What each source of a file with mirrors contributed; sent right before the file ends, if any bytes
    /// arrived.
    Sources {
        /// The job.
        job: JobId,
        /// In the order in which they were given.
        sources: Vec<SourceShare>,
    },
    /// Overall progress; several times a second.
    Progress(Progress),
    /// A file is complete under its final name.
    Finished {
        /// The job.
        job: JobId,
        /// Its URL, without secrets.
        url: String,
        /// Its final path.
        path: PathBuf,
        /// Its length, in bytes.
        bytes: u64,
        /// Bytes fetched over the network for it in this run.
        fetched_bytes: u64,
        /// Seconds since it started.
        seconds: f64,
        /// How the file got there.
        how: How,
    },
    /// A file failed; the others continue.
    Failed {
        /// The job.
        job: JobId,
        /// Its URL, without secrets; for a bad list line, the line's number.
        url: String,
        /// Why.
        error: ErrorReport,
    },
    /// A job was paused; what has arrived is on disk.
    Paused {
        /// The job.
        job: JobId,
    },
    /// A paused job continues.
    Resumed {
        /// The job.
        job: JobId,
    },
    /// A job was cancelled; a later run can resume it.
    Cancelled {
        /// The job.
        job: JobId,
        /// Its URL, without secrets.
        url: String,
    },
    /// The last event of a session.
    Summary(Summary),
}

/// What one of several sources contributed to a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceShare {
    /// The URL as given, without secrets.
    pub url: String,
    /// Bytes fetched from it in this run; bytes fetched from two sources count for the first.
    pub fetched_bytes: u64,
    /// Whether it was dropped along the way.
    pub dropped: bool,
}

/// How a finished file got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Fetched by this run, at least in part.
    Fetched,
    /// Already there: the ledger of the batch knows it.
    ThereByLedger,
    /// Already there: its note has the server's validator.
    ThereByValidator,
    /// Already there: unchanged since an earlier run, and the server reports no version.
    ThereByNote,
    /// Already there: its content was compared with the server's.
    ThereByContent,
    /// Already there: samples of its content were compared with the server's.
    ThereBySamples,
    /// Already there: it has the expected digest.
    ThereByDigest,
    /// Already there: size and modification time match the server's.
    ThereByTime,
    /// Already there: only the size could be compared.
    ThereBySize,
    /// Another file has the name and was left alone, as requested.
    Skipped,
    /// Not fetched, as requested: it has not changed since the moment that was given.
    NotNewer,
}

impl How {
    /// Whether a file was there already.
    pub fn was_there(self) -> bool {
        !matches!(self, Self::Fetched | Self::NotNewer)
    }

    /// Whether all of its content was compared, here or when it was fetched.
    pub(crate) fn is_proof(self) -> bool {
        !matches!(self, Self::ThereBySamples | Self::ThereByTime | Self::ThereBySize | Self::Skipped | Self::NotNewer)
    }
}

/// Overall progress.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Complete files, including those already there.
    pub done_files: u64,
    /// Of those, the ones already there.
    pub there_files: u64,
    /// Files that failed.
    pub failed_files: u64,
    /// Files that were cancelled.
    pub cancelled_files: u64,
    /// Files known so far.
    pub total_files: u64,
    /// Whether `total_files` is final; if not, it is "at least".
    pub total_files_exact: bool,
    /// Bytes on disk of all started files, including resumed bytes.
    pub done_bytes: u64,
    /// Bytes of all files whose length is known.
    pub total_bytes: u64,
    /// Whether `total_bytes` is final.
    pub total_bytes_exact: bool,
    /// Bytes fetched by this run; bytes fetched twice count once.
    pub fetched_bytes: u64,
    /// Recent bytes per second (over about 3 s).
    pub rate_bps: u64,
    /// Seconds left, where that can be estimated.
    pub eta_seconds: Option<u64>,
    /// Open connections.
    pub connections: u32,
    /// Seconds since the session began.
    pub elapsed_seconds: f64,
    /// Files in progress, in the order in which they started; up to [`Progress::FILES_MAX`].
    pub files: Vec<FileProgress>,
    /// How many more files are in progress.
    pub more_files: u64,
}

impl Progress {
    /// The most files listed.
    pub const FILES_MAX: usize = 8;
}

/// The progress of one file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileProgress {
    /// The job.
    pub job: JobId,
    /// Its final path, if known by now.
    pub path: PathBuf,
    /// Bytes on the disk.
    pub done_bytes: u64,
    /// Its length, if known.
    pub total_bytes: Option<u64>,
    /// Recent bytes per second.
    pub rate_bps: u64,
    /// Connections (or HTTP/2 streams) that fetch it.
    pub connections: u32,
    /// What is being done.
    pub state: FileState,
    /// Which parts of it are on the disk: up to [`FileProgress::PARTS`] parts of equal length, in percent. Empty if its
    /// length is unknown.
    #[serde(skip)]
    pub parts: Vec<u8>,
}

impl FileProgress {
    /// The most parts that a file is divided into.
    pub const PARTS: usize = 60;
}

/// What is being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Waiting for the server's response.
    Connecting,
    /// Bytes are arriving.
    Downloading,
    /// Waiting before the next attempt.
    Waiting,
    /// Its digest is being computed.
    Verifying,
    /// It is being synced and renamed.
    Finishing,
    /// Paused by a command.
    Paused,
}

/// How a session ended.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Complete files, including those already there.
    pub done_files: u64,
    /// Of those, the ones already there.
    pub there_files: u64,
    /// Of those, the ones where only the size could be compared.
    pub there_by_size_files: u64,
    /// Of the complete files, the ones that were not fetched because they are not newer.
    pub not_newer_files: u64,
    /// Files that failed.
    pub failed_files: u64,
    /// Files that were cancelled.
    pub cancelled_files: u64,
    /// Files known.
    pub total_files: u64,
    /// Whether `total_files` is everything; an interrupted run may not have read the whole list.
    pub total_files_exact: bool,
    /// Bytes of the complete files.
    pub done_bytes: u64,
    /// Bytes fetched by this run.
    pub fetched_bytes: u64,
    /// Files that were started, are incomplete, and can be resumed.
    pub unfinished_files: u64,
    /// Bytes of those files that are on disk.
    pub kept_bytes: u64,
    /// Total bytes of those files.
    pub unfinished_bytes: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Whether the session was interrupted.
    pub interrupted: bool,
    /// The first failures, up to [`Summary::FAILURES_MAX`].
    pub failures: Vec<Failure>,
    /// The distinct kinds of all failures.
    pub failure_kinds: Vec<ErrorKind>,
}

impl Summary {
    /// The most failures kept in full.
    pub const FAILURES_MAX: usize = 100;
}

/// One failure in a [`Summary`].
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Its URL, without secrets; for a bad list line, the line's number.
    pub url: String,
    /// Why.
    pub error: ErrorReport,
}

/// An [`Error`] as it appears in events.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorReport {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The HTTP status of the response, if that is the error.
    pub status: Option<u16>,
    /// Whose fault it is.
    pub blame: Blame,
    /// What happened.
    pub message: String,
    /// The path that the error is about.
    pub path: Option<PathBuf>,
    /// The number of attempts.
    pub attempts: u32,
    /// What to do next; `advice_code` in JSON.
    #[serde(rename = "advice_code")]
    pub advice: Option<Advice>,
    /// The advice in words; `advice` in JSON. The engine leaves it empty: a program fills it in before it
    /// writes an event.
    #[serde(rename = "advice")]
    pub advice_words: Option<&'static str>,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            status: error.kind().status(),
            blame: error.blame(),
            message: crate::secret::printable(error.message()).into_owned(),
            path: error.path().map(PathBuf::from),
            attempts: error.attempts(),
            advice: error.advice(),
            advice_words: None,
        }
    }
}

/// Takes the events of a session, in order, on its own thread.
///
/// A slow reporter delays the start of new files, but never running transfers.
pub trait Reporter: Send {
    /// Takes one event.
    fn report(&mut self, event: &Event);
}

impl<F: FnMut(&Event) + Send> Reporter for F {
    fn report(&mut self, event: &Event) {
        self(event);
    }
}
