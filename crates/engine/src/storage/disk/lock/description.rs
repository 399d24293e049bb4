//! Open file description locks (`fcntl(2)`) on a whole file. No state; any thread runs it.

#[cfg(target_os = "linux")]
pub(super) use self::linux::{try_lock, unlock};
#[cfg(not(target_os = "linux"))]
pub(super) use self::none::{try_lock, unlock};

use std::fs::File;
use std::io::{self, ErrorKind};

/// The errors of file systems without such locks.
const NO_LOCKS: [i32; 4] = [libc::ENOSYS, libc::ENOLCK, libc::EOPNOTSUPP, libc::EINVAL];

/// Whether the error means that the file system has no locks.
pub(super) fn is_none(error: &io::Error) -> bool {
    error.kind() == ErrorKind::Unsupported || error.raw_os_error().is_some_and(|code| NO_LOCKS.contains(&code))
}

/// Whether byte ranges can be locked at all, as SQLite does.
pub(crate) fn has_range_locks(file: &File) -> bool {
    #[cfg(target_os = "linux")]
    return !matches!(linux::ask(file), Err(error) if is_none(&error));
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        true
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    pub(in super::super) fn try_lock(file: &File, is_exclusive: bool) -> io::Result<()> {
        let kind = if is_exclusive { libc::F_WRLCK } else { libc::F_RDLCK };
        call(file, libc::F_OFD_SETLK, kind)
    }

    pub(in super::super) fn unlock(file: &File) -> io::Result<()> {
        call(file, libc::F_OFD_SETLK, libc::F_UNLCK)
    }

    /// Queries a lock without taking one.
    pub(super) fn ask(file: &File) -> io::Result<()> {
        call(file, libc::F_OFD_GETLK, libc::F_RDLCK)
    }

    #[expect(
        unsafe_code,
        reason = "locks of open file descriptions (fcntl) have no safe wrapper among our dependencies"
    )]
    fn call(file: &File, command: libc::c_int, kind: libc::c_int) -> io::Result<()> {
        let (l_type, l_whence) = (kind as libc::c_short, libc::SEEK_SET as libc::c_short);
        // From the first byte to the end, wherever that is; these locks need no process id.
        let mut range = libc::flock { l_type, l_whence, l_start: 0, l_len: 0, l_pid: 0 };
        loop {
            // SAFETY: the descriptor is open as long as `file` is borrowed, and the call reads and
            // writes `range`, which lives until it returns.
            let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut range) };
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
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::fs::File;
    use std::io;

    pub(in super::super) fn try_lock(_file: &File, _is_exclusive: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in super::super) fn unlock(_file: &File) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn locks_exclude_each_other_and_go_with_their_files() {
        let one = tempfile::NamedTempFile::new().unwrap();
        let other = File::options().read(true).write(true).open(one.path()).unwrap();
        try_lock(one.as_file(), false).unwrap();
        try_lock(&other, false).unwrap();
        assert!(has_range_locks(one.as_file()));
        let refused = try_lock(one.as_file(), true).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        drop(other);
        try_lock(one.as_file(), true).unwrap();
        unlock(one.as_file()).unwrap();
    }
}
