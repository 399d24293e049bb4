//! Reads a batch's ledger, even while another process writes it.
//!
//! Owns nothing: each call opens the ledger read-only, queries or copies it and closes it, on the caller's thread.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, ErrorKind};
use crate::feed::fault::{is_damage, ledger_error, newer};
use crate::feed::identity::KEY_FILE;
use crate::feed::paths::{BUSY_TIMEOUT, DIRECTORY, LEDGER, LOCK};
use crate::feed::schema::{APPLICATION_ID, VERSION};
use crate::feed::sqlite;
use crate::storage::disk::limits::Limits;
use crate::storage::disk::lock::{self, Lock};

const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Asks the ledger of the batch in directory `dir`, and tells whether a process is working on
/// the batch; `None` if there is no ledger.
pub(crate) fn read<T>(
    dir: &Path,
    ask: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<(T, bool)>, Error> {
    let directory = directory_of(dir)?;
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
    let answer = if !running && file_len(&path, "-wal") == 0 && file_len(&path, "-journal") == 0 {
        // Nobody writes it and it is complete: read it without creating a reader's files.
        ask_unchanging(&path, &ask)
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if running && !sqlite::has_locks(&path) {
            let message = "this file system has no locks, so that the ledger cannot be read while it is written";
            return Err(Error::new(ErrorKind::Locked, message).with_path(path));
        }
        sqlite::open(&path, flags).and_then(|conn| ask_within(&conn, &ask)).or_else(|error| {
            match error.sqlite_error_code() {
                // The directory is not writable: use what the main file alone says.
                Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if !running => ask_unchanging(&path, &ask),
                _ => Err(error),
            }
        })
    };
    match answer {
        Ok(Answer::Given(answer)) => Ok(Some((answer, running))),
        Ok(Answer::Nothing) => Ok(None),
        Ok(Answer::Newer(version)) => Err(newer(&path, version)),
        Err(error) if is_damage(&error) => {
            Err(Error::new(ErrorKind::Storage, "the ledger is damaged").with_path(path).with_source(error))
        }
        Err(error) => Err(ledger_error("read the ledger", &path, error)),
    }
}

/// Copies the ledger of the batch in directory `dir`, with its key, into the empty directory `to`.
pub(crate) fn copy(dir: &Path, to: &Path) -> Result<(), Error> {
    let key = directory_of(dir)?.join(KEY_FILE);
    let copy = to.join(DIRECTORY);
    fs::create_dir(&copy).map_err(|source| Error::storage("make the directory", &copy, source))?;
    let ledger = copy.join(LEDGER);
    let ledger = ledger.to_str().ok_or_else(|| {
        Error::new(ErrorKind::Storage, "the name of the directory for temporary files is not text").with_path(to)
    })?;
    let copied = read(dir, |conn| conn.execute("VACUUM INTO ?1", [ledger]).map(|_| ()))?;
    // A run would set anything else aside.
    let has_key = key.symlink_metadata().is_ok_and(|found| found.is_file());
    if copied.is_some() && has_key {
        let to = copy.join(KEY_FILE);
        fs::copy(&key, &to).map_err(|source| Error::storage("copy the key of the ledger", &key, source))?;
    }
    Ok(())
}

fn directory_of(dir: &Path) -> Result<PathBuf, Error> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let dir = std::path::absolute(dir).map_err(|source| Error::storage("find the directory", dir, source))?;
    Ok(dir.join(DIRECTORY))
}

enum Answer<T> {
    Nothing,
    Newer(i32),
    Given(T),
}

fn ask_unchanging<T>(path: &Path, ask: &impl Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<Answer<T>> {
    let name = percent_encode(path.as_os_str().as_bytes(), PATH);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let conn = Connection::open_with_flags(format!("file://{name}?immutable=1"), flags)?;
    ask_within(&conn, ask)
}

fn ask_within<T>(conn: &Connection, ask: &impl Fn(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<Answer<T>> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA cache_size = -2048;")?;
    let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if version == 0 || application_id != APPLICATION_ID {
        return Ok(Answer::Nothing);
    }
    if version > VERSION {
        return Ok(Answer::Newer(version));
    }
    ask(conn).map(Answer::Given)
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
