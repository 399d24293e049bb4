//! What a session says while it runs. Events are the only progress interface: the terminal, the
//! JSON stream and the status file are all made of them. They hold no secrets.

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
        /// Which job.
        job: JobId,
        /// Its URL, without secrets.
        url: String,
    },
    /// The server has answered: name, length and how it will be fetched are known.
    Answered {
        /// Which job.
        job: JobId,
        /// The URL after redirects, without secrets.
        url: String,
        /// Where it will be when it is complete.
        path: PathBuf,
        /// Its length, if the server says.
        total_bytes: Option<u64>,
        /// What an earlier run left and is not fetched again.
        resumed_bytes: u64,
        /// `HTTP/1.1` or `HTTP/2`; nothing where an earlier run left the beginning and nobody was asked yet.
        protocol: Option<&'static str>,
    },
    /// Ranges turned out to work, or not to; without them one connection goes on alone.
    Ranges {
        /// Which job.
        job: JobId,
        /// Whether the file is fetched in pieces.
        segmented: bool,
    },
    /// A transient failure; it will be tried again.
    Retrying {
        /// Which job.
        job: JobId,
        /// What happened.
        error: ErrorReport,
        /// The coming try, from 2 on.
        attempt: u32,
        /// How long is waited before it, milliseconds.
        wait_ms: u64,
    },
    /// What had come cannot be used, and the file begins again from its first byte.
    Restarted {
        /// Which job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// Something that the user should know and that stops nothing.
    Warning {
        /// Which job, if it is about one.
        job: Option<JobId>,
        /// What.
        message: String,
    },
    /// Something odd that changes nothing; only who looks closely wants to know.
    Remark {
        /// Which job.
        job: JobId,
        /// What.
        message: String,
    },
    /// One of several sources of a file brings nothing any more; those that are left go on.
    SourceDropped {
        /// Which job.
        job: JobId,
        /// Which source: the URL that was given, without secrets.
        url: String,
        /// Why.
        error: ErrorReport,
        /// How many are left; with none, the file fails.
        sources_left: u32,
    },
    /// What each source of a file with mirrors brought; said right before the file's end, if
    /// something came.
    Sources {
        /// Which job.
        job: JobId,
        /// In the order in which they were given.
        sources: Vec<SourceShare>,
    },
    /// How everything stands; several times a second.
    Progress(Progress),
    /// A file is complete under its final name.
    Finished {
        /// Which job.
        job: JobId,
        /// Its URL, without secrets.
        url: String,
        /// Where it is.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// What came over the network for it in this run.
        fetched_bytes: u64,
        /// From its start to now, seconds.
        seconds: f64,
        /// How it came to be there.
        how: How,
    },
    /// A file failed; others go on.
    Failed {
        /// Which job.
        job: JobId,
        /// Its URL, without secrets; for a bad list line, the line's number.
        url: String,
        /// Why.
        error: ErrorReport,
    },
    /// A job was paused; what has come is on the disk.
    Paused {
        /// Which job.
        job: JobId,
    },
    /// A paused job goes on.
    Resumed {
        /// Which job.
        job: JobId,
    },
    /// A job was cancelled; it can be resumed by a later run.
    Cancelled {
        /// Which job.
        job: JobId,
        /// Its URL, without secrets.
        url: String,
    },
    /// The last event of a session.
    Summary(Summary),
}

/// What one of several sources brought of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceShare {
    /// The URL that was given, without secrets.
    pub url: String,
    /// What came from it in this run; bytes that two of them brought count for the first.
    pub fetched_bytes: u64,
    /// Whether it was dropped on the way.
    pub dropped: bool,
}

/// How a finished file came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Fetched, at least in part, by this run.
    Fetched,
    /// It was there already: the ledger of the batch knows it.
    ThereByLedger,
    /// It was there already: its attributes hold the server's validator.
    ThereByValidator,
    /// It was there already: it is as an earlier run left it, and the server tells no version.
    ThereByNote,
    /// It was there already: its content was compared with the server's.
    ThereByContent,
    /// It was there already: samples of its content were compared with the server's.
    ThereBySamples,
    /// It was there already: it has the digest that was asked for.
    ThereByDigest,
    /// It was there already: size and modification time agree with the server's.
    ThereByTime,
    /// It was there already: only the size could be compared.
    ThereBySize,
    /// Another file has the name and was to be left alone.
    Skipped,
}

