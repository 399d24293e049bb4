//! What is known about an existing file with the final name.

use super::Job;
use crate::message::Existing;
use crate::options::Existing as Policy;
use crate::storage::StatKind;

/// The file that has the final name, if there is one.
#[derive(Debug, Default)]
pub(crate) struct ExistingFile {
    pub(crate) file: Option<Existing>,
    /// The verdict on it.
    pub(crate) verdict: ExistingVerdict,
    /// Nobody has looked: it was missing when its directory was listed, and may be there by now.
    pub(crate) is_presumed_missing: bool,
    /// Whether its digest was checked.
    pub(crate) is_checked: bool,
    /// Its owner is an entry of the same URL, which has no secrets, with another asker.
    pub(crate) is_of_url: bool,
    /// Whether an interrupted run may have completed another entry under its name.
    pub(crate) may_be_of_list: bool,
}

/// What is known about an existing file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExistingVerdict {
    #[default]
    Unknown,
    /// No other entry's.
    Unowned,
    /// This entry's, but changed since: only its whole content can show that it is the same again.
    Changed,
    /// Another entry's, according to the feed: only its whole content can show that it is this file too.
    Owned(String),
    /// Another file, for this reason.
    Other(String),
    /// Another entry's file, and not this one's.
    OthersFile(String),
}

impl Job {
    /// Whether an existing file may be this one, and its digest must be checked.
    pub(crate) fn must_check_existing(&self, believes_server: bool) -> bool {
        let is_file = self.existing.file.as_ref().is_some_and(|existing| existing.stat.kind == StatKind::File);
        let is_listed = believes_server && self.listed_checksum().is_some_and(|(listed, _)| !listed.may_differ);
        let is_asked = self.spec.checksum.is_some() || self.spec.pieces.is_some();
        is_file && (is_asked || is_listed) && !self.existing.is_checked
    }

    /// What to do about an existing file. `overwrite` covers names that were given or come from URLs and
    /// servers, but no number that we chose: that name must be free.
    pub(crate) fn policy(&self, of_session: Policy) -> Policy {
        let said = self.existing_said(of_session);
        if self.is_as_left() {
            return said;
        }
        if self.naming.renamed > 0 && said == Policy::Overwrite { Policy::AutoRename } else { said }
    }

    /// The policy for existing files: this job's, or the session's.
    pub(crate) fn existing_said(&self, of_session: Policy) -> Policy {
        if self.is_as_left() {
            return Policy::Overwrite;
        }
        self.spec.options.existing.unwrap_or(of_session)
    }

    /// Whether there is another version than the one that an earlier run left: its service lists one, or its server had
    /// one already.
    pub(crate) fn has_changed(&self) -> bool {
        self.spec.left.is_some_and(|left| left.is_changed)
    }

    /// The only file that may be replaced, as far as the user lets none be: the one that an earlier run left.
    pub(crate) fn only_over(&self, of_session: Policy) -> Option<(u64, i64)> {
        let left = self.spec.left.filter(|_| self.is_as_left());
        let lets_replace = self.spec.options.existing.unwrap_or(of_session) == Policy::Overwrite;
        left.filter(|_| !lets_replace).map(|left| (left.len_bytes, left.modified_ns))
    }
}
