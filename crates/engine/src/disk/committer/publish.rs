//! Final names: files are synced, checked and renamed, and their directories synced, in groups.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::paths::{directory_of, note_bytes};
use super::{Committer, Pending};
use crate::disk::ours;
use crate::disk::written;
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::evidence::container::is_whole_office_file;
use crate::failpoint;
use crate::feed::values::is_same_time;
use crate::message::{ListedOffice, Message, Publish, Published};
use crate::name::{aside_path, part_path};
use crate::storage::{PartFile, Stat, StatKind};

/// From this many files on, a group is synced at once.
const SYNC_AT_ONCE_MIN: usize = 16;
/// How much of the beginning and the end is compared where nothing else tells one file from another.
const COMPARED_BYTES: u64 = 64 << 10;

/// A small file is fetched again as a whole.
fn cut_short(part_of: &Path) -> Error {
    let text = "another program truncated the partial file while it was written";
    Error::new(ErrorKind::Storage, text).with_path(part_path(part_of)).with_advice(Advice::RunAgain)
}

impl Committer {
    /// Syncs, renames, syncs the directories, and only then reports success.
    pub(super) fn publish(&self, pending: Vec<Pending>) {
        let directories = directories_of(&pending);
        let synced = self.sync(&pending, &directories);
        let renamed: Vec<_> = pending
            .into_iter()
            .zip(synced)
            .filter_map(|(mut pending, synced)| {
                let holes = if synced.is_ok() { self.holes_of(&pending) } else { Vec::new() };
                if !holes.is_empty() && !pending.was_stored {
                    keep_private(&pending);
                    self.report(Message::Hollow(pending.job, holes));
                    return None;
                }
                let renamed = synced.and_then(|()| match holes.is_empty() {
                    true => self.rename(&mut pending),
                    false => Err(cut_short(&pending.publish.part_of)),
                });
                Some((pending, renamed))
            })
            .collect();
        let unsynced = match self.syncs {
            true => failures(&directories, |directory| self.sync_dir(directory)),
            false => HashMap::new(),
        };
        let mut published = Vec::with_capacity(renamed.len());
        for (pending, renamed) in renamed {
            let result = match failure_of(&unsynced, &pending) {
                Some(error) => renamed.and(Err(error.clone())),
                None => renamed,
            };
            match result.is_err() {
                true if pending.was_stored => self.discard(&pending),
                true => keep_private(&pending),
                false => {}
            }
            published.push(match pending.was_stored {
                true => Message::Stored(pending.job, result),
                false => Message::Published(pending.job, result),
            });
        }
        self.report_all(published);
    }

    /// The parts of a fully received file that were never written: then somebody has truncated it.
    fn holes_of(&self, pending: &Pending) -> Vec<(u64, u64)> {
        let len_bytes = pending.publish.len_bytes;
        let cut = pending.part.take_cut();
        let mut holes = match pending.publish.looks_for_holes {
            true => written::holes_in_whole(&*pending.part, len_bytes),
            false => Vec::new(),
        };
        // What was fetched again and still is a hole are zeros, if the file system leaves those out.
        let are_zeros = || !self.storage.keeps_zeros(&directory_of(&pending.publish.part_of));
        let is_hollow = cut.is_some() || !(holes.is_empty() || pending.publish.was_hollow && are_zeros());
        holes.extend(cut.map(|cut| written::wider(cut, len_bytes)));
        if is_hollow { holes } else { Vec::new() }
    }

