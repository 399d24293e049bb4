//! The tables of a ledger: created, recognised, and upgraded from version 1.
//!
//! Nothing in the file is trusted before it has been recognised: another application's tables, a missing
//! column, a trigger or a view mean that the file is not ours. Owns nothing; runs on the feed thread when a
//! ledger is opened.

use rusqlite::{Connection, OptionalExtension, params};

use crate::feed::identity::{Identity, Key, Secret};

/// The value of `PRAGMA application_id`: "TWLN".
pub(crate) const APPLICATION_ID: i32 = 0x5457_4c4e;
/// The format version that this build writes.
///
/// Version 1 found its rows by an unkeyed hash ([`Identity`]) and did not record which run settled them.
pub(crate) const VERSION: i32 = 2;
/// Ids of rows and runs are below this, so that adding to them cannot overflow.
pub(crate) const ID_MAX: i64 = 1 << 47;

const TABLES: [&str; 4] = ["entry", "name", "run", "identity"];
const VERSION_1: &str = "
    CREATE TABLE entry (
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
    CREATE TABLE name (key BLOB PRIMARY KEY, entry INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE run (
        id INTEGER PRIMARY KEY,
        started INTEGER NOT NULL,
        ended INTEGER,
        read_entries INTEGER NOT NULL DEFAULT 0,
        read_all INTEGER NOT NULL DEFAULT 0
    );";
const FROM_1_TO_2: &str = "
    ALTER TABLE entry ADD COLUMN settled_run INTEGER;
    CREATE TABLE identity (key_check BLOB NOT NULL);";
const COLUMNS: &str = "SELECT name || ' ' || type || ' ' || pk || ' ' || hidden || ' ' || \"notnull\" || ' ' ||
        coalesce(dflt_value, '')
    FROM pragma_table_xinfo(?1) ORDER BY cid";
const KEYS_AT_ONCE: i64 = 10_000;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing at all yet.
    Nothing,
    /// A ledger of this known version.
    Ledger(i32),
    /// A ledger of an unknown, newer version.
    Newer(i32),
    /// Anything else.
    Other,
}

/// Recognises what the file is, without changing it.
pub(crate) fn recognise(conn: &Connection) -> rusqlite::Result<Holds> {
    let version: i32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if version == 0 && objects == 0 && [0, APPLICATION_ID].contains(&application_id) {
        return Ok(Holds::Nothing);
    }
    if application_id != APPLICATION_ID || version < 1 {
        return Ok(Holds::Other);
    }
    if version > VERSION {
        return Ok(Holds::Newer(version));
    }
    let pattern = Connection::open_in_memory()?;
    pattern.execute_batch(VERSION_1)?;
    if version > 1 {
        pattern.execute_batch(FROM_1_TO_2)?;
    }
    let is_ours = has_only_tables(conn)? && columns(conn)? == columns(&pattern)? && has_sane_ids(conn)?;
    Ok(if is_ours { Holds::Ledger(version) } else { Holds::Other })
}

/// Creates the tables of a ledger in an empty file.
pub(crate) fn make(conn: &Connection, secret: &Secret) -> rusqlite::Result<()> {
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {VERSION_1} {FROM_1_TO_2}"))?;
    note_key(conn, secret)?;
    conn.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"))
}

/// Upgrades a ledger of version 1: the same rows under keyed hashes. A row's new hash is made from its old one,
/// so all rows are converted at once, without the list.
pub(crate) fn bring_up(conn: &Connection, secret: &Secret) -> rusqlite::Result<()> {
    // The old hashes must not remain in free pages.
    conn.execute_batch(&format!("PRAGMA secure_delete = ON; BEGIN IMMEDIATE; {FROM_1_TO_2}"))?;
    let mut last_id = 0;
    loop {
        let rows = keys_after(conn, last_id)?;
        let Some((id, _)) = rows.last() else { break };
        last_id = *id;
        let mut update = conn.prepare("UPDATE entry SET key = ?2 WHERE id = ?1")?;
        for (id, identity) in rows {
            update.execute(params![id, secret.key(identity)])?;
        }
    }
    conn.execute_batch(
        "DELETE FROM name;
         INSERT OR IGNORE INTO name (key, entry)
             SELECT key, id FROM entry WHERE typeof(key) = 'blob' AND length(key) = 16 ORDER BY key, id;",
    )?;
    note_key(conn, secret)?;
    conn.execute_batch(&format!("PRAGMA user_version = {VERSION}; COMMIT; PRAGMA secure_delete = OFF;"))
}

/// Makes sure that all rows belong to this key. Rows of a lost key could never be found again and would only
/// occupy names, so they are deleted. Returns whether there were any.
pub(crate) fn fit_key(conn: &Connection, secret: &Secret) -> rusqlite::Result<bool> {
    let noted =
        conn.query_row("SELECT key_check FROM identity", [], |row| Ok(row.get::<_, Key>(0).ok())).optional()?.flatten();
    if noted == Some(secret.check()) {
        return Ok(false);
    }
    let has_rows = conn.query_row("SELECT EXISTS (SELECT 1 FROM entry)", [], |row| row.get(0))?;
    conn.execute_batch("BEGIN IMMEDIATE; DELETE FROM entry; DELETE FROM name;")?;
    note_key(conn, secret)?;
    conn.execute_batch("COMMIT")?;
    Ok(has_rows)
}

fn note_key(conn: &Connection, secret: &Secret) -> rusqlite::Result<()> {
    conn.execute("DELETE FROM identity", [])?;
    conn.execute("INSERT INTO identity (key_check) VALUES (?1)", params![secret.check()])?;
    Ok(())
}

fn keys_after(conn: &Connection, id: i64) -> rusqlite::Result<Vec<(i64, Identity)>> {
    let mut statement = conn.prepare(
        "SELECT id, key FROM entry WHERE id > ?1 AND typeof(key) = 'blob' AND length(key) = 16 ORDER BY id LIMIT ?2",
    )?;
    let rows = statement.query_map(params![id, KEYS_AT_ONCE], |row| Ok((row.get(0)?, Identity(row.get(1)?))))?;
    rows.collect()
}

/// Triggers, views and virtual tables would run somebody else's code.
fn has_only_tables(conn: &Connection) -> rusqlite::Result<bool> {
    let others = "SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema
        WHERE type NOT IN ('table', 'index') OR sql LIKE 'CREATE VIRTUAL%')";
    conn.query_row(others, [], |row| row.get(0))
}