impl How {
    /// Whether nothing had to be fetched.
    pub fn was_there(self) -> bool {
        self != Self::Fetched
    }
}

/// How everything stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Progress {
    /// Files complete, those that were there already included.
    pub done_files: u64,
    /// Of those, the ones that were there already.
    pub there_files: u64,
    /// Files that failed.
    pub failed_files: u64,
    /// Files that were cancelled.
    pub cancelled_files: u64,
    /// Files known so far.
    pub total_files: u64,
    /// Whether `total_files` is final; if not, it is "at least".
    pub total_files_exact: bool,
    /// Bytes on the disk of all files that were begun, resumed ones included.
    pub done_bytes: u64,
    /// Bytes of all files whose length is known.
    pub total_bytes: u64,
    /// Whether `total_bytes` is final.
    pub total_bytes_exact: bool,
    /// Bytes fetched by this run; bytes fetched twice count once.
    pub fetched_bytes: u64,
    /// Bytes a second of late (about 3 s).
    pub rate_bps: u64,
    /// Time left, seconds, where it can be said.
    pub eta_seconds: Option<u64>,
    /// Connections open.
    pub connections: u32,
    /// Since the session began, seconds.
    pub elapsed_seconds: f64,
    /// Files being worked on, those that began first first; at most [`Progress::FILES_MAX`].
    pub files: Vec<FileProgress>,
    /// How many more are being worked on.
    pub more_files: u64,
}

impl Progress {
    /// So many files are listed at most.
    pub const FILES_MAX: usize = 8;
}

/// How one file stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileProgress {
    /// Which job.
    pub job: JobId,
    /// Its final path, as far as it is known.
    pub path: PathBuf,
    /// Bytes on the disk.
    pub done_bytes: u64,
    /// Its length, if known.
    pub total_bytes: Option<u64>,
    /// Bytes a second of late.
    pub rate_bps: u64,
    /// Connections (or HTTP/2 streams) that bring it.
    pub connections: u32,
    /// What is being done.
    pub state: FileState,
}

/// What is being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// Asking the server.
    Connecting,
    /// Bytes come.
    Downloading,
    /// Waiting before the next try.
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
    /// Files complete, those that were there already included.
    pub done_files: u64,
    /// Of those, the ones that were there already.
    pub there_files: u64,
    /// Of those, the ones where only the size could be compared.
    pub there_by_size_files: u64,
    /// Files that failed.
    pub failed_files: u64,
    /// Files that were cancelled.
    pub cancelled_files: u64,
    /// Files known.
    pub total_files: u64,
    /// Whether `total_files` is all there is; an interrupted run may not have read the whole list.
    pub total_files_exact: bool,
    /// Bytes of the files that are complete.
    pub done_bytes: u64,
    /// Bytes fetched by this run.
    pub fetched_bytes: u64,
    /// Files that were begun, are not complete, and can be gone on with.
    pub unfinished_files: u64,
    /// Of those, the bytes that are on the disk.
    pub kept_bytes: u64,
    /// Of those, all bytes.
    pub unfinished_bytes: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Whether it was interrupted.
    pub interrupted: bool,
    /// The first failures, at most [`Summary::FAILURES_MAX`].
    pub failures: Vec<Failure>,
    /// The kinds that occurred among all failures, each once.
    pub failure_kinds: Vec<ErrorKind>,
}

impl Summary {
    /// So many failures are kept in full at most.
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

/// An [`Error`] as events show it.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorReport {
    /// What went wrong.
    pub kind: ErrorKind,
    /// The status that the server answered with, if that is it.
    pub status: Option<u16>,
    /// Whose fault it is.
    pub blame: Blame,
    /// What happened.
    pub message: String,
    /// The path that it is about.
    pub path: Option<PathBuf>,
    /// How often it was tried.
    pub attempts: u32,
    /// What to do next; `advice_code` in its JSON.
    #[serde(rename = "advice_code")]
    pub advice: Option<Advice>,
    /// The same in words; `advice` in its JSON. The engine has none: a program adds its own before it
    /// writes an event down.
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

/// Takes the events of a session, in order, on a thread of its own.
///
/// A slow reporter slows the start of new files, never the transfer of running ones.
pub trait Reporter: Send {
    /// Takes one event.
    fn report(&mut self, event: &Event);
}

impl<F: FnMut(&Event) + Send> Reporter for F {
    fn report(&mut self, event: &Event) {
        self(event);
    }
}
