//! Where a batch keeps its records, and under which names it keeps damaged files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Advice, Error, ErrorKind};

/// Our directory inside a batch's directory.
pub(crate) const DIRECTORY: &str = ".towline";
/// The name of the ledger in it.
pub(crate) const LEDGER: &str = "ledger.sqlite";
/// The name of the lock in it.
pub(crate) const LOCK: &str = "lock";
/// How long one process waits for another's transaction.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many damaged files may be kept beside one file.
const ASIDE_MAX: u32 = 1000;

/// A free name for a file that is unusable.
pub(crate) fn aside_name(path: &Path) -> Result<PathBuf, Error> {
    let mut names = (1..=ASIDE_MAX).map(|number| beside(path, &format!(".damaged-{number}")));
    let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    names.find(is_free).ok_or_else(|| {
        let text = format!("it is damaged, and {ASIDE_MAX} others were set aside before");
        Error::new(ErrorKind::Storage, text).with_path(path).with_advice(Advice::RemoveDamagedFiles)
    })
}

/// `path` with a suffix appended.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
