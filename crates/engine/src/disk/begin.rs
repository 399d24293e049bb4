//! Begins a file, on the opener's thread: an empty partial file with its room, behind a journal that names it.

use std::path::Path;
use std::sync::Arc;

use super::opener::Opener;
use super::ours;
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::failpoint;
use crate::journal::Journal;
use crate::message::Open;
use crate::name::{aside_path, journal_path, part_path};
use crate::size::bytes as shown_bytes;
use crate::storage::{OpenPart, PartFile, Stat, StatKind};

/// How much space to reserve at first; more follows as data arrives, because a length is only a claim.
const RESERVED_FIRST_BYTES: u64 = 64 << 20;

impl Opener {
    /// Opens an empty partial file and reserves space for it, writing its journal first. Returns what was set
    /// aside for it.
    pub(super) fn open(&self, open: &Open) -> Result<Option<String>> {
        let Open { job, path, total_bytes, journal, keeps_old, was_free } = open;
        failpoint::reach("open");
        self.directories.has_part(path);
        // Release the lock of the previously open file first.
        let before = self.parts.remove_open(*job);
        let part = part_path(path);
        let reclaimed = if *keeps_old { 0 } else { self.written_bytes(&part) };
        self.check_room(
            path,
            total_bytes.map(|total| total.saturating_sub(reclaimed)),
            before.is_some() && *keeps_old,
        )?;
        let before = before.filter(|(open, _)| open == path).map(|(_, before)| before);
        let before = before.filter(|before| before.is_at(&part).unwrap_or(false));
        let before_stat = before.as_ref().and_then(|before| before.stat().ok());
        let mut set_aside = None;
        if *keeps_old {
            set_aside = ours::keep_old(&*self.storage, path, before_stat.as_ref())?;
        }
        drop(before);
        // No journal may claim what is truncated, not even after a power cut.
        let (mut held, foreign) = ours::clear_journal_name(&*self.storage, path)?;
        set_aside = foreign.or(set_aside);
        let mut found = self.identify(&part)?.filter(|stat| stat.kind == StatKind::File);
        let was_open = |found: &Stat| before_stat.is_some_and(|before| before.is_of_one_file(found));
        if let Some(why) = found.and_then(|stat| ours::why_not_emptied(&stat, was_open(&stat), held.as_deref())) {
            found = None;
            let kept = ours::set_aside(&*self.storage, &part, aside_path)?;
            set_aside = Some(format!("{} {why}; it is kept as {}", part.display(), kept.display()));
        }
        // Whoever works on it has written its journal, which stays.
        let locked = match found {
            Some(stat) => Some(self.lock_found(&part, &stat)?),
            None => None,
        };
        if found.is_some_and(|stat| !was_open(&stat)) {
            held = ours::clear_journal_name(&*self.storage, path)?.0;
            ours::check_unclaimed(&part, held.as_deref().filter(|_| *was_free))?;
        }
        // A kill before the file is emptied leaves what an earlier run wrote, which this journal must fit.
        let emptied = found.and_then(|stat| stat.file);
        let first = Journal { file: emptied, ..journal.clone() };
        self.storage
            .write_atomic(&journal_path(path), &first.encode(), held.is_some())
            .map_err(|source| ours::not_written(&*self.storage, "write the journal", path, source))?;
        failpoint::reach("begun");
        let opened = match locked {
            Some(locked) => self.begin_anew(path, locked, found.as_ref()),
            None => self.lock_empty(path),
        };
        let opened = opened.inspect_err(|_| ours::drop_orphan(&*self.storage, path))?;
        ours::write_identity(&*self.storage, path, journal, &*opened)
            .map_err(|source| ours::not_written(&*self.storage, "write the journal", path, source))?;
        if let Err(error) = self.reserve(&*opened, path, *total_bytes) {
            if opened.is_at(&part).unwrap_or(false) {
                self.storage.remove(&part).ok();
                self.storage.remove(&journal_path(path)).ok();
            }
            return Err(error);
        }
        self.parts.insert(*job, path, opened);
        Ok(set_aside)
    }

    /// Opens and locks the partial file that was found.
    fn lock_found(&self, part: &Path, found: &Stat) -> Result<Arc<dyn PartFile>> {
        self.check_ours(part, found)?;
        self.storage.open_part(part, OpenPart::Existing).map_err(|source| ours::not_opened(part, source))
    }

    /// Puts a new file in the place of the one that was found.
    fn begin_anew(&self, path: &Path, locked: Arc<dyn PartFile>, found: Option<&Stat>) -> Result<Arc<dyn PartFile>> {
        let part = part_path(path);
        let is_free = ours::make_way(&*self.storage, &part, &*locked, found);
        match is_free.map_err(|source| Error::storage("begin", &part, source))? {
            true => {
                // Its lock may be a file with its name.
                drop(locked);
                self.lock_empty(path)
            }
            false => Ok(locked),
        }
    }

    /// Opens a new partial file.
    fn lock_empty(&self, path: &Path) -> Result<Arc<dyn PartFile>> {
        let part = part_path(path);
        if let Some(stat) = self.stat(&part)? {
            self.check_ours(&part, &stat)?;
        }
        let opened = self.lock(&part, OpenPart::Keep)?;
        ours::empty(&*opened, None).map_err(|source| Error::storage("begin", &part, source))?;
        Ok(opened)
    }

    /// How much room a partial file takes that is to be emptied.
    fn written_bytes(&self, part: &Path) -> u64 {
        let Ok(Some(stat)) = self.stat(part) else { return 0 };
        let holes = self.storage.holes(part).unwrap_or_default();
        stat.len_bytes.saturating_sub(holes.into_iter().map(|(start, end)| end - start).sum())
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn check_room(&self, path: &Path, total_bytes: Option<u64>, is_second: bool) -> Result<()> {
        let Some(total) = total_bytes else { return Ok(()) };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Some(most) = self.storage.file_bytes_max(parent).filter(|most| *most < total) {
            let text = format!(
                "this file system takes files of up to {}, and it has {}",
                shown_bytes(most),
                shown_bytes(total)
            );
            return Err(Error::new(ErrorKind::Storage, text).with_path(path).with_advice(Advice::SaveOnOtherDisk));
        }
        let Some(free) = self.storage.free_bytes(parent).ok().filter(|free| *free < total) else { return Ok(()) };
        let text = format!("cannot write: {} needed, {} free", shown_bytes(total), shown_bytes(free));
        let error = Error::new(ErrorKind::DiskFull, text).with_path(path);
        // Even an empty disk would be too small.
        if self.storage.capacity_bytes(parent).is_ok_and(|capacity| capacity > 0 && capacity < total) {
            return Err(error.with_transient(false).with_advice(Advice::SaveOnLargerDisk));
        }
        Err(match is_second {
            true => error.with_advice(Advice::MakeRoomOrRestart),
            false => error,
        })
    }

    pub(super) fn reserve(&self, part: &dyn PartFile, path: &Path, total_bytes: Option<u64>) -> Result<()> {
        let Some(total) = total_bytes else { return Ok(()) };
        let reserved = match total <= RESERVED_FIRST_BYTES {
            true => part.allocate(total),
            false => part.set_len(total).map(|()| part.reserve(0, RESERVED_FIRST_BYTES)),
        };
        reserved.map_err(|source| Error::storage("reserve room", path, source))
    }
}
