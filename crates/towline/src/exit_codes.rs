//! The exit codes, and which failure gets which. An interrupted run has none of these: it raises the
//! signal again, so that the shell sees 130 or 143.

use towline_engine::{Blame, ErrorKind};

/// All done.
pub(crate) const DONE: u8 = 0;
/// A download failed, a list has a bad line, or a name is taken.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage or configuration; nothing was started.
pub(crate) const USAGE: u8 = 2;
/// A problem on this machine: disk full, permission denied, file locked by another process, newer journal.
pub(crate) const MACHINE: u8 = 3;
/// A digest did not match.
pub(crate) const DIGEST: u8 = 4;

/// The code for a run with failures of these kinds: the highest of 1, 3 and 4.
pub(crate) fn from_summary(kinds: &[ErrorKind]) -> u8 {
    kinds.iter().map(|kind| of_failure(*kind)).max().unwrap_or(DONE)
}

/// The code for an error before the run started.
pub(crate) fn from_error(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Usage => USAGE,
        _ => of_failure(kind),
    }
}

fn of_failure(kind: ErrorKind) -> u8 {
    match (kind, kind.blame()) {
        (ErrorKind::Digest, _) => DIGEST,
        (_, Blame::Machine) => MACHINE,
        _ => FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failure_is_0() {
        assert_eq!(from_summary(&[]), 0);
        assert_eq!(DONE, 0);
    }

    #[test]
    fn a_failed_download_is_1() {
        for kind in [ErrorKind::Status(404), ErrorKind::ListLine, ErrorKind::NameTaken, ErrorKind::Internal] {
            assert_eq!(from_summary(&[kind]), 1, "{kind:?}");
        }
        assert_eq!(FAILED, 1);
    }

    #[test]
    fn wrong_usage_is_2_where_nothing_was_started() {
        assert_eq!(from_error(ErrorKind::Usage), 2);
        assert_eq!(from_error(ErrorKind::Locked), 3);
        assert_eq!(from_summary(&[ErrorKind::Usage]), 1);
        assert_eq!(USAGE, 2);
    }

    #[test]
    fn this_machines_fault_is_3() {
        for kind in [ErrorKind::DiskFull, ErrorKind::Storage, ErrorKind::Locked, ErrorKind::JournalVersion] {
            assert_eq!(from_summary(&[ErrorKind::Status(404), kind]), 3, "{kind:?}");
        }
        assert_eq!(MACHINE, 3);
    }

    #[test]
    fn a_wrong_digest_is_4_and_the_highest_counts() {
        assert_eq!(from_summary(&[ErrorKind::Digest, ErrorKind::DiskFull, ErrorKind::Broken]), 4);
        assert_eq!(DIGEST, 4);
    }
}