fn columns(conn: &Connection) -> rusqlite::Result<Vec<Vec<String>>> {
    let mut statement = conn.prepare(COLUMNS)?;
    let columns_of = |table: &'static str| -> rusqlite::Result<Vec<String>> {
        statement.query_map([table], |row| row.get(0))?.collect()
    };
    TABLES.into_iter().map(columns_of).collect()
}

fn has_sane_ids(conn: &Connection) -> rusqlite::Result<bool> {
    for table in ["entry", "run"] {
        // Two separate queries, each of which reads one end; a single query would scan the whole table.
        let ends =
            format!("SELECT coalesce((SELECT min(id) FROM {table}), 1), coalesce((SELECT max(id) FROM {table}), 1)");
        let (first, last): (i64, i64) = conn.query_row(&ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if first < 1 || last >= ID_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(then: &str) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        let directory = tempfile::tempdir().unwrap();
        make(&conn, &Secret::load(directory.path(), &mut Vec::new()).unwrap()).unwrap();
        conn.execute_batch(then).unwrap();
        conn
    }

    #[test]
    fn a_new_file_holds_nothing_and_then_a_ledger() {
        assert_eq!(recognise(&Connection::open_in_memory().unwrap()).unwrap(), Holds::Nothing);
        assert_eq!(recognise(&ledger("")).unwrap(), Holds::Ledger(VERSION));
        assert_eq!(recognise(&ledger("PRAGMA user_version = 7")).unwrap(), Holds::Newer(7));
    }

    #[test]
    fn what_is_not_quite_a_ledger_is_none() {
        for change in [
            "ALTER TABLE entry DROP COLUMN digest",
            "ALTER TABLE entry RENAME COLUMN path TO place",
            "ALTER TABLE run ADD COLUMN more TEXT",
            "DROP TABLE name",
            "DROP TABLE name; CREATE VIEW name AS SELECT key, id AS entry FROM entry",
            "CREATE TRIGGER t AFTER UPDATE ON entry BEGIN DELETE FROM name; END",
            "PRAGMA application_id = 7",
            "PRAGMA application_id = 0",
            "PRAGMA user_version = 0",
            "PRAGMA user_version = 1",
            "INSERT INTO run (id, started) VALUES (9223372036854775807, 0)",
            "INSERT INTO entry (id, key, occurrence, copies, run, url) VALUES (-1, x'00', 0, 1, 1, '')",
        ] {
            assert_eq!(recognise(&ledger(change)).unwrap(), Holds::Other, "{change}");
        }
    }
}
