//! Names of files: where they come from, and how they are made safe.

pub(crate) mod safe;

use std::path::{Path, PathBuf};

/// What a file is called until it is complete.
pub(crate) const PART_SUFFIX: &str = ".part";
/// What its journal is called.
pub(crate) const JOURNAL_SUFFIX: &str = ".part.json";
/// What its journal is called while it is written.
pub(crate) const JOURNAL_TEMPORARY_SUFFIX: &str = ".part.json.tmp";
/// Where a batch keeps its ledger.
pub(crate) const BATCH_DIRECTORY: &str = ".towline";

/// `a.iso` → `a.iso.part`.
pub(crate) fn part_path(path: &Path) -> PathBuf {
    with_suffix(path, PART_SUFFIX)
}

/// `a.iso` → `a.iso.part.json`.
pub(crate) fn journal_path(path: &Path) -> PathBuf {
    with_suffix(path, JOURNAL_SUFFIX)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
