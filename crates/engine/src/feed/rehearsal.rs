//! What a batch would do, without doing it: its decisions are made by [`Batch`] itself, on a copy of the ledger.

use std::path::Path;
use std::time::Duration;

use crate::error::Error;
use crate::feed::batch::Batch;
use crate::feed::source::{ListOptions, ListSource};
use crate::feed::{Fed, Feed as _, reading};

/// A batch that is only looked at. Nothing is written to its directory, nor to its ledger.
#[derive(Debug)]
pub struct Rehearsal(Batch);

impl Rehearsal {
    /// Opens a list for the directory `dir`, as [`Batch::open_as`] does. The copy of the ledger goes to `scratch`, an
    /// empty directory, which the caller removes.
    ///
    /// # Errors
    /// As [`Batch::open_as`], and what keeps the ledger from being copied.
    pub fn open(
        source: ListSource,
        list: ListOptions,
        dir: &Path,
        scratch: &Path,
        retry_failed: bool,
        restart: bool,
    ) -> Result<Self, Error> {
        reading::copy(dir, scratch)?;
        Batch::open_beside(source, list, dir, scratch, retry_failed, restart).map(Self)
    }

    /// Up to `max` more entries, in the order in which a run would start them; [`Fed::ended`] after the last one. Waits
    /// at most `patience` for slow input.
    ///
    /// # Errors
    /// What kept the list or the copy of the ledger from being read.
    pub fn next(&mut self, max: usize, patience: Duration) -> Result<Fed, Error> {
        self.0.next(max, patience)
    }

    /// What the user should know, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.0.take_warnings()
    }
}
