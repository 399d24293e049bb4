//! Which names and file lengths a directory's file system accepts. Known file systems are recognised by their
//! number (`statfs(2)`); those that may be anything (FUSE, shares of a virtual machine) are probed. No state;
//! runs once at the start of a session and once for a large file.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::dirs::nearest;

/// The longest name to try: no file system here accepts longer ones.
const NAME_BYTES_MAX: usize = 255;
/// A name with every character that Windows refuses.
const ODD_NAME: &str = ".towline-names-?*\"<>|";

const MSDOS: u64 = 0x4d44;
const OVERLAYFS: u64 = 0x794c_7630;
const ECRYPTFS: u64 = 0xf15f;
/// exFAT, ntfs3, NTFS, CIFS, SMB2, SMB.
const OF_WINDOWS: [u64; 7] = [MSDOS, 0x2011_BAB0, 0x7366_746E, 0x5346_544E, 0xFF53_4D42, 0xFE53_4D42, 0x517B];
/// FUSE, 9P, VirtualBox's shared folders.
const ANYTHING: [u64; 3] = [0x6573_5546, 0x0102_1997, 0x786F_4256];

/// The longest accepted name, in bytes. `statvfs` only estimates it for file systems that encrypt names, so
/// names are looked up until one is not too long.
pub(super) fn name_bytes_max(directory: &Path) -> usize {
    let directory = nearest(directory);
    let is_too_long = |length: usize| {
        let found = fs::symlink_metadata(directory.join("n".repeat(length)));
        found.is_err_and(|error| error.raw_os_error() == Some(libc::ENAMETOOLONG))
    };
    if !is_too_long(NAME_BYTES_MAX) {
        return NAME_BYTES_MAX;
    }
    let (mut taken, mut refused) = (0, NAME_BYTES_MAX);
    while refused - taken > 1 {
        let between = usize::midpoint(taken, refused);
        match is_too_long(between) {
            true => refused = between,
            false => taken = between,
        }
    }
    taken
}

/// Whether a directory accepts names with every character except `/` and NUL.
pub(super) fn takes_any_name(directory: &Path) -> bool {
    let directory = nearest(directory);
    match number_of(directory) {
        Some(number) if OF_WINDOWS.contains(&number) => false,
        Some(number) if ANYTHING.contains(&number) => takes(&directory.join(ODD_NAME)).unwrap_or(false),
        _ => true,
    }
}

/// The longest file that a directory can hold, if it has a known low limit.
pub(super) fn file_bytes_max(directory: &Path) -> Option<u64> {
    number_of(nearest(directory)).filter(|number| *number == MSDOS).map(|_| u64::from(u32::MAX))
}

fn takes(path: &Path) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    match options.open(path) {
        // Another process is probing it right now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(true),
        opened => drop(opened?),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Whether files of this file system are those of another one below it, whose failed writes only a sync of the file tells.
#[cfg(target_os = "linux")]
pub(super) fn is_stacked(file: &File) -> bool {
    let number = rustix::fs::fstatfs(file).ok().map(|found| found.f_type as u64 & 0xFFFF_FFFF);
    number.is_none_or(|number| matches!(number, OVERLAYFS | ECRYPTFS))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_stacked(_file: &File) -> bool {
    true
}

#[cfg(target_os = "linux")]
fn number_of(directory: &Path) -> Option<u64> {
    // The kernel's numbers have 32 bits; some platforms sign-extend them.
    rustix::fs::statfs(directory).ok().map(|found| found.f_type as u64 & 0xFFFF_FFFF)
}

#[cfg(not(target_os = "linux"))]
fn number_of(_directory: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_directory_takes_any_name_of_255_bytes_and_so_does_one_that_is_still_to_be_made() {
        let directory = tempfile::tempdir().unwrap();
        for path in [directory.path().to_owned(), directory.path().join("not/yet")] {
            assert_eq!(name_bytes_max(&path), 255);
            assert!(takes_any_name(&path));
            assert_eq!(file_bytes_max(&path), None);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_trial_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(takes(&directory.path().join(ODD_NAME)).unwrap());
        assert!(takes(&directory.path().join("n".repeat(256))).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
