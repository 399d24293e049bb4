//! Requests to the opener, and what it finds.

use std::ffi::OsString;
use std::path::PathBuf;

use bytes::Bytes;

use crate::evidence::{Evidence, Given};
use crate::feed::values::is_same_time;
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::Published;
use crate::ranges::{ByteRange, RangeSet};
use crate::storage::Stat;

/// A request to the opener.
#[derive(Debug)]
pub(crate) enum OpenRequest {
    /// Check whether the final file and the partial file exist. If neither does and there is `begun`, also whether an
    /// earlier run has begun that URL in the same directory, under a name that its response gave.
    Prepare { job: JobId, path: PathBuf, look: Look, begun: Option<Given> },
    /// Open an empty partial file and reserve space.
    Open(Box<Open>),
    /// Make the file of another program a partial file.
    Adopt(Box<Adopt>),
    /// Find out which parts of the existing file were ever written; with `reads`, by its content too.
    Survey { job: JobId, path: PathBuf, len_bytes: u64, reads: bool },
    /// Compare a range of the existing file with these bytes.
    Compare { job: JobId, path: PathBuf, offset: u64, content: Vec<Bytes> },
}

/// How much to look for under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Only the final name: another job has reserved it.
    Final,
    /// Also anything in the way of a new partial file.
    Anew,
    /// Also the data of an earlier run, to resume it.
    Resume,
    /// The same, unless a listing of the directory shows that there is nothing.
    ResumeIfListed,
}

/// How to open a partial file.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) job: JobId,
    pub(crate) path: PathBuf,
    pub(crate) total_bytes: Option<u64>,
    /// Describes the file before it exists, so that no partial file is left without a description.
    pub(crate) journal: Journal,
    /// Keep the existing partial file as the old one until the new one is complete.
    pub(crate) keeps_old: bool,
    /// Nothing had the partial name when we looked.
    pub(crate) was_free: bool,
}

/// How to take over a file of another program.
#[derive(Debug)]
pub(crate) struct Adopt {
    pub(crate) job: JobId,
    pub(crate) path: PathBuf,
    /// As it was when it was compared.
    pub(crate) stat: Stat,
    /// Claims all of it.
    pub(crate) journal: Journal,
}

/// What of a file was written.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What was not, as far as the file system can tell.
    pub(crate) holes: Vec<ByteRange>,
    /// What was; without what reads as if it had never been, if its content was read.
    pub(crate) written: RangeSet,
}

/// What was taken over.
#[derive(Debug)]
pub(crate) struct Adopted {
    /// Claims what is there: without what reads as if it had never been written.
    pub(crate) journal: Journal,
    /// What was set aside for it.
    pub(crate) set_aside: Option<String>,
}

/// What exists under a file's name.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// What has the final name, and the engine's note on it.
    pub(crate) existing: Option<Existing>,
    /// Whether there is a partial file of ours, usable or not.
    pub(crate) has_part: bool,
    /// Whether a partial file of another version is kept beside it.
    pub(crate) has_old: bool,
    /// The evidence of that old one.
    pub(crate) old: Option<Box<Evidence>>,
    /// The journal of an earlier run; the partial file is then open and locked.
    pub(crate) partial: Option<Journal>,
    /// The partial file was moved (another inode): it may not be the one that the journal describes.
    pub(crate) is_moved: bool,
    /// Nothing was looked for: neither the file nor anything else of it was there when its directory was listed.
    pub(crate) is_presumed: bool,
    /// The name under which an earlier run has begun the URL; nothing else was looked for.
    pub(crate) begun_as: Option<OsString>,
    /// Warnings for the user about what was found.
    pub(crate) warnings: Vec<String>,
}

impl Prepared {
    /// Whether the existing file is still as we left it, newer than this journal, and of another version.
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
    /// As of a file that is complete.
    pub(crate) fn published(&self) -> Published {
        Published { len_bytes: self.stat.len_bytes, modified: self.stat.modified }
    }

    /// Whether its size and time are still those of the note.
    pub(crate) fn is_as_noted(&self) -> bool {
        self.note.as_ref().and_then(|note| note.file).is_some_and(|noted| self.has(noted))
    }

    /// Whether it has this length and this modification time, in nanoseconds since 1970.
    pub(crate) fn has(&self, (len_bytes, modified_ns): (u64, i64)) -> bool {
        len_bytes == self.stat.len_bytes && is_same_time(modified_ns, &self.stat)
    }
}

/// A file under the final name.
#[derive(Debug)]
pub(crate) struct Existing {
    pub(crate) stat: Stat,
    pub(crate) note: Option<Note>,
}

/// The engine's note on a complete file, stored in an extended attribute.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    /// The URL without credentials and query.
    pub(crate) url: String,
    /// A hash of the full URL, unless that contains a secret. Older builds did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Given>,
    /// Whether `url` is the full URL.
    #[serde(default)]
    pub(crate) is_whole_url: bool,
    /// The version that was fetched.
    #[serde(rename = "validator")]
    pub(crate) evidence: Evidence,
    /// The file's length and modification time in nanoseconds since 1970: if they differ now, somebody has
    /// changed it. Missing in notes of builds up to 0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<(u64, i64)>,
    /// The digest that the user gave, which the file had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) checked: Option<String>,
    /// When the note was written.
    #[serde(default)]
    pub(crate) noted_unix_ms: u64,
}

impl Note {
    /// Whether it identifies its URL. The note of a URL with secrets does not; then content decides.
    pub(crate) fn names_url(&self) -> bool {
        self.given.is_some() || self.is_whole_url
    }
}
