//! A directory for one file that is not to be kept, below that for temporary files. It is for its owner alone, and locked
//! while its run lasts. What a run leaves that a signal ends, the next one removes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::process::geteuid;
use tempfile::TempDir;

const PREFIX: &str = "towline-";
/// What the names of a file that is on its way end with.
const SUFFIXES: [&str; 6] =
    [".towline.json.tmp", ".towline.json", ".towline.old.json", ".towline.old", ".towline.lock", ".towline"];
/// Where a ledger is kept, and how the names of its files begin.
const LEDGER_DIRECTORY: &str = ".towline";
const LEDGER_FILES: [&str; 3] = ["ledger.sqlite", "key", "lock"];
/// A directory that is younger may be one that its run has not locked yet.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// The directory, which is removed with this value.
#[derive(Debug)]
pub(crate) struct Scratch {
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    /// A directory for this purpose, which is part of its name.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn new(purpose: &str) -> io::Result<Self> {
        Self::below(&std::env::temp_dir(), purpose)
    }

    fn below(parent: &Path, purpose: &str) -> io::Result<Self> {
        let prefix = format!("{PREFIX}{purpose}-");
        remove_stale(parent, &prefix);
        let private = Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().prefix(&prefix).permissions(private).tempdir_in(parent)?;
        let lock = File::open(dir.path())?;
        // Where there are no locks, nobody else can lock it either, and nothing is removed.
        let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
        Ok(Self { dir, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes what runs have left that ended without doing so. What may be somebody else's stays, and so does what cannot be
/// removed.
fn remove_stale(parent: &Path, prefix: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_called_so = entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes());
        let is_stale = is_called_so
            && entry.metadata().is_ok_and(|found| {
                let is_old = found.modified().is_ok_and(|at| at + STALE_AFTER <= SystemTime::now());
                let is_private = found.mode() & 0o7777 == 0o700 && found.uid() == geteuid().as_raw();
                found.is_dir() && is_private && is_old
            });
        if !is_stale {
            continue;
        }
        // Meanwhile it may have become something else.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(lock) = open(entry.path(), flags, Mode::empty()) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let ledger = entry.path().join(LEDGER_DIRECTORY);
        if holds_ledger_alone(&entry.path()) {
            remove_files(&ledger);
            let _ = fs::remove_dir(&ledger);
        } else if holds_one_file_alone(&entry.path()) {
            remove_files(&entry.path());
        } else {
            continue;
        }
        // Fails if something else has come meanwhile.
        let _ = fs::remove_dir(entry.path());
    }
}

fn remove_files(dir: &Path) {
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = fs::remove_file(file.path());
    }
}

/// Whether a directory holds a copied ledger and nothing else.
fn holds_ledger_alone(dir: &Path) -> bool {
    let names = |dir: &Path| -> io::Result<Vec<_>> {
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    };
    let is_of_ledger =
        |name: &OsString| LEDGER_FILES.iter().any(|file| name.as_encoded_bytes().starts_with(file.as_bytes()));
    let ledger = dir.join(LEDGER_DIRECTORY);
    let is_dir = fs::symlink_metadata(&ledger).is_ok_and(|found| found.is_dir());
    let is_alone = names(dir).is_ok_and(|names| names == [LEDGER_DIRECTORY]);
    is_dir && is_alone && names(&ledger).is_ok_and(|names| names.iter().all(is_of_ledger))
}

/// Whether a directory holds the names that one file has on its way, and no others.
fn holds_one_file_alone(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    let mut names = HashSet::new();
    for entry in entries {
        let Ok(entry) = entry else { return false };
        if !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            return false;
        }
        let name = entry.file_name().into_encoded_bytes();
        let plain = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix.as_bytes()));
        names.insert(plain.unwrap_or(&name).to_vec());
    }
    names.len() < 2
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    #[test]
    fn what_a_run_has_left_is_removed_by_the_next_one_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * STALE_AFTER;
        let make = |name: &str, is_old: bool, file: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            fs::write(path.join("list.towline"), "https://h/?token=SECRET").unwrap();
            fs::write(path.join(file), "").unwrap();
            if is_old {
                File::open(&path).unwrap().set_modified(old).unwrap();
            }
            path
        };
        let stale = make("towline-list-1", true, "list.towline.json");
        let others = [("towline-list-2", false, "list"), ("towline-list-3", true, "thesis"), ("other", true, "list")];
        let kept = others.map(|(name, is_old, file)| make(name, is_old, file));
        // Who opens it waits for a writer.
        mknodat(CWD, parent.path().join("towline-list-4"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let running = Scratch::below(parent.path(), "list").unwrap();
        File::open(running.path()).unwrap().set_modified(old).unwrap();
        assert!(!stale.exists() && kept.iter().all(|path| path.join("list.towline").exists()));
        assert_eq!(fs::metadata(running.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let again = Scratch::below(parent.path(), "list").unwrap();
        assert!(running.path().exists(), "it is locked");
        drop(again);
        // The copy of a ledger goes, and a directory of that name with anything else stays.
        for (name, is_kept) in [("towline-list-5", false), ("towline-list-6", true)] {
            let path = parent.path().join(name);
            fs::create_dir_all(path.join(".towline")).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            fs::write(path.join(".towline/ledger.sqlite"), "").unwrap();
            fs::write(path.join(".towline/key"), "").unwrap();
            if is_kept {
                fs::write(path.join(".towline/thesis"), "").unwrap();
            }
            File::open(&path).unwrap().set_modified(old).unwrap();
            remove_stale(parent.path(), "towline-list-");
            assert_eq!(path.exists(), is_kept);
        }
        // As if its run had been killed.
        let Scratch { dir, _lock: lock } = running;
        let path = dir.keep();
        drop(lock);
        remove_stale(parent.path(), "towline-list-");
        assert!(!path.exists());
    }
}
