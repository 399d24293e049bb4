//! Takes over a file that another program has begun, on the opener's thread. It keeps its bytes whatever happens: the
//! journal is written first, and claims only what is synced; then the file gets the name and the length of a partial file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::opener::Opener;
use super::ours;
use super::written::{self, Doubt};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Journal;
use crate::message::{Adopt, Adopted};
use crate::name::{journal_path, part_path};
use crate::ranges::RangeSet;
use crate::storage::{OpenPart, PartFile, Stat, StatKind};

/// What aria2 keeps beside a file that it writes to in several places.
const CONTROL_SUFFIX: &str = ".aria2";

impl Opener {
    /// Makes the file the partial file of its job.
    pub(super) fn adopt(&self, adopt: &Adopt) -> Result<Box<Adopted>> {
        let Adopt { job, path, stat, journal } = adopt;
        let part = part_path(path);
        self.check_adoptable(path, stat)?;
        if self.stat(&part)?.is_some() {
            return Err(refused(path, "a partial file has appeared beside it"));
        }
        let total_bytes = journal.identity.total_bytes;
        let opened = self.lock_as(path, stat, path)?;
        let journal = Journal { done: self.believed(&*opened, path, &journal.done)?, ..journal.clone() };
        self.check_room(path, total_bytes.map(|total| total.saturating_sub(journal.done.covered())), false)?;
        opened.sync().map_err(|source| Error::storage("sync", path, source))?;
        drop(opened);
        let (_, set_aside) = ours::clear_journal_name(&*self.storage, path)?;
        self.storage
            .write_atomic(&journal_path(path), &journal.encode(), true)
            .map_err(|source| Error::storage("write the journal", path, source))?;
        self.directories.has_part(path);
        self.rename(path, &part, false)?;
        let opened = self.lock_as(&part, stat, path)?;
        opened.keep_private().map_err(|source| Error::storage("set the permissions of", &part, source))?;
        self.reserve(&*opened, path, total_bytes)?;
        self.parts.insert(*job, path, opened);
        Ok(Box::new(Adopted { journal, set_aside }))
    }

    /// What of the file was written, as far as its content shows.
    fn believed(&self, opened: &dyn PartFile, path: &Path, claimed: &RangeSet) -> Result<RangeSet> {
        let cannot = |source| Error::storage("read", path, source);
        let mut believed = claimed.clone();
        written::believe_written(&opened, &mut believed, Doubt::Foreign).map_err(cannot)?;
        if believed.is_empty() {
            return Err(refused(path, "it reads as if it had never been written"));
        }
        Ok(believed)
    }

    /// Whether the file may become ours at all.
    fn check_adoptable(&self, path: &Path, stat: &Stat) -> Result<()> {
        let mut control = path.as_os_str().to_owned();
        control.push(CONTROL_SUFFIX);
        if self.stat(&PathBuf::from(control))?.is_some() {
            return Err(refused(path, "aria2 has not completed it, and may have left parts of it out"));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match self.storage.owner_of_new(directory) {
            Ok(owner) if owner != stat.owner => Err(refused(path, "it belongs to another user")),
            _ if stat.links > 1 => Err(refused(path, "it has another name as well (a hard link)")),
            _ => Ok(()),
        }
    }

    /// Locks the file under one of its names, if it is still the one that was compared.
    fn lock_as(&self, at: &Path, compared: &Stat, path: &Path) -> Result<Arc<dyn PartFile>> {
        let is_it = |found: &Stat| {
            let is_same = compared.file.zip(found.file).is_none_or(|(compared, found)| compared.is_same(&found));
            let has = (found.kind, found.len_bytes, found.modified, found.links);
            is_same && has == (StatKind::File, compared.len_bytes, compared.modified, 1)
        };
        let changed = || refused(path, "another program has changed it meanwhile");
        if !self.stat(at)?.is_some_and(|found| is_it(&found)) {
            return Err(changed());
        }
        let opened = match self.storage.open_part(at, OpenPart::Existing) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(changed()),
            opened => self.locked(at, opened)?,
        };
        let found = opened.stat().map_err(|source| Error::storage("look at it", at, source))?;
        if is_it(&found) { Ok(opened) } else { Err(changed()) }
    }
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::NameTaken, format!("this file cannot be gone on with: {why}")).with_path(path)
}
