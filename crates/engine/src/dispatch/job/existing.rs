//! What is known of a file that has the final name already.

use crate::message::Existing;

/// The file that has the final name, if there is one.
#[derive(Debug, Default)]
pub(crate) struct ExistingFile {
    pub(crate) file: Option<Existing>,
    /// What was said of it.
    pub(crate) verdict: ExistingVerdict,
    /// Whether it was compared with the digest that was asked for.
    pub(crate) is_checked: bool,
}

/// What is known of the file that has the name already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ExistingVerdict {
    #[default]
    Unknown,
    /// Nobody else's.
    Unowned,
    /// Its own, and changed since: only its whole content can show that it is the same again.
    Changed,
    /// Another entry's, as the feed says: only its whole content can show that it is this file too.
    Owned(String),
    /// It is another file, because of this.
    Other(String),
    /// It is the file of another entry, and not this one's.
    OthersFile(String),
}
