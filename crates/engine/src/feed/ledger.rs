//! The memory of a batch: an SQLite file in `DIR/.towline` with a row for each entry.
//!
//! Owns the connection and the lock of the directory (one writing process at a time); used by the
//! feed thread alone. Rows are found and made in `entries`, read by other processes in `status`.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, params};

use crate::error::{Error, ErrorKind};
use crate::feed::opening::{LEDGER, VERSION, make_directory, prepare, set_aside, take_lock};
use crate::feed::{Settled, SettledState};

const SETTLE_DONE: &str = "UPDATE entry SET state = 'done', path = ?2, len_bytes = ?3,
    modified_ns = ?4, validator = ?5, digest = ?6, attempts = NULL, error_kind = NULL, error = NULL,
    settled_unix_ms = ?7 WHERE id = ?1";

const SETTLE_FAILED: &str = "UPDATE entry SET state = ?2, attempts = ?3, error_kind = ?4,
    error = ?5, settled_unix_ms = ?6 WHERE id = ?1";

/// The ledger of a batch, open for writing.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) conn: Connection,
    pub(super) run: i64,
    /// The first id that no entry has.
    pub(super) next_id: i64,
    /// The id after which the next entry is looked for first.
    pub(super) expected_id: i64,
    directory: PathBuf,
    warnings: Vec<String>,
    // Last, so that the connection is closed while the directory is still ours.
    _lock: File,
}

