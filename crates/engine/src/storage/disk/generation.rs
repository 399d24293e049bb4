//! `FS_IOC_GETVERSION`, which has no safe wrapper among our dependencies.

use std::fs::File;

/// What the file system gave a file together with its inode number: ext2 to ext4 draw it anew each time that they give out
/// the number. `None` where there is no such thing.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "FS_IOC_GETVERSION has no safe wrapper among our dependencies")]
pub(super) fn generation_of(file: &File) -> Option<u32> {
    use std::os::fd::AsRawFd as _;

    // The call is declared with a `long`, and file systems write an `int`.
    let mut generation: libc::c_long = 0;
    // SAFETY: the descriptor is open for the borrow of `file`. The call writes at most a `long` to the address, where
    // there is one for as long as the call lasts.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETVERSION, &raw mut generation) };
    // The `int` stands in the first four bytes.
    let generation = generation.to_ne_bytes();
    let generation = u32::from_ne_bytes(generation[..4].try_into().ok()?);
    (result == 0 && generation != 0).then_some(generation)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn generation_of(_: &File) -> Option<u32> {
    None
}
