//! Opens SQLite's files on whatever file system the ledger lies: also on one without locks, where the
//! lock of the directory alone keeps other processes out, and on one that does not sync. No state.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::feed::paths::LOCK;
use crate::storage::disk::{lock, sync};

/// The layer of SQLite that takes no locks.
const WITHOUT_LOCKS: &str = "unix-none";

/// Opens the file at `path`, which lies in the directory of the ledger.
pub(crate) fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    match has_locks(path) {
        true => Connection::open_with_flags(path, flags),
        false => Connection::open_with_flags_and_vfs(path, flags, WITHOUT_LOCKS),
    }
}

/// Whether SQLite can tell the processes apart that have a file of this directory open.
pub(crate) fn has_locks(path: &Path) -> bool {
    lock_file(path).is_none_or(|file| lock::has_range_locks(&file))
}

/// Whether it can bring to the disk what it writes.
pub(crate) fn has_sync(path: &Path) -> bool {
    lock_file(path).is_none_or(|file| sync::is_there(&file))
}

fn lock_file(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path.with_file_name(LOCK)).ok()
}
