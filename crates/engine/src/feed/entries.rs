//! Finds or creates the ledger's rows for what is read from a list.
//!
//! Pure SQL on the ledger's connection, within the caller's transaction; runs on the feed thread. An unchanged
//! list has the order of its rows, so a second run reads them sequentially. The rest is looked up sorted by
//! key, which touches each page of the index once per chunk, however many entries there are.
//!
//! Each value of a row is checked. A row with values that we would not have written counts as an entry to check
//! again, and a name that points to another entry's row points to a new row from then on.

use std::collections::HashSet;
use std::path::PathBuf;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use crate::evidence::Evidence;
use crate::feed::identity::{Identity, Key};
use crate::feed::ledger::Ledger;
use crate::feed::values::path_from;
use crate::name::safe::check_output;
use crate::secret::printable;

/// The most characters of a message to read from a row.
const MESSAGE_CHARS_MAX: usize = 1000;
/// A higher count of copies is not credible.
const COPIES_MAX: i64 = 1 << 40;

const IN_ORDER: &str = "SELECT id, state, path, len_bytes, modified_ns, error_kind, error, attempts,
    key, run, copies, validator, digest FROM entry WHERE id > ?1 AND occurrence = 0 ORDER BY id LIMIT ?2";
const BY_ID: &str = "SELECT id, state, path, len_bytes, modified_ns, error_kind, error, attempts,
    key, run, copies, validator, digest FROM entry WHERE id = ?1 AND key = ?2";
const MARK_RANGE: &str = "UPDATE entry SET run = ?1, copies = 1
    WHERE id BETWEEN ?2 AND ?3 AND occurrence = 0";
const MARK: &str = "UPDATE entry SET run = ?1, copies = ?2 WHERE id = ?3";
const PENDING: &str = "UPDATE entry SET state = iif(occurrence = 0, 'pending', 'wanted') WHERE id = ?1";
const CLAIM: &str = "INSERT INTO name (key, entry) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
const NAMED: &str = "SELECT entry FROM name WHERE key = ?1";
const RENAME: &str = "UPDATE name SET entry = ?2 WHERE key = ?1";
const INSERT: &str = "INSERT INTO entry (id, key, occurrence, copies, run, url)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// An entry of the list, as the ledger sees it.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The entry's identity, without its occurrence.
    pub(crate) identity: Identity,
    /// The key of its row if it is the first of its kind.
    pub(crate) key: Key,
    /// Its URL without secrets.
    pub(crate) url: String,
}

/// What the ledger knows about a candidate.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its row.
    pub(crate) id: i64,
    /// How many equal entries precede it in the list.
    pub(crate) occurrence: i64,
    /// Its state.
    pub(crate) state: Known,
    /// The name that it had in an earlier run.
    pub(crate) name: Option<PathBuf>,
    /// Length and time of the file that it was last completed with, however it has fared since. None if that may be the
    /// user's own.
    pub(crate) left: Option<(u64, i64)>,
    /// What was fetched then, if its service lists versions.
    pub(crate) fetched: Option<Box<Evidence>>,
    /// The digest that was checked, as `sha-256=HEX`.
    pub(crate) digest: Option<Box<str>>,
}

/// The state of an entry in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// New, or not settled yet.
    Pending,
    /// Complete.
    Done { path: PathBuf, len_bytes: u64, modified_ns: i64 },
    /// To be checked again: it failed, was not current, or its row is invalid.
    Again,
    /// Retried only when the user asks for it.
    FailedPermanent { kind: String, message: String, attempts: u32 },
}

impl Ledger {
    /// A row for each candidate, in order; must run within a transaction.
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

    /// Notes of an entry whose URL others have too whether it is a file of its own. (Earlier builds did not, and such an
    /// entry counts only once it has ended.)
    pub(crate) fn set_own(&self, id: i64, is_own: bool) -> rusqlite::Result<()> {
        let state = if is_own { "wanted" } else { "repeated" };
        self.conn.prepare_cached("UPDATE entry SET state = ?2 WHERE id = ?1")?.execute(params![id, state])?;
        Ok(())
    }

