//! What a journal says. Values only.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::evidence::{Evidence, Given};
use crate::ranges::RangeSet;
use crate::storage::FileId;

/// The state of one partial file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    /// Counts the journals of this partial file.
    pub(crate) generation: u64,
    /// Which file it is.
    pub(crate) identity: Identity,
    /// The bytes that are on the disk.
    pub(crate) done: RangeSet,
    /// What came of comparing them with a digest.
    pub(crate) verified: Verified,
    /// The partial file that it was made for, where the file system tells.
    pub(crate) file: Option<FileId>,
    /// What its storage needs to resume from this, where it needs something.
    pub(crate) token: Option<String>,
    /// The partial file of another version is kept beside this one until this one is complete.
    pub(crate) replaces_old: bool,
    /// When it was made, in milliseconds since 1970.
    pub(crate) saved_unix_ms: u64,
}

impl Journal {
    /// One that claims nothing, of whatever file: it only says that the partial file is ours.
    pub(crate) fn of_nothing() -> Self {
        Self {
            generation: 0,
            identity: Identity::default(),
            done: RangeSet::new(),
            verified: Verified::Unchecked,
            file: None,
            token: None,
            replaces_old: false,
            saved_unix_ms: 0,
        }
    }
}

/// Which file on the server the bytes belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Where it came from, without credentials and query.
    pub(crate) url: String,
    /// The whole of it, as a hash. Builds before this one did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Given>,
    /// Its version.
    #[serde(rename = "validator")]
    pub(crate) evidence: Evidence,
    /// Its length, if known.
    pub(crate) total_bytes: Option<u64>,
}

/// What came of comparing the bytes with a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verified {
    /// Not compared, as there was no digest or the file is not complete.
    #[default]
    Unchecked,
    /// They have another digest; the next run fetches them again.
    Failed,
}

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum JournalError {
    /// A newer program wrote it in this version of the format; nothing may be touched.
    #[error("the journal has the newer format version {0}")]
    Newer(u64),
    /// It is broken, or says what cannot be; the download starts again.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}
