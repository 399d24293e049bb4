//! Finds out whether a directory folds names: treats `AbC` and `aBc`, or two Unicode forms of `é`, as one name,
//! as vfat, exFAT and case-insensitive ext4 directories do. Creates a file to find out.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The same name in another case, and with its last letter as two characters.
const NAME: &str = "names-Aa-\u{e9}";
const OTHERS: [&str; 2] = ["names-aA-\u{e9}", "names-Aa-e\u{301}"];

/// Whether names may be folded in this directory of ours; true if that cannot be determined.
pub(super) fn folds_names(directory: &Path) -> bool {
    let probe = directory.join(NAME);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    if options.open(&probe).is_err() {
        return true;
    }
    let folds = OTHERS.iter().any(|other| fs::symlink_metadata(directory.join(other)).is_ok());
    // If it stays, it is reused next time.
    let _ = fs::remove_file(&probe);
    folds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_directory_keeps_names_apart_and_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!folds_names(directory.path()));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(folds_names(&directory.path().join("none")), "nothing is known of it");
    }
}
