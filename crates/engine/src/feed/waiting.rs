//! Entries that have been read and not been given out: hosts take turns.
//!
//! Owned by the batch, on the feed thread. Some wait in memory; the others wait in a temporary
//! table that knows only where in the list they are, and are read again when it is their turn.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::{Connection, params};

use crate::error::{Error, ErrorKind};
use crate::feed::batch::key_of_spec;
use crate::feed::entries::Key;
use crate::feed::ledger::signed;
use crate::feed::list::{Line, line_at, parse_line};
use crate::job::JobSpec;

/// So many entries wait in memory at most.
pub(crate) const INLINE_MAX: usize = 4096;

/// So many bytes of URLs wait in memory at most.
const INLINE_BYTES_MAX: usize = 4 << 20;
/// Hosts are told apart by a hash of so many values, so that a list with a host of its own for
/// each entry needs no more memory; hosts that share a value share their turns.
const TURNS_MAX: u64 = 4096;
const LOADED_AT_ONCE_MAX: usize = 64;

const TABLE: &str = "CREATE TEMP TABLE IF NOT EXISTS waiting (
    host INTEGER, seq INTEGER, entry INTEGER, list_offset INTEGER, line INTEGER, key BLOB,
    PRIMARY KEY (host, seq)) WITHOUT ROWID";
const STORE: &str = "INSERT INTO temp.waiting (host, seq, entry, list_offset, line, key)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const LOAD: &str = "SELECT seq, entry, list_offset, line, key FROM temp.waiting
    WHERE host = ?1 ORDER BY seq LIMIT ?2";
const FORGET: &str = "DELETE FROM temp.waiting WHERE host = ?1 AND seq <= ?2";

/// An entry that begins to wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Its row in the ledger.
    pub(crate) entry: i64,
    /// Where its line begins in the list.
    pub(crate) offset: u64,
    /// Its line's number.
    pub(crate) line: u64,
    /// What it is known by.
    pub(crate) key: Key,
    /// What to fetch.
    pub(crate) spec: JobSpec,
}

/// An entry whose turn has come.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Fetch it.
    Job { entry: i64, spec: JobSpec },
    /// Its line is no longer what it was.
    Gone { line: u64, error: Error },
}

/// All that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    hosts: HashMap<u64, Host>,
    /// Each host that has something, once.
    turns: VecDeque<u64>,
    inline: usize,
    inline_bytes: usize,
    next_seq: i64,
}

#[derive(Debug, Default)]
struct Host {
    inline: VecDeque<Turn>,
    /// How many are in the table; they come after those in memory.
    stored: u64,
}

impl Waiting {
    /// Makes the table.
    pub(crate) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
        conn.execute_batch(TABLE)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// How many wait in memory.
    #[cfg(test)]
    pub(crate) fn inline(&self) -> usize {
        self.inline
    }

    /// Lets one more wait.
    pub(crate) fn push(&mut self, conn: &Connection, waiter: Waiter) -> rusqlite::Result<()> {
        let name = turn_of(&waiter.spec);
        let url_bytes = waiter.spec.url.as_str().len();
        let host = self.hosts.entry(name).or_default();
        if host.stored == 0 && host.inline.is_empty() {
            self.turns.push_back(name);
        }
        let room = self.inline < INLINE_MAX && self.inline_bytes + url_bytes <= INLINE_BYTES_MAX;
        if host.stored == 0 && room {
            host.inline.push_back(Turn::Job { entry: waiter.entry, spec: waiter.spec });
            self.inline += 1;
            self.inline_bytes += url_bytes;
            return Ok(());
        }
        host.stored += 1;
        self.next_seq += 1;
        conn.prepare_cached(STORE)?.execute(params![
            signed(name),
            self.next_seq,
            waiter.entry,
            signed(waiter.offset),
            signed(waiter.line),
            waiter.key
        ])?;
        Ok(())
    }

    /// The next one, from the host whose turn it is.
    pub(crate) fn pop(&mut self, conn: &Connection, list: &File) -> rusqlite::Result<Option<Turn>> {
        let Some(name) = self.turns.pop_front() else {
            return Ok(None);
        };
        let Some(host) = self.hosts.get_mut(&name) else {
            return Ok(None);
        };
        if host.inline.is_empty() {
            let room = INLINE_MAX.saturating_sub(self.inline).clamp(1, LOADED_AT_ONCE_MAX);
            let loaded = load(conn, list, name, room)?;
            host.stored = match loaded.len() {
                0 => 0,
                count => host.stored.saturating_sub(count as u64),
            };
            self.inline += loaded.len();
            self.inline_bytes += loaded.iter().map(url_bytes).sum::<usize>();
            host.inline.extend(loaded);
        }
        let turn = host.inline.pop_front();
        if let Some(turn) = &turn {
            self.inline -= 1;
            self.inline_bytes = self.inline_bytes.saturating_sub(url_bytes(turn));
        }
        if host.inline.is_empty() && host.stored == 0 {
            self.hosts.remove(&name);
        } else {
            self.turns.push_back(name);
        }
        Ok(turn)
    }
}

