//! The partial file of a job on the disk, and the older one that is kept beside it.

use crate::evidence::Evidence;
use crate::journal::Journal;

/// What is known of the partial file.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Whether something is at its partial name.
    pub(crate) is_there: bool,
    /// Whether it is open and locked.
    pub(crate) is_open: bool,
    pub(crate) generation: u64,
    pub(crate) is_saving: bool,
    /// Disk operations that have not answered yet.
    pub(crate) pending: u32,
    pub(crate) saved_bytes: u64,
    /// What an earlier run left and nobody has gone on with yet.
    pub(crate) journal: Option<Box<Journal>>,
    /// A save or a publication failed. After a sync that failed, the system may have dropped what
    /// was to be written, and says that the next sync is fine: nothing more is claimed.
    pub(crate) is_disk_doubtful: bool,
    /// What nobody wrote to was found and fetched again.
    pub(crate) was_hollow: bool,
}

/// The partial file of another version, kept until this one is complete.
#[derive(Debug, Default)]
pub(crate) struct Old {
    /// One is kept beside the one that is open.
    pub(crate) is_there: bool,
    /// What it says of itself.
    pub(crate) evidence: Option<Box<Evidence>>,
    /// What is open is to be kept while another version comes.
    pub(crate) is_to_be_kept: bool,
    /// What is held was given up for another version, and the answer that is to replace it has to show
    /// that it is one.
    pub(crate) is_replacing: bool,
}
