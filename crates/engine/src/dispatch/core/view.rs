//! The status and the progress, computed from the core's state.

use std::path::Path;

use super::Core;
use crate::dispatch::job::{Job, Phase};
use crate::event::{FileProgress, Progress};
use crate::message::Time;
use crate::ranges::RangeSet;
use crate::status::{JobState, JobStatus};

impl Core {
    /// A job's data on the disk, including that of running transfers.
    pub(super) fn snapshot(&self, job: &Job) -> RangeSet {
        let mut there = job.content.done.clone();
        for transfer in job.transfers.iter().filter_map(|id| self.transfers.get(id)) {
            there.insert(transfer.brought());
        }
        there
    }

    /// The number of these bytes.
    pub(super) fn covered_bytes(&self, job: &Job) -> u64 {
        match job.transfers.len() {
            0 => job.content.done.covered(),
            _ => self.snapshot(job).covered(),
        }
    }

    /// The bytes received over the network for it in this run; bytes fetched twice count once.
    pub(super) fn fetched_bytes(&self, job: &Job) -> u64 {
        job.content.fetched_bytes + self.covered_bytes(job).saturating_sub(job.content.resumed_bytes)
    }
}

pub(super) fn progress(core: &Core, now: Time) -> Progress {
    let tally = &core.tally;
    let mut progress = Progress {
        done_files: tally.done_files,
        there_files: tally.there_files,
        failed_files: tally.failed_files,
        cancelled_files: tally.cancelled_files,
        total_files: tally.total_files,
        total_files_exact: core.feed.read_all,
        done_bytes: tally.done_bytes,
        total_bytes: tally.done_bytes,
        fetched_bytes: tally.fetched_bytes,
        rate_bps: tally.rate.bps(),
        connections: core.slots.open() as u32,
        elapsed_seconds: now.as_secs_f64(),
        ..Progress::default()
    };
    let mut all_known = core.feed.read_all && core.turns.waiting.len() == 0 && core.feed.has_ended;
    for id in core.turns.running.iter().chain(&core.turns.paused) {
        let job = &core.jobs[id];
        let covered = core.covered_bytes(job);
        progress.done_bytes += covered;
        progress.fetched_bytes += core.fetched_bytes(job);
        progress.total_bytes = progress.total_bytes.saturating_add(job.content.total_bytes.unwrap_or(covered));
        all_known &= job.content.total_bytes.is_some();
        let is_shown =
            job.takes_place() || !job.tries.failures.is_empty() || core.turns.running.len() <= Progress::FILES_MAX;
        if !is_shown {
            continue;
        }
        if progress.files.len() < Progress::FILES_MAX {
            progress.files.push(file_progress(core, job, covered, now));
        } else {
            progress.more_files += 1;
        }
    }
    progress.total_bytes_exact = all_known;
    progress.eta_seconds = eta_seconds(core, &progress);
    progress
}

/// The status of a job.
pub(super) fn job_status(core: &Core, job: &Job, now: Time) -> JobStatus {
    let progress = file_progress(core, job, core.covered_bytes(job), now);
    JobStatus {
        id: job.id,
        url: job.shown_url(),
        path: (job.naming.path != Path::new("")).then(|| job.naming.path.clone()),
        state: job_state(job, now),
        done_bytes: progress.done_bytes,
        total_bytes: progress.total_bytes,
        rate_bps: progress.rate_bps,
        connections: progress.connections,
    }
}

/// The state of a job.
pub(super) fn job_state(job: &Job, now: Time) -> JobState {
    match job.phase {
        Phase::Waiting => JobState::Waiting,
        Phase::Paused => JobState::Paused,
        _ => JobState::Active { doing: job.state(now) },
    }
}

fn file_progress(core: &Core, job: &Job, done_bytes: u64, now: Time) -> FileProgress {
    let path = job.naming.path.strip_prefix(job.naming.dir(&core.settings.dir)).unwrap_or(&job.naming.path);
    let rate_bps = match job.phase {
        Phase::Moving => job.rate.bps().unwrap_or(0.0) as u64,
        _ => 0,
    };
    FileProgress {
        job: job.id,
        path: if path == Path::new("") { job.naming.path.clone() } else { path.to_owned() },
        done_bytes,
        total_bytes: job.content.total_bytes,
        rate_bps,
        connections: job.transfers.len() as u32,
        state: job.state(now),
        parts: job.content.total_bytes.map_or_else(Vec::new, |total_bytes| parts(&core.snapshot(job), total_bytes)),
    }
}

/// How much of each part of a file is there, in percent.
fn parts(held: &RangeSet, total_bytes: u64) -> Vec<u8> {
    let count = (FileProgress::PARTS as u64).min(total_bytes);
    let start = |part: u64| (u128::from(total_bytes) * u128::from(part) / u128::from(count)) as u64;
    let mut there = vec![0_u64; count as usize];
    for range in held.iter() {
        let first = u128::from(range.start) * u128::from(count) / u128::from(total_bytes.max(1));
        for part in first as u64..count {
            let (from, to) = (start(part).max(range.start), start(part + 1).min(range.end));
            if start(part) >= range.end {
                break;
            }
            there[part as usize] += to.saturating_sub(from);
        }
    }
    let percent = |(part, bytes): (usize, &u64)| {
        let length = start(part as u64 + 1) - start(part as u64);
        (u128::from(*bytes) * 100 / u128::from(length.max(1))).min(100) as u8
    };
    there.iter().enumerate().map(percent).collect()
}

/// By bytes if all lengths are known, else by files; `None` if neither works.
fn eta_seconds(core: &Core, progress: &Progress) -> Option<u64> {
    if progress.total_bytes_exact {
        let left = progress.total_bytes.saturating_sub(progress.done_bytes);
        return match progress.rate_bps {
            0 => (left == 0).then_some(0),
            rate => Some(left.div_ceil(rate)),
        };
    }
    let ended = core.tally.ended_files() - core.tally.there_files;
    if !progress.total_files_exact || ended < 4 {
        return None;
    }
    let left = progress.total_files.saturating_sub(core.tally.ended_files());
    Some((progress.elapsed_seconds * left as f64 / ended as f64).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ranges::ByteRange;

    #[test]
    fn the_parts_show_where_bytes_are() {
        let held: RangeSet = [ByteRange::new(0, 100), ByteRange::new(3000, 3050)].into_iter().collect();
        let parts = parts(&held, 6000);
        assert_eq!((parts.len(), parts[0], parts[1], parts[30], parts[31]), (60, 100, 0, 50, 0));
        assert_eq!(super::parts(&RangeSet::new(), 0), Vec::<u8>::new());
        assert_eq!(super::parts(&[ByteRange::new(1, 2)].into_iter().collect(), 3), [0, 100, 0]);
    }

    proptest! {
        #[test]
        fn all_parts_are_full_only_if_all_is_there(total in 1..500_u64, gap in 0..500_u64) {
            let mut held: RangeSet = [ByteRange::new(0, total)].into_iter().collect();
            prop_assert!(parts(&held, total).iter().all(|part| *part == 100));
            held.remove(ByteRange::new(gap, gap + 1));
            prop_assert_eq!(parts(&held, total).iter().all(|part| *part == 100), gap >= total);
        }
    }
}