    /// Syncs a directory and, once, those above it up to the session's directory: a power cut may remove a
    /// directory that was just created, with everything in it.
    pub(super) fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.storage.sync_dir(directory)?;
        let is_below = |directory: &Path| directory.starts_with(&self.dir);
        for (name, parent) in directory.ancestors().zip(directory.ancestors().skip(1)) {
            if !is_below(name) || !self.named.borrow_mut().insert(name.to_owned()) {
                break;
            }
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            let synced = self.storage.sync_dir(parent);
            // Directories above the session's are the user's; we may not even be allowed to read them.
            if is_below(parent) && synced.is_err() {
                self.named.borrow_mut().remove(name);
                return synced;
            }
        }
        Ok(())
    }

    /// Gives each file its note and permissions and syncs it: one by one, or a large group with one sync of its
    /// file system, which is one commit instead of hundreds. What could not be written, each file tells for itself: the
    /// sync of everything says it to one caller only, and may mean another file.
    pub(super) fn sync(&self, pending: &[Pending], directories: &BTreeSet<PathBuf>) -> Vec<Result<()>> {
        let at_once = self.syncs && pending.len() >= SYNC_AT_ONCE_MIN;
        let finish = |pending: &Pending| {
            self.give_time(&*pending.part, &pending.publish);
            let finished = pending.part.finish(&note_bytes(&pending.publish, &*pending.part));
            let synced = finished.and_then(|()| if self.syncs && !at_once { pending.part.sync() } else { Ok(()) });
            synced.map_err(|source| Error::storage("sync", &pending.publish.path, source))
        };
        let finished: Vec<_> = pending.iter().map(finish).collect();
        if !at_once {
            return finished;
        }
        let has_failed = !failures(directories, |directory| self.storage.sync_all(directory)).is_empty();
        let check = |pending: &Pending| {
            let checked = if has_failed { pending.part.sync() } else { pending.part.check_synced() };
            checked.map_err(|source| Error::storage("sync", &pending.publish.path, source))
        };
        finished.into_iter().zip(pending).map(|(finished, pending)| finished.and_then(|()| check(pending))).collect()
    }

    /// Gives a file the modification time that was asked for, or one of its own.
    pub(super) fn give_time(&self, part: &dyn PartFile, publish: &Publish) {
        match publish.modified {
            Some(asked) => drop(part.set_modified(asked)),
            None => {
                let directory = publish.path.parent().unwrap_or(Path::new(""));
                self.own_times.borrow_mut().give(part, directory, publish.len_bytes);
            }
        }
    }

    /// The program's main promise depends on this check: the file that gets the name is the one we hold, and it
    /// has the right length.
    pub(super) fn check_before_rename(&self, pending: &Pending) -> Result<()> {
        let part = part_path(&pending.publish.part_of);
        self.stat_if_ours(&*pending.part, &part, Some(pending.publish.len_bytes)).map(|_| ())
    }

    /// Checks that the partial file is still the one we hold, has the right length, and has no second name
    /// through which others write.
    pub(super) fn stat_if_ours(&self, part: &dyn PartFile, name: &Path, len_bytes: Option<u64>) -> Result<Stat> {
        let look = |source: io::Error| Error::storage("look at the partial file", name, source);
        let changed = |text: String| Err(Error::new(ErrorKind::Storage, text).with_path(name));
        if !part.is_at(name).map_err(look)? {
            return changed("the partial file was removed or replaced while it was written".to_owned());
        }
        let stat = part.stat().map_err(look)?;
        if let Some(expected) = len_bytes.filter(|expected| *expected != stat.len_bytes) {
            let found = stat.len_bytes;
            return changed(format!(
                "somebody has changed the partial file: it has {found} bytes instead of {expected}"
            ));
        }
        if stat.links > 1 {
            return changed("somebody has given the partial file another name (a hard link)".to_owned());
        }
        Ok(stat)
    }

    /// Refuses what should be an Office file and is none, or a part of one.
    fn check_office(&self, pending: &Pending) -> Result<()> {
        let Publish { path, len_bytes, must_be_office, .. } = &pending.publish;
        let Some(ListedOffice { by, total_bytes }) = must_be_office else { return Ok(()) };
        let read = |buffer: &mut [u8], at: u64| pending.part.read_at(buffer, at);
        let is_whole = is_whole_office_file(*len_bytes, *total_bytes, read);
        if is_whole.map_err(|source| Error::storage("read", path, source))? {
            return Ok(());
        }
        let text = format!(
            "{by} lists it with another length or digest, and what came ({len_bytes} bytes) is no whole Office file"
        );
        Err(Error::new(ErrorKind::Digest, text).with_path(path).with_advice(Advice::RunAgain))
    }

    pub(super) fn rename(&self, pending: &mut Pending) -> Result<Published> {
        self.check_office(pending)?;
        failpoint::reach("publish");
        // Read from the open file before others can find it: what they change afterwards is a change.
        let mut modified = pending.part.stat().map_or(UNIX_EPOCH, |stat| stat.modified);
        let mut linked = None;
        if pending.is_unnamed {
            linked = match pending.part.link_to(&pending.publish.path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    self.refuses_unnamed.set(true);
                    self.write_again(pending)?;
                    modified = pending.part.stat().map_or(UNIX_EPOCH, |stat| stat.modified);
                    None
                }
                linked => Some(linked),
            };
        }
        let Publish { part_of, path, replace, len_bytes, .. } = &pending.publish;
        if linked.is_none() && !self.may_replace(&pending.publish)? {
            return Err(Error::new(ErrorKind::NameTaken, "somebody has changed the file meanwhile").with_path(path));
        }
        let renamed = match linked {
            Some(linked) => linked,
            None => {
                self.check_before_rename(pending)?;
                failpoint::reach("checked");
                self.storage.rename(&part_path(part_of), path, *replace)
            }
        };
        renamed.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                Error::new(ErrorKind::NameTaken, "another file got this name meanwhile").with_path(path.clone())
            }
            _ => Error::storage("rename the finished file", path, source),
        })?;
        failpoint::reach("published");
        if !pending.is_unnamed {
            self.check_after_rename(pending)?;
            if !pending.was_stored {
                self.parts.remove(pending.job);
            }
            self.remove_journal(part_of).map_err(|source| Error::storage("remove the journal", path, source))?;
        }
        if pending.publish.replaces_old {
            self.remove_old(part_of);
        }
        Ok(Published { len_bytes: *len_bytes, modified })
    }

    /// Whether the file that has the name is the one that may be replaced, if only one may.
    fn may_replace(&self, publish: &Publish) -> Result<bool> {
        let Some((len_bytes, modified_ns)) = publish.only_over else { return Ok(true) };
        let found =
            self.storage.stat(&publish.path).map_err(|source| Error::storage("look at", &publish.path, source))?;
        Ok(found.is_none_or(|found| {
            found.kind == StatKind::File && found.len_bytes == len_bytes && is_same_time(modified_ns, &found)
        }))
    }

    /// Checks that the final name refers to the file that was just checked. Another program may have put its
    /// own file there in between; that file is not ours and is set aside.
    pub(super) fn check_after_rename(&self, pending: &Pending) -> Result<()> {
        let Publish { part_of, path, len_bytes, .. } = &pending.publish;
        let cannot = |source| Error::storage("look at the finished file", path, source);
        // If somebody moved it away, they got the whole file.
        let Some(found) = self.storage.stat(path).map_err(cannot)? else { return Ok(()) };
        // Some file systems derive inode numbers from names; there, compare the creation time.
        let born = |stat: &Stat| stat.file.and_then(|file| file.born_unix_ns);
        let held = pending.part.stat().map_err(cannot)?;
        let has_birth = born(&held).is_some() || born(&found).is_some();
        // Without a creation time either, what it holds has to do.
        let is_like = || found.modified == held.modified && found.owner == held.owner && self.has_same_ends(pending);
        let is_ours = pending.part.is_at(path).map_err(cannot)?
            || has_birth && born(&held) == born(&found)
            || !has_birth && is_like();
        if is_ours && found.kind == StatKind::File && found.len_bytes == *len_bytes {
            return Ok(());
        }
        let part = part_path(part_of);
        let kept = ours::set_aside_as(&*self.storage, path, |number| aside_path(&part, number))?;
        let text =
            format!("the partial file was replaced or cut while it got its name; it is kept as {}", kept.display());
        Err(Error::new(ErrorKind::Storage, text).with_path(path.clone()).with_advice(Advice::RunAgainFromStart))
    }
}