impl Ledger {
    /// Opens or makes the ledger of the batch directory `dir`, and begins a run.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let directory = make_directory(dir)?;
        let lock = take_lock(dir, &directory)?;
        let path = directory.join(LEDGER);
        let mut warnings = Vec::new();
        let conn = match prepare(&path)? {
            Some(conn) => conn,
            None => {
                let kept = set_aside(&path)?;
                warnings.push(format!(
                    "the ledger {} was damaged: it is kept as {}, and a new one is begun",
                    path.display(),
                    kept.display()
                ));
                prepare(&path)?
                    .ok_or_else(|| Error::new(ErrorKind::Storage, "a new ledger is damaged at once").with_path(&path))?
            }
        };
        let mut ledger = Self { conn, run: 0, next_id: 1, expected_id: 0, directory, warnings, _lock: lock };
        ledger.begin_run().map_err(|error| ledger_error("begin a run in the ledger", &path, error))?;
        Ok(ledger)
    }

    /// Where the ledger is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes what the user should be told about opening it.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Runs `work` in one transaction.
    pub(crate) fn transaction<T>(
        &mut self,
        action: &str,
        work: impl FnOnce(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let result = self.conn.execute_batch("BEGIN IMMEDIATE").and_then(|()| {
            let value = work(self)?;
            self.conn.execute_batch("COMMIT")?;
            Ok(value)
        });
        result.map_err(|error| {
            if !self.conn.is_autocommit() {
                // The first error is the one to tell.
                let _ = self.conn.execute_batch("ROLLBACK");
            }
            self.failed(action, error)
        })
    }

    /// Notes how entries ended, in one transaction.
    pub(crate) fn settle(&mut self, settled: &[Settled]) -> Result<(), Error> {
        if settled.is_empty() {
            return Ok(());
        }
        self.transaction("note in the ledger what is done", |ledger| {
            let now = unix_ms(SystemTime::now());
            let mut done = ledger.conn.prepare_cached(SETTLE_DONE)?;
            let mut failed = ledger.conn.prepare_cached(SETTLE_FAILED)?;
            for one in settled {
                let id = signed(one.entry.0);
                match &one.state {
                    SettledState::Done { path, len_bytes, modified, validator, digest, .. } => {
                        let validator = serde_json::to_string(validator)
                            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                        done.execute(params![
                            id,
                            path_value(path),
                            signed(*len_bytes),
                            unix_ns(*modified),
                            validator,
                            digest,
                            now
                        ])?;
                    }
                    SettledState::Failed { kind, message, attempts, permanent } => {
                        let state = if *permanent { "failed_permanent" } else { "failed" };
                        failed.execute(params![id, state, attempts, kind_text(*kind), message, now])?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Notes how much of the list has been read; to be called within a transaction.
    pub(crate) fn note_read(&self, read_entries: u64, read_all: bool) -> rusqlite::Result<()> {
        self.conn.prepare_cached("UPDATE run SET read_entries = ?2, read_all = ?3 WHERE id = ?1")?.execute(params![
            self.run,
            signed(read_entries),
            read_all
        ])?;
        Ok(())
    }

    /// Ends the run and moves everything into the one file.
    pub(crate) fn close(&mut self) -> Result<(), Error> {
        self.transaction("end the run in the ledger", |ledger| {
            ledger
                .conn
                .execute("UPDATE run SET ended = ?2 WHERE id = ?1", params![ledger.run, unix_ms(SystemTime::now())])
        })?;
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|error| self.failed("write the ledger", error))
    }

    /// The error to tell. A ledger that turns out to be damaged is moved aside at once, so that
    /// the next run does not stumble over it again.
    pub(crate) fn failed(&self, action: &str, error: rusqlite::Error) -> Error {
        let path = self.directory.join(LEDGER);
        if !is_damage(&error) {
            return ledger_error(action, &path, error);
        }
        let message = match set_aside(&path) {
            Ok(kept) => {
                format!("the ledger is damaged and was moved to {}; the next run begins a new one", kept.display())
            }
            Err(_) => "the ledger is damaged and could not be moved aside".to_owned(),
        };
        Error::new(ErrorKind::Storage, message).with_path(path).with_source(error)
    }

    fn begin_run(&mut self) -> rusqlite::Result<()> {
        self.conn.execute("INSERT INTO run (started) VALUES (?1)", params![unix_ms(SystemTime::now())])?;
        self.run = self.conn.last_insert_rowid();
        let last: i64 = self.conn.query_row("SELECT coalesce(max(id), 0) FROM entry", [], |row| row.get(0))?;
        self.next_id = last + 1;
        Ok(())
    }
}

/// Whether this error means that the file is no (whole) database.
pub(crate) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// An error of SQLite as one of ours.
pub(crate) fn ledger_error(action: &str, path: &Path, error: rusqlite::Error) -> Error {
    let kind = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::DiskFull,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("cannot {action}: {error}")).with_path(path).with_source(error)
}

/// Refuses a ledger that a newer version wrote.
pub(crate) fn newer(path: &Path, version: i32) -> Error {
    let message = format!("the ledger has format {version}; this towline knows up to {VERSION}");
    Error::new(ErrorKind::JournalVersion, message).with_path(path)
}

/// A path as it is kept: text where it is text.
pub(crate) fn path_value(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => Value::Text(text.to_owned()),
        None => Value::Blob(path.as_os_str().as_bytes().to_vec()),
    }
}

/// The path behind [`path_value`].
pub(crate) fn path_from(value: ValueRef<'_>) -> Option<PathBuf> {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(OsStr::from_bytes(bytes).into()),
        _ => None,
    }
}

/// A time as it is kept, nanoseconds since 1970.
pub(crate) fn unix_ns(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// A number as SQLite keeps it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A kind as it is kept.
pub(crate) fn kind_text(kind: ErrorKind) -> String {
    if let ErrorKind::Status(code) = kind {
        return format!("status:{code}");
    }
    let text = serde_json::to_string(&kind).unwrap_or_default();
    text.trim_matches('"').to_owned()
}

/// The kind behind [`kind_text`].
pub(crate) fn kind_from(text: &str) -> ErrorKind {
    const KINDS: [ErrorKind; 22] = [
        ErrorKind::Usage,
        ErrorKind::ListLine,
        ErrorKind::Resolve,
        ErrorKind::Connect,
        ErrorKind::Tls,
        ErrorKind::Proxy,
        ErrorKind::Broken,
        ErrorKind::Stalled,
        ErrorKind::Protocol,
        ErrorKind::Redirect,
        ErrorKind::Changed,
        ErrorKind::Digest,
        ErrorKind::TooLarge,
        ErrorKind::Page,
        ErrorKind::NameTaken,
        ErrorKind::DiskFull,
        ErrorKind::Storage,
        ErrorKind::Locked,
        ErrorKind::JournalVersion,
        ErrorKind::Cancelled,
        ErrorKind::Interrupted,
        ErrorKind::Internal,
    ];
    if let Some(code) = text.strip_prefix("status:").and_then(|code| code.parse().ok()) {
        return ErrorKind::Status(code);
    }
    KINDS.into_iter().find(|kind| kind_text(*kind) == text).unwrap_or(ErrorKind::Internal)
}

fn unix_ms(time: SystemTime) -> i64 {
    unix_ns(time) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_kept_and_found_again() {
        for kind in [ErrorKind::Status(404), ErrorKind::Tls, ErrorKind::NameTaken, ErrorKind::Usage] {
            assert_eq!(kind_from(&kind_text(kind)), kind);
        }
        assert_eq!(kind_from("what a later version says"), ErrorKind::Internal);
    }

    #[test]
    fn a_path_that_is_no_text_is_kept_too() {
        let path = Path::new(OsStr::from_bytes(b"a/\xff"));
        let Value::Blob(bytes) = path_value(path) else { panic!("text") };
        assert_eq!(path_from(ValueRef::Blob(&bytes)).as_deref(), Some(path));
    }
}
