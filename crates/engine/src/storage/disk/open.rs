//! Opens files so that nothing else can take their place. No state; any thread runs it.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// For each open: follow no symlink at the last component, and do not wait for the other end of a pipe or line.
/// Neither affects a regular file.
pub(super) const OPEN_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

/// The mode of unfinished files, and of those that only we read.
pub(super) const PRIVATE_MODE: u32 = 0o600;

/// Opens a regular file; refuses anything else at `path`, a symlink with `ELOOP`.
pub(super) fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.custom_flags(OPEN_FLAGS).open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::EISDIR | libc::ENXIO) => not_regular(),
        _ => error,
    })?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "something that is not a regular file is in the way")
}

/// Revokes other users' permissions on an existing file or directory of ours.
pub(crate) fn keep_private(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match file.set_permissions(Permissions::from_mode(mode & 0o700)) {
        // File systems without modes (FAT, some network ones) refuse in these two ways.
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}
