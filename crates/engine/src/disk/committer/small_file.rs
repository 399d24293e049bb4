//! Small files that arrived whole: written without a name where the file system allows it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::paths::{directory_of, note_bytes};
use super::reader::PartReader;
use super::{Committer, Pending};
use crate::checksum::Hasher;
use crate::disk::ours;
use crate::error::{Error, Result};
use crate::failpoint;
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{Message, Publish, Store};
use crate::name::{aside_path, journal_path, part_path};
use crate::promise::Promise;
use crate::storage::{OpenPart, PartFile, StatKind};

/// How much to copy at once.
const COPY_BYTES: usize = 64 << 10;

impl Committer {
    /// Writes a small file: without a name where possible, otherwise under its partial name.
    pub(super) fn write(&self, store: Store) -> Result<Pending> {
        if let Some(promise) = &store.promise {
            check(&store.content, promise, &store.path)?;
        }
        let unnamed = match store.is_alone && !self.refuses_unnamed.get() {
            true => self.storage.create_unnamed(&directory_of(&store.path)).ok(),
            false => None,
        };
        let is_unnamed = unnamed.is_some();
        let (part, has_kept) = match unnamed {
            Some(part) => (part, false),
            None => self.open_small(store.job, &store.path, store.was_free)?,
        };
        let mut len_bytes = 0;
        for bytes in &store.content {
            if let Err(source) = part.write_at(bytes, len_bytes) {
                if !is_unnamed {
                    self.discard_part(&*part, &store.path);
                }
                return Err(Error::storage("write", &store.path, source));
            }
            len_bytes += bytes.len() as u64;
        }
        let publish = Publish {
            part_of: store.path.clone(),
            path: store.path,
            replace: store.replace,
            only_over: store.only_over,
            note: store.note,
            modified: store.modified,
            len_bytes,
            replaces_old: has_kept || store.has_old,
            looks_for_holes: false,
            was_hollow: false,
            must_be_office: store.must_be_office,
        };
        Ok(Pending { job: store.job, part, publish, was_stored: true, is_unnamed })
    }

    /// Rewrites an unnamed file under its partial name, where the system refuses to link it (some containers
    /// and network file systems).
    pub(super) fn write_again(&self, pending: &mut Pending) -> Result<()> {
        let path = pending.publish.path.clone();
        let (part, replaces_old) = self.open_small(pending.job, &path, true)?;
        pending.publish.replaces_old |= replaces_old;
        let mut from = PartReader { part: &*pending.part, position: 0, len_bytes: pending.publish.len_bytes };
        let written = copy(&mut from, &*part)
            .inspect(|()| self.give_time(&*part, &pending.publish))
            .and_then(|()| part.finish(&note_bytes(&pending.publish, &*part)))
            .and_then(|()| if self.syncs { part.sync() } else { Ok(()) });
        if let Err(source) = written {
            self.discard_part(&*part, &path);
            return Err(Error::storage("write", &path, source));
        }
        pending.part = part;
        pending.is_unnamed = false;
        Ok(())
    }

