//! Locks on files of ours, so that two processes do not work on one. `flock` is what every local file
//! system has; some network file systems and containers have only locks of open file descriptions
//! (`fcntl`), which mean the same. Nobody holds one of each: a file system has `flock` or has it not.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody else may have one.
    Exclusive,
    /// Others may have a shared one.
    Shared,
}

/// Takes a lock, which goes with the open file.
///
/// # Errors
/// `WouldBlock` if somebody else has one that excludes it.
pub(crate) fn try_lock(file: &File, lock: Lock) -> io::Result<()> {
    let operation = match lock {
        Lock::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Lock::Shared => FlockOperation::NonBlockingLockShared,
    };
    match retry_on_intr(|| flock(file, operation)) {
        Err(Errno::NOSYS | Errno::NOLCK | Errno::OPNOTSUPP) => match lock {
            Lock::Exclusive => of_description(file, libc::F_WRLCK),
            Lock::Shared => of_description(file, libc::F_RDLCK),
        },
        result => Ok(result?),
    }
}

/// Gives a lock up before the file is closed.
pub(crate) fn unlock(file: &File) {
    if retry_on_intr(|| flock(file, FlockOperation::Unlock)).is_err() {
        // Closing the file does it as well.
        let _ = of_description(file, libc::F_UNLCK);
    }
}

/// A lock of the open file description on all of the file (`fcntl(2)`, "Open file description locks").
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "locks of open file descriptions (fcntl) have no safe wrapper among our dependencies")]
fn of_description(file: &File, kind: libc::c_int) -> io::Result<()> {
    let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
    // From the first byte to the end, wherever that is; these locks want no process.
    let range = libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 };
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed, and the call reads `range`,
        // which lives until it returns.
        let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const range) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EACCES | libc::EAGAIN) => return Err(io::ErrorKind::WouldBlock.into()),
            _ => return Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn of_description(_file: &File, _kind: libc::c_int) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_of_one() -> (tempfile::NamedTempFile, File) {
        let one = tempfile::NamedTempFile::new().unwrap();
        let other = File::options().read(true).write(true).open(one.path()).unwrap();
        (one, other)
    }

    #[test]
    fn locks_exclude_each_other_and_go_with_their_files() {
        for of_kind in [try_lock as fn(&File, Lock) -> io::Result<()>, |file, lock| {
            of_description(file, if lock == Lock::Shared { libc::F_RDLCK } else { libc::F_WRLCK })
        }] {
            let (one, other) = two_of_one();
            of_kind(one.as_file(), Lock::Shared).unwrap();
            of_kind(&other, Lock::Shared).unwrap();
            let refused = of_kind(one.as_file(), Lock::Exclusive).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
            drop(other);
            of_kind(one.as_file(), Lock::Exclusive).unwrap();
        }
    }
}
