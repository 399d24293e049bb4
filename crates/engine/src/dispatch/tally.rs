//! Counts what a session has done, for its progress and its summary.

use super::rate::WindowRate;
use crate::error::{Error, ErrorKind};
use crate::event::{ErrorReport, Failure, How, Summary};
use crate::message::Time;

/// Running totals of what has ended.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done_files: u64,
    pub(crate) there_files: u64,
    pub(crate) there_by_size_files: u64,
    pub(crate) not_newer_files: u64,
    pub(crate) failed_files: u64,
    pub(crate) cancelled_files: u64,
    /// Added one by one, or read by the feed.
    pub(crate) total_files: u64,
    /// Bytes of finished files.
    pub(crate) done_bytes: u64,
    /// Bytes fetched for ended files, however they ended.
    pub(crate) fetched_bytes: u64,
    /// Bytes kept of unfinished files, and the lengths of those files.
    pub(crate) kept_bytes: u64,
    pub(crate) unfinished_bytes: u64,
    pub(crate) unfinished_files: u64,
    failures: Vec<Failure>,
    failure_kinds: Vec<ErrorKind>,
    pub(crate) rate: WindowRate,
}

impl Tally {
    pub(crate) fn finished(&mut self, how: How, bytes: u64) {
        self.done_files += 1;
        self.done_bytes += bytes;
        self.there_files += u64::from(how.was_there());
        self.there_by_size_files += u64::from(how == How::ThereBySize);
        self.not_newer_files += u64::from(how == How::NotNewer);
    }

    pub(crate) fn failed(&mut self, url: &str, error: &Error) {
        self.failed_files += 1;
        if !self.failure_kinds.iter().any(|kind| kind.name() == error.kind().name()) {
            self.failure_kinds.push(error.kind());
        }
        if self.failures.len() < Summary::FAILURES_MAX {
            self.failures.push(Failure { url: url.to_owned(), error: ErrorReport::from(error) });
        }
    }

    /// Files that have ended.
    pub(crate) fn ended_files(&self) -> u64 {
        self.done_files + self.failed_files + self.cancelled_files
    }

    pub(crate) fn summary(&self, now: Time, total_files_exact: bool, interrupted: bool) -> Summary {
        Summary {
            done_files: self.done_files,
            there_files: self.there_files,
            there_by_size_files: self.there_by_size_files,
            not_newer_files: self.not_newer_files,
            failed_files: self.failed_files,
            cancelled_files: self.cancelled_files,
            total_files: self.total_files,
            total_files_exact,
            done_bytes: self.done_bytes,
            fetched_bytes: self.fetched_bytes,
            kept_bytes: self.kept_bytes,
            unfinished_files: self.unfinished_files,
            unfinished_bytes: self.unfinished_bytes,
            seconds: now.as_secs_f64(),
            interrupted,
            failures: self.failures.clone(),
            failure_kinds: self.failure_kinds.clone(),
        }
    }
}
