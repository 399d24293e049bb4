//! The committer's thread: everything that waits for the disk to have something for good. What is
//! queued is committed as a group: written back together, synced, renamed, each directory synced
//! once.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use towline_threads::cancel::CancelToken;
use towline_threads::executor::ThreadPoolExecutor;
use towline_threads::queue::{GetError, Queue};

use super::ours::{self, Found};
use super::{Parts, written};
use crate::checksum::{self, Algorithm, Hasher};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::feed::values::unix_ns;
use crate::job::JobId;
use crate::journal::Journal;
use crate::message::{CommitRequest, Fate, Message, Note, Publish, Published, Store};
use crate::name::{aside_path, journal_path, old_journal_path, old_part_path, part_path};
use crate::promise::Promise;
use crate::storage::{OpenPart, PartFile, Stat, StatKind, Storage};

/// The queue's shutting down is what ends the wait; this only bounds it.
const WAIT: Duration = Duration::from_secs(3600);
/// From so many files on, a group is synced at once.
const SYNC_AT_ONCE_MIN: usize = 16;
/// Small files are left to gather for so long.
const GATHER: Duration = Duration::from_millis(1);
/// So much is committed as one group at most.
const GROUP_MAX: usize = 512;
/// A clock that went back by more was set.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// So much of a file is copied at once.
const COPY_BYTES: usize = 64 << 10;

/// The committer and what it works with.
pub(crate) struct Committer {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) parts: Parts,
    pub(crate) requests: Queue<CommitRequest>,
    pub(crate) reports: Queue<Message>,
    pub(crate) digests: ThreadPoolExecutor,
    pub(crate) cancel: CancelToken,
    /// Whether anything is synced at all.
    pub(crate) syncs: bool,
    /// The session's directory.
    pub(crate) dir: PathBuf,
    /// Directories whose own names are known to be on the disk.
    pub(crate) named: RefCell<HashSet<PathBuf>>,
    /// Files without a name get none here.
    pub(crate) refuses_unnamed: Cell<bool>,
    /// The time of the file that was finished last.
    pub(crate) last_modified: Cell<SystemTime>,
}

/// A file on its way to its final name.
struct Pending {
    job: JobId,
    part: Arc<dyn PartFile>,
    publish: Publish,
    was_stored: bool,
    /// It has no partial name: nobody else can reach it.
    is_unnamed: bool,
}

impl Committer {
    /// Runs until the queue is shut down and empty.
    pub(crate) fn run(self) {
        let mut group = Vec::new();
        loop {
            match self.requests.get_many(&mut group, GROUP_MAX, WAIT) {
                Err(GetError::ShutDown) => break,
                _ => {
                    if matches!(group.last(), Some(CommitRequest::Store(_))) && group.len() < GROUP_MAX {
                        std::thread::sleep(GATHER);
                        let _ = self.requests.get_many(&mut group, GROUP_MAX, Duration::ZERO);
                    }
                    self.commit(group.drain(..));
                }
            }
        }
        self.digests.shutdown(true, true);
    }

    /// Does all that is asked; what is to be published is published together.
    pub(crate) fn commit(&self, group: impl Iterator<Item = CommitRequest>) {
        let mut pending = Vec::new();
        for request in group {
            match request {
                CommitRequest::Store(store) => {
                    let job = store.job;
                    match self.write(*store) {
                        Ok(stored) => pending.push(stored),
                        Err(error) => self.report(Message::Stored(job, Err(error))),
                    }
                }
                CommitRequest::Publish { job, publish } => match self.parts.get(job) {
                    Some(part) => {
                        pending.push(Pending { job, part, publish: *publish, was_stored: false, is_unnamed: false })
                    }
                    None => {
                        let error = Error::new(ErrorKind::Internal, "a file was to be published that is not open");
                        self.report(Message::Published(job, Err(error)));
                    }
                },
                CommitRequest::Save { job, path, journal } => {
                    let result = self.save(job, &path, *journal);
                    self.report(Message::Saved(job, result));
                }
                CommitRequest::WriteBack { job, range } => {
                    if let Some(part) = self.parts.get(job).filter(|_| self.syncs) {
                        part.start_writeback(range.start, range.len());
                    }
                }
                CommitRequest::Digest { job, path, algorithm, of_final, len_bytes } => {
                    self.digest(job, path, algorithm, of_final, len_bytes);
                }
                CommitRequest::Reserve { job, range } => {
                    if let Some(part) = self.parts.get(job) {
                        part.reserve(range.start, range.len());
                    }
                }
                CommitRequest::SetLen { job, path, len_bytes } => self.set_len(job, &path, len_bytes),
                CommitRequest::Release { job, path, fate } => {
                    self.release(job, &path, fate);
                    self.parts.released(job);
                }
            }
        }
        self.publish(pending);
    }