fn turn_of(spec: &JobSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    spec.url.host_str().hash(&mut hasher);
    hasher.finish() % TURNS_MAX
}

fn url_bytes(turn: &Turn) -> usize {
    match turn {
        Turn::Job { spec, .. } => spec.url.as_str().len(),
        Turn::Gone { .. } => 0,
    }
}

fn load(conn: &Connection, list: &File, host: u64, count: usize) -> rusqlite::Result<Vec<Turn>> {
    let mut turns = Vec::with_capacity(count);
    let mut last: i64 = 0;
    {
        let mut statement = conn.prepare_cached(LOAD)?;
        let mut rows = statement.query(params![signed(host), count as i64])?;
        while let Some(row) = rows.next()? {
            last = row.get(0)?;
            let offset = row.get::<_, i64>(2)?.unsigned_abs();
            let line = row.get::<_, i64>(3)?.unsigned_abs();
            let key: Key = row.get(4)?;
            turns.push(read_again(list, row.get(1)?, offset, line, &key));
        }
    }
    conn.prepare_cached(FORGET)?.execute(params![signed(host), last])?;
    Ok(turns)
}

fn read_again(list: &File, entry: i64, offset: u64, line: u64, key: &Key) -> Turn {
    let gone = |why: &str| Turn::Gone { line, error: Error::new(ErrorKind::ListLine, format!("line {line}: {why}")) };
    let bytes = match line_at(list, offset) {
        Ok(bytes) => bytes,
        Err(error) => return gone(&format!("cannot be read again: {error}")),
    };
    match parse_line(line, &bytes) {
        Line::Entry(parsed) if key_of_spec(&parsed.spec) == *key => Turn::Job { entry, spec: parsed.spec },
        _ => gone("the list was changed while it was being read; run the same command again"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn connection() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        Waiting::prepare(&conn).unwrap();
        conn
    }

    fn fill(waiting: &mut Waiting, conn: &Connection, file: &mut File, urls: &[String]) {
        let mut offset = 0;
        for (index, url) in urls.iter().enumerate() {
            writeln!(file, "{url}").unwrap();
            let line = index as u64 + 1;
            let Line::Entry(parsed) = parse_line(line, url.as_bytes()) else { panic!("{url}") };
            let key = key_of_spec(&parsed.spec);
            let entry = line as i64;
            waiting.push(conn, Waiter { entry, offset, line, key, spec: parsed.spec }).unwrap();
            offset += url.len() as u64 + 1;
        }
    }

    #[test]
    fn hosts_take_turns_and_each_keeps_its_order() {
        let (conn, mut file) = (connection(), tempfile::tempfile().unwrap());
        let mut waiting = Waiting::default();
        let urls = ["http://a/1", "http://a/2", "http://a/3", "http://b/1", "http://c/1"];
        fill(&mut waiting, &conn, &mut file, &urls.map(String::from));
        let mut order = Vec::new();
        while let Some(Turn::Job { spec, .. }) = waiting.pop(&conn, &file).unwrap() {
            order.push(spec.url.to_string());
        }
        assert_eq!(order, ["http://a/1", "http://b/1", "http://c/1", "http://a/2", "http://a/3"]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn few_wait_in_memory_and_all_come_out_in_order() {
        let (conn, mut file) = (connection(), tempfile::tempfile().unwrap());
        let mut waiting = Waiting::default();
        let urls: Vec<String> = (0..20_000).map(|n| format!("http://h/{n}")).collect();
        fill(&mut waiting, &conn, &mut file, &urls);
        assert_eq!(waiting.inline(), INLINE_MAX);
        let mut next = 0;
        while let Some(turn) = waiting.pop(&conn, &file).unwrap() {
            let Turn::Job { entry, spec } = turn else { panic!("{turn:?}") };
            assert_eq!(spec.url.as_str(), urls[next]);
            next += 1;
            assert_eq!(entry, next as i64);
            assert!(waiting.inline() <= INLINE_MAX);
        }
        assert_eq!(next, urls.len());
    }

    #[test]
    fn a_list_that_changed_meanwhile_is_noticed() {
        let (conn, mut file) = (connection(), tempfile::tempfile().unwrap());
        let mut waiting = Waiting::default();
        let urls: Vec<String> = (0..=INLINE_MAX).map(|n| format!("http://h/{n:05}")).collect();
        fill(&mut waiting, &conn, &mut file, &urls);
        file.set_len(0).unwrap();
        let mut last = None;
        while let Some(turn) = waiting.pop(&conn, &file).unwrap() {
            last = Some(turn);
        }
        let Some(Turn::Gone { line, error }) = last else { panic!("{last:?}") };
        assert_eq!(line, INLINE_MAX as u64 + 1);
        assert!(error.message().contains("was changed"));
    }
}
