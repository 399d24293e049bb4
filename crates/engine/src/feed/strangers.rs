//! Files of others in the ledger's directory: what SQLite would write through a second name of a file, and what it
//! would take for its own journals and remove. Runs on the feed thread, while the directory is locked, before SQLite
//! opens anything.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::feed::identity::KEY_FILE;
use crate::feed::paths::{aside_name, beside};
use crate::feed::schema::APPLICATION_ID;
use crate::storage::Storage as _;
use crate::storage::disk::Disk;

/// How a file of SQLite's begins, by the suffix of its name (SQLite's file format, sections 1.3, 3 and 4.1). The index
/// of the log has no mark that all machines share, but its version.
const BEGINNINGS: [(&str, &[&[u8]]); 4] = [
    ("-wal", &[&[0x37, 0x7f, 0x06, 0x82], &[0x37, 0x7f, 0x06, 0x83]]),
    ("-journal", &[&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]]),
    ("-shm", &[&3_007_000_u32.to_ne_bytes()]),
    (".ok", &[b"SQLite format 3\0"]),
];
/// Where a database has the mark of its application.
const APPLICATION_ID_AT: usize = 68;
const HEADER_BYTES: usize = 72;
const UNLINKED: &str = ".unlinked";

/// Fails if the directory belongs to another user, who could change whatever is kept in it.
pub(crate) fn check_owner(directory: &Path, found: &Metadata) -> Result<(), Error> {
    let is_root = rustix::process::geteuid().is_root();
    // Where a file system has one owner for everything, a new file has it too.
    let is_ours = || Disk::new().owner_of_new(directory).is_ok_and(|owner| owner == found.uid());
    if is_root || found.uid() == rustix::process::geteuid().as_raw() || is_ours() {
        return Ok(());
    }
    let text = "it belongs to another user, and the ledger would be kept in it";
    Err(Error::new(ErrorKind::Storage, text).with_path(directory))
}

/// Makes sure that the ledger at `path`, its key and its companions are ours alone.
pub(crate) fn keep_out(path: &Path, warnings: &mut Vec<String>) -> Result<(), Error> {
    let has_ledger = path.symlink_metadata().is_ok_and(|found| found.len() > 0);
    for (suffix, beginnings) in BEGINNINGS {
        let companion = beside(path, suffix);
        // Without a ledger, SQLite would remove its journals.
        if is_strange(&companion, beginnings, has_ledger || suffix == ".ok") {
            let kept = aside_name(&companion)?;
            fs::rename(&companion, &kept).map_err(|source| Error::storage("move aside", &companion, source))?;
            warnings.push(format!("{} is no file of a ledger: it is kept as {}", companion.display(), kept.display()));
        }
    }
    for name in [path.to_owned(), beside(path, "-wal"), beside(path, "-journal"), path.with_file_name(KEY_FILE)] {
        unlink(&name).map_err(|source| Error::storage("take its other names from", &name, source))?;
    }
    // It is made anew.
    let index = beside(path, "-shm");
    match has_other_names(&index) {
        true => fs::remove_file(&index).map_err(|source| Error::storage("remove", &index, source)),
        false => Ok(()),
    }
}

fn is_strange(path: &Path, beginnings: &[&[u8]], may_be_there: bool) -> bool {
    let mut header = Vec::new();
    let Ok(file) = open(path) else { return false };
    if file.take(HEADER_BYTES as u64).read_to_end(&mut header).is_err() || header.iter().all(|byte| *byte == 0) {
        // Empty, or wiped by SQLite itself.
        return false;
    }
    let is_like = beginnings.iter().any(|beginning| header.starts_with(beginning));
    let is_database = header.starts_with(b"SQLite");
    let mark = header.get(APPLICATION_ID_AT..HEADER_BYTES).map(|mark| mark == APPLICATION_ID.to_be_bytes());
    !may_be_there || !is_like || is_database && mark != Some(true)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

fn has_other_names(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_file() && found.nlink() > 1)
}

/// Puts a copy in the place of a file that has other names (hard links, as `cp -al` makes them).
fn unlink(path: &Path) -> io::Result<()> {
    if !has_other_names(path) {
        return Ok(());
    }
    let mut from = open(path)?;
    let copy = beside(path, UNLINKED);
    let mut options = OpenOptions::new();
    // What a killed run left may have another name too.
    let _ = fs::remove_file(&copy);
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut to = options.open(&copy)?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    fs::rename(&copy, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        (directory, path)
    }

    #[test]
    fn what_is_no_file_of_a_ledger_is_kept_under_another_name() {
        for suffix in ["-wal", "-shm", "-journal", ".ok"] {
            for has_ledger in [false, true] {
                let (_directory, path) = place();
                if has_ledger {
                    fs::write(&path, "SQLite format 3\0").unwrap();
                }
                fs::write(beside(&path, suffix), "a text of somebody").unwrap();
                let mut warnings = Vec::new();
                keep_out(&path, &mut warnings).unwrap();
                assert_eq!(warnings.len(), 1, "{suffix}");
                let kept = beside(&path, &format!("{suffix}.damaged-1"));
                assert_eq!(fs::read(kept).unwrap(), b"a text of somebody");
            }
        }
    }

    #[test]
    fn a_ledger_that_is_linked_elsewhere_is_ours_alone_afterwards() {
        let (directory, path) = place();
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        fs::write(path.with_file_name(KEY_FILE), [7; 32]).unwrap();
        let snapshot = directory.path().join("snapshot");
        fs::create_dir(&snapshot).unwrap();
        let names = ["ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", KEY_FILE];
        names.iter().for_each(|name| fs::hard_link(path.with_file_name(name), snapshot.join(name)).unwrap());
        // As after a kill: nobody has tidied up.
        std::mem::forget(conn);
        let before: Vec<_> = names.iter().map(|name| fs::read(snapshot.join(name)).unwrap()).collect();
        let mut warnings = Vec::new();
        keep_out(&path, &mut warnings).unwrap();
        assert_eq!(warnings, [""; 0]);
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert_eq!(conn.query_row("SELECT sum(x) FROM t", [], |row| row.get::<_, i64>(0)), Ok(3));
        drop(conn);
        let after: Vec<_> = names.iter().map(|name| fs::read(snapshot.join(name)).unwrap()).collect();
        assert!(before == after, "the other names are left alone");
    }
}
