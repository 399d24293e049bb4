//! Requests to the feed's thread.

use std::path::PathBuf;

use crate::feed::{EntryId, Settled};
use crate::job::JobId;

/// A request to the feed's thread.
#[derive(Debug)]
pub(crate) enum FeedRequest {
    /// Read up to this many entries.
    Want(usize),
    /// Record how entries ended.
    Settle(Vec<Settled>),
    /// Look up which other entry was completed under this name.
    Owner { job: JobId, entry: EntryId, path: PathBuf },
}
