//! Opens files so that nothing else can be in their place. No state; any thread runs it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Of each open: no symlink at the last component, and no wait for the other end of a pipe or
/// line. Neither matters to a regular file.
pub(super) const OPEN_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

/// The mode of what is not finished, and of what only we read.
pub(super) const PRIVATE_MODE: u32 = 0o600;

/// Opens a regular file; anything else at `path` is refused, a symlink with `ELOOP`.
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
