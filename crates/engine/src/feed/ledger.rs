//! The memory of a batch: an SQLite file in `DIR/.towline` with one row per entry.
//!
//! Owns the connection and the directory's lock (one writing process at a time); used only by the feed thread.
//! `entries` finds and creates rows; other processes read them through `status`.
//!
//! Anybody may have written to the file, and disks lose pages. So it is trusted in one respect only: a file
//! whose size and time still match the record need not be checked again. An invalid row counts as one to check;
//! an invalid file is replaced, even in the middle of a run (see [`Ledger::transaction`]). Entries in progress
//! at that time are known by their identity, and get a new row when they are settled.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use crate::error::Error;
use crate::feed::fault::{is_damage, ledger_error};
use crate::feed::identity::{Identity, Key, Secret};
use crate::feed::listing_runs::ListingRuns;
use crate::feed::opening::{DirectoryLock, make_directory, prepare, replace, take_lock};
use crate::feed::paths::LEDGER;
use crate::feed::values::{kind_text, path_value, signed, unix_ms, unix_ns};
use crate::feed::waiting::Place;
use crate::feed::{EntryId, Settled, SettledState, spare, strangers};

/// If a ledger is damaged more often than this in one run, its disk cannot store anything.
const GENERATIONS_MAX: u64 = 8;
/// An entry's number is that of its row, with the ledger's generation above these bits.
const ROW_BITS: u32 = 48;

const SETTLE_DONE: &str = "UPDATE entry SET state = 'done', path = ?3, len_bytes = ?4,
    modified_ns = ?5, validator = ?6, digest = ?7, attempts = NULL, error_kind = NULL, error = NULL,
    settled_unix_ms = ?8, settled_run = ?9 WHERE id = ?1 AND (?2 IS NULL OR key = ?2)";
const SETTLE_FAILED: &str = "UPDATE entry SET state = ?3, attempts = ?4, error_kind = ?5,
    error = ?6, settled_unix_ms = ?7 WHERE id = ?1 AND (?2 IS NULL OR key = ?2)";
/// Once a run in order has read all of its list and nothing is left to do, the files of an interrupted run before have
/// their rows.
const INTERRUPTED: &str = "WITH cut AS (SELECT max(id) AS last FROM run WHERE ended IS NULL AND id <> ?1)
    SELECT last IS NOT NULL AND (EXISTS (SELECT 1 FROM entry WHERE state NOT IN ('done', 'repeated'))
        OR last > (SELECT coalesce(max(id), 0) FROM run WHERE ended IS NOT NULL AND read_all)) FROM cut";
const SETTLE_SKIPPED: &str = "UPDATE entry SET state = 'skipped', attempts = NULL, error_kind = NULL, error = NULL,
    settled_unix_ms = ?3 WHERE id = ?1 AND (?2 IS NULL OR key = ?2)";
const SETTLE_NAMED: &str = "UPDATE entry SET path = ?3 WHERE id = ?1 AND (?2 IS NULL OR key = ?2)";
const ROW_OF: &str = "SELECT entry.id FROM name JOIN entry ON entry.id = name.entry AND entry.key = name.key
    WHERE name.key = ?1";
const RE_ENTER: &str = "INSERT INTO entry (id, key, occurrence, copies, run, url) VALUES (?1, ?2, ?3, 1, ?4, ?5)";
const NAME: &str = "INSERT INTO name (key, entry) VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET entry = excluded.entry";

/// The ledger of a batch, open for writing.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) conn: Connection,
    secret: Secret,
    pub(super) run: i64,
    /// The first unused entry id.
    pub(super) next_id: i64,
    /// The id after which to look first for the next entry.
    pub(super) expected_id: i64,
    /// Whether the table of name owners exists.
    pub(super) has_owners: bool,
    directory: PathBuf,
    path: PathBuf,
    warnings: Vec<String>,
    /// How often the ledger was replaced in this run.
    generation: u64,
    has_used_copy: bool,
    /// Whether this ledger has everything that was read from the list.
    is_whole: bool,
    has_settled: bool,
    /// An earlier run did not end in order, or its ledger was damaged, so that files may be there that have no row.
    pub(crate) was_interrupted: bool,
    /// The listing that is read, if it is one.
    pub(super) listing: Option<ListingRuns>,
    // Last, so that the connection closes while the directory is still locked.
    _lock: DirectoryLock,
}

