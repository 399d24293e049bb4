//! What the feed's thread is asked.

use std::path::PathBuf;

use crate::feed::{EntryId, Settled};
use crate::job::JobId;

/// What the feed's thread is asked.
#[derive(Debug)]
pub(crate) enum FeedRequest {
    /// Up to so many entries.
    Want(usize),
    /// Note how entries ended.
    Settle(Vec<Settled>),
    /// Say who else was completed under this name.
    Owner { job: JobId, entry: EntryId, path: PathBuf },
}
