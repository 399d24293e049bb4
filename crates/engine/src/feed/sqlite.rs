//! Opens SQLite files on any file system that the ledger may be on, including one without locks, where only the
//! directory's lock keeps other processes out, and one that cannot sync. No state.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::feed::paths::LOCK;
use crate::storage::disk::{lock, sync};

/// The SQLite VFS that takes no locks.
const WITHOUT_LOCKS: &str = "unix-none";

/// Opens the file at `path`, which is in the ledger's directory.
pub(crate) fn open(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    match has_locks(path) {
        true => Connection::open_with_flags(path, flags),
        false => Connection::open_with_flags_and_vfs(path, flags, WITHOUT_LOCKS),
    }
}

/// Whether SQLite can lock files in this directory against other processes.
pub(crate) fn has_locks(path: &Path) -> bool {
    lock_file(path).is_none_or(|file| lock::has_range_locks(&file))
}

/// Whether the file system can sync what SQLite writes.
pub(crate) fn has_sync(path: &Path) -> bool {
    lock_file(path).is_none_or(|file| sync::is_there(&file))
}

fn lock_file(path: &Path) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options.open(path.with_file_name(LOCK)).ok()
}
