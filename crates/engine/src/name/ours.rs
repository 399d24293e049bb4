//! The names of our own files beside the user's.

use std::path::{Path, PathBuf};

/// The suffix of a file until it is complete. Other programs use `.part`.
pub(crate) const PART_SUFFIX: &str = ".towline";
/// The suffix of its journal.
pub(crate) const JOURNAL_SUFFIX: &str = ".towline.json";
/// The suffixes of an older version's partial file and journal while the new version is being fetched.
const OLD_PART_SUFFIX: &str = ".towline.old";
const OLD_JOURNAL_SUFFIX: &str = ".towline.old.json";
/// Suffixes that no finished file may have; a journal has a temporary name while it is written.
pub(crate) const OUR_SUFFIXES: [&str; 6] =
    [PART_SUFFIX, JOURNAL_SUFFIX, ".towline.json.tmp", OLD_PART_SUFFIX, OLD_JOURNAL_SUFFIX, ".towline.lock"];
/// The suffixes in builds up to 0.1.0.
const EARLIER_PART_SUFFIX: &str = ".part";
const EARLIER_JOURNAL_SUFFIX: &str = ".part.json";
/// Suffixes of what an earlier run may have left under other names.
pub(crate) const LEFTOVER_SUFFIXES: [&str; 3] = [OLD_PART_SUFFIX, OLD_JOURNAL_SUFFIX, EARLIER_JOURNAL_SUFFIX];
/// Where a batch keeps its ledger.
pub(crate) const BATCH_DIRECTORY: &str = ".towline";

/// `a.iso` → `a.iso.towline`.
pub(crate) fn part_path(path: &Path) -> PathBuf {
    with_suffix(path, PART_SUFFIX)
}

/// `a.iso` → `a.iso.towline.json`.
pub(crate) fn journal_path(path: &Path) -> PathBuf {
    with_suffix(path, JOURNAL_SUFFIX)
}

/// `a.iso` → `a.iso.towline.old`.
pub(crate) fn old_part_path(path: &Path) -> PathBuf {
    with_suffix(path, OLD_PART_SUFFIX)
}

/// `a.iso` → `a.iso.towline.old.json`.
pub(crate) fn old_journal_path(path: &Path) -> PathBuf {
    with_suffix(path, OLD_JOURNAL_SUFFIX)
}

/// `a.iso` → `a.iso.part`, of an earlier build.
pub(crate) fn earlier_part_path(path: &Path) -> PathBuf {
    with_suffix(path, EARLIER_PART_SUFFIX)
}

/// `a.iso` → `a.iso.part.json`, of an earlier build.
pub(crate) fn earlier_journal_path(path: &Path) -> PathBuf {
    with_suffix(path, EARLIER_JOURNAL_SUFFIX)
}

/// `a.iso.towline` → `a.iso.towline.1`: the name for a file that is in the way and not ours.
pub(crate) fn aside_path(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &format!(".{number}"))
}

/// `a.iso.towline.json` → `a.iso.towline.json.damaged-1`.
pub(crate) fn damaged_path(journal: &Path, number: u32) -> PathBuf {
    with_suffix(journal, &format!(".damaged-{number}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
