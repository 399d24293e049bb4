//! Whether a file comes in ranges, and over how many connections.

use super::tries::Failures;
use crate::dispatch::adapt::Adapt;

/// What is known of the ranges of one job.
#[derive(Debug)]
pub(crate) struct Ranges {
    pub(crate) segmented: Segmented,
    /// What was told about it last.
    pub(crate) told_segmented: Option<bool>,
    /// Ranges in a row that were answered with something else.
    pub(crate) ignored: u32,
    /// The server said that it serves none, or encodes what it sends.
    pub(crate) are_denied: bool,
    /// What is missing can only come with a stream from the first byte on. What is there stays, if
    /// that stream is of the same version.
    pub(crate) begins_at_zero: bool,
    /// The whole file is asked for because its ranges fail: what came stays, whatever is answered.
    pub(crate) is_last_resort: bool,
    /// Answers to ranges do not tell their length: each is compared with the bytes before it, in one stream.
    pub(crate) needs_overlap: bool,
    /// The source that leads has not been compared with what others brought.
    pub(crate) needs_sample: bool,
    /// How often ranges were tried beside the first stream in vain, and when they may be again.
    pub(crate) trials: Failures,
    /// How many answers in a row brought far less than was asked for.
    pub(crate) crumbs: u32,
    /// How often in a row a piece was sent to a place to which no connection was open yet.
    pub(crate) strays: u32,
    pub(crate) adapt: Adapt,
}

/// Whether a file can be fetched in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segmented {
    Unknown,
    /// One request for a range is on its way to find out.
    Trying,
    Proven,
    Refused,
}

impl Ranges {
    pub(super) fn new(adapt: Adapt) -> Self {
        Self {
            segmented: Segmented::Unknown,
            told_segmented: None,
            ignored: 0,
            are_denied: false,
            begins_at_zero: false,
            is_last_resort: false,
            needs_overlap: false,
            needs_sample: false,
            trials: Failures::default(),
            crumbs: 0,
            strays: 0,
            adapt,
        }
    }

    /// Another version, or another source: what was found out counts no more.
    pub(super) fn forget(&mut self) {
        *self = Self { crumbs: self.crumbs, strays: self.strays, ..Self::new(self.adapt) };
    }
}
