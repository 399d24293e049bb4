//! A modification time of its own for each file. Files that arrive within one tick of the clock would have the same time;
//! if their lengths match too, nothing would show that one took the other's name, or that somebody changed one meanwhile.
//!
//! Times go on by a nanosecond. Where the file system rounds them (vfat and exFAT, ext4 with small inodes), files of one
//! length get times two seconds apart, backwards from when the run began: in the past, so that whatever is changed from
//! then on has another time.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::storage::{PartFile, Stat};

/// If the clock went back by more than this, somebody set it.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// No file system rounds to more.
const COARSE_STEP: Duration = Duration::from_secs(2);
/// Times go back no further than a day.
const STEPS_MAX: u32 = 43_200;
/// Up to this many lengths are remembered.
const LENGTHS_MAX: usize = 1 << 16;
/// File systems that round times round them to a multiple of this.
const ROUNDED_NS: u32 = 10_000_000;

/// The times that were given.
pub(crate) struct OwnTimes {
    began: SystemTime,
    last: SystemTime,
    /// The directory of the last file, and whether times are rounded there.
    rounds: Option<(PathBuf, bool)>,
    /// How many files of a length got a time.
    of_length: HashMap<u64, u32>,
}

impl OwnTimes {
    pub(crate) fn new() -> Self {
        Self { began: SystemTime::now(), last: UNIX_EPOCH, rounds: None, of_length: HashMap::new() }
    }

    /// Gives a finished file of this directory its time. Best effort: some file systems store none.
    pub(super) fn give(&mut self, part: &dyn PartFile, directory: &Path, len_bytes: u64) {
        let now = SystemTime::now();
        let known = self.rounds.as_ref().filter(|(known, _)| known == directory).map(|(_, rounds)| *rounds);
        if known != Some(true) {
            let _ = part.set_modified(self.next(now));
        }
        let rounds = known.unwrap_or_else(|| {
            let rounds = part.stat().is_ok_and(|stat| is_rounded(&stat));
            self.rounds = Some((directory.to_owned(), rounds));
            rounds
        });
        if rounds {
            let _ = part.set_modified(self.next_coarse(now, len_bytes));
        }
    }

    fn next(&mut self, now: SystemTime) -> SystemTime {
        self.last = match self.last.duration_since(now) {
            Ok(before) if before < CLOCK_STEP => self.last + Duration::from_nanos(1),
            // The clock was set back.
            _ => now,
        };
        self.last
    }

    fn next_coarse(&mut self, now: SystemTime, len_bytes: u64) -> SystemTime {
        if self.of_length.len() >= LENGTHS_MAX {
            self.of_length.clear();
        }
        let count = self.of_length.entry(len_bytes).or_default();
        *count = *count % STEPS_MAX + 1;
        self.began.min(now) - COARSE_STEP * *count
    }
}

fn is_rounded(stat: &Stat) -> bool {
    let since = stat.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    stat.rounds_times && since.subsec_nanos().is_multiple_of(ROUNDED_NS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_by_the_clock_or_by_a_nanosecond() {
        let mut times = OwnTimes::new();
        let now = SystemTime::now();
        let first = times.next(now);
        assert_eq!(first, now);
        assert_eq!(times.next(now), first + Duration::from_nanos(1));
        let before = now - CLOCK_STEP * 2;
        assert_eq!(times.next(before), before, "the clock was set back");
    }

    #[test]
    fn where_times_are_rounded_files_of_one_length_are_seconds_apart_and_in_the_past() {
        let mut times = OwnTimes::new();
        let now = times.began + Duration::from_millis(700);
        let given: Vec<_> = (0..3).map(|_| times.next_coarse(now, 10)).collect();
        assert!(given.windows(2).all(|pair| pair[0] - COARSE_STEP == pair[1]));
        assert!(given.iter().all(|time| *time + COARSE_STEP <= now));
        assert_eq!(times.next_coarse(now, 11), given[0], "another length tells it apart");
    }
}
