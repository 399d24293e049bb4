//! Opens a batch's ledger: its directory, the lock, the file, and what to do with a damaged one.
//!
//! Owns nothing; the feed thread runs it once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind};
use crate::failpoint;
use crate::feed::ledger::{is_damage, ledger_error, newer};
use crate::storage::disk::keep_private;

/// The directory of ours in a batch's directory.
pub(crate) const DIRECTORY: &str = ".towline";
/// The ledger's name in it.
pub(crate) const LEDGER: &str = "ledger.sqlite";
/// The lock's name in it.
pub(crate) const LOCK: &str = "lock";
/// What `PRAGMA application_id` says: "TWLN".
pub(crate) const APPLICATION_ID: i32 = 0x5457_4c4e;
/// The format that this version writes.
pub(crate) const VERSION: i32 = 1;
/// How long one process waits for another one's transaction.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY,
        key BLOB NOT NULL,
        occurrence INTEGER NOT NULL,
        copies INTEGER NOT NULL,
        run INTEGER NOT NULL,
        url TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'pending',
        path TEXT,
        len_bytes INTEGER,
        modified_ns INTEGER,
        validator TEXT,
        digest TEXT,
        attempts INTEGER,
        error_kind TEXT,
        error TEXT,
        settled_unix_ms INTEGER
    );
    CREATE TABLE IF NOT EXISTS name (key BLOB PRIMARY KEY, entry INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS run (
        id INTEGER PRIMARY KEY,
        started INTEGER NOT NULL,
        ended INTEGER,
        read_entries INTEGER NOT NULL DEFAULT 0,
        read_all INTEGER NOT NULL DEFAULT 0
    );";

/// Makes our directory in the batch's, and the batch's if it is missing.
pub(crate) fn make_directory(dir: &Path) -> Result<PathBuf, Error> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let fault = |source| Error::storage("make the batch's directory", dir, source);
    let dir = std::path::absolute(dir).map_err(fault)?;
    fs::create_dir_all(&dir).map_err(fault)?;
    let directory = dir.join(DIRECTORY);
    match DirBuilder::new().mode(0o700).create(&directory) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Error::storage("make the directory", &directory, source));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(&directory)
        .map_err(|source| Error::storage("look at the directory", &directory, source))?;
    if found.is_dir() {
        let fault = |source| Error::storage("look at the directory", &directory, source);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY);
        keep_private(&options.open(&directory).map_err(fault)?).map_err(fault)?;
        return Ok(directory);
    }
    let what = if found.is_symlink() { "a symlink" } else { "no directory" };
    let message = format!("it is {what}, and the ledger would be kept in it");
    Err(Error::new(ErrorKind::Storage, message).with_path(directory))
}

/// Takes the directory for this process.
pub(crate) fn take_lock(dir: &Path, directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK);
    let fault = |source| Error::storage("lock the batch's directory", &path, source);
    let lock = private().open(&path).map_err(fault)?;
    keep_private(&lock).map_err(fault)?;
    failpoint::reach("batch-lock");
    // `towline status` holds the lock for a moment when it looks whether somebody has it.
    for _ in 0..5 {
        if try_lock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(fault)? {
            failpoint::reach("batch-locked");
            return Ok(lock);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let message = "another towline is downloading into this directory";
    Err(Error::new(ErrorKind::Locked, message).with_path(dir))
}

/// The ledger, ready for use; `None` if what is there is damaged.
pub(crate) fn prepare(path: &Path) -> Result<Option<Connection>, Error> {
    if !looks_sound(path)? {
        return Ok(None);
    }
    match connect(path) {
        Ok((_, version)) if version > VERSION => Err(newer(path, version)),
        Ok((conn, _)) => Ok(Some(conn)),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(ledger_error("open the ledger", path, error)),
    }
}

/// Gives a damaged ledger another name, with what belongs to it, and says which.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, Error> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut number = 1;
    let mut kept = beside(".damaged-1");
    while fs::symlink_metadata(&kept).is_ok() {
        number += 1;
        kept = beside(&format!(".damaged-{number}"));
    }
    fs::rename(path, &kept).map_err(|source| Error::storage("move the damaged ledger aside", path, source))?;
    // What is left of its journals must not be taken for the new one's.
    for suffix in ["-wal", "-journal"] {
        let target = beside(&format!(".damaged-{number}{suffix}"));
        match fs::rename(beside(suffix), target) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::storage("move the damaged ledger's journal aside", path, source));
            }
            _ => {}
        }
    }
    match fs::remove_file(beside("-shm")) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::storage("remove the damaged ledger's index", path, source))
        }
        _ => Ok(kept),
    }
}

/// Takes the lock file's lock if nobody has it, and says whether it did.
pub(crate) fn try_lock(lock: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(lock, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Files that only their owner can read, reached through no symlink.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// Makes the file if it is missing; else looks at its header, before SQLite touches anything.
fn looks_sound(path: &Path) -> Result<bool, Error> {
    let fault = |source| Error::storage("open the ledger", path, source);
    let mut file = private().open(path).map_err(fault)?;
    let found = file.metadata().map_err(fault)?;
    if !found.is_file() {
        return Err(Error::new(ErrorKind::Storage, "it is no regular file").with_path(path));
    }
    keep_private(&file).map_err(fault)?;
    if found.len() == 0 {
        return Ok(true);
    }
    let mut header = [0; 100];
    if let Err(error) = file.read_exact(&mut header) {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => Ok(false),
            _ => Err(fault(error)),
        };
    }
    let number = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (version, application_id) = (number(60), number(68));
    if !header.starts_with(b"SQLite format 3\0") || ![0, APPLICATION_ID].contains(&application_id) {
        return Ok(false);
    }
    if version > VERSION { Err(newer(path, version)) } else { Ok(true) }
}

fn connect(path: &Path) -> rusqlite::Result<(Connection, i32)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(32);
    let mode = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0));
    match mode {
        Ok(mode) if mode.eq_ignore_ascii_case("wal") => {}
        Err(error) if is_damage(&error) => return Err(error),
        // A file system without shared memory: alone, and with a journal that is rolled back.
        _ => conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE;")?,
    }
    conn.execute_batch(
        "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -2048; PRAGMA temp_store = FILE;
         PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 33554432;",
    )?;
    let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > VERSION {
        return Ok((conn, version));
    }
    if version == 0 {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    }
    conn.query_row("SELECT coalesce(max(id), 0) FROM entry", [], |_| Ok(()))?;
    Ok((conn, version))
}
