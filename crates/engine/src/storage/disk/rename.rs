//! Renames to a name that must be free. No state; runs on the committer's and the opener's threads.
//!
//! There are three ways, each tried if the previous one is refused: a rename that does not replace, a hard
//! link, and a check followed by a plain rename. The last one (exFAT, some FUSE file systems) races with a
//! program that creates a file of this name between the two calls. A placeholder would not help unless that
//! program creates exclusively, and a kill would leave an empty file under a final name.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Renames unless `to` exists (`AlreadyExists`).
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match by_any_way(from, to) {
        // A link whose old name stayed: it was interrupted halfway, or a server's reply was lost.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && is_same(from, to) => remove(from),
        result => result,
    }
}

fn by_any_way(from: &Path, to: &Path) -> io::Result<()> {
    for way in [without_replacing, by_link] {
        match way(from, to) {
            Err(error) if is_final(&error) => return Err(error),
            // Whatever the error, another way may work; a real problem makes that one fail too.
            Err(_) => {}
            done => return done,
        }
    }
    after_a_look(from, to)
}

fn is_final(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound)
}

#[cfg(target_os = "linux")]
fn without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::retry_on_intr;

    Ok(retry_on_intr(|| renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE))?)
}

#[cfg(not(target_os = "linux"))]
fn without_replacing(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Swaps the files of two names.
#[cfg(target_os = "linux")]
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::retry_on_intr;

    Ok(retry_on_intr(|| renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE))?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// A hard link fails if the name is taken. If interrupted halfway, it leaves both names.
fn by_link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // Some file systems return "no such file" when they lack the call.
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(ErrorKind::Unsupported.into()),
        linked => linked?,
    }
    remove(from)
}

fn remove(name: &Path) -> io::Result<()> {
    match fs::remove_file(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Whether both names refer to the same inode.
fn is_same(one: &Path, other: &Path) -> bool {
    let number = |path| fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()));
    number(one).is_some_and(|found| number(other) == Some(found))
}

fn after_a_look(from: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(to) {
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EEXIST)),
        Err(error) if error.kind() == ErrorKind::NotFound => fs::rename(from, to),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    type Way = fn(&Path, &Path) -> io::Result<()>;

    fn ways() -> [Way; 4] {
        [without_replacing, by_link, after_a_look, rename_new]
    }

    #[test]
    fn every_way_moves_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.part"), directory.path().join("a"));
        for way in ways() {
            fs::write(&from, "new").unwrap();
            way(&from, &to).unwrap();
            assert!(!from.exists());
            assert_eq!(fs::read(&to).unwrap(), b"new");
            fs::remove_file(&to).unwrap();
        }
    }

    #[test]
    fn no_way_replaces_a_file_or_a_symlink_whatever_it_names() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.part"), directory.path().join("a"));
        let target = directory.path().join("target");
        fs::write(&target, "theirs").unwrap();
        fs::write(&from, "new").unwrap();
        for is_link in [false, true] {
            match is_link {
                true => symlink("nowhere", &to).unwrap(),
                false => fs::copy(&target, &to).map(drop).unwrap(),
            }
            for way in ways() {
                assert_eq!(way(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
                assert_eq!(fs::read(&from).unwrap(), b"new");
            }
            match is_link {
                true => assert_eq!(fs::read_link(&to).unwrap(), Path::new("nowhere")),
                false => assert_eq!(fs::read(&to).unwrap(), b"theirs"),
            }
            fs::remove_file(&to).unwrap();
        }
    }

    #[test]
    fn a_link_that_was_stopped_half_way_is_brought_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.part"), directory.path().join("a"));
        fs::write(&from, "new").unwrap();
        fs::hard_link(&from, &to).unwrap();
        rename_new(&from, &to).unwrap();
        assert!(!from.exists());
        assert_eq!(fs::read(&to).unwrap(), b"new");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("none"), directory.path().join("a"));
        for way in ways() {
            way(&from, &to).unwrap_err();
        }
        assert_eq!(rename_new(&from, &to).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