    /// Says first what the file system turned out not to do: this may be the last that is heard.
    fn report(&self, message: Message) {
        let warnings = self.storage.take_warnings().into_iter().map(Message::Warned);
        for message in warnings.chain([message]) {
            // The dispatcher is gone only when everything is being torn down.
            let _ = self.reports.put(message);
        }
    }

    /// Writes a small file, without a name where that can be done, else under its partial one.
    fn write(&self, store: Store) -> Result<Pending> {
        if let Some(promise) = &store.promise {
            check(&store.content, promise, &store.path)?;
        }
        let unnamed = match store.is_alone && !self.refuses_unnamed.get() {
            true => self.storage.create_unnamed(&directory_of(&store.path)).ok(),
            false => None,
        };
        let is_unnamed = unnamed.is_some();
        let (part, replaces_old) = match unnamed {
            Some(part) => (part, false),
            None => self.open_small(store.job, &store.path)?,
        };
        let mut len_bytes = 0;
        for bytes in &store.content {
            if let Err(source) = part.write_at(bytes, len_bytes) {
                if !is_unnamed {
                    self.remove_part(&store.path);
                }
                return Err(Error::storage("write", &store.path, source));
            }
            len_bytes += bytes.len() as u64;
        }
        let publish = Publish {
            part_of: store.path.clone(),
            path: store.path,
            replace: store.replace,
            note: store.note,
            len_bytes,
            replaces_old,
            looks_for_holes: false,
        };
        Ok(Pending { job: store.job, part, publish, was_stored: true, is_unnamed })
    }

    /// A file without a name that gets none here (some containers and network file systems), once more
    /// under its partial one.
    fn write_again(&self, pending: &mut Pending) -> Result<()> {
        let path = pending.publish.path.clone();
        let (part, replaces_old) = self.open_small(pending.job, &path)?;
        pending.publish.replaces_old |= replaces_old;
        let mut from = PartReader { part: &*pending.part, position: 0, len_bytes: pending.publish.len_bytes };
        let written = copy(&mut from, &*part)
            .inspect(|()| self.tell_apart(&*part))
            .and_then(|()| part.finish(&note_bytes(&pending.publish, &*part)))
            .and_then(|()| if self.syncs { part.sync() } else { Ok(()) });
        if let Err(source) = written {
            self.remove_part(&path);
            return Err(Error::storage("write", &path, source));
        }
        pending.part = part;
        pending.is_unnamed = false;
        Ok(())
    }

