//! Where a batch keeps what it remembers, and under which names what is damaged is kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Advice, Error, ErrorKind};

/// The directory of ours in a batch's directory.
pub(crate) const DIRECTORY: &str = ".towline";
/// The ledger's name in it.
pub(crate) const LEDGER: &str = "ledger.sqlite";
/// The lock's name in it.
pub(crate) const LOCK: &str = "lock";
/// How long one process waits for another one's transaction.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// So many damaged files are kept beside one at most.
const ASIDE_MAX: u32 = 1000;

/// The name under which something that cannot be used is kept.
pub(crate) fn aside_name(path: &Path) -> Result<PathBuf, Error> {
    let mut names = (1..=ASIDE_MAX).map(|number| beside(path, &format!(".damaged-{number}")));
    let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    names.find(is_free).ok_or_else(|| {
        let text = format!("it is damaged, and {ASIDE_MAX} others were set aside before");
        Error::new(ErrorKind::Storage, text).with_path(path).with_advice(Advice::RemoveDamagedFiles)
    })
}

/// `path` with something after it.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
