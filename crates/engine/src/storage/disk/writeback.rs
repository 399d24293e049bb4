//! Asks the kernel to start writing a range of a file to disk, so that a later sync has little left to wait
//! for, and what became of that. No state; runs on the caller's thread. `sync_file_range(2)` has no safe wrapper among
//! our dependencies.

use std::fs::File;
use std::io;

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "sync_file_range(2) has no safe wrapper among our dependencies")]
pub(super) fn start(file: &File, offset: u64, len_bytes: u64) {
    use std::os::fd::AsRawFd;

    let (Ok(offset), Ok(len_bytes)) = (i64::try_from(offset), i64::try_from(len_bytes)) else {
        return;
    };
    if len_bytes == 0 {
        return; // The kernel would read 0 as "to the end of the file".
    }
    // SAFETY: the call takes no pointer, and the borrowed file keeps its descriptor open. The result is
    // ignored: this is a hint, and a failed write shows up in the sync.
    let _ = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len_bytes, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Waits for what is being written of a file, and fails if something could not be written since it was opened. Starts
/// nothing, so that it costs no I/O behind a sync. `Unsupported` where the system has no such call.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "sync_file_range(2) has no safe wrapper among our dependencies")]
pub(super) fn wait(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // SAFETY: the call takes no pointer, and the borrowed file keeps its descriptor open.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WAIT_BEFORE) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EPERM | libc::ESPIPE)) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            error => Err(error),
        },
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn wait(_file: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
pub(super) fn start(_file: &File, _offset: u64, _len_bytes: u64) {}
