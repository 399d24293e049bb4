//! Counts what a batch's ledger has, for `towline status`.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::Serialize;

use crate::error::Error;
use crate::feed::reading;
use crate::secret::printable;

/// Counts rows whose lines were still in the list when it was last read completely, and newer rows. Values of a
/// type that we never write count as nothing.
const COUNT: &str = "SELECT
        count(*),
        coalesce(sum(state = 'done'), 0),
        coalesce(sum(state = 'skipped'), 0),
        coalesce(sum(state IN ('failed', 'failed_permanent')), 0),
        CAST(total(CASE WHEN state = 'done' AND typeof(len_bytes) = 'integer' AND len_bytes > 0
            THEN len_bytes END) AS INTEGER)
    FROM entry WHERE (occurrence = 0 OR state NOT IN ('pending', 'repeated')) AND run >= (SELECT coalesce(max(id), 0) FROM run WHERE read_all)";
const FAILURES: &str = "SELECT url, error FROM entry
    WHERE state IN ('failed', 'failed_permanent') AND run >= (SELECT coalesce(max(id), 0) FROM run WHERE read_all)
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
/// [`ErrorKind::JournalVersion`](crate::ErrorKind::JournalVersion) if a newer version wrote the ledger,
/// [`ErrorKind::Storage`](crate::ErrorKind::Storage) if it cannot be read.
pub fn ledger_status(dir: &Path) -> Result<Option<LedgerStatus>, Error> {
    let read = reading::read(dir, ask)?;
    Ok(read.map(|(status, running)| LedgerStatus { running, ..status }))
}

fn ask(conn: &Connection) -> rusqlite::Result<LedgerStatus> {
    conn.execute_batch("BEGIN")?;
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
    Ok(status)
}

/// The printable part of a value, whoever wrote it.
fn text_of(value: ValueRef<'_>) -> String {
    let ValueRef::Text(bytes) = value else { return String::new() };
    printable(&String::from_utf8_lossy(bytes)).into_owned()
}
