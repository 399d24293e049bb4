//! Opens a batch's ledger: its directory, its lock and the file, and replaces a damaged one.
//!
//! Owns nothing; runs on the feed thread, once and whenever the ledger has to be replaced.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, ErrorKind};
use crate::failpoint;
use crate::feed::fault::{is_damage, ledger_error, newer};
use crate::feed::identity::Secret;
use crate::feed::paths::{BUSY_TIMEOUT, DIRECTORY, LOCK, aside_name, beside};
use crate::feed::schema::{self, APPLICATION_ID, Holds, VERSION};
use crate::feed::{spare, sqlite, strangers};
use crate::storage::disk::keep_private;
use crate::storage::disk::limits::Limits;
use crate::storage::disk::lock::{self, Held, Lock};

/// How often to try the lock.
const LOCK_TRIES: u32 = 5;
/// The files that SQLite opens: the ledger, and those it creates beside it.
const SQLITES: [&str; 4] = ["", "-wal", "-journal", "-shm"];

/// Creates our directory inside the batch's, and the batch's if it is missing.
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
        strangers::check_owner(&directory, &found)?;
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

/// The lock of a batch's directory, held until dropped.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    // Dropped before the file, because its lock may be another file.
    _held: Held,
    _file: File,
}

/// Locks the directory for this process.
pub(crate) fn take_lock(dir: &Path, directory: &Path, warnings: &mut Vec<String>) -> Result<DirectoryLock, Error> {
    let path = directory.join(LOCK);
    let fault = |source| Error::storage("lock the batch's directory", &path, source);
    let file = private().open(&path).map_err(fault)?;
    // A second name of it may be somebody else's.
    if file.metadata().map_err(fault)?.nlink() == 1 {
        keep_private(&file).map_err(fault)?;
    }
    failpoint::reach("batch-lock");
    let limits = Limits::default();
    // `towline status` holds the lock for a moment to check whether somebody has it.
    for is_last in (0..LOCK_TRIES).map(|tried| tried + 1 == LOCK_TRIES) {
        match lock::try_lock(&file, &path, Lock::Exclusive, &limits) {
            Ok(held) => {
                failpoint::reach("batch-locked");
                warnings.extend(limits.take());
                return Ok(DirectoryLock { _held: held, _file: file });
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(fault(error)),
            Err(error) if is_last => {
                return Err(Error::locked("another towline is downloading into this directory", dir, error));
            }
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
    unreachable!("the last try returns")
}

/// The ledger, ready for use; `None` if the file is damaged or not a ledger.
pub(crate) fn prepare(path: &Path, secret: &Secret, warnings: &mut Vec<String>) -> Result<Option<Connection>, Error> {
    if !looks_sound(path)? {
        return Ok(None);
    }
    match connect(path, secret) {
        Ok((_, Holds::Newer(version), _)) => Err(newer(path, version)),
        Ok((_, Holds::Other, _)) => Ok(None),
        Ok((conn, _, has_forgotten)) => {
            if has_forgotten {
                warnings.push(format!(
                    "the key of the ledger {} was lost: its entries are looked at again",
                    path.display()
                ));
            }
            Ok(Some(conn))
        }
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(ledger_error("open the ledger", path, error)),
    }
}

/// Replaces a damaged ledger, which is kept under another name, and warns about it. If `may_use_copy`, the
/// replacement is the copy of the last orderly end, if that is sound. Returns whether it is that copy.
///
/// No connection to the damaged ledger may be open: SQLite would remove the new one's journal on closing it.
pub(crate) fn replace(
    path: &Path,
    may_use_copy: bool,
    secret: &Secret,
    warnings: &mut Vec<String>,
) -> Result<(Connection, bool), Error> {
    let what = match set_aside(path)? {
        Some(kept) => format!("the ledger {} was damaged: it is kept as {}", path.display(), kept.display()),
        None => format!("the ledger {} was taken away or damaged", path.display()),
    };
    if may_use_copy && spare::restore(path)? {
        // A copy from a newer version is useless to us, and it is only a copy.
        match prepare(path, secret, warnings) {
            Ok(Some(conn)) => {
                warnings.push(format!("{what}, and the copy of the last orderly end is used"));
                return Ok((conn, true));
            }
            Err(error) if error.kind() != ErrorKind::JournalVersion => return Err(error),
            _ => spare::remove(path)?,
        }
    }
    warnings.push(format!("{what}, and a new one is begun"));
    let conn = prepare(path, secret, warnings)?
        .ok_or_else(|| Error::new(ErrorKind::Storage, "a new ledger is damaged at once").with_path(path))?;
    Ok((conn, false))
}

/// Renames a damaged ledger together with its journals and returns the new name; `None` if it is gone.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, Error> {
    let kept = aside_name(path)?;
    let is_kept =
        move_if_there(path, &kept).map_err(|source| Error::storage("move the damaged ledger aside", path, source))?;
    // Leftover journals must not be taken for those of the new ledger.
    for suffix in &SQLITES[1..] {
        move_if_there(&beside(path, suffix), &beside(&kept, suffix))
            .map_err(|source| Error::storage("move the damaged ledger's journal aside", path, source))?;
    }
    Ok(is_kept.then_some(kept))
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens files that only their owner can read, never through a symlink.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

/// Whether something other than a regular file has this name: a directory, a symlink, a pipe.
fn is_no_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| !found.is_file())
}

/// Creates the file if it is missing; otherwise checks its header before SQLite touches anything.
fn looks_sound(path: &Path) -> Result<bool, Error> {
    let fault = |source| Error::storage("open the ledger", path, source);
    if SQLITES.iter().any(|suffix| is_no_file(&beside(path, suffix))) {
        return Ok(false);
    }
    let mut file = match private().open(path) {
        Ok(file) => file,
        // A socket.
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => return Ok(false),
        Err(error) => return Err(fault(error)),
    };
    let found = file.metadata().map_err(fault)?;
    if found.len() == 0 {
        keep_private(&file).map_err(fault)?;
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
    let (schema_cookie, version, application_id) = (number(40), number(60), number(68));
    // Before its first tables, our ledger has no mark yet; an unmarked file with tables is somebody else's.
    let is_unmarked = application_id == 0 && schema_cookie == 0;
    // SQLite treats a file with an unknown format as read-only.
    let is_known_format =
        header.starts_with(b"SQLite format 3\0") && header[18..20].iter().all(|at| (1..=2).contains(at));
    if !is_known_format || !is_unmarked && application_id != APPLICATION_ID {
        return Ok(false);
    }
    keep_private(&file).map_err(fault)?;
    if application_id == APPLICATION_ID && version > VERSION { Err(newer(path, version)) } else { Ok(true) }
}

/// Returns the connection, what the file held, and whether its rows belonged to a lost key.
fn connect(path: &Path, secret: &Secret) -> rusqlite::Result<(Connection, Holds, bool)> {
    let conn = match open(path, JournalMode::Shared) {
        // A file system without shared memory.
        Err(error) if !is_damage(&error) && !is_busy(&error) => open(path, JournalMode::Alone)?,
        opened => opened?,
    };
    let holds = schema::recognise(&conn)?;
    match holds {
        Holds::Other | Holds::Newer(_) => return Ok((conn, holds, false)),
        Holds::Nothing => schema::make(&conn, secret)?,
        Holds::Ledger(1) => schema::bring_up(&conn, secret)?,
        Holds::Ledger(_) => {}
    }
    let has_forgotten = schema::fit_key(&conn, secret)?;
    Ok((conn, holds, has_forgotten))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// How SQLite stores what is not yet in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JournalMode {
    /// In a write-ahead log, which other processes read through shared memory.
    Shared,
    /// In a rollback journal, with no other process.
    Alone,
}

fn open(path: &Path, mode: JournalMode) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = sqlite::open(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    let (wanted, lock) = match mode {
        JournalMode::Shared => ("wal", "NORMAL"),
        JournalMode::Alone => ("delete", "EXCLUSIVE"),
    };
    // Must come before the first read, which would create the shared memory.
    conn.execute_batch(&format!("PRAGMA locking_mode = {lock};"))?;
    conn.set_prepared_statement_cache_capacity(32);
    // Nothing in the file may run code or block our statements.
    conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = OFF; PRAGMA cell_size_check = ON;")?;
    conn.execute_batch(match sqlite::has_sync(path) {
        true => "PRAGMA synchronous = NORMAL;",
        false => "PRAGMA synchronous = OFF;",
    })?;
    let found: String = conn.query_row(&format!("PRAGMA journal_mode = {wanted}"), [], |row| row.get(0))?;
    if mode == JournalMode::Shared && !found.eq_ignore_ascii_case(wanted) {
        return open(path, JournalMode::Alone);
    }
    // The first read creates the shared memory.
    conn.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0))?;
    conn.execute_batch(
        "PRAGMA cache_size = -2048; PRAGMA temp_store = FILE;
         PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 33554432;",
    )?;
    Ok(conn)
}
