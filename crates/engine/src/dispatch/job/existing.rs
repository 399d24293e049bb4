//! What is known about an existing file with the final name.

use crate::message::Existing;

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
