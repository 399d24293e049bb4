//! Whether a file comes in ranges, and over how many connections.

use super::failures::Failure;
use crate::dispatch::adapt::Adapt;

/// What is known about the ranges of one job.
#[derive(Debug)]
pub(crate) struct Ranges {
    pub(crate) segmented: Segmented,
    /// What was last reported about it.
    pub(crate) told_segmented: Option<bool>,
    /// Requests for a range in a row that got something else.
    pub(crate) ignored: u32,
    /// The server said that it serves none, or encodes what it sends.
    pub(crate) are_denied: bool,
    /// The server said that it serves them.
    pub(crate) are_offered: bool,
    /// The missing data can only come in a stream from the first byte. The existing data stays if that stream
    /// is of the same version.
    pub(crate) begins_at_zero: bool,
    /// The whole file is requested because its ranges fail: the existing data stays, whatever the response.
    pub(crate) is_last_resort: bool,
    /// Responses to ranges do not give their length: each is compared with the bytes before it, in one stream.
    pub(crate) needs_overlap: bool,
    /// The lead has not been compared with the data of other sources.
    pub(crate) needs_sample: bool,
    /// Failed trials of ranges beside the first stream, and when to try again.
    pub(crate) trials: Failure,
    /// A range was refused since there was progress.
    pub(crate) was_refused: bool,
    /// Responses in a row with far less than requested.
    pub(crate) crumbs: u32,
    /// How much one response to a range holds, where that is less than was requested.
    pub(crate) held_by_answer: Option<u64>,
    /// Redirects in a row that could not be followed at once.
    pub(crate) redirect_waits: u32,
    pub(crate) adapt: Adapt,
}

/// Whether a file can be fetched in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segmented {
    Unknown,
    /// A request for a range is in flight to find out.
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
            are_offered: false,
            begins_at_zero: false,
            is_last_resort: false,
            needs_overlap: false,
            needs_sample: false,
            trials: Failure::default(),
            was_refused: false,
            crumbs: 0,
            held_by_answer: None,
            redirect_waits: 0,
            adapt,
        }
    }

    /// A trial has proven nothing.
    pub(crate) fn trial_ended(&mut self) {
        if self.segmented == Segmented::Trying {
            self.segmented = Segmented::Unknown;
        }
    }

    /// For another version or another source, what was found out does not count.
    pub(super) fn forget(&mut self) {
        *self = Self { crumbs: self.crumbs, redirect_waits: self.redirect_waits, ..Self::new(self.adapt) };
    }
}
