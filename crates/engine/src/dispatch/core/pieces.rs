//! The digests of pieces that a list gives: of a file that is complete, the pieces that are wrong are fetched again.

use super::Core;
use crate::dispatch::job::{Closing, Phase};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::job::JobId;
use crate::message::{CommitRequest, Effect, Time};
use crate::ranges::{ByteRange, RangeSet};
use crate::size::bytes;

/// How often the wrong pieces of a file are fetched again.
const HEALS_MAX: u32 = 3;

impl Core {
    /// Compares the pieces of a complete file with their digests; false if there are none, or they were right.
    pub(super) fn check_pieces(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let Some(pieces) = job.spec.pieces.clone().filter(|_| !job.content.pieces_fit) else { return false };
        job.phase = Phase::Verifying;
        let path = job.naming.path.clone();
        self.ask_disk(id, Effect::Commit(CommitRequest::DigestPieces { job: id, path, pieces }));
        true
    }

    pub(super) fn pieces_digested(&mut self, now: Time, id: JobId, result: Result<Vec<ByteRange>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        if !matches!(job.phase, Phase::Verifying) {
            return self.closed(now, id);
        }
        let wrong = match result {
            Ok(wrong) => wrong,
            Err(error) => return self.fail_or_wait(now, id, error),
        };
        if wrong.is_empty() {
            // If the digest of the whole file is wrong all the same, that is said now.
            job.content.pieces_fit = true;
            return self.complete(now, id);
        }
        job.tries.heals += 1;
        if job.tries.heals > HEALS_MAX {
            let text = format!("{} of its pieces do not have the digests that the list gives", wrong.len());
            let error =
                Error::new(ErrorKind::Digest, text).with_url(job.shown_url()).with_path(job.naming.path.clone());
            return self.close(now, id, Closing::Fail(error));
        }
        self.heal(now, id, &wrong);
    }

    /// Fetches these pieces again.
    fn heal(&mut self, now: Time, id: JobId, wrong: &[ByteRange]) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut missing = RangeSet::new();
        for range in wrong {
            missing.insert(*range);
            job.content.done.remove(*range);
            job.sources.all_mut().for_each(|source| source.ranges.remove(*range));
        }
        job.content.high_water_bytes = job.content.done.covered();
        job.part.saved_bytes = 0;
        job.phase = Phase::Moving;
        let what = if wrong.len() == 1 { "1 piece does" } else { &format!("{} pieces do", wrong.len()) };
        let has = if wrong.len() == 1 { "its digest" } else { "their digests" };
        let text = format!("{what} not have {has}: {} are fetched again", bytes(missing.covered()));
        self.effects.push(Effect::Report(Event::Remark { job: id, message: text }));
        if self.course.stopped.is_some() {
            self.close(now, id, Closing::Interrupt);
        }
    }
}
