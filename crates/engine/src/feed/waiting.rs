//! Entries that have been read and not been given out: hosts take turns.
//!
//! Owned by the batch, on the feed thread. Some wait in memory; the others wait in a table that
//! knows only where in the list they are, and are read again when it is their turn. The table has
//! a temporary database of its own, so that whatever happens to the ledger leaves it alone.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};

use rusqlite::{Connection, params};

use crate::error::{Error, ErrorKind};
use crate::feed::EntryId;
use crate::feed::identity::Identity;
use crate::feed::list::{Line, line_at, parse_line};
use crate::feed::values::signed;
use crate::job::JobSpec;
use crate::secret::shown_url;

/// So many entries wait in memory at most.
pub(crate) const INLINE_MAX: usize = 4096;

/// So many bytes of URLs wait in memory at most.
const INLINE_BYTES_MAX: usize = 4 << 20;
/// Hosts are told apart by a hash of so many values, so that a list with a host of its own for
/// each entry needs no more memory; hosts that share a value share their turns.
const TURNS_MAX: u64 = 4096;
const LOADED_AT_ONCE_MAX: usize = 64;

const TABLE: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;
    CREATE TABLE waiting (
        host INTEGER, seq INTEGER, entry INTEGER, list_offset INTEGER, line INTEGER, identity BLOB,
        occurrence INTEGER, PRIMARY KEY (host, seq)) WITHOUT ROWID";
const STORE: &str = "INSERT INTO waiting (host, seq, entry, list_offset, line, identity, occurrence)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const LOAD: &str = "SELECT seq, entry, list_offset, line, identity, occurrence FROM waiting
    WHERE host = ?1 ORDER BY seq LIMIT ?2";
const FORGET: &str = "DELETE FROM waiting WHERE host = ?1 AND seq <= ?2";

/// Where an entry stands in the list, and what it is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What it is known by, not counting its occurrence.
    pub(crate) identity: Identity,
    /// How many of the same stand before it.
    pub(crate) occurrence: i64,
    /// Where its line begins in the list.
    pub(crate) offset: u64,
    /// Its line's number.
    pub(crate) line: u64,
}

/// An entry that begins to wait.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Its number.
    pub(crate) entry: EntryId,
    /// Where it stands.
    pub(crate) place: Place,
    /// What to fetch.
    pub(crate) spec: JobSpec,
}

/// An entry whose turn has come.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are jobs, and a box for each would cost more")]
pub(crate) enum Turn {
    /// Fetch it.
    Job { entry: EntryId, place: Place, spec: JobSpec },
    /// Its line is no longer what it was.
    Gone { line: u64, error: Error },
}