    /// Under its partial name, with a journal first, so that no kill leaves a file that nobody knows. Also
    /// says whether another version was kept beside it.
    fn open_small(&self, job: JobId, path: &Path) -> Result<(Arc<dyn PartFile>, bool)> {
        let part_name = part_path(path);
        let cannot = |source: io::Error| Error::storage("write", path, source);
        // What was begun of another version stays until this is complete.
        let before = self.parts.remove_of(job, path);
        let replaces_old = before.is_some();
        if before.is_some() {
            if let Some(text) = ours::keep_old(&*self.storage, path)? {
                self.report(Message::Warned(text));
            }
            // Its lock may be a file that has its name.
            drop(before);
        }
        let (is_ours, set_aside) = ours::clear_journal_name(&*self.storage, path)?;
        if let Some(text) = set_aside {
            self.report(Message::Warned(text));
        }
        if !is_ours && self.storage.stat(&part_name).map_err(cannot)?.is_some_and(|stat| stat.kind == StatKind::File) {
            // It came since we looked, and is none of ours: those have journals.
            let kept = ours::set_aside(&*self.storage, &part_name, aside_path)?;
            let text = format!("{} has no journal; it is kept as {}", part_name.display(), kept.display());
            self.report(Message::Warned(text));
        }
        let journal = Journal::of_nothing();
        self.storage.write_atomic(&journal_path(path), &journal.encode(), false).map_err(cannot)?;
        let part = match self.storage.open_part(&part_name, OpenPart::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Of ours, as was found before; the lock says whether somebody still works on it.
                self.storage.open_part(&part_name, OpenPart::Empty)
            }
            other => other,
        };
        let part = part.map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => Error::locked("another process is fetching this file", &part_name, source),
            _ => cannot(source),
        })?;
        ours::write_identity(&*self.storage, path, &journal, &*part).map_err(cannot)?;
        Ok((part, replaces_old))
    }

    /// Makes sure that a journal which was removed does not come back after a power cut, beside
    /// another partial file.
    fn forget_names(&self, path: &Path) -> io::Result<()> {
        if self.syncs { self.storage.sync_dir(&directory_of(path)) } else { Ok(()) }
    }

    /// Syncs, renames, syncs the directories, and only then says so.
    fn publish(&self, pending: Vec<Pending>) {
        let directories: BTreeSet<PathBuf> =
            pending.iter().map(|pending| directory_of(&pending.publish.path)).collect();
        let synced = self.sync(&pending, &directories);
        let renamed: Vec<_> = pending
            .into_iter()
            .zip(synced)
            .filter_map(|(mut pending, synced)| {
                if synced.is_ok() && self.is_hollow(&pending) {
                    return None;
                }
                let renamed = synced.and_then(|()| self.rename(&mut pending));
                Some((pending, renamed))
            })
            .collect();
        let unsynced = match self.syncs {
            true => failures(&directories, |directory| self.sync_dir(directory)),
            false => HashMap::new(),
        };
        for (pending, renamed) in renamed {
            let result = match unsynced.get(&directory_of(&pending.publish.path)) {
                Some(error) => renamed.and(Err(error.clone())),
                None => renamed,
            };
            if result.is_err() && pending.was_stored {
                self.discard(&pending);
            }
            self.report(match pending.was_stored {
                true => Message::Stored(pending.job, result),
                false => Message::Published(pending.job, result),
            });
        }
    }

    /// Whether parts of a file were never written to although all of it came: somebody has cut it.
    fn is_hollow(&self, pending: &Pending) -> bool {
        if !pending.publish.looks_for_holes {
            return false;
        }
        let holes = written::holes_in_whole(&*pending.part, pending.publish.len_bytes);
        let is_hollow = !holes.is_empty();
        if is_hollow {
            self.report(Message::Hollow(pending.job, holes));
        }
        is_hollow
    }

    /// Brings the names in a directory to the disk, and once the names of those that lead to it: a
    /// directory that was made a moment ago may be gone after a power cut, with all that is in it.
    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.storage.sync_dir(directory)?;
        let is_below = |directory: &Path| directory.starts_with(&self.dir);
        for (name, parent) in directory.ancestors().zip(directory.ancestors().skip(1)) {
            if !is_below(name) || !self.named.borrow_mut().insert(name.to_owned()) {
                break;
            }
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            let synced = self.storage.sync_dir(parent);
            // What is above the session's directory is the user's, who may not even let us read it.
            if is_below(parent) && synced.is_err() {
                self.named.borrow_mut().remove(name);
                return synced;
            }
        }
        Ok(())
    }

    /// Removes a small file's partial file, if it is (still) ours.
    fn discard(&self, pending: &Pending) {
        let part = part_path(&pending.publish.part_of);
        if !pending.is_unnamed && pending.part.is_at(&part).unwrap_or(false) {
            self.remove_part(&pending.publish.part_of);
        }
    }

    /// As far as it goes: an empty leftover does no harm.
    fn remove_part(&self, path: &Path) {
        self.storage.remove(&part_path(path)).ok();
        self.remove_journal(path).ok();
    }

    /// Gives each file its note and permissions and brings it to the disk: each by itself, or a
    /// large group with one sync of its file system, which is one commit instead of hundreds.
    fn sync(&self, pending: &[Pending], directories: &BTreeSet<PathBuf>) -> Vec<Result<()>> {
        let at_once = self.syncs && pending.len() >= SYNC_AT_ONCE_MIN;
        let finish = |pending: &Pending| {
            self.tell_apart(&*pending.part);
            let finished = pending.part.finish(&note_bytes(&pending.publish, &*pending.part));
            let synced = finished.and_then(|()| if self.syncs && !at_once { pending.part.sync() } else { Ok(()) });
            synced.map_err(|source| Error::storage("sync", &pending.publish.path, source))
        };
        let finished: Vec<_> = pending.iter().map(finish).collect();
        if !at_once {
            return finished;
        }
        let unsynced = failures(directories, |directory| self.storage.sync_all(directory));
        let and_synced =
            |(finished, pending): (Result<()>, &Pending)| match unsynced.get(&directory_of(&pending.publish.path)) {
                Some(error) => finished.and(Err(error.clone())),
                None => finished,
            };
        finished.into_iter().zip(pending).map(and_synced).collect()
    }

    /// Gives a file a time of its own. Files that come within one tick of the system's clock would have the
    /// same, and with one length too, one that got the name of another could not be told from it.
    fn tell_apart(&self, part: &dyn PartFile) {
        let (now, last) = (SystemTime::now(), self.last_modified.get());
        let next = match last.duration_since(now) {
            Ok(before) if before < CLOCK_STEP => last + Duration::from_nanos(1),
            // The clock was set back.
            _ => now,
        };
        // As far as it goes: some file systems keep no such times.
        let _ = part.set_modified(next);
        self.last_modified.set(next);
    }

    /// The promise of the whole program hangs on this: what gets the name is the file that we hold,
    /// and it has the length that it must have.
    fn check(&self, pending: &Pending) -> Result<()> {
        let part = part_path(&pending.publish.part_of);
        self.look_at(&*pending.part, &part, Some(pending.publish.len_bytes)).map(|_| ())
    }

    /// Whether the partial file is still the one that we hold, as long as we made it, and has no
    /// second name through which others write.
    fn look_at(&self, part: &dyn PartFile, name: &Path, len_bytes: Option<u64>) -> Result<Stat> {
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

    fn rename(&self, pending: &mut Pending) -> Result<Published> {
        failpoint::reach("publish");
        // By the open file, before others find it: what they do to it afterwards is a change.
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
        let renamed = match linked {
            Some(linked) => linked,
            None => {
                self.check(pending)?;
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
            self.check_published(pending)?;
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

    /// What has the final name now is what was checked a moment ago. Another program may have put its
    /// own file there between the two; that is no file of ours, and is set aside.
    fn check_published(&self, pending: &Pending) -> Result<()> {
        let Publish { part_of, path, len_bytes, .. } = &pending.publish;
        let cannot = |source| Error::storage("look at the finished file", path, source);
        // Who took it away has got it whole.
        let Some(found) = self.storage.stat(path).map_err(cannot)? else { return Ok(()) };
        // Some file systems number their files by name: then it is told by when it was made.
        let born = |stat: &Stat| stat.file.and_then(|file| file.born_unix_ns);
        let held = pending.part.stat().map_err(cannot)?;
        let is_ours = pending.part.is_at(path).map_err(cannot)? || born(&held).is_some() && born(&held) == born(&found);
        if is_ours && found.kind == StatKind::File && found.len_bytes == *len_bytes {
            return Ok(());
        }
        let part = part_path(part_of);
        let kept = ours::set_aside_as(&*self.storage, path, |number| aside_path(&part, number))?;
        let text =
            format!("the partial file was replaced or cut while it got its name; it is kept as {}", kept.display());
        Err(Error::new(ErrorKind::Storage, text).with_path(path.clone()).with_advice("run the same command again"))
    }

    /// First the data, then the journal that claims it.
    fn save(&self, job: JobId, path: &Path, mut journal: Journal) -> Result<()> {
        let Some(part) = self.parts.get(job) else { return Ok(()) };
        let stat = self.look_at(&*part, &part_path(path), journal.identity.total_bytes)?;
        if self.syncs {
            part.sync().map_err(|source| Error::storage("sync", path, source))?;
        }
        journal.saved_unix_ms = unix_ms_now();
        journal.file = stat.file;
        // Somebody may have put a file of theirs there since.
        if let (_, Some(text)) = ours::clear_journal_name(&*self.storage, path)? {
            self.report(Message::Warned(text));
        }
        let name = journal_path(path);
        self.storage
            .write_atomic(&name, &journal.encode(), self.syncs)
            .map_err(|source| Error::storage("save the journal", &name, source))
    }

    /// Computes a digest on the pool, beside everything else.
    fn digest(&self, job: JobId, path: PathBuf, algorithm: Algorithm, of_final: bool, len_bytes: u64) {
        let (storage, parts) = (Arc::clone(&self.storage), self.parts.clone());
        let (reports, cancel) = (self.reports.clone(), self.cancel.clone());
        let task = move || {
            let digest_of =
                |reader: &mut dyn io::Read| checksum::digest_of(reader, algorithm, &|| !cancel.is_cancelled());
            let result = match (of_final, parts.get(job)) {
                (false, Some(part)) => digest_of(&mut PartReader { part: &*part, position: 0, len_bytes }),
                (false, None) => Err(io::Error::other("the partial file is not open")),
                (true, _) => storage.open_read(&path).and_then(|mut file| digest_of(&mut file)),
            };
            let result = match result {
                Ok(Some(digest)) => Ok(digest),
                Ok(None) => Err(Error::new(ErrorKind::Interrupted, "interrupted while its digest was computed")),
                Err(source) => Err(Error::storage("read", &path, source)),
            };
            let _ = reports.put(Message::Digested(job, result));
        };
        if self.digests.submit(task).is_err() {
            let error = Error::new(ErrorKind::Interrupted, "interrupted before its digest was computed");
            self.report(Message::Digested(job, Err(error)));
        }
    }

    /// A partial file that cannot get its length could not be saved either.
    fn set_len(&self, job: JobId, path: &Path, len_bytes: u64) {
        let Some(part) = self.parts.get(job) else { return };
        if let Err(source) = part.set_len(len_bytes) {
            let error = Error::storage("set the length of", &part_path(path), source);
            self.report(Message::Saved(job, Err(error)));
        }
    }

    fn release(&self, job: JobId, path: &Path, fate: Fate) {
        let Some(part) = self.parts.remove_of(job, path) else { return };
        if fate == Fate::Kept {
            return;
        }
        let is_ours = part.is_at(&part_path(path)).unwrap_or(false);
        if fate == Fate::Exchanged && is_ours && self.exchange_old(path).is_ok() {
            self.forget_names(path).ok();
            return;
        }
        if is_ours {
            self.remove_part(path);
        }
        match fate {
            Fate::Superseded => self.remove_old(path),
            _ => self.bring_back_old(path),
        }
        self.forget_names(path).ok();
    }

    /// Removes the journal, unless somebody has put a file of theirs in its place.
    fn remove_journal(&self, path: &Path) -> io::Result<()> {
        let name = journal_path(path);
        match ours::read_journal(&*self.storage, &name) {
            Ok(Found::Fits(_)) => self.storage.remove(&name),
            // One of ours that is left does no harm.
            _ => Ok(()),
        }
    }

    /// The version before has been replaced. What is left if this is broken off has a journal.
    fn remove_old(&self, path: &Path) {
        let (part, journal) = (old_part_path(path), old_journal_path(path));
        // Somebody may have put a file of theirs in the place of either.
        let Ok(Found::Fits(held)) = ours::read_journal(&*self.storage, &journal) else { return };
        let found = self.storage.stat(&part).ok().flatten().and_then(|stat| stat.file);
        if held.file.zip(found).is_none_or(|(held, found)| held.is_same(&found)) {
            self.storage.remove(&part).ok();
        }
        self.storage.remove(&journal).ok();
    }

    /// Exchanges the version that is open with the one beside it. Stopped between the two, the journals are
    /// crossed, which the next run sees by the files that they name.
    fn exchange_old(&self, path: &Path) -> io::Result<()> {
        self.storage.exchange(&part_path(path), &old_part_path(path))?;
        failpoint::reach("exchanged");
        self.storage.exchange(&journal_path(path), &old_journal_path(path))
    }

    /// What was to replace it has come to nothing.
    fn bring_back_old(&self, path: &Path) {
        // Between the two, it is what a kill while it was kept would have left.
        if self.storage.rename(&old_journal_path(path), &journal_path(path), false).is_ok() {
            self.storage.rename(&old_part_path(path), &part_path(path), false).ok();
        }
    }
}

/// Does something with each directory and keeps what failed.
fn failures(directories: &BTreeSet<PathBuf>, sync: impl Fn(&Path) -> io::Result<()>) -> HashMap<PathBuf, Error> {
    let failure = |directory: &PathBuf| {
        let error = sync(directory).err()?;
        Some((directory.clone(), Error::storage("sync the directory", directory, error)))
    };
    directories.iter().filter_map(failure).collect()
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn unix_ms_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The note with what the file looks like now, so that a later change shows.
fn note_bytes(publish: &Publish, part: &dyn PartFile) -> Vec<u8> {
    let with_file = |note: &Note| {
        let modified_ns = part.stat().ok().map(|stat| unix_ns(stat.modified));
        let file = modified_ns.map(|ns| (publish.len_bytes, ns));
        serde_json::to_vec(&Note { file, noted_unix_ms: unix_ms_now(), ..note.clone() }).ok()
    };
    publish.note.as_ref().and_then(with_file).unwrap_or_default()
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

/// A partial file, read from its beginning.
struct PartReader<'a> {
    part: &'a dyn PartFile,
    position: u64,
    len_bytes: u64,
}

impl io::Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.len_bytes.saturating_sub(self.position).min(buffer.len() as u64) as usize;
        self.part.read_at(&mut buffer[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}
