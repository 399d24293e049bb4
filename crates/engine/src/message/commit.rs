//! What the committer is asked, and what comes of it.

use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;

use super::open::Note;
use crate::checksum::Algorithm;
use crate::job::JobId;
use crate::journal::Journal;
use crate::promise::Promise;
use crate::ranges::ByteRange;

/// What the committer is asked.
#[derive(Debug)]
pub(crate) enum CommitRequest {
    /// Write a small file whole and publish it.
    Store(Box<Store>),
    /// Sync the partial file, publish it and remove its journal.
    Publish { job: JobId, publish: Box<Publish> },
    /// Sync the partial file and save its journal.
    Save { job: JobId, path: PathBuf, journal: Box<Journal> },
    /// Let the system begin to write this part to the disk.
    WriteBack { job: JobId, range: ByteRange },
    /// Compute the digest of the partial file, or of the final one.
    Digest { job: JobId, path: PathBuf, algorithm: Algorithm, of_final: bool, len_bytes: u64 },
    /// Make room for this part ahead of what is written.
    Reserve { job: JobId, range: ByteRange },
    /// Give the partial file the length that has become known.
    SetLen { job: JobId, path: PathBuf, len_bytes: u64 },
    /// Let go of the partial file.
    Release { job: JobId, path: PathBuf, fate: Fate },
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