impl Committer {
    /// Whether the beginning and the end of the file that has the name are those of the one we hold.
    fn has_same_ends(&self, pending: &Pending) -> bool {
        let len_bytes = pending.publish.len_bytes;
        let count = len_bytes.min(COMPARED_BYTES);
        [0, len_bytes - count].into_iter().all(|at| {
            let (mut held, mut found) = (vec![0; count as usize], vec![1; count as usize]);
            let is_read = pending.part.read_at(&mut held, at).is_ok();
            is_read && self.storage.read_at(&pending.publish.path, &mut found, at).is_ok() && held == found
        })
    }
}

/// What stays a partial file is for its owner alone. If that is impossible, it is still complete.
fn keep_private(pending: &Pending) {
    if pending.part.is_at(&part_path(&pending.publish.part_of)).unwrap_or(false) {
        let _ = pending.part.keep_private();
    }
}

/// The directories of a group. Neighbours are mostly in the same one, and comparing whole paths takes long.
fn directories_of(group: &[Pending]) -> BTreeSet<PathBuf> {
    let mut paths: Vec<&Path> = group.iter().map(|pending| pending.publish.path.as_path()).collect();
    paths.dedup_by_key(|path| path.parent().map(Path::as_os_str));
    paths.into_iter().map(directory_of).collect()
}

/// Runs `sync` on each directory and collects the failures.
fn failures(directories: &BTreeSet<PathBuf>, sync: impl Fn(&Path) -> io::Result<()>) -> HashMap<PathBuf, Error> {
    let failure = |directory: &PathBuf| {
        let error = sync(directory).err()?;
        Some((directory.clone(), Error::storage("sync the directory", directory, error)))
    };
    directories.iter().filter_map(failure).collect()
}

/// The failure of a file's directory, if there is one.
fn failure_of<'a>(failures: &'a HashMap<PathBuf, Error>, pending: &Pending) -> Option<&'a Error> {
    match failures.is_empty() {
        true => None,
        false => failures.get(&directory_of(&pending.publish.path)),
    }
}