    /// Opens the file under its partial name, writing the journal first, so that no kill leaves an unknown
    /// file. `was_free` if nothing had that name when we looked. Also returns whether an old version was kept beside it.
    pub(super) fn open_small(&self, job: JobId, path: &Path, was_free: bool) -> Result<(Arc<dyn PartFile>, bool)> {
        failpoint::reach("open");
        let part_name = part_path(path);
        let cannot = |source: io::Error| Error::storage("write", path, source);
        // What exists of another version stays until this file is complete.
        let before = self.parts.remove_of(job, path);
        let replaces_old = before.is_some();
        if let Some(before) = before {
            let held = before.stat().ok().filter(|_| before.is_at(&part_name).unwrap_or(false));
            if let Some(text) = ours::keep_old(&*self.storage, path, held.as_ref())? {
                self.report(Message::Warned(text));
            }
            // Its lock may be a file with its name.
            drop(before);
        }
        let (mut held, set_aside) = ours::clear_journal_name(&*self.storage, path)?;
        if let Some(text) = set_aside {
            self.report(Message::Warned(text));
        }
        let mut found = self.storage.identify(&part_name).map_err(cannot)?.filter(|stat| stat.kind == StatKind::File);
        if let Some(why) = found.and_then(|stat| ours::why_not_emptied(&stat, false, held.as_deref())) {
            found = None;
            let kept = ours::set_aside(&*self.storage, &part_name, aside_path)?;
            let text = format!("{} {why}; it is kept as {}", part_name.display(), kept.display());
            self.report(Message::Warned(text));
        }
        let not_opened = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock => Error::locked("another process is fetching this file", &part_name, source),
            _ => cannot(source),
        };
        // The lock tells whether somebody still works on it, and has written its journal.
        let locked = match found {
            Some(_) => {
                let opened = self.storage.open_part(&part_name, OpenPart::Existing);
                Some(opened.map_err(|source| ours::not_opened(&part_name, source))?)
            }
            None => None,
        };
        if locked.is_some() {
            held = ours::clear_journal_name(&*self.storage, path)?.0;
            ours::check_unclaimed(&part_name, held.as_deref().filter(|_| was_free && !replaces_old))?;
        }
        // A kill before the file is emptied leaves what an earlier run wrote, which this journal must fit.
        let journal = Journal { file: found.and_then(|stat| stat.file), ..Journal::of_nothing() };
        let not_written = |source| ours::not_written(&*self.storage, "write", path, source);
        self.storage.write_atomic(&journal_path(path), &journal.encode(), false).map_err(not_written)?;
        let opened = match locked {
            Some(part) => match ours::make_way(&*self.storage, &part_name, &*part, found.as_ref()) {
                Ok(true) => {
                    drop(part);
                    self.open_new(&part_name)
                }
                Ok(false) => Ok(part),
                Err(error) => Err(error),
            },
            None => self.open_new(&part_name),
        };
        let part = opened.inspect_err(|_| ours::drop_orphan(&*self.storage, path)).map_err(not_opened)?;
        ours::write_identity(&*self.storage, path, &journal, &*part).map_err(not_written)?;
        Ok((part, replaces_old))
    }

    /// Opens a partial file that is new, or empty.
    fn open_new(&self, name: &Path) -> io::Result<Arc<dyn PartFile>> {
        match self.storage.open_part(name, OpenPart::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let part = self.storage.open_part(name, OpenPart::Keep)?;
                ours::empty(&*part, None).map(|()| part)
            }
            opened => opened,
        }
    }

    /// Removes what a small file has been written to.
    pub(super) fn discard(&self, pending: &Pending) {
        if !pending.is_unnamed {
            self.discard_part(&*pending.part, &pending.publish.part_of);
        }
    }

    /// Removes a small file's partial file if it is still ours. Best effort: an empty leftover does no harm.
    pub(super) fn discard_part(&self, part: &dyn PartFile, path: &Path) {
        let name = part_path(path);
        if part.is_at(&name).unwrap_or(false) {
            self.storage.remove(&name).ok();
            self.remove_journal(path).ok();
        }
    }
}

fn check(content: &[Bytes], promise: &Promise, path: &Path) -> Result<()> {
    let mut hasher = Hasher::new(promise.checksum().algorithm());
    for bytes in content {
        hasher.update(bytes);
    }
    let found = hasher.finish();
    if promise.is_kept_by(&found) { Ok(()) } else { Err(promise.broken_by(&found).with_path(path)) }
}

fn copy(from: &mut dyn io::Read, to: &dyn PartFile) -> io::Result<()> {
    let (mut buffer, mut written_bytes) = (vec![0; COPY_BYTES], 0);
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        to.write_at(&buffer[..length], written_bytes)?;
        written_bytes += length as u64;
    }
}
