//! The runs of a listing: which of the ledger's runs read the same links with the same filters, and what those had that
//! this one has not. Runs on the feed thread.
//!
//! A row says which run last read its line. One of an earlier run of the same listing whose line this run has not read,
//! though it has read all, is gone from the service, whether that run came to its end or not. Rows of other lists in
//! the directory are none of the listing's business.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use rusqlite::{OptionalExtension, params};

use crate::feed::entries::read_name_at;
use crate::feed::identity::Identity;
use crate::feed::ledger::Ledger;
use crate::secret::printable;

/// Marks of listings have names among those of entries, which lead to runs.
const MARKED: &str = "SELECT entry FROM name WHERE key = ?1";
const MARK: &str = "INSERT INTO name (key, entry) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET entry = ?2";
const GONE: &str = "SELECT path, run FROM entry
    WHERE occurrence = 0 AND state = 'done' AND run >= ?1 AND run <> ?2 ORDER BY id";
/// The copy of a listing's identity that marks the last run that began to read it. Runs have greater numbers.
const BEGUN: i64 = -1;
/// How many of the files that are gone are named.
const GONE_NAMES_MAX: usize = 3;

/// What is known of a listing's runs.
#[derive(Debug)]
pub(crate) struct ListingRuns {
    identity: Identity,
    /// Whether an earlier run has begun to read it.
    has_begun_before: bool,
    /// The last run that has read all of it and left nothing to do.
    completed: Option<i64>,
    /// Which runs have read it, as far as somebody has asked.
    known: RefCell<HashMap<i64, bool>>,
}

/// The files that a listing had when it was last read to its end, and has no more.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    files: usize,
    /// The first of them.
    names: Vec<String>,
}

impl Gone {
    pub(crate) fn in_words(&self) -> Option<String> {
        let names = self.names.join(", ");
        match self.files {
            0 => None,
            1 => Some(format!("{names} is not listed any more; the file here stays")),
            files if files == self.names.len() => Some(format!("{names} are not listed any more; the files here stay")),
            files => Some(format!("{files} files are not listed any more ({names}, \u{2026}); the files here stay")),
        }
    }
}

impl Ledger {
    /// This run reads this listing.
    pub(crate) fn begin_listing(&mut self, identity: Identity) -> rusqlite::Result<()> {
        let completed = self.marked(identity)?;
        let has_begun_before = completed.is_some() || self.marked(identity.of_copy(BEGUN))?.is_some();
        self.mark(identity.of_copy(BEGUN))?;
        self.mark(identity.of_copy(self.run))?;
        self.listing = Some(ListingRuns { identity, has_begun_before, completed, known: RefCell::default() });
        Ok(())
    }

    /// From the next run on, this run is the last that has read all of its listing and left nothing to do.
    pub(crate) fn end_listing(&self) -> rusqlite::Result<()> {
        self.listing.as_ref().map_or(Ok(()), |listing| self.mark(listing.identity))
    }

    /// Whether an earlier run has read the same listing, or a part of it.
    pub(crate) fn has_listed(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| listing.has_begun_before)
    }

    /// Whether this run is an earlier one of the same listing.
    pub(super) fn is_earlier_run_of_listing(&self, run: i64) -> rusqlite::Result<bool> {
        let Some(listing) = self.listing.as_ref().filter(|_| run != self.run) else { return Ok(false) };
        if let Some(known) = listing.known.borrow().get(&run) {
            return Ok(*known);
        }
        // Earlier builds marked complete runs only.
        let is_of_it = listing.completed == Some(run) || self.marked(listing.identity.of_copy(run))? == Some(run);
        listing.known.borrow_mut().insert(run, is_of_it);
        Ok(is_of_it)
    }

    /// What earlier runs of the listing had fetched, from the last complete one on, and this one has not listed. What has
    /// one of the `taken` names is left out: another entry's file may replace it.
    pub(crate) fn gone(&self, taken: &HashSet<PathBuf>) -> rusqlite::Result<Gone> {
        let mut gone = Gone::default();
        let Some(completed) = self.listing.as_ref().and_then(|listing| listing.completed) else { return Ok(gone) };
        let mut statement = self.conn.prepare_cached(GONE)?;
        let mut rows = statement.query(params![completed, self.run])?;
        while let Some(row) = rows.next()? {
            if !self.is_earlier_run_of_listing(row.get(1)?)? {
                continue;
            }
            let Some(path) = read_name_at(row, 0).filter(|path| !taken.contains(path)) else { continue };
            gone.files += 1;
            if gone.names.len() < GONE_NAMES_MAX {
                gone.names.push(printable(&path.to_string_lossy()).into_owned());
            }
        }
        Ok(gone)
    }

    fn marked(&self, mark: Identity) -> rusqlite::Result<Option<i64>> {
        let run = self.conn.prepare_cached(MARKED)?.query_row(params![self.key(mark)], |row| Ok(row.get(0).ok()));
        Ok(run.optional()?.flatten())
    }

    /// Lets a mark lead to this run.
    fn mark(&self, mark: Identity) -> rusqlite::Result<()> {
        self.conn.prepare_cached(MARK)?.execute(params![self.key(mark), self.run])?;
        Ok(())
    }
}
