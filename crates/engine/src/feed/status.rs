//! Reads a batch's ledger for `towline status`, even while another process writes it.
//!
//! Owns nothing: each call opens the ledger read-only, queries it and closes it, on the caller's thread.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::Serialize;

use crate::error::{Error, ErrorKind};
use crate::feed::fault::{is_damage, ledger_error, newer};
use crate::feed::paths::{BUSY_TIMEOUT, DIRECTORY, LEDGER, LOCK};
use crate::feed::schema::{APPLICATION_ID, VERSION};
use crate::feed::sqlite;
use crate::secret::printable;
use crate::storage::disk::limits::Limits;
use crate::storage::disk::lock::{self, Lock};

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Counts rows whose lines were still in the list when it was last read completely, and newer rows. Values of a
/// type that we never write count as nothing.
const COUNT: &str = "SELECT
        count(*),
        coalesce(sum(state = 'done'), 0),
        coalesce(sum(state = 'skipped'), 0),
        coalesce(sum(state IN ('failed', 'failed_permanent')), 0),
        CAST(total(CASE WHEN state = 'done' AND typeof(len_bytes) = 'integer' AND len_bytes > 0
            THEN len_bytes END) AS INTEGER)
    FROM entry WHERE occurrence = 0 AND run >= (SELECT coalesce(max(id), 0) FROM run WHERE read_all)";
const FAILURES: &str = "SELECT url, error FROM entry
    WHERE state IN ('failed', 'failed_permanent') AND occurrence = 0
        AND run >= (SELECT coalesce(max(id), 0) FROM run WHERE read_all)
    ORDER BY id LIMIT ?1";

/// The state of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerStatus {
    /// Known entries.
    pub total: u64,
    /// Of those, complete entries.
    pub done: u64,
    /// Of those, entries whose name another file has, which was left alone (`--skip-existing`).
    pub skipped: u64,
    /// Of those, failed entries.
    pub failed: u64,
    /// Of those, entries that still have to be fetched.
    pub pending: u64,
    /// Bytes of the complete entries.
    pub done_bytes: u64,
    /// Whether the last run read its list completely, so that `total` is final.
    pub read_all: bool,
    /// The first failures: URL without secrets, and why; up to [`LedgerStatus::FAILURES_MAX`].
    pub failures: Vec<(String, String)>,
    /// Whether a process is working on the batch.
    pub running: bool,
}

impl LedgerStatus {
    /// The most failures listed.
    pub const FAILURES_MAX: usize = 100;
}

/// The state of the batch in directory `dir`, from its ledger; `None` if there is no ledger.
///
/// Changes nothing and does not disturb a running process.
///
/// # Errors
/// [`ErrorKind::JournalVersion`] if a newer version wrote the ledger, [`ErrorKind::Storage`] if it cannot be
/// read.
pub fn ledger_status(dir: &Path) -> Result<Option<LedgerStatus>, Error> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let directory =
        std::path::absolute(dir).map_err(|source| Error::storage("find the directory", dir, source))?.join(DIRECTORY);
    let path = directory.join(LEDGER);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() && found.len() == 0 && file_len(&path, "-wal") == 0 => {
            return Ok(None);
        }
        Ok(found) if found.is_file() => {}
        Ok(_) => {
            return Err(Error::new(ErrorKind::Storage, "it is no regular file").with_path(path));
        }
        Err(source) if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(Error::storage("read the ledger", &path, source)),
    }
    let running = is_locked(&directory.join(LOCK))?;
    let status = if !running && file_len(&path, "-wal") == 0 && file_len(&path, "-journal") == 0 {
        // Nobody writes it and it is complete: read it without creating a reader's files.
        ask_unchanging(&path)
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if running && !sqlite::has_locks(&path) {
            let message = "this file system has no locks, so that the ledger cannot be read while it is written";
            return Err(Error::new(ErrorKind::Locked, message).with_path(path));
        }
        sqlite::open(&path, flags).and_then(|conn| ask(&conn)).or_else(|error| {
            match error.sqlite_error_code() {
                // The directory is not writable: use what the main file alone says.
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if !running => ask_unchanging(&path),
                _ => Err(error),
            }
        })
    };
    match status {
        Ok(Answer::Status(status)) => Ok(Some(LedgerStatus { running, ..status })),
        Ok(Answer::Nothing) => Ok(None),
        Ok(Answer::Newer(version)) => Err(newer(&path, version)),
        Err(error) if is_damage(&error) => {
            Err(Error::new(ErrorKind::Storage, "the ledger is damaged").with_path(path).with_source(error))
        }
        Err(error) => Err(ledger_error("read the ledger", &path, error)),
    }
}

enum Answer {
    Nothing,
    Newer(i32),
    Status(LedgerStatus),
}

fn ask_unchanging(path: &Path) -> rusqlite::Result<Answer> {
    let name = percent_encode(path.as_os_str().as_bytes(), PATH);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(format!("file://{name}?immutable=1"), flags)?;
    ask(&conn)
}

fn ask(conn: &Connection) -> rusqlite::Result<Answer> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA cache_size = -2048; BEGIN;")?;
    let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if version == 0 || application_id != APPLICATION_ID {
        return Ok(Answer::Nothing);
    }
    if version > VERSION {
        return Ok(Answer::Newer(version));
    }
    let mut status = conn.query_row(COUNT, [], |row| {
        let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
        Ok(LedgerStatus {
            total: number(0)?,
            done: number(1)?,
            skipped: number(2)?,
            failed: number(3)?,
            done_bytes: number(4)?,
            ..LedgerStatus::default()
        })
    })?;
    status.pending = status.total.saturating_sub(status.done + status.skipped + status.failed);
    status.read_all =
        conn.query_row("SELECT coalesce((SELECT read_all IS TRUE FROM run ORDER BY id DESC LIMIT 1), 0)", [], |row| {
            row.get(0)
        })?;
    let mut statement = conn.prepare(FAILURES)?;
    let rows = statement.query_map([LedgerStatus::FAILURES_MAX as i64], |row| {
        Ok((text_of(row.get_ref(0)?), text_of(row.get_ref(1)?)))
    })?;
    status.failures = rows.collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    Ok(Answer::Status(status))
}

/// The printable part of a value, whoever wrote it.
fn text_of(value: ValueRef<'_>) -> String {
    let ValueRef::Text(bytes) = value else { return String::new() };
    printable(&String::from_utf8_lossy(bytes)).into_owned()
}

fn is_locked(path: &Path) -> Result<bool, Error> {
    let file: File = match OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
        Ok(file) => file,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(Error::storage("look at the lock", path, source)),
    };
    match lock::try_lock(&file, path, Lock::Shared, &Limits::default()) {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
        Err(source) => Err(Error::storage("look at the lock", path, source)),
    }
}

fn file_len(path: &Path, suffix: &str) -> u64 {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    fs::symlink_metadata(PathBuf::from(name)).map_or(0, |found| found.len())
}
