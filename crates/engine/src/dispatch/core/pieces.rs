//! The digests of pieces that a list gives: of a file that is complete, the pieces that are wrong are fetched again.

use super::Core;
use crate::dispatch::job::{Closing, Phase};
use crate::dispatch::job_sources::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::job::JobId;
use crate::message::{CommitRequest, Effect, Time};
use crate::ranges::{ByteRange, RangeSet};
use crate::size::bytes;

/// How often the wrong pieces of a file are fetched again.
const HEALS_MAX: u32 = 3;

impl Core {
    /// Compares the pieces of a complete file with their digests; false if there are none, or they were
    /// right.
    pub(super) fn check_pieces(&mut self, now: Time, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let Some(pieces) = job.spec.pieces.as_ref().filter(|_| !job.content.pieces_fit) else { return false };
        let path = job.naming.path.clone();
        let Some(pieces) = pieces.of_length(job.content.total_bytes.unwrap_or(0)).map(Box::new) else {
            let text = "the file has another length than the digests of its pieces are for";
            let error = Error::new(ErrorKind::Digest, text).with_url(job.shown_url()).with_path(path);
            self.fail_or_begin_with_another(now, id, error);
            return true;
        };
        job.phase = Phase::Verifying;
        self.ask_disk(id, Effect::Commit(CommitRequest::DigestPieces { job: id, path, pieces, of_final: false }));
        true
    }

    pub(super) fn pieces_digested(&mut self, now: Time, id: JobId, result: Result<Vec<ByteRange>>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.part.pending = job.part.pending.saturating_sub(1);
        let is_of_existing = matches!(job.phase, Phase::CheckingExisting(_));
        if !is_of_existing && !matches!(job.phase, Phase::Verifying) {
            return self.closed(now, id);
        }
        let wrong = match result {
            Ok(wrong) => wrong,
            Err(error) => return self.fail_or_wait(now, id, error),
        };
        if is_of_existing {
            return self.existing_checked(now, id, wrong.is_empty());
        }
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
        // What came wrong on the way comes right the next time; what comes wrong again is of its source.
        let sent_wrong = |source: &Source| wrong.iter().any(|range| source.ranges.overlaps(*range));
        let is_again = job.sources.is_many() && job.tries.heals > 1;
        let culprits = job.sources.live().filter(|(_, source)| is_again && sent_wrong(source));
        let culprits: Vec<usize> = culprits.map(|(source, _)| source).collect();
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
        self.remark(id, text);
        if self.course.stopped.is_some() {
            return self.close(now, id, Closing::Interrupt);
        }
        let text = "what it sends does not have the digests of the pieces that the list gives";
        let error = Error::new(ErrorKind::Digest, text);
        let is_nothing_right = self.jobs.get(&id).is_some_and(|job| job.content.done.is_empty());
        if is_nothing_right && !culprits.is_empty() && self.begins_with_another(now, id, &error) {
            return;
        }
        for source in culprits {
            self.drop_source(now, id, source, error.clone());
        }
    }
}
