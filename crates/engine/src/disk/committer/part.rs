//! Partial files: their journals, digests and lengths, and what becomes of them on release.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Committer;
use super::paths::{directory_of, unix_ms_now};
use super::reader::PartReader;
use crate::checksum::{self, Algorithm};
use crate::disk::ours::{self, Found};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::failpoint;
use crate::job::{JobId, PieceDigests};
use crate::journal::Journal;
use crate::message::{Fate, Message};
use crate::name::{journal_path, old_journal_path, old_part_path, part_path};
use crate::ranges::ByteRange;

impl Committer {
    /// Makes sure that a removed journal does not come back after a power cut, next to another partial file.
    pub(super) fn forget_names(&self, path: &Path) -> io::Result<()> {
        if self.syncs { self.storage.sync_dir(&directory_of(path)) } else { Ok(()) }
    }

    /// Syncs the data first, then saves the journal that claims it.
    pub(super) fn save(&self, job: JobId, path: &Path, mut journal: Journal) -> Result<()> {
        let Some(part) = self.parts.get(job) else { return Ok(()) };
        // It is forgotten once the journal claims it no more.
        let cut = part.cut();
        if let Some((start, end)) = cut {
            journal.done.remove(ByteRange::new(start, end));
        }
        let stat = self.stat_if_ours(&*part, &part_path(path), journal.identity.total_bytes)?;
        if self.syncs {
            part.sync().map_err(|source| Error::storage("sync", path, source))?;
        }
        journal.saved_unix_ms = unix_ms_now();
        journal.file = stat.file;
        journal.token = part.token().map_err(|source| Error::storage("save the progress of", path, source))?;
        // Somebody may have put their own file there in the meantime.
        if let (_, Some(text)) = ours::clear_journal_name(&*self.storage, path)? {
            self.report(Message::Warned(text));
        }
        let name = journal_path(path);
        self.storage
            .write_atomic(&name, &journal.encode(), self.syncs)
            .map_err(|source| Error::storage("save the journal", &name, source))?;
        match cut.and_then(|_| part.take_cut()) {
            Some((start, end)) => {
                if cut != Some((start, end)) {
                    // It was truncated once more, while the journal was written.
                    journal.done.remove(ByteRange::new(start, end));
                    self.storage
                        .write_atomic(&name, &journal.encode(), self.syncs)
                        .map_err(|source| Error::storage("save the journal", &name, source))?;
                }
                let text = format!(
                    "another program truncated the partial file from {end} to {start} bytes while it was written"
                );
                Err(Error::new(ErrorKind::Storage, text).with_path(part_path(path)).with_advice(Advice::RunAgain))
            }
            None => Ok(()),
        }
    }

    /// Computes a digest on the pool, in parallel with everything else.
    pub(super) fn digest(&self, job: JobId, path: PathBuf, algorithm: Algorithm, of_final: bool, len_bytes: u64) {
        let compute = move |reader: &mut dyn io::Read, goes_on: &dyn Fn() -> bool| {
            checksum::digest_of(reader, algorithm, goes_on)
        };
        self.read_on_pool((job, path, of_final, len_bytes), compute, Message::Digested);
    }

    /// Compares pieces with their digests, likewise.
    pub(super) fn digest_pieces(&self, job: JobId, path: PathBuf, pieces: Box<PieceDigests>, of_final: bool) {
        let len_bytes = pieces.total_bytes().unwrap_or(u64::MAX);
        let compute = move |reader: &mut dyn io::Read, goes_on: &dyn Fn() -> bool| pieces.wrong_in(reader, goes_on);
        self.read_on_pool((job, path, of_final, len_bytes), compute, Message::PiecesDigested);
    }

