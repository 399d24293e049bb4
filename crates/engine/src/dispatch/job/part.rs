//! The partial file of a job, and the old one that is kept beside it.

use crate::evidence::Evidence;
use crate::journal::Journal;
use crate::message::Open;

/// What is known about the partial file.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Whether something has its partial name.
    pub(crate) is_there: bool,
    /// Whether it is open and locked.
    pub(crate) is_open: bool,
    pub(crate) generation: u64,
    pub(crate) is_saving: bool,
    /// A file that begins once the save has ended.
    pub(crate) to_open: Option<Box<Open>>,
    /// Disk operations in flight.
    pub(crate) pending: u32,
    pub(crate) saved_bytes: u64,
    /// The journal of an earlier run that has not been resumed yet.
    pub(crate) journal: Option<Box<Journal>>,
    /// An earlier run began it for another URL.
    pub(crate) is_of_others: bool,
    /// A save or a publication failed. After a failed sync, the kernel may have dropped the dirty pages and may
    /// report success for the next sync: no more progress is claimed.
    pub(crate) is_disk_doubtful: bool,
    /// Holes were found and fetched again.
    pub(crate) was_hollow: bool,
}

/// The partial file of another version, kept until this one is complete.
#[derive(Debug, Default)]
pub(crate) struct Old {
    /// One is kept beside the open partial file.
    pub(crate) is_there: bool,
    /// Its evidence.
    pub(crate) evidence: Option<Box<Evidence>>,
    /// The open partial file is to be kept while another version is fetched.
    pub(crate) is_to_be_kept: bool,
    /// The version that responses named before the data was given up.
    pub(crate) witnessed: Option<Box<Evidence>>,
    /// The data was given up for another version, and the response that is to replace it must show that it is one.
    pub(crate) is_replacing: bool,
}
