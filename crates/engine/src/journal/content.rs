//! The content of a journal. Plain values.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::checksum::Checksum;
use crate::evidence::{Evidence, Given};
use crate::ranges::RangeSet;
use crate::storage::FileId;

/// The state of one partial file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Journal {
    /// Counts the journals of this partial file.
    pub(crate) generation: u64,
    /// Which file on the server it is.
    pub(crate) identity: Identity,
    /// The bytes that are on disk.
    pub(crate) done: RangeSet,
    /// The result of the digest check.
    pub(crate) verified: Verified,
    /// The digest in whose hope bytes were joined that nothing else shows to be of one version: whoever goes on with
    /// them has to check it.
    pub(crate) joined_by: Option<Checksum>,
    /// The partial file that the journal belongs to, where the file system can identify files.
    pub(crate) file: Option<FileId>,
    /// What its storage needs to resume from this, where it needs something.
    pub(crate) token: Option<String>,
    /// Whether the partial file of another version is kept beside this one until this one is complete.
    pub(crate) replaces_old: bool,
    /// The partial file may still be as short as another program has left it, and is lengthened when it is next opened.
    pub(crate) is_short: bool,
    /// When it was saved, in milliseconds since 1970.
    pub(crate) saved_unix_ms: u64,
}

impl Journal {
    /// A journal that claims nothing, of any file: it only marks the partial file as ours.
    pub(crate) fn of_nothing() -> Self {
        Self {
            generation: 0,
            identity: Identity::default(),
            done: RangeSet::new(),
            verified: Verified::Unchecked,
            joined_by: None,
            file: None,
            token: None,
            replaces_old: false,
            is_short: false,
            saved_unix_ms: 0,
        }
    }

    /// Makes nothing depend on a digest that the server gave: if only that told the version, the data has to have it
    /// in the end, and until then it is data without a version.
    pub(crate) fn believe_no_server(&mut self) {
        let evidence = &mut self.identity.evidence;
        let Some(digest) = evidence.digest.take() else { return };
        if !evidence.can_join() && !self.done.is_empty() {
            self.joined_by.get_or_insert_with(|| digest.checksum().clone());
        }
    }
}

/// Which file on the server the bytes belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The URL it came from, without credentials and query.
    pub(crate) url: String,
    /// A hash of the full URL. Earlier builds did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<Given>,
    /// Its version.
    #[serde(rename = "validator")]
    pub(crate) evidence: Evidence,
    /// Its length, if known.
    pub(crate) total_bytes: Option<u64>,
}

/// The result of the digest check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verified {
    /// Not checked, because there is no digest or the file is incomplete.
    #[default]
    Unchecked,
    /// The bytes have another digest; the next run fetches them again.
    Failed,
}

/// Why a journal is unusable.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum JournalError {
    /// A newer program wrote it in this format version; nothing may be touched.
    #[error("the journal has the newer format version {0}")]
    Newer(u64),
    /// It is corrupt or inconsistent; the download starts over.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
}
