//! What is known of a partial file between two runs: `NAME.part.json`. Values only, no state and
//! no I/O: the dispatcher makes a journal, the committer writes its text after syncing the bytes
//! that it claims, and whoever resumes reads it.

mod crc;
mod format;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::http::validator::Validator;
use crate::ranges::RangeSet;

pub(crate) use self::format::JOURNAL_BYTES_MAX;
#[cfg(feature = "fuzz")]
pub(crate) use self::format::with_body;

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
    /// When it was made, in milliseconds since 1970.
    pub(crate) saved_unix_ms: u64,
}

/// Which file on the server the bytes belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Where it came from, without credentials and query; for people, the validator decides.
    pub(crate) url: String,
    /// Its version.
    pub(crate) validator: Validator,
    /// Its length, if known.
    pub(crate) total_bytes: Option<u64>,
}

impl Identity {
    /// Whether it came from this URL (without credentials and query), as far as a journal keeps it.
    pub(crate) fn is_of(&self, url: &str) -> bool {
        self.url.is_empty() || self.url == format::shortened(url)
    }
}

/// What came of comparing the bytes with a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verified {
    /// Not compared, as there was no digest or the file is not complete.
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
