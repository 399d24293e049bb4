//! Entries that have been read but not given out, with hosts in turn.
//!
//! Owned by the batch, on the feed thread. Some entries wait in memory, the rest in a table, each stored in
//! full, so that later changes to the list do not matter. The table is in a temporary database of its own, so
//! that nothing that happens to the ledger affects it.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::types::Type;
use rusqlite::{Connection, params};
use url::Url;

use crate::feed::EntryId;
use crate::feed::entries::{Candidate, Found};
use crate::feed::identity::Identity;
use crate::feed::spool::{Name, open_private};
use crate::feed::values::signed;
use crate::job::JobSpec;
use crate::secret::shown_url;

/// The most entries that wait in memory.
pub(crate) const INLINE_MAX: usize = 4096;

/// The most bytes of URLs that wait in memory.
const INLINE_BYTES_MAX: usize = 4 << 20;
/// Hosts are distinguished by a hash with this many values, so that a list with a different host for each entry
/// needs no more memory. Hosts that share a value share their turns.
const TURNS_MAX: u64 = 4096;
const LOADED_AT_ONCE_MAX: usize = 64;

const TABLE: &str = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -2048;
    CREATE TABLE waiting (
        host INTEGER, seq INTEGER, entry INTEGER, identity BLOB, occurrence INTEGER, spec TEXT, name BLOB,
        PRIMARY KEY (host, seq)) WITHOUT ROWID";
const STORE: &str = "INSERT INTO waiting (host, seq, entry, identity, occurrence, spec, name)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const LOAD: &str = "SELECT seq, entry, identity, occurrence, spec, name FROM waiting
    WHERE host = ?1 ORDER BY seq LIMIT ?2";
const FORGET: &str = "DELETE FROM waiting WHERE host = ?1 AND seq <= ?2";

/// An entry that waits, or is next in turn.
#[derive(Debug)]
pub(crate) struct Waiter {
    /// Its id.
    pub(crate) entry: EntryId,
    /// The entry's identity, without its occurrence.
    pub(crate) identity: Identity,
    /// How many equal entries precede it in the list.
    pub(crate) occurrence: i64,
    /// What to fetch.
    pub(crate) spec: JobSpec,
    /// The name that it had in an earlier run; most entries that are fetched had none.
    pub(crate) name: Option<PathBuf>,
}

/// Identifies an entry that was given out.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The entry's identity, without its occurrence.
    pub(crate) identity: Identity,
    /// How many equal entries precede it in the list.
    pub(crate) occurrence: i64,
    url: Box<str>,
}

impl Waiter {
    pub(crate) fn new(candidate: &Candidate, found: &Found, entry: EntryId, spec: JobSpec) -> Self {
        let (identity, occurrence) = (candidate.identity, found.occurrence);
        Self { entry, identity, occurrence, spec, name: found.name.clone() }
    }

    pub(crate) fn place(&self) -> Place {
        Place { identity: self.identity, occurrence: self.occurrence, url: self.spec.url.as_str().into() }
    }
}

impl Place {
    /// Its URL, without secrets.
    pub(crate) fn shown_url(&self) -> String {
        Url::parse(&self.url).as_ref().map(shown_url).unwrap_or_default()
    }
}

/// All waiting entries.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// Where the table is made.
    directory: PathBuf,
    /// Made when the first entry has to wait there.
    table: Option<Table>,
    hosts: HashMap<u64, Host>,
    /// Each host that has entries, once.
    turns: VecDeque<u64>,
    inline: usize,
    inline_bytes: usize,
    next_seq: i64,
}

#[derive(Debug, Default)]
struct Host {
    inline: VecDeque<Waiter>,
    /// How many are in the table; they come after those in memory.
    stored: u64,
}

/// The table of those that do not wait in memory.
#[derive(Debug)]
struct Table {
    conn: Connection,
    /// Its name, where a file without one loses what is written to it.
    _name: Option<Name>,
}

impl Table {
    fn new(directory: &Path) -> rusqlite::Result<Self> {
        let open = |path: &Path| {
            let conn = Connection::open(path)?;
            conn.execute_batch(TABLE)?;
            Ok::<_, Unusable>(conn)
        };
        let (conn, name) = open_private(directory, open).map_err(|Unusable(error)| error)?;
        Ok(Self { conn, _name: name })
    }
}