/// All that wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    conn: Connection,
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
    /// Nobody yet. The database is a file without a name, and one in memory while it is small.
    pub(crate) fn new() -> rusqlite::Result<Self> {
        let conn = Connection::open("")?;
        conn.execute_batch(TABLE)?;
        Ok(Self { conn, hosts: HashMap::new(), turns: VecDeque::new(), inline: 0, inline_bytes: 0, next_seq: 0 })
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

    /// Lets more wait.
    pub(crate) fn push(&mut self, waiters: Vec<Waiter>) -> rusqlite::Result<()> {
        self.conn.execute_batch("BEGIN")?;
        for waiter in waiters {
            self.push_one(waiter)?;
        }
        self.conn.execute_batch("COMMIT")
    }

    /// The next ones, up to `max`, each from the host whose turn it is.
    pub(crate) fn take(&mut self, list: &File, max: usize) -> rusqlite::Result<Vec<Turn>> {
        let mut turns = Vec::new();
        if max == 0 || self.is_empty() {
            return Ok(turns);
        }
        self.conn.execute_batch("BEGIN")?;
        while turns.len() < max
            && let Some(turn) = self.pop(list)?
        {
            turns.push(turn);
        }
        self.conn.execute_batch("COMMIT")?;
        Ok(turns)
    }

    fn push_one(&mut self, waiter: Waiter) -> rusqlite::Result<()> {
        let Waiter { entry, place, spec } = waiter;
        let name = turn_of(&spec);
        let url_bytes = spec.url.as_str().len();
        let host = self.hosts.entry(name).or_default();
        if host.stored == 0 && host.inline.is_empty() {
            self.turns.push_back(name);
        }
        let room = self.inline < INLINE_MAX && self.inline_bytes + url_bytes <= INLINE_BYTES_MAX;
        if host.stored == 0 && room {
            host.inline.push_back(Turn::Job { entry, place, spec });
            self.inline += 1;
            self.inline_bytes += url_bytes;
            return Ok(());
        }
        host.stored += 1;
        self.next_seq += 1;
        self.conn.prepare_cached(STORE)?.execute(params![
            signed(name),
            self.next_seq,
            signed(entry.0),
            signed(place.offset),
            signed(place.line),
            place.identity.0,
            place.occurrence
        ])?;
        Ok(())
    }

    fn pop(&mut self, list: &File) -> rusqlite::Result<Option<Turn>> {
        let Some(name) = self.turns.pop_front() else {
            return Ok(None);
        };
        let Some(host) = self.hosts.get_mut(&name) else {
            return Ok(None);
        };
        if host.inline.is_empty() {
            let room = INLINE_MAX.saturating_sub(self.inline).clamp(1, LOADED_AT_ONCE_MAX);
            let loaded = load(&self.conn, list, name, room)?;
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

/// What stands at this place of the list still, without secrets.
pub(crate) fn shown_again(list: &File, place: &Place) -> String {
    match spec_again(list, place) {
        Ok(spec) => shown_url(&spec.url),
        Err(_) => format!("line {} of the list as it was", place.line),
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
            let entry = EntryId(row.get::<_, i64>(1)?.unsigned_abs());
            let place = Place {
                identity: Identity(row.get(4)?),
                occurrence: row.get(5)?,
                offset: row.get::<_, i64>(2)?.unsigned_abs(),
                line: row.get::<_, i64>(3)?.unsigned_abs(),
            };
            turns.push(match spec_again(list, &place) {
                Ok(spec) => Turn::Job { entry, place, spec },
                Err(error) => Turn::Gone { line: place.line, error },
            });
        }
    }
    conn.prepare_cached(FORGET)?.execute(params![signed(host), last])?;
    Ok(turns)
}

fn spec_again(list: &File, place: &Place) -> Result<JobSpec, Error> {
    let line = place.line;
    let gone = |why: &str| Error::new(ErrorKind::ListLine, format!("line {line}: {why}"));
    let bytes = line_at(list, place.offset).map_err(|error| gone(&format!("cannot be read again: {error}")))?;
    match parse_line(line, &bytes) {
        Line::Entry(parsed) if Identity::of(&parsed.spec) == place.identity => Ok(parsed.spec),
        _ => Err(gone("the list was changed while it was being read; run the same command again")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn fill(file: &mut File, urls: &[String]) -> Waiting {
        let mut waiting = Waiting::new().unwrap();
        let mut offset = 0;
        let mut waiters = Vec::new();
        for (index, url) in urls.iter().enumerate() {
            writeln!(file, "{url}").unwrap();
            let line = index as u64 + 1;
            let Line::Entry(parsed) = parse_line(line, url.as_bytes()) else { panic!("{url}") };
            let place = Place { identity: Identity::of(&parsed.spec), occurrence: 3, offset, line };
            waiters.push(Waiter { entry: EntryId(line), place, spec: parsed.spec });
            offset += url.len() as u64 + 1;
        }
        waiting.push(waiters).unwrap();
        waiting
    }

    #[test]
    fn hosts_take_turns_and_each_keeps_its_order() {
        let mut file = tempfile::tempfile().unwrap();
        let urls = ["http://a/1", "http://a/2", "http://a/3", "http://b/1", "http://c/1"];
        let mut waiting = fill(&mut file, &urls.map(String::from));
        let mut order = Vec::new();
        while let Some(Turn::Job { spec, .. }) = waiting.pop(&file).unwrap() {
            order.push(spec.url.to_string());
        }
        assert_eq!(order, ["http://a/1", "http://b/1", "http://c/1", "http://a/2", "http://a/3"]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn few_wait_in_memory_and_all_come_out_in_order() {
        let mut file = tempfile::tempfile().unwrap();
        let urls: Vec<String> = (0..20_000).map(|n| format!("http://h/{n}")).collect();
        let mut waiting = fill(&mut file, &urls);
        assert_eq!(waiting.inline(), INLINE_MAX);
        let mut next = 0;
        loop {
            let turns = waiting.take(&file, 100).unwrap();
            if turns.is_empty() {
                break;
            }
            for turn in turns {
                let Turn::Job { entry, place, spec } = turn else { panic!("{turn:?}") };
                assert_eq!(spec.url.as_str(), urls[next]);
                assert_eq!(shown_again(&file, &place), urls[next]);
                next += 1;
                assert_eq!((entry, place.line, place.occurrence), (EntryId(next as u64), next as u64, 3));
            }
            assert!(waiting.inline() <= INLINE_MAX);
        }
        assert_eq!(next, urls.len());
    }

    #[test]
    fn a_list_that_changed_meanwhile_is_noticed() {
        let mut file = tempfile::tempfile().unwrap();
        let urls: Vec<String> = (0..=INLINE_MAX).map(|n| format!("http://h/{n:05}")).collect();
        let mut waiting = fill(&mut file, &urls);
        file.set_len(0).unwrap();
        let mut last = None;
        while let Some(turn) = waiting.pop(&file).unwrap() {
            last = Some(turn);
        }
        let Some(Turn::Gone { line, error }) = last else { panic!("{last:?}") };
        assert_eq!(line, INLINE_MAX as u64 + 1);
        assert!(error.message().contains("was changed"));
    }
}