    /// Marks an entry to be fetched (again).
    pub(crate) fn set_pending(&self, id: i64) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(PENDING)?;
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
        // Lines that were passed over. A row of one of them is looked up later: it is that of its first line.
        let mut passed: HashSet<Key> = HashSet::new();
        while let Some(row) = rows.next()? {
            let Ok(key) = row.get::<_, Key>(8) else { continue };
            if row.get::<_, i64>(9).is_ok_and(|run| run == self.run) {
                continue;
            }
            if passed.contains(&key) {
                continue;
            }
            // Skips a line that is new or a copy; it is looked up later.
            let Some(ahead) = candidates[at..].iter().position(|candidate| candidate.key == key) else {
                // The row's line is gone: look up the rest of the chunk by key.
                break;
            };
            passed.extend(candidates[at..at + ahead].iter().map(|candidate| candidate.key));
            found[at + ahead] = Some(read_found(row, 0)?);
            at += ahead + 1;
        }
        Ok(found)
    }

    fn mark_met(&self, found: &[Option<Found>]) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(MARK_RANGE)?;
        let mut range: Option<(i64, i64)> = None;
        for id in found.iter().flatten().map(|found| found.id) {
            range = match range {
                Some((first, last)) if last.checked_add(1) == Some(id) => Some((first, id)),
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
        let mut rows = Rows::of(&self.conn)?;
        let mut mark = self.conn.prepare_cached(MARK)?;
        let mut fresh: Vec<Fresh> = Vec::new();
        for copies in rest.chunk_by(|a, b| candidates[*a].key == candidates[*b].key) {
            let Candidate { identity, key, .. } = candidates[copies[0]];
            let count = copies.len() as i64;
            let seen = match rows.find_or_claim(&key, 0, self.next_id + copies[0] as i64)? {
                None => {
                    fresh.push(Fresh { index: copies[0], key, occurrence: 0, copies: count });
                    0
                }
                Some(met) => {
                    let seen = if met.run == Some(self.run) { met.copies } else { 0 };
                    mark.execute(params![self.run, seen + count, met.found.id])?;
                    if seen == 0 {
                        found[copies[0]] = Some(met.found);
                    }
                    seen
                }
            };
            // The very first one has the row that counts; each later one has its own.
            for (index, occurrence) in copies.iter().copied().zip(seen..) {
                if occurrence == 0 {
                    continue;
                }
                let key = self.key(identity.of_copy(occurrence));
                match rows.find_or_claim(&key, occurrence, self.next_id + index as i64)? {
                    None => fresh.push(Fresh { index, key, occurrence, copies: 1 }),
                    Some(met) => {
                        mark.execute(params![self.run, 1, met.found.id])?;
                        found[index] = Some(met.found);
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
            found[row.index] = Some(Found {
                id,
                occurrence: row.occurrence,
                state: Known::Pending,
                name: None,
                left: None,
                fetched: None,
                digest: None,
            });
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

/// A row that existed before.
struct Met {
    found: Found,
    /// The run that last read its line, if known.
    run: Option<i64>,
    /// How often that run read it.
    copies: i64,
}

struct Rows<'conn> {
    claim: CachedStatement<'conn>,
    named: CachedStatement<'conn>,
    rename: CachedStatement<'conn>,
    by_id: CachedStatement<'conn>,
}

impl<'conn> Rows<'conn> {
    fn of(conn: &'conn Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            claim: conn.prepare_cached(CLAIM)?,
            named: conn.prepare_cached(NAMED)?,
            rename: conn.prepare_cached(RENAME)?,
            by_id: conn.prepare_cached(BY_ID)?,
        })
    }

    /// The row with this key; if there is none, the key belongs to row `id` from now on.
    fn find_or_claim(&mut self, key: &Key, occurrence: i64, id: i64) -> rusqlite::Result<Option<Met>> {
        if self.claim.execute(params![key, id])? == 1 {
            return Ok(None);
        }
        // No row has the id 0.
        let named = self.named.query_row(params![key], |row| Ok(row.get::<_, i64>(0).unwrap_or(0))).optional()?;
        let met = self.by_id.query_row(params![named.unwrap_or(0), key], |row| {
            Ok(Met {
                found: read_found(row, occurrence)?,
                run: row.get(9).ok(),
                copies: row.get::<_, i64>(10).unwrap_or(1).clamp(1, COPIES_MAX),
            })
        });
        let met = met.optional()?;
        if met.is_none() {
            self.rename.execute(params![key, id])?;
        }
        Ok(met)
    }
}

fn read_found(row: &Row<'_>, occurrence: i64) -> rusqlite::Result<Found> {
    let left = || Some((u64::try_from(row.get::<_, i64>(3).ok()?).ok()?, row.get(4).ok()?));
    let validator = row.get_ref(11).ok().and_then(|validator| validator.as_str().ok());
    let fetched = validator.and_then(noted_in);
    Ok(Found {
        id: row.get(0)?,
        occurrence,
        state: read_known(row).unwrap_or(Known::Again),
        name: read_name(row),
        left: left().filter(|_| !fetched.as_ref().is_some_and(|fetched| fetched.is_adopted)),
        fetched,
        digest: row.get_ref(12).ok().and_then(|digest| digest.as_str().ok()).map(Box::from),
    })
}

/// A name inside the directory that is not one of ours.
fn read_name(row: &Row<'_>) -> Option<PathBuf> {
    read_name_at(row, 2)
}

pub(super) fn read_name_at(row: &Row<'_>, column: usize) -> Option<PathBuf> {
    check_output(&path_from(row.get_ref(column).ok()?)?).ok()
}

/// `None` if we would not have written it.
fn read_known(row: &Row<'_>) -> Option<Known> {
    let text = |column: usize| row.get_ref(column).ok()?.as_str().ok();
    Some(match text(1)? {
        "pending" | "wanted" => Known::Pending,
        "done" => Known::Done {
            path: read_name(row)?,
            len_bytes: u64::try_from(row.get::<_, i64>(3).ok()?).ok()?,
            modified_ns: row.get(4).ok()?,
        },
        "failed_permanent" => Known::FailedPermanent {
            kind: text(5)?.to_owned(),
            message: printable(text(6)?).chars().take(MESSAGE_CHARS_MAX).collect(),
            attempts: row.get(7).ok()?,
        },
        _ => return None,
    })
}

/// What is noted of a file whose service listed a version, that may be the user's own, or that was outdated when it was
/// complete. Most files have none of these.
pub(crate) fn noted_in(validator: &str) -> Option<Box<Evidence>> {
    if !["\"listed\"", "\"is_adopted\"", "\"is_outdated\""].iter().any(|field| validator.contains(field)) {
        return None;
    }
    serde_json::from_str(validator).ok()
}