/// Why the table's file cannot be used.
struct Unusable(rusqlite::Error);

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self(rusqlite::Error::ToSqlConversionFailure(error.into()))
    }
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl Waiting {
    /// Nobody yet. The table is a file without a name in this directory, which only we can read: URLs may hold
    /// secrets.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            table: None,
            hosts: HashMap::new(),
            turns: VecDeque::new(),
            inline: 0,
            inline_bytes: 0,
            next_seq: 0,
        }
    }

    /// Whether no entries wait.
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// How many entries wait in memory.
    #[cfg(test)]
    pub(crate) fn inline(&self) -> usize {
        self.inline
    }

    /// Adds entries.
    pub(crate) fn push(&mut self, waiters: Vec<Waiter>) -> rusqlite::Result<()> {
        self.in_table("BEGIN")?;
        for waiter in waiters {
            self.push_one(waiter)?;
        }
        self.in_table("COMMIT")
    }

    /// Takes up to `max` entries, each from the host that is next in turn.
    pub(crate) fn take(&mut self, max: usize) -> rusqlite::Result<Vec<Waiter>> {
        if max == 0 || self.is_empty() {
            return Ok(Vec::new());
        }
        let mut taken = Vec::with_capacity(max);
        self.in_table("BEGIN")?;
        while taken.len() < max
            && let Some(waiter) = self.pop()?
        {
            taken.push(waiter);
        }
        self.in_table("COMMIT")?;
        Ok(taken)
    }

    fn in_table(&self, sql: &str) -> rusqlite::Result<()> {
        self.table.as_ref().map_or(Ok(()), |table| table.conn.execute_batch(sql))
    }

    fn push_one(&mut self, waiter: Waiter) -> rusqlite::Result<()> {
        let name = turn_of(&waiter.spec);
        let bytes = waiter.spec.held_bytes();
        let host = self.hosts.entry(name).or_default();
        if host.stored == 0 && host.inline.is_empty() {
            self.turns.push_back(name);
        }
        let room = self.inline < INLINE_MAX && self.inline_bytes + bytes <= INLINE_BYTES_MAX;
        if host.stored == 0 && room {
            host.inline.push_back(waiter);
            self.inline += 1;
            self.inline_bytes += bytes;
            return Ok(());
        }
        host.stored += 1;
        self.next_seq += 1;
        let table = match &mut self.table {
            Some(table) => table,
            empty => {
                let table = empty.insert(Table::new(&self.directory)?);
                table.conn.execute_batch("BEGIN")?;
                table
            }
        };
        table.conn.prepare_cached(STORE)?.execute(params![
            signed(name),
            self.next_seq,
            signed(waiter.entry.0),
            waiter.identity.0,
            waiter.occurrence,
            written(&waiter.spec)?,
            waiter.name.as_deref().map(|name| name.as_os_str().as_bytes())
        ])?;
        Ok(())
    }

    fn pop(&mut self) -> rusqlite::Result<Option<Waiter>> {
        let Some(name) = self.turns.pop_front() else {
            return Ok(None);
        };
        let Some(host) = self.hosts.get_mut(&name) else {
            return Ok(None);
        };
        if host.inline.is_empty() {
            let room = Room {
                entries: INLINE_MAX.saturating_sub(self.inline).clamp(1, LOADED_AT_ONCE_MAX),
                bytes: INLINE_BYTES_MAX.saturating_sub(self.inline_bytes),
            };
            let loaded = self.table.as_ref().map_or_else(|| Ok(Vec::new()), |table| load(&table.conn, name, &room))?;
            host.stored = match loaded.len() {
                0 => 0,
                count => host.stored.saturating_sub(count as u64),
            };
            self.inline += loaded.len();
            self.inline_bytes += loaded.iter().map(|waiter| waiter.spec.held_bytes()).sum::<usize>();
            host.inline.extend(loaded);
        }
        let waiter = host.inline.pop_front();
        if let Some(waiter) = &waiter {
            self.inline -= 1;
            self.inline_bytes = self.inline_bytes.saturating_sub(waiter.spec.held_bytes());
        }
        if host.inline.is_empty() && host.stored == 0 {
            self.hosts.remove(&name);
        } else {
            self.turns.push_back(name);
        }
        Ok(waiter)
    }
}

fn turn_of(spec: &JobSpec) -> u64 {
    let mut hasher = DefaultHasher::new();
    spec.url.host_str().hash(&mut hasher);
    hasher.finish() % TURNS_MAX
}

/// How much may be loaded; one entry always is.
struct Room {
    entries: usize,
    bytes: usize,
}

