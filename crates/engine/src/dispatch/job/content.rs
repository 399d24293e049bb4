//! What has come of a file, and what is known of its version.

use crate::evidence::Evidence;
use crate::journal::Verified;
use crate::ranges::{ByteRange, RangeSet};

/// The content of one job.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// What is known of the version that was begun.
    pub(crate) held: Evidence,
    pub(crate) total_bytes: Option<u64>,
    /// How long it is by what was begun, where a body that does not say its length, or that of another
    /// source, takes the place of that.
    pub(crate) told_bytes: Option<u64>,
    /// What is on the disk and belongs to no running transfer.
    pub(crate) done: RangeSet,
    /// The most that was ever there; only bytes above it renew the retries.
    pub(crate) high_water_bytes: u64,
    pub(crate) resumed_bytes: u64,
    /// Bytes that came over the network, of transfers that have ended.
    pub(crate) fetched_bytes: u64,
    /// How many answers brought bytes that are in the file.
    pub(crate) answers: u32,
    /// The first answer brought the first part only, so that its end is not that of the file.
    pub(crate) came_in_part: bool,
    /// How often that was so.
    pub(crate) part_answers: u32,
    /// What an earlier run left did not have the digest that was promised then.
    pub(crate) was_wrong: bool,
    pub(crate) verified: Verified,
    /// Whether the server still had the version when all had come.
    pub(crate) final_check: FinalCheck,
}

/// Whether the server still has the version, asked when all bytes have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FinalCheck {
    /// Not known yet.
    #[default]
    Open,
    /// It has it, or nobody says otherwise.
    Current,
    /// It has another one now.
    Changed,
}

impl Content {
    /// Whether every byte of a known length is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.total_bytes.is_some_and(|total| self.done.contains(ByteRange::new(0, total)))
    }

    /// Forgets what has come and of which version it was, but not what came over the network for it.
    pub(super) fn forget(&mut self) {
        *self = Self {
            fetched_bytes: self.fetched_bytes,
            came_in_part: self.came_in_part,
            part_answers: self.part_answers,
            was_wrong: self.was_wrong,
            ..Self::default()
        };
    }
}