impl Ledger {
    /// Opens or creates the ledger of the batch directory `dir`, and starts a run.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let directory = make_directory(dir)?;
        let mut warnings = Vec::new();
        let lock = take_lock(dir, &directory, &mut warnings)?;
        let path = directory.join(LEDGER);
        strangers::keep_out(&path, &mut warnings)?;
        let secret = Secret::load(&directory, &mut warnings)?;
        let sound = prepare(&path, &secret, &mut warnings)?;
        let was_replaced = sound.is_none();
        let (conn, has_used_copy) = match sound {
            Some(conn) => (conn, false),
            None => replace(&path, true, &secret, &mut warnings)?,
        };
        let mut ledger = Self {
            conn,
            secret,
            run: 0,
            next_id: 1,
            expected_id: 0,
            has_owners: false,
            directory,
            path,
            warnings,
            generation: 0,
            has_used_copy,
            is_whole: true,
            has_settled: false,
            was_interrupted: was_replaced,
            listing: None,
            _lock: lock,
        };
        if let Err(error) = ledger.begin_run() {
            ledger.mend("begin a run in the ledger", error)?;
        }
        Ok(ledger)
    }

    /// The directory that holds it.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the warnings for the user.
    pub(crate) fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// The key of an entry's row.
    pub(crate) fn key(&self, identity: Identity) -> Key {
        self.secret.key(identity)
    }

    /// The number of the entry in this row. It is unique within the run, even if the ledger is replaced by one
    /// with other rows.
    pub(crate) fn entry_of(&self, row: i64) -> EntryId {
        EntryId((self.generation << ROW_BITS) | row.unsigned_abs())
    }

    /// Runs `work` in one transaction. If the ledger turns out to be damaged, replaces it and runs `work`
    /// again.
    pub(crate) fn transaction<T>(
        &mut self,
        action: &str,
        mut work: impl FnMut(&mut Self) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        loop {
            let result = self.conn.execute_batch("BEGIN IMMEDIATE").and_then(|()| {
                let value = work(self)?;
                self.conn.execute_batch("COMMIT")?;
                Ok(value)
            });
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if !self.conn.is_autocommit() {
                // The first error is the one to report.
                let _ = self.conn.execute_batch("ROLLBACK");
            }
            self.mend(action, error)?;
        }
    }

    /// Records how entries ended, in one transaction. An entry with a place is recorded in its row, wherever
    /// that is now, or in a new one.
    pub(crate) fn settle(&mut self, settled: &[(Settled, Option<Place>)]) -> Result<(), Error> {
        if settled.is_empty() {
            return Ok(());
        }
        self.transaction("note in the ledger what is done", |ledger| {
            let now = unix_ms(SystemTime::now());
            let mut lost = Vec::new();
            {
                let mut done = ledger.conn.prepare_cached(SETTLE_DONE)?;
                for (one, place) in settled {
                    let row = signed(one.entry.0 & ((1 << ROW_BITS) - 1));
                    let Some(place) = place else {
                        if one.entry == ledger.entry_of(row) {
                            ledger.note(&mut done, row, None, &one.state, now)?;
                        }
                        continue;
                    };
                    let key = ledger.key(place.identity.of_copy(place.occurrence));
                    if ledger.note(&mut done, row, Some(key), &one.state, now)? == 0 {
                        lost.push((one, place, key));
                    }
                }
            }
            for (one, place, key) in lost {
                let row = ledger.re_enter(place, key, &place.shown_url())?;
                let mut done = ledger.conn.prepare_cached(SETTLE_DONE)?;
                ledger.note(&mut done, row, Some(key), &one.state, now)?;
            }
            Ok(())
        })?;
        self.has_settled = true;
        Ok(())
    }

    /// Whether it has everything that was read from the list.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Records how much of the list has been read; call within a transaction.
    pub(crate) fn note_read(&self, read_entries: u64, read_all: bool) -> rusqlite::Result<()> {
        self.conn.prepare_cached("UPDATE run SET read_entries = ?2, read_all = ?3 WHERE id = ?1")?.execute(params![
            self.run,
            signed(read_entries),
            // Lines that only a lost ledger knew must not look as if they had left the list.
            read_all && self.is_whole
        ])?;
        Ok(())
    }

    /// Ends the run, merges everything into the one file, and keeps a copy of it if anything was settled. If a file may
    /// have a name that has not been noted, it counts as interrupted.
    pub(crate) fn close(&mut self, is_all_noted: bool) -> Result<(), Error> {
        if is_all_noted {
            self.transaction("end the run in the ledger", |ledger| {
                ledger
                    .conn
                    .execute("UPDATE run SET ended = ?2 WHERE id = ?1", params![ledger.run, unix_ms(SystemTime::now())])
            })?;
        }
        if let Err(error) = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            self.mend("write the ledger", error)?;
        }
        if self.has_settled {
            // If this fails, the older copy stays: the ledger itself has the results of the run.
            let _ = spare::write(&self.conn, &self.path);
        }
        Ok(())
    }

    fn begin_run(&mut self) -> rusqlite::Result<()> {
        self.was_interrupted |= self.conn.query_row(INTERRUPTED, params![self.run], |row| row.get::<_, bool>(0))?;
        self.conn.execute("INSERT INTO run (started) VALUES (?1)", params![unix_ms(SystemTime::now())])?;
        self.run = self.conn.last_insert_rowid();
        let last: i64 = self.conn.query_row("SELECT coalesce(max(id), 0) FROM entry", [], |row| row.get(0))?;
        self.next_id = last + 1;
        self.expected_id = 0;
        Ok(())
    }

    /// Replaces the ledger if this error shows that it is damaged; returns any other error.
    fn mend(&mut self, action: &str, error: rusqlite::Error) -> Result<(), Error> {
        let path = self.path.clone();
        let mut error = error;
        while is_damage(&error) && self.generation < GENERATIONS_MAX {
            self.let_go().map_err(|error| ledger_error(action, &path, error))?;
            self.generation += 1;
            self.is_whole &= self.expected_id == 0;
            self.was_interrupted = true;
            self.has_owners = false;
            self.listing = None;
            // The damage may come from a copy that this run has used already.
            let (conn, is_copy) = replace(&path, !self.has_used_copy, &self.secret, &mut self.warnings)?;
            self.conn = conn;
            self.has_used_copy |= is_copy;
            match self.begin_run() {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
        Err(ledger_error(action, &path, error))
    }

    /// Closes the file without writing to it any more.
    fn let_go(&mut self) -> rusqlite::Result<()> {
        let _ = self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        self.conn = Connection::open_in_memory()?;
        Ok(())
    }

    /// `done` is the statement for complete files, which most are: looking it up takes as long as a part of its work.
    fn note(
        &self,
        done: &mut CachedStatement<'_>,
        row: i64,
        key: Option<Key>,
        state: &SettledState,
        now: i64,
    ) -> rusqlite::Result<usize> {
        match state {
            SettledState::Done { path, len_bytes, modified, validator, digest } => {
                let validator = serde_json::to_string(validator)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                done.execute(params![
                    row,
                    key,
                    path_value(path),
                    signed(*len_bytes),
                    unix_ns(*modified),
                    validator,
                    digest,
                    now,
                    self.run
                ])
            }
            SettledState::Named(path) => {
                self.conn.prepare_cached(SETTLE_NAMED)?.execute(params![row, key, path_value(path)])
            }
            // Its row already says that it still has to be fetched.
            SettledState::Released | SettledState::Unknown | SettledState::Cancelled => Ok(1),
            SettledState::Skipped => self.conn.prepare_cached(SETTLE_SKIPPED)?.execute(params![row, key, now]),
            SettledState::Failed { kind, message, attempts, permanent } => {
                let state = if *permanent { "failed_permanent" } else { "failed" };
                self.conn.prepare_cached(SETTLE_FAILED)?.execute(params![
                    row,
                    key,
                    state,
                    attempts,
                    kind_text(*kind),
                    message,
                    now
                ])
            }
        }
    }

    /// The row of an entry that was read with an earlier ledger.
    fn re_enter(&mut self, place: &Place, key: Key, url: &str) -> rusqlite::Result<i64> {
        let known: Option<i64> =
            self.conn.prepare_cached(ROW_OF)?.query_row(params![key], |row| row.get(0)).optional()?;
        if let Some(row) = known {
            let mut mark = self.conn.prepare_cached("UPDATE entry SET run = ?2 WHERE id = ?1")?;
            mark.execute(params![row, self.run])?;
            return Ok(row);
        }
        let row = self.next_id;
        self.next_id += 1;
        self.conn.prepare_cached(RE_ENTER)?.execute(params![row, key, place.occurrence, self.run, url])?;
        self.conn.prepare_cached(NAME)?.execute(params![key, row])?;
        Ok(row)
    }
}
