//! Finds the ledger's rows for what is read from a list, or makes them.
//!
//! Pure SQL on the ledger's connection, within the caller's transaction; the feed thread runs it.
//! A list that has not changed is met in the order of its rows, so that a second run reads them
//! one after the other. What is not met so is looked up sorted by key: then each page of the
//! index is touched once a chunk, however many entries there are.

use std::path::{Path, PathBuf};

use rusqlite::{CachedStatement, OptionalExtension, Row, params};

use crate::feed::ledger::{Ledger, path_from};

/// The first 16 bytes of a BLAKE3 digest.
pub(crate) type Key = [u8; 16];

const IN_ORDER: &str = "SELECT id, state, path, len_bytes, modified_ns, error_kind, error, attempts,
    key, run, copies FROM entry WHERE id > ?1 AND occurrence = 0 ORDER BY id LIMIT ?2";
const BY_ID: &str = "SELECT id, state, path, len_bytes, modified_ns, error_kind, error, attempts,
    key, run, copies FROM entry WHERE id = ?1";
const MARK_RANGE: &str = "UPDATE entry SET run = ?1, copies = 1
    WHERE id BETWEEN ?2 AND ?3 AND occurrence = 0";
const MARK: &str = "UPDATE entry SET run = ?1, copies = ?2 WHERE id = ?3";
const CLAIM: &str = "INSERT INTO name (key, entry) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const OWNER: &str = "SELECT entry FROM name WHERE key = ?1";
const INSERT: &str = "INSERT INTO entry (id, key, occurrence, copies, run, url)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// What is read from the list, as the ledger sees it.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// What it is known by, not counting its occurrence.
    pub(crate) key: Key,
    /// Its URL without secrets.
    pub(crate) url: String,
}

/// What the ledger says of it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its row.
    pub(crate) id: i64,
    /// How it stands.
    pub(crate) state: Known,
}

/// How an entry stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// New, or not settled yet.
    Pending,
    /// Complete.
    Done { path: PathBuf, len_bytes: u64, modified_ns: i64 },
    /// To be tried again.
    Failed,
    /// Only tried again when the user says so.
    FailedPermanent { kind: String, message: String, attempts: u32 },
}

/// What an entry is known by: its URL without what changes or is secret, and its name.
pub(crate) fn key_of(key_url: &str, output: Option<&Path>) -> Key {
    let mut bytes = Vec::with_capacity(key_url.len() + 64);
    bytes.extend_from_slice(key_url.as_bytes());
    bytes.push(0);
    if let Some(output) = output {
        bytes.extend_from_slice(output.as_os_str().as_encoded_bytes());
    }
    first_bytes(&bytes)
}

impl Ledger {
    /// A row for each candidate, in their order; within a transaction.
    pub(crate) fn enter(&mut self, candidates: &[Candidate]) -> rusqlite::Result<Vec<Found>> {
        let mut found = self.meet_in_order(candidates)?;
        self.mark_met(&found)?;
        let mut rest: Vec<usize> = (0..candidates.len()).filter(|i| found[*i].is_none()).collect();
        rest.sort_unstable_by_key(|i| (candidates[*i].key, *i));
        if !rest.is_empty() {
            self.look_up(candidates, &rest, &mut found)?;
            self.next_id += candidates.len() as i64;
        }
        let found: Vec<Found> = found.into_iter().flatten().collect();
        debug_assert_eq!(found.len(), candidates.len());
        if let Some(last) = found.last() {
            self.expected_id = last.id;
        }
        Ok(found)
    }

