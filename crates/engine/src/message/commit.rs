//! Requests to the committer, and their results.

use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;

use super::open::Note;
use crate::checksum::Algorithm;
use crate::job::{JobId, PieceDigests};
use crate::journal::Journal;
use crate::promise::Promise;
use crate::ranges::ByteRange;

/// A request to the committer.
#[derive(Debug)]
pub(crate) enum CommitRequest {
    /// Write a complete small file and publish it.
    Store(Box<Store>),
    /// Sync the partial file, publish it and remove its journal.
    Publish { job: JobId, publish: Box<Publish> },
    /// Sync the partial file and save its journal.
    Save { job: JobId, path: PathBuf, journal: Box<Journal> },
    /// Ask the kernel to start writing this range back to the disk.
    WriteBack { job: JobId, range: ByteRange },
    /// Compute the digest of the partial file, or of the final file.
    Digest { job: JobId, path: PathBuf, algorithm: Algorithm, of_final: bool, len_bytes: u64 },
    /// Compare the pieces of the partial file, or of the final file, with these digests, on the pool.
    DigestPieces { job: JobId, path: PathBuf, pieces: Box<PieceDigests>, of_final: bool },
    /// Reserve disk space for this range before it is written.
    Reserve { job: JobId, range: ByteRange },
    /// Set the length of the partial file, now that it is known.
    SetLen { job: JobId, path: PathBuf, len_bytes: u64 },
    /// Release the partial file.
    Release { job: JobId, path: PathBuf, fate: Fate },
}

/// What happens to a partial file on release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Keep it and its journal.
    Kept,
    /// Remove it and its journal, and bring back the old partial file that it was to replace.
    Discarded,
    /// Swap names with the old partial file that it was to replace; if that fails, discard it.
    Exchanged,
    /// Remove it and the old partial file that it was to replace: the file is complete.
    Superseded,
}

/// A published file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) len_bytes: u64,
    pub(crate) modified: SystemTime,
}

/// An Office file that is not as its service lists it.
#[derive(Clone, Debug)]
pub(crate) struct ListedOffice {
    /// The service, for messages.
    pub(crate) by: String,
    pub(crate) total_bytes: Option<u64>,
}

/// What publishing needs to know.
#[derive(Debug)]
pub(crate) struct Publish {
    /// The final name under which the partial file was opened.
    pub(crate) part_of: PathBuf,
    pub(crate) path: PathBuf,
    pub(crate) replace: bool,
    /// What may be replaced: only a file with this length and modification time, in nanoseconds since 1970.
    pub(crate) only_over: Option<(u64, i64)>,
    pub(crate) note: Option<Note>,
    /// The time to give the file; `None` is now.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) len_bytes: u64,
    /// The partial file of another version is kept beside it; publishing removes that.
    pub(crate) replaces_old: bool,
    /// Whether to look for holes first: ranges that were never written.
    pub(crate) looks_for_holes: bool,
    /// Holes were found before, and fetched again.
    pub(crate) was_hollow: bool,
    /// It must be a whole Office file: its service lists it otherwise.
    pub(crate) must_be_office: Option<ListedOffice>,
}

/// A small file, complete in memory.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) job: JobId,
    /// It needs no partial file: there is no existing file to replace, and no other partial file.
    pub(crate) is_alone: bool,
    /// Nothing had its partial name when we looked.
    pub(crate) was_free: bool,
    /// An old version is kept beside it, until this one is published.
    pub(crate) has_old: bool,
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<Bytes>,
    pub(crate) replace: bool,
    /// What may be replaced: only a file with this length and modification time, in nanoseconds since 1970.
    pub(crate) only_over: Option<(u64, i64)>,
    pub(crate) note: Option<Note>,
    /// The time to give the file; `None` is now.
    pub(crate) modified: Option<SystemTime>,
    pub(crate) promise: Option<Promise>,
    /// It must be a whole Office file: its service lists it otherwise.
    pub(crate) must_be_office: Option<ListedOffice>,
}