    /// Reads a final file, or a partial one, on the pool, and reports what `compute` makes of it; `None` if it was
    /// interrupted.
    fn read_on_pool<T: Send + 'static>(
        &self,
        (job, path, of_final, len_bytes): (JobId, PathBuf, bool, u64),
        compute: impl FnOnce(&mut dyn io::Read, &dyn Fn() -> bool) -> io::Result<Option<T>> + Send + 'static,
        message: fn(JobId, Result<T>) -> Message,
    ) {
        let (storage, parts) = (Arc::clone(&self.storage), self.parts.clone());
        let (reports, cancel) = (self.reports.clone(), self.cancel.clone());
        let task = move || {
            let goes_on = || !cancel.is_cancelled();
            let result = match (of_final, parts.get(job)) {
                (false, Some(part)) => compute(&mut PartReader { part: &*part, position: 0, len_bytes }, &goes_on),
                (false, None) => Err(io::Error::other("the partial file is not open")),
                (true, _) => storage.open_read(&path).and_then(|mut file| compute(&mut file, &goes_on)),
            };
            let result = match result {
                Ok(Some(result)) => Ok(result),
                Ok(None) => Err(Error::new(ErrorKind::Interrupted, "interrupted while its digest was computed")),
                Err(source) => Err(Error::storage("read", &path, source)),
            };
            let _ = reports.put(message(job, result));
        };
        if self.digests.submit(task).is_err() {
            let error = Error::new(ErrorKind::Interrupted, "interrupted before its digest was computed");
            self.report(message(job, Err(error)));
        }
    }

    /// Reports a failure as a failed save: a partial file whose length cannot be set could not be saved either.
    pub(super) fn set_len(&self, job: JobId, path: &Path, len_bytes: u64) {
        let Some(part) = self.parts.get(job) else { return };
        if let Err(source) = part.set_len(len_bytes) {
            let error = Error::storage("set the length of", &part_path(path), source);
            self.report(Message::Saved(job, Err(error)));
        }
    }

    pub(super) fn release(&self, job: JobId, path: &Path, fate: Fate) {
        let Some(part) = self.parts.remove_of(job, path) else { return };
        if fate == Fate::Kept {
            return;
        }
        let is_ours = part.is_at(&part_path(path)).unwrap_or(false);
        if fate == Fate::Exchanged && is_ours && self.exchange_old(path).is_ok() {
            self.forget_names(path).ok();
            return;
        }
        self.discard_part(&*part, path);
        match fate {
            Fate::Superseded => self.remove_old(path),
            _ => self.bring_back_old(path),
        }
        self.forget_names(path).ok();
    }

    /// Removes the journal, unless somebody has put their own file in its place.
    pub(super) fn remove_journal(&self, path: &Path) -> io::Result<()> {
        let name = journal_path(path);
        match ours::read_journal(&*self.storage, &name) {
            Ok(Found::Fits(_)) => self.storage.remove(&name),
            // A journal of ours that stays behind does no harm.
            _ => Ok(()),
        }
    }

    /// Removes the replaced old version. If this is interrupted, what is left still has a journal.
    pub(super) fn remove_old(&self, path: &Path) {
        let (part, journal) = (old_part_path(path), old_journal_path(path));
        // Somebody may have put their own file in the place of either.
        let Ok(Found::Fits(held)) = ours::read_journal(&*self.storage, &journal) else { return };
        let found = self.storage.stat(&part).ok().flatten().and_then(|stat| stat.file);
        if held.file.zip(found).is_none_or(|(held, found)| held.is_same(&found)) {
            self.storage.remove(&part).ok();
        }
        self.storage.remove(&journal).ok();
    }

    /// Exchanges the open version with the one beside it. If this stops between the two steps, the journals are
    /// crossed; the next run detects that from the files that the journals name.
    pub(super) fn exchange_old(&self, path: &Path) -> io::Result<()> {
        self.storage.exchange(&part_path(path), &old_part_path(path))?;
        failpoint::reach("exchanged");
        self.storage.exchange(&journal_path(path), &old_journal_path(path))
    }

    /// Restores the old version after its replacement came to nothing.
    pub(super) fn bring_back_old(&self, path: &Path) {
        // A kill between the two renames leaves the same state as a kill during `keep_old`.
        if self.storage.rename(&old_journal_path(path), &journal_path(path), false).is_ok() {
            self.storage.rename(&old_part_path(path), &part_path(path), false).ok();
        }
    }
}
