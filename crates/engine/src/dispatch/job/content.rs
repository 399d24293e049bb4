//! The data of a file so far, and what is known about its version.

use crate::checksum::Checksum;
use crate::evidence::Evidence;
use crate::evidence::samples::OVERLAP_OF_RANGE_BYTES;
use crate::journal::Verified;
use crate::message::Time;
use crate::ranges::{ByteRange, RangeSet};

/// The content of one job.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// What is known about the version that was started.
    pub(crate) held: Evidence,
    pub(crate) total_bytes: Option<u64>,
    /// The length of what was started, where a body without a length, or from another source, replaces it.
    pub(crate) told_bytes: Option<u64>,
    /// How far data reached that had no length, or that came from another source: nothing shorter takes its place,
    /// except another version.
    pub(crate) reached_bytes: u64,
    /// The ranges on the disk that belong to no running transfer.
    pub(crate) done: RangeSet,
    /// The most data that it ever had; only bytes above it reset the retries.
    pub(crate) high_water_bytes: u64,
    pub(crate) resumed_bytes: u64,
    /// Bytes received over the network by transfers that have ended.
    pub(crate) fetched_bytes: u64,
    /// How many responses had bytes that are in the file.
    pub(crate) answers: u32,
    /// When the first of them was requested.
    pub(crate) requested: Option<Time>,
    /// The first response was only the first part, so its end is not the end of the file.
    pub(crate) came_in_part: bool,
    /// How often that happened.
    pub(crate) part_answers: u32,
    /// The data of an earlier run did not have the digest that was promised then.
    pub(crate) was_wrong: bool,
    pub(crate) verified: Verified,
    /// Whether all pieces have the digests that a list gives.
    pub(crate) pieces_fit: bool,
    /// The version that its service listed when an earlier run began the data; `None` if this run did.
    pub(crate) begun_as: Option<ListedBefore>,
    /// It does not have the digest that its service lists, and may still be right.
    pub(crate) is_listed_otherwise: bool,
    /// The digest in whose hope an earlier run joined the data.
    pub(crate) joined_by: Option<Checksum>,
    /// Whether the server still had the version when all bytes were here.
    pub(crate) final_check: FinalCheck,
}

/// What the service of a file listed as its version in an earlier run, if anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListedBefore(pub(crate) Option<String>);

/// The result of the closing check: does the server still have the version?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FinalCheck {
    /// Not known yet.
    #[default]
    Open,
    /// The server has it.
    Current,
    /// Nobody says otherwise.
    Unanswered,
    /// The server has another one now.
    Changed,
    /// At least one response named another one, and none proved that the file was replaced.
    Disputed,
}

impl Content {
    /// Whether the length is known and every byte is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.total_bytes.is_some_and(|total| self.done.contains(ByteRange::new(0, total)))
    }

    /// What an earlier run may have left here is what the file has.
    pub(crate) fn take_compared(&mut self, range: ByteRange) {
        let before = self.done.covered();
        self.done.insert(range);
        let more = self.done.covered() - before;
        self.resumed_bytes += more;
        self.high_water_bytes += more;
    }

    /// Gives up the last bytes of what an earlier run has left.
    pub(crate) fn forget_end(&mut self) {
        let end = self.done.end();
        self.done.remove(ByteRange::new(end.saturating_sub(OVERLAP_OF_RANGE_BYTES), end));
        self.resumed_bytes = self.done.covered();
        self.high_water_bytes = self.resumed_bytes;
    }

    /// Forgets the data and its version, but not how much was fetched.
    pub(super) fn forget(&mut self) {
        *self = Self {
            fetched_bytes: self.fetched_bytes,
            reached_bytes: self.reached_bytes,
            came_in_part: self.came_in_part,
            part_answers: self.part_answers,
            ..Self::default()
        };
    }
}
