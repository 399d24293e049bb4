//! Crumbs: responses that are right but hold next to nothing. A server may answer a range with less than
//! requested (RFC 9110, section 15.3.7); one that always does so would be asked as fast as it responds. So
//! there is a wait between crumbs, and after some of them the whole file is requested. The same is done if
//! ranges drip: the whole file may arrive normally.

use super::Core;
use crate::backoff;
use crate::dispatch::job::{Segmented, Transfer};
use crate::error::{Error, ErrorKind};
use crate::evidence::samples;
use crate::job::JobId;
use crate::message::{FetchKind, Time};

/// Less than this is next to nothing.
const CRUMB_BYTES: u64 = 16 << 10;
/// Up to this many in a row are ignored; at the maximum, the whole file is requested.
const CRUMBS_FREE: u32 = 8;
const CRUMBS_MAX: u32 = 24;

impl Core {
    /// Counts the bytes of a completed piece; true if the file continues in another way.
    pub(super) fn is_crumb(&mut self, now: Time, id: JobId, transfer: &Transfer) -> bool {
        let FetchKind::Piece { range, .. } = &transfer.kind else { return false };
        let brought = transfer.brought();
        let Some(job) = self.jobs.get_mut(&id) else { return true };
        if brought.len() >= CRUMB_BYTES || brought.end >= range.end {
            job.ranges.crumbs = 0;
            return false;
        }
        job.ranges.crumbs += 1;
        if job.ranges.crumbs <= CRUMBS_FREE {
            return false;
        }
        job.wait_until(brought.end, now + backoff::FLOOR);
        let text = format!("the server answers ranges with {} bytes", brought.len());
        let is_over = job.ranges.crumbs >= CRUMBS_MAX && job.transfers.is_empty();
        is_over && self.goes_on_in_one_stream(id, &Error::new(ErrorKind::Broken, text))
    }

    /// Notes how much a complete response held that is shorter than the range, where one stream brings the file: pieces
    /// beside each other, which have less before them, are cut by others. True if it ended before what is missing, and
    /// the range is requested again with fewer bytes before it.
    pub(super) fn is_short(&mut self, id: JobId, transfer: &Transfer) -> bool {
        let FetchKind::Piece { range, overlap_bytes, .. } = &transfer.kind else { return false };
        let brought = transfer.brought();
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        if *overlap_bytes <= samples::OVERLAP_OF_RANGE_BYTES || transfer.piece.end() >= range.end {
            return false;
        }
        let is_empty = brought.is_empty();
        let held = if is_empty { overlap_bytes / 2 } else { overlap_bytes + brought.len() };
        let before = job.ranges.held_by_answer.replace(held);
        is_empty && held > samples::OVERLAP_OF_RANGE_BYTES && before.is_none_or(|before| held < before)
    }

    /// Whether the response to a range held nothing that is missing. That is as good as no range: the server
    /// would respond the same way again.
    pub(super) fn brought_nothing(&mut self, now: Time, id: JobId, transfer: &Transfer) -> bool {
        let FetchKind::Piece { range, .. } = &transfer.kind else { return false };
        if !transfer.brought().is_empty() || range.is_empty() || transfer.in_race {
            return false;
        }
        let error = Error::new(ErrorKind::Broken, "the server answers the range with nothing of what is missing");
        self.no_range(now, id, range.start, error);
        true
    }

    /// Gives up ranges that drip.
    pub(super) fn leave_dripping_ranges(&mut self, now: Time) {
        if !self.has_quiet {
            return;
        }
        for id in self.turns.running.clone() {
            let job = &self.jobs[&id];
            let is_dripping = !self.limits_rate_of(job) && job.pulse.is_dripping(now, self.fetched_bytes(job));
            let are_ranges =
                job.answer.probe.is_none() && job.ranges.segmented == Segmented::Proven && !job.transfers.is_empty();
            let error = Error::new(ErrorKind::Broken, "the server sends next to nothing of each range");
            if is_dripping && are_ranges && self.goes_on_in_one_stream(id, &error) {
                let running = self.jobs[&id].transfers.clone();
                self.drop_transfers(&running);
            }
        }
    }
}