fn load(conn: &Connection, host: u64, room: &Room) -> rusqlite::Result<Vec<Waiter>> {
    let mut waiters: Vec<Waiter> = Vec::new();
    let (mut last, mut bytes): (i64, usize) = (0, 0);
    {
        let mut statement = conn.prepare_cached(LOAD)?;
        let mut rows = statement.query(params![signed(host), room.entries as i64])?;
        while bytes <= room.bytes
            && let Some(row) = rows.next()?
        {
            last = row.get(0)?;
            let waiter = Waiter {
                entry: EntryId(row.get::<_, i64>(1)?.unsigned_abs()),
                identity: Identity(row.get(2)?),
                occurrence: row.get(3)?,
                spec: read(row.get_ref(4)?.as_str()?)?,
                name: row.get_ref(5)?.as_blob_or_null()?.map(|name| OsStr::from_bytes(name).into()),
            };
            bytes += waiter.spec.held_bytes();
            waiters.push(waiter);
        }
    }
    conn.prepare_cached(FORGET)?.execute(params![signed(host), last])?;
    Ok(waiters)
}

/// A spec as stored in the table: nearly all are only a URL, which is stored as it is.
fn written(spec: &JobSpec) -> rusqlite::Result<Cow<'_, str>> {
    if spec.is_url_alone() {
        return Ok(Cow::Borrowed(spec.url.as_str()));
    }
    let text = serde_json::to_string(spec).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok(Cow::Owned(text))
}

fn read(text: &str) -> rusqlite::Result<JobSpec> {
    let damaged =
        |error: Box<dyn StdError + Send + Sync>| rusqlite::Error::FromSqlConversionFailure(4, Type::Text, error);
    match text.starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| damaged(error.into())),
        false => Url::parse(text).map(JobSpec::new).map_err(|error| damaged(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::asker::Asker;

    fn waiter(number: u64, spec: JobSpec) -> Waiter {
        let (identity, name) = (Identity::of(&spec, &Asker::default()), Some(format!("{number}").into()));
        Waiter { entry: EntryId(number), identity, occurrence: 3, spec, name }
    }

    fn filled(directory: &Path, specs: impl IntoIterator<Item = JobSpec>) -> Waiting {
        let mut waiting = Waiting::new(directory);
        waiting.push((1..).zip(specs).map(|(number, spec)| waiter(number, spec)).collect()).unwrap();
        waiting
    }

    fn of_url(url: &str) -> JobSpec {
        JobSpec::new(url.parse().unwrap())
    }

    #[test]
    fn hosts_take_turns_and_each_keeps_its_order() {
        let urls = ["http://a/1", "http://a/2", "http://a/3", "http://b/1", "http://c/1"];
        let directory = tempfile::tempdir().unwrap();
        let mut waiting = filled(directory.path(), urls.map(of_url));
        let mut order = Vec::new();
        while let Some(waiter) = waiting.pop().unwrap() {
            order.push(waiter.spec.url.to_string());
        }
        assert_eq!(order, ["http://a/1", "http://b/1", "http://c/1", "http://a/2", "http://a/3"]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn few_wait_in_memory_and_all_come_out_whole_and_in_order() {
        let spec = |number: u64| {
            let spec = of_url(&format!("http://h/{number}?token=hunter2"));
            match number % 3 {
                0 => spec.output(format!("a/{number}")).header("x".parse().unwrap(), "y".parse().unwrap()),
                _ => spec,
            }
        };
        let directory = tempfile::tempdir().unwrap();
        let mut waiting = filled(directory.path(), (1..=20_000).map(spec));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nobody else sees it");
        assert_eq!(waiting.inline(), INLINE_MAX);
        let mut next = 1;
        loop {
            let taken = waiting.take(100).unwrap();
            if taken.is_empty() {
                break;
            }
            for waiter in taken {
                let expected = spec(next);
                assert_eq!((waiter.entry, waiter.occurrence), (EntryId(next), 3));
                assert_eq!(waiter.name, Some(format!("{next}").into()));
                assert_eq!(waiter.identity, Identity::of(&expected, &Asker::default()));
                assert_eq!(serde_json::to_string(&waiter.spec).unwrap(), serde_json::to_string(&expected).unwrap());
                assert!(!waiter.place().shown_url().contains("hunter2"));
                next += 1;
            }
            assert!(waiting.inline() <= INLINE_MAX);
        }
        assert_eq!(next, 20_001);
    }
}
