//! Finds out who owns a name, according to the records of earlier runs.
//!
//! Only taken names are looked up, which is rare. A permanent index would slow down every write, so the first
//! lookup of a run creates a temporary table, on disk if it is large.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, params};

use crate::error::Error;
use crate::feed::entries::noted_in;
use crate::feed::ledger::Ledger;
use crate::feed::waiting::Place;
use crate::feed::{EntryId, Owner};
use crate::secret::printable;

const MAKE: &str = "CREATE TEMP TABLE owned (path BLOB NOT NULL, run INTEGER, settled INTEGER, entry INTEGER)";
/// Includes rows whose entry is being fetched again or has failed since: the file is still theirs. Ledgers of
/// version 1 did not record the run, only that it was an earlier one.
const FILL: &str = "INSERT INTO temp.owned (path, run, settled, entry)
    SELECT CAST(path AS BLOB), coalesce(settled_run, 0), settled_unix_ms, id FROM entry
    WHERE path IS NOT NULL AND len_bytes IS NOT NULL AND settled_run IS NOT ?1";
const INDEX: &str = "CREATE INDEX temp.owned_by_path ON owned (path, run, settled, entry)";
const LAST_OWNER: &str =
    "SELECT entry.id, entry.key, entry.url, entry.len_bytes, entry.modified_ns, entry.run, entry.validator
    FROM temp.owned JOIN entry ON entry.id = owned.entry
    WHERE owned.path = ?1 ORDER BY owned.run DESC, owned.settled DESC, owned.entry DESC LIMIT 1";

impl Ledger {
    /// Who last completed `path` in an earlier run. An entry that the listing no longer has, which is known once it
    /// `has_read_all`, gives up its name, as long as its file is as Towline left it and not the user's own.
    pub(crate) fn owner(
        &mut self,
        entry: EntryId,
        place: Option<&Place>,
        path: &Path,
        has_read_all: bool,
    ) -> Result<Owner, Error> {
        let own_key = place.map(|place| self.key(place.identity.of_copy(place.occurrence)));
        let owner = self.transaction("look in the ledger who has a name", |ledger| {
            if !ledger.has_owners {
                ledger.conn.execute(MAKE, [])?;
                ledger.conn.execute(FILL, params![ledger.run])?;
                ledger.conn.execute(INDEX, [])?;
            }
            let mut statement = ledger.conn.prepare_cached(LAST_OWNER)?;
            statement
                .query_row(params![path.as_os_str().as_bytes()], |row| {
                    let is_own = match own_key {
                        Some(key) => row.get_ref(1)? == ValueRef::Blob(&key),
                        None => ledger.entry_of(row.get(0)?) == entry,
                    };
                    let run = row.get(5).ok().filter(|_| has_read_all);
                    let is_gone = run.map_or(Ok(false), |run| ledger.is_earlier_run_of_listing(run))?;
                    let left = len_bytes(row).zip(row.get(4).ok());
                    let validator = row.get_ref(6)?.as_str().ok();
                    let is_adopted = validator.and_then(noted_in).is_some_and(|fetched| fetched.is_adopted);
                    let url = || shown(row.get_ref(2).unwrap_or(ValueRef::Null));
                    Ok(match (is_own, left) {
                        (true, left) => Owner::Itself { left },
                        (false, Some(left)) if is_gone && !is_adopted => Owner::Gone { url: url(), left },
                        (false, _) => Owner::Another(url()),
                    })
                })
                .optional()
        })?;
        // Only after the transaction has committed the table.
        self.has_owners = true;
        Ok(match owner {
            Some(owner) => owner,
            None if self.was_interrupted => Owner::NobodyKnows,
            None => Owner::Nobody,
        })
    }
}

fn shown(url: ValueRef<'_>) -> String {
    match url.as_str() {
        Ok(url) => printable(url).into_owned(),
        Err(_) => "another entry".to_owned(),
    }
}

fn len_bytes(row: &rusqlite::Row<'_>) -> Option<u64> {
    u64::try_from(row.get::<_, i64>(3).ok()?).ok()
}
