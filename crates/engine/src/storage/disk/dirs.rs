//! Creates directories below a root one by one, each opened relative to its parent, so that a planted symlink
//! leads nowhere. No state; runs on the caller's thread.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::{Errno, retry_on_intr};

/// Flags for opening a directory only to descend from it; on Linux this needs no permission to list it.
#[cfg(target_os = "linux")]
const STEP: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const STEP: OFlags = OFlags::RDONLY;

/// Creates `root` with its parents (where symlinks are the user's choice), then `relative` below it, which may
/// contain only plain names.
pub(super) fn create(root: &Path, relative: &Path) -> io::Result<()> {
    let root = or_here(root);
    fs::create_dir_all(root)?;
    let flags = STEP | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut directory = retry_on_intr(|| openat(CWD, root, flags, Mode::empty()))?;
    for component in relative.components() {
        directory = match component {
            Component::CurDir => continue,
            Component::Normal(name) => enter(&directory, name).map_err(|errno| refused(errno, name))?,
            _ => {
                let why = format!("{relative:?} leads out of the directory");
                return Err(io::Error::new(ErrorKind::InvalidInput, why));
            }
        };
    }
    Ok(())
}

/// The nearest existing directory: `path` itself or one above it.
pub(super) fn nearest(path: &Path) -> &Path {
    let exists = |path: &&Path| or_here(path).is_dir();
    or_here(path.ancestors().find(exists).unwrap_or(path))
}

/// Opens `name`, creating it if it is missing.
fn enter(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    match open_below(directory, name) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    match retry_on_intr(|| mkdirat(directory, name, Mode::from_raw_mode(0o777))) {
        Ok(()) | Err(Errno::EXIST) => open_below(directory, name),
        Err(errno) => Err(errno),
    }
}

fn open_below(directory: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = STEP | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| openat(directory, name, flags, Mode::empty()))
}

fn refused(errno: Errno, name: &OsStr) -> io::Error {
    match errno {
        Errno::LOOP | Errno::NOTDIR => {
            let why = format!("{name:?} is not a directory, and symlinks are not followed here");
            io::Error::new(ErrorKind::NotADirectory, why)
        }
        _ => errno.into(),
    }
}

/// The parent of a bare name is empty; the system calls it `.`.
pub(super) fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn directories_are_created_once_and_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("new/root");
        for _ in 0..2 {
            create(&root, Path::new("a/./b/c")).unwrap();
            assert!(root.join("a/b/c").is_dir());
        }
        create(&root, Path::new("")).unwrap();
    }

    #[test]
    fn a_planted_symlink_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), directory.path().join("planted")).unwrap();
        let error = create(directory.path(), Path::new("planted/below")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert!(error.to_string().contains("\"planted\""), "{error}");
        assert!(!elsewhere.path().join("below").exists());
    }

    #[test]
    fn a_symlink_to_nowhere_is_refused_too() {
        let directory = tempfile::tempdir().unwrap();
        symlink(directory.path().join("nowhere"), directory.path().join("planted")).unwrap();
        let error = create(directory.path(), Path::new("planted")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert!(!directory.path().join("nowhere").exists());
    }

    #[test]
    fn a_file_in_the_way_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "theirs").unwrap();
        let error = create(directory.path(), Path::new("file/below")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotADirectory);
        assert!(error.to_string().contains("\"file\""), "{error}");
    }

    #[test]
    fn a_root_that_is_a_symlink_is_the_users_business() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = directory.path().join("link");
        symlink(elsewhere.path(), &root).unwrap();
        create(&root, Path::new("a")).unwrap();
        assert!(elsewhere.path().join("a").is_dir());
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for relative in ["../a", "a/../../b", "/a"] {
            let error = create(directory.path(), Path::new(relative)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{relative}");
        }
    }
}