    /// Notes that an entry is to be fetched (again).
    pub(crate) fn set_pending(&self, id: i64) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached("UPDATE entry SET state = 'pending' WHERE id = ?1")?;
        statement.execute(params![id])?;
        Ok(())
    }

    fn meet_in_order(&self, candidates: &[Candidate]) -> rusqlite::Result<Vec<Option<Found>>> {
        let mut found: Vec<Option<Found>> = vec![None; candidates.len()];
        if self.expected_id + 1 >= self.next_id {
            return Ok(found);
        }
        let mut statement = self.conn.prepare_cached(IN_ORDER)?;
        let mut rows = statement.query(params![self.expected_id, candidates.len() as i64])?;
        let mut at = 0;
        while let Some(row) = rows.next()? {
            let key: Key = row.get(8)?;
            let run: i64 = row.get(9)?;
            if run == self.run {
                continue;
            }
            // A line that is new or a copy is passed over; it is looked up later.
            let Some(ahead) = candidates[at..].iter().position(|candidate| candidate.key == key) else {
                // A row whose line is gone: the rest of the chunk is looked up by key.
                break;
            };
            found[at + ahead] = Some(read_found(row)?);
            at += ahead + 1;
        }
        Ok(found)
    }

    fn mark_met(&self, found: &[Option<Found>]) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(MARK_RANGE)?;
        let mut range: Option<(i64, i64)> = None;
        for id in found.iter().flatten().map(|found| found.id) {
            range = match range {
                Some((first, last)) if last + 1 == id => Some((first, id)),
                Some((first, last)) => {
                    statement.execute(params![self.run, first, last])?;
                    Some((id, id))
                }
                None => Some((id, id)),
            };
        }
        if let Some((first, last)) = range {
            statement.execute(params![self.run, first, last])?;
        }
        Ok(())
    }

    /// `rest` is sorted by key; the id of a new row follows from its place in the list.
    fn look_up(&self, candidates: &[Candidate], rest: &[usize], found: &mut [Option<Found>]) -> rusqlite::Result<()> {
        let mut names = Names { claim: self.conn.prepare_cached(CLAIM)?, owner: self.conn.prepare_cached(OWNER)? };
        let mut by_id = self.conn.prepare_cached(BY_ID)?;
        let mut mark = self.conn.prepare_cached(MARK)?;
        let mut fresh: Vec<Fresh> = Vec::new();
        for copies in rest.chunk_by(|a, b| candidates[*a].key == candidates[*b].key) {
            let key = candidates[copies[0]].key;
            let count = copies.len() as i64;
            let seen = match names.owner_or_claim(&key, self.next_id + copies[0] as i64)? {
                None => {
                    fresh.push(Fresh { index: copies[0], key, occurrence: 0, copies: count });
                    0
                }
                Some(id) => {
                    let (base, run, before) = by_id.query_row(params![id], |row| {
                        Ok((read_found(row)?, row.get::<_, i64>(9)?, row.get::<_, i64>(10)?))
                    })?;
                    let seen = if run == self.run { before } else { 0 };
                    mark.execute(params![self.run, seen + count, id])?;
                    if seen == 0 {
                        found[copies[0]] = Some(base);
                    }
                    seen
                }
            };
            // The first one of all is the row that counts; each further one has its own.
            for (index, occurrence) in copies.iter().copied().zip(seen..) {
                if occurrence == 0 {
                    continue;
                }
                let key = key_of_copy(&key, occurrence);
                match names.owner_or_claim(&key, self.next_id + index as i64)? {
                    None => fresh.push(Fresh { index, key, occurrence, copies: 1 }),
                    Some(id) => {
                        found[index] = Some(by_id.query_row(params![id], read_found)?);
                        mark.execute(params![self.run, 1, id])?;
                    }
                }
            }
        }
        fresh.sort_unstable_by_key(|row| row.index);
        let mut insert = self.conn.prepare_cached(INSERT)?;
        for row in fresh {
            let id = self.next_id + row.index as i64;
            let url = &candidates[row.index].url;
            insert.execute(params![id, row.key, row.occurrence, row.copies, self.run, url])?;
            found[row.index] = Some(Found { id, state: Known::Pending });
        }
        Ok(())
    }
}

struct Fresh {
    index: usize,
    key: Key,
    occurrence: i64,
    copies: i64,
}

struct Names<'conn> {
    claim: CachedStatement<'conn>,
    owner: CachedStatement<'conn>,
}

impl Names<'_> {
    /// The row that has this key; if none has, it will be row `id` from now on.
    fn owner_or_claim(&mut self, key: &Key, id: i64) -> rusqlite::Result<Option<i64>> {
        if self.claim.execute(params![key, id])? == 1 {
            return Ok(None);
        }
        self.owner.query_row(params![key], |row| row.get(0)).optional()
    }
}

fn read_found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let id = row.get(0)?;
    let state = match row.get_ref(1)?.as_str()? {
        "done" => match path_from(row.get_ref(2)?) {
            Some(path) => Known::Done {
                path,
                len_bytes: row.get::<_, Option<i64>>(3)?.map_or(0, i64::unsigned_abs),
                modified_ns: row.get::<_, Option<i64>>(4)?.unwrap_or_default(),
            },
            None => Known::Failed,
        },
        "failed_permanent" => Known::FailedPermanent {
            kind: row.get::<_, Option<String>>(5)?.unwrap_or_default(),
            message: row.get::<_, Option<String>>(6)?.unwrap_or_default(),
            attempts: row.get::<_, Option<u32>>(7)?.unwrap_or_default(),
        },
        "failed" => Known::Failed,
        _ => Known::Pending,
    };
    Ok(Found { id, state })
}

fn key_of_copy(base: &Key, occurrence: i64) -> Key {
    let mut bytes = base.to_vec();
    bytes.extend_from_slice(&occurrence.to_le_bytes());
    first_bytes(&bytes)
}

fn first_bytes(bytes: &[u8]) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    key
}
