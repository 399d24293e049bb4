//! What the opener is asked, and what it finds.

use std::path::PathBuf;

use bytes::Bytes;

use crate::evidence::{Evidence, Given};
use crate::feed::values::{is_same_time, unix_ns};
use crate::job::JobId;
use crate::journal::Journal;
use crate::storage::Stat;

/// What the opener is asked.
#[derive(Debug)]
pub(crate) enum OpenRequest {
    /// Look for the final and the partial file.
    Prepare { job: JobId, path: PathBuf, look: Look },
    /// Open an empty partial file; reserve room.
    Open(Box<Open>),
    /// Compare a part of the file that has the final name with these bytes.
    Compare { job: JobId, path: PathBuf, offset: u64, content: Vec<Bytes> },
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
