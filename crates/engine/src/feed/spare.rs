//! A copy of the ledger from the last orderly end, `ledger.sqlite.ok`.
//!
//! A ledger can be damaged by a disk, by a machine that loses its memory, or by hand. Without the copy, each of
//! a million files would have to be checked again, which costs a request each. With it, that applies only to
//! what the last run did. Owns nothing; runs on the feed thread.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use crate::error::Error;
use crate::feed::paths::beside;
use crate::feed::sqlite;
use crate::storage::disk::limits::Limits;
use crate::storage::disk::sync;

const COPY: &str = ".ok";
const UNFINISHED_COPY: &str = ".ok.tmp";
const UNFINISHED_LEDGER: &str = ".new";
/// Files that SQLite may create beside a ledger.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
/// How many pages to copy before checking the clock.
const PAGES_AT_ONCE: i32 = 2048;
/// A copy takes a few milliseconds per ten thousand rows. The end of a run must not wait longer than this,
/// because an interrupted run has little time; then the older copy is kept.
const COPY_TIME_MAX: Duration = Duration::from_millis(800);

/// Copies the ledger at `path`, which is open as `conn`; returns whether it succeeded.
///
/// The copy is not synced. It is needed only if the ledger itself, which is synced, turns out to be damaged,
/// and a copy that did not reach the disk is detected when it is checked.
pub(crate) fn write(conn: &Connection, path: &Path) -> bool {
    let unfinished = beside(path, UNFINISHED_COPY);
    let is_done = copy_pages(conn, &unfinished).unwrap_or(false) && fs::rename(&unfinished, beside(path, COPY)).is_ok();
    if !is_done {
        let _ = fs::remove_file(&unfinished);
    }
    is_done
}

/// Puts the copy in place of a ledger that was moved away; returns whether there was a sound copy.
pub(crate) fn restore(path: &Path) -> Result<bool, Error> {
    let copy = beside(path, COPY);
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let Ok(mut from) = options.open(&copy) else { return Ok(false) };
    if !from.metadata().is_ok_and(|found| found.is_file()) {
        return Ok(false);
    }
    let unfinished = beside(path, UNFINISHED_LEDGER);
    let copied = make_private(&unfinished).and_then(|mut to| {
        io::copy(&mut from, &mut to)?;
        sync::file(&to, &unfinished, &Limits::default())?;
        fs::rename(&unfinished, path)
    });
    if let Err(source) = copied {
        let _ = fs::remove_file(&unfinished);
        return Err(Error::storage("put the copy of the ledger in its place", path, source));
    }
    if is_sound(path) {
        return Ok(true);
    }
    remove(path)?;
    Ok(false)
}

/// Removes what [`restore`] put there if it turns out to be useless.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    for suffix in COMPANIONS.into_iter().chain([""]) {
        match fs::remove_file(beside(path, suffix)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::storage("remove a useless copy of the ledger", path, source));
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy_pages(conn: &Connection, path: &Path) -> rusqlite::Result<bool> {
    if make_private(path).is_err() {
        return Ok(false);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = sqlite::open(path, flags)?;
    target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")?;
    let since = Instant::now();
    let backup = Backup::new(conn, &mut target)?;
    loop {
        match backup.step(PAGES_AT_ONCE)? {
            StepResult::Done => return Ok(true),
            StepResult::More if since.elapsed() < COPY_TIME_MAX => {}
            _ => return Ok(false),
        }
    }
}

fn make_private(path: &Path) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

fn is_sound(path: &Path) -> bool {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    sqlite::open(path, flags)
        .and_then(|conn| conn.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)))
        .is_ok_and(|said| said == "ok")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_copy_of_many_rows_is_quick_private_and_sound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO t SELECT i, printf('%0200d', i) FROM n;",
        )
        .unwrap();
        assert!(write(&conn, &path));
        drop(conn);
        let copy = beside(&path, COPY);
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
        assert!(restore(&path).unwrap());
        let conn = Connection::open(&path).unwrap();
        let count: i64 = conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(count, 100_000);
        assert!(copy.exists(), "it serves again");
    }

    #[test]
    fn a_copy_that_is_damaged_or_no_file_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.sqlite");
        assert!(!restore(&path).unwrap());
        let copy = beside(&path, COPY);
        fs::write(&copy, [b'x'; 9000]).unwrap();
        assert!(!restore(&path).unwrap());
        assert!(!path.exists());
        fs::remove_file(&copy).unwrap();
        fs::create_dir(&copy).unwrap();
        assert!(!restore(&path).unwrap());
    }
}
