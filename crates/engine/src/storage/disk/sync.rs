//! Syncs files and directories. If a file system lacks the call, that is reported as a limit and is no error; a
//! failed call is an error. No state; any thread runs it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::limits::{Limit, Limits};

/// Errors of file systems that lack the call (`fsync(2)`: `EINVAL`; FUSE and seccomp: the others).
const NO_SUCH_CALL: [i32; 4] = [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM];
/// More errors for directories: they may be unreadable, and some network file systems refuse the descriptor.
const NOT_OF_DIRECTORIES: [i32; 3] = [libc::EBADF, libc::EACCES, libc::EISDIR];

/// Syncs a file's content.
pub(crate) fn file(file: &File, path: &Path, limits: &Limits) -> io::Result<()> {
    match file.sync_data().or_else(|error| if has_no_call(&error) { file.sync_all() } else { Err(error) }) {
        Err(error) if has_no_call(&error) => {
            limits.met(Limit::Sync, path);
            Ok(())
        }
        result => result,
    }
}

/// Whether a file system has `fsync`; without it, SQLite works only with syncing turned off.
pub(crate) fn is_there(file: &File) -> bool {
    let is_refused = |error: &io::Error| has_no_call(error) || is_one_of(error, &NOT_OF_DIRECTORIES);
    !file.sync_all().is_err_and(|error| is_refused(&error))
}

/// Syncs the names in a directory.
///
/// Follows a symlink: the user's own directory may be one, and a sync changes nothing.
pub(crate) fn directory(path: &Path, limits: &Limits) -> io::Result<()> {
    match File::open(path).and_then(|directory| directory.sync_all()) {
        Err(error) if has_no_call(&error) || is_one_of(&error, &NOT_OF_DIRECTORIES) => {
            limits.met(Limit::Sync, path);
            Ok(())
        }
        result => result,
    }
}

/// Syncs the whole file system that holds a directory.
pub(super) fn file_system(path: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match File::open(path).and_then(|directory| Ok(rustix::fs::syncfs(&directory)?)) {
        Err(error) if !has_no_call(&error) && !is_one_of(&error, &NOT_OF_DIRECTORIES) => return Err(error),
        Ok(()) => return Ok(()),
        Err(_) => {}
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
    // Syncs all file systems of the machine; never fails.
    rustix::fs::sync();
    Ok(())
}

fn has_no_call(error: &io::Error) -> bool {
    is_one_of(error, &NO_SUCH_CALL)
}

fn is_one_of(error: &io::Error, codes: &[i32]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn what_cannot_be_synced_is_said_and_no_error() {
        let (one, _other) = io::pipe().unwrap();
        let limits = Limits::default();
        // `fsync` of a pipe is EINVAL.
        file(&File::from(OwnedFd::from(one)), Path::new("pipe"), &limits).unwrap();
        assert!(limits.take()[0].contains("does not sync"));
    }

    #[test]
    fn what_can_be_synced_is_and_a_directory_that_is_not_there_is_an_error() {
        let there = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        directory(there.path(), &limits).unwrap();
        file_system(there.path()).unwrap();
        directory(&there.path().join("none"), &limits).unwrap_err();
        file_system(&there.path().join("none")).unwrap_err();
        assert!(limits.take().is_empty());
    }
}
