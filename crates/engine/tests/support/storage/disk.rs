//! Models what a disk holds durably, and what only seems to be there until it is synced. Pure: no clock, no
//! threads; a seed decides what survives a crash.
//!
//! It guarantees as little as POSIX does: a name is durable only once its directory has been synced, whatever
//! happened to the file; any block written since the last sync may or may not survive; and what a failed sync
//! could not write, no later sync writes.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use towline_engine::storage::{Stat, StatKind};

/// The unit of writing to disk; of a torn block, only one half is written.
const BLOCK_BYTES: usize = 512;
/// When the first file was modified; each change is one second later.
const FIRST_CHANGE: Duration = Duration::from_secs(1_600_000_000);

/// Identifies a file, whatever its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u64);

/// A disk and what the system caches of it.
#[derive(Clone)]
pub(crate) struct Disk {
    files: BTreeMap<FileId, File>,
    names: BTreeMap<PathBuf, FileId>,
    synced_names: BTreeMap<PathBuf, FileId>,
    unsynced_names: Vec<NameChange>,
    /// Whether the name of each directory is durable.
    directories: BTreeMap<PathBuf, bool>,
    /// Counts content changes.
    changes: u64,
    /// Counts syncs and name changes: whatever may make or break a guarantee.
    generation: u64,
    pub(super) has_unnamed: bool,
    pub(super) free_bytes: u64,
}

#[derive(Clone, Default)]
struct File {
    content: Vec<u8>,
    note: Vec<u8>,
    synced: Vec<u8>,
    synced_note: Vec<u8>,
    /// Numbered: a slow sync does not include writes that came after it started.
    unsynced: VecDeque<(u64, Change)>,
    /// A sync of everything has lost bytes of it, and no holder has been told.
    has_failed: bool,
    is_locked: bool,
    modified: u64,
}

#[derive(Clone)]
enum Change {
    Written { offset: usize, bytes: Arc<[u8]> },
    Length(usize),
    Note(Vec<u8>),
}

#[derive(Clone)]
enum NameChange {
    Added { name: PathBuf, file: FileId },
    Removed { name: PathBuf, file: FileId },
    Renamed { from: PathBuf, to: PathBuf, file: FileId },
}

impl Disk {
    /// An empty disk on which the directory `root` is durable.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            directories: root.ancestors().map(|directory| (directory.to_owned(), true)).collect(),
            changes: 0,
            generation: 0,
            has_unnamed: true,
            free_bytes: 1 << 40,
        }
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Path> {
        self.names.keys().map(PathBuf::as_path)
    }

    /// The content read under a name.
    pub(crate) fn content(&self, path: &Path) -> Option<&[u8]> {
        Some(&self.files[self.names.get(path)?].content)
    }

    /// The durable content of the file under a name.
    pub(crate) fn synced(&self, path: &Path) -> Option<&[u8]> {
        Some(&self.files[self.names.get(path)?].synced)
    }

    /// What a name refers to after a crash that keeps only synced data.
    pub(crate) fn durable(&self, path: &Path) -> Option<&[u8]> {
        let is_reached = path.ancestors().skip(1).all(|above| self.directories.get(above) == Some(&true));
        Some(&self.files[self.synced_names.get(path).filter(|_| is_reached)?].synced)
    }

    /// When a file was last modified.
    pub(super) fn modified(&self, path: &Path) -> Option<SystemTime> {
        Some(self.files[self.names.get(path)?].modified())
    }

    /// The note on a file.
    pub(super) fn note(&self, path: &Path) -> Option<Vec<u8>> {
        let file = &self.files[self.names.get(path)?];
        (!file.note.is_empty()).then(|| file.note.clone())
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn stat(&self, path: &Path) -> Option<Stat> {
        if self.directories.contains_key(path) {
            let modified = UNIX_EPOCH + FIRST_CHANGE;
            return Some(Stat {
                kind: StatKind::Directory,
                len_bytes: 0,
                modified,
                rounds_times: false,
                owner: 0,
                links: 1,
                file: None,
            });
        }
        Some(self.stat_of(*self.names.get(path)?))
    }

    /// The metadata of a file, whatever its names.
    pub(super) fn stat_of(&self, id: FileId) -> Stat {
        let file = &self.files[&id];
        Stat {
            kind: StatKind::File,
            len_bytes: file.content.len() as u64,
            modified: file.modified(),
            rounds_times: false,
            owner: 0,
            links: self.names.values().filter(|named| **named == id).count() as u64,
            file: Some(towline_engine::storage::FileId {
                device: 1,
                inode: id.0,
                born_unix_ns: None,
                generation: None,
            }),
        }
    }

    pub(super) fn is_at(&self, file: FileId, path: &Path) -> bool {
        self.names.get(path) == Some(&file)
    }

    pub(super) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.content(path).map(<[u8]>::to_vec).ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn read_at(&self, file: FileId, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = offset as usize;
        let found = self.files[&file].content.get(offset..offset + bytes.len());
        bytes.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    /// Adds a file that existed before, durably: no earlier change of its name is to come.
    pub(super) fn plant(&mut self, path: &Path, content: &[u8]) {
        if let Some(directory) = path.parent() {
            let _ = self.sync_dir(directory);
        }
        let id = self.next_id();
        let file = File { content: content.to_vec(), synced: content.to_vec(), ..File::default() };
        self.files.insert(id, file);
        self.names.insert(path.to_owned(), id);
        self.synced_names.insert(path.to_owned(), id);
    }

    /// Replaces each file with such a name by a copy of it, durably, as if it had been brought back from elsewhere. The
    /// copy was made before this range was written.
    pub(super) fn replace_by_copies(&mut self, suffix: &str, unwritten: &Range<usize>) {
        let is_chosen = |name: &&PathBuf| name.to_string_lossy().ends_with(suffix);
        for name in self.names.keys().filter(is_chosen).cloned().collect::<Vec<_>>() {
            let mut content = self.files[&self.names[&name]].content.clone();
            let len = content.len();
            content[unwritten.start.min(len)..unwritten.end.min(len)].fill(0);
            self.plant(&name, &content);
        }
    }

    /// Opens or creates a file and locks it.
    pub(super) fn open_locked(&mut self, path: &Path, must_be_new: bool) -> io::Result<FileId> {
        let id = match self.names.get(path).copied() {
            Some(_) if must_be_new => return Err(ErrorKind::AlreadyExists.into()),
            Some(id) => id,
            None => self.create(path)?,
        };
        let file = self.file(id);
        if std::mem::replace(&mut file.is_locked, true) { Err(ErrorKind::WouldBlock.into()) } else { Ok(id) }
    }

    /// Opens a file and truncates it, or creates it.
    pub(super) fn open_empty(&mut self, path: &Path) -> io::Result<FileId> {
        match self.names.get(path).copied() {
            Some(id) => {
                self.set_len(id, 0);
                Ok(id)
            }
            None => self.create(path),
        }
    }

    pub(super) fn create_unnamed(&mut self, directory: &Path) -> io::Result<FileId> {
        if !self.has_unnamed {
            return Err(ErrorKind::Unsupported.into());
        }
        if !self.directories.contains_key(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let id = self.next_id();
        self.files.insert(id, File::default());
        Ok(id)
    }

    pub(super) fn unlock(&mut self, file: FileId) {
        self.file(file).is_locked = false;
    }

    pub(super) fn write(&mut self, file: FileId, offset: u64, bytes: &[u8]) {
        let offset = offset as usize;
        put(&mut self.file(file).content, offset, bytes);
        self.change(file, Change::Written { offset, bytes: bytes.into() });
    }

    pub(super) fn set_len(&mut self, file: FileId, len_bytes: u64) {
        let len = len_bytes as usize;
        self.file(file).content.resize(len, 0);
        self.change(file, Change::Length(len));
    }

    pub(super) fn set_note(&mut self, file: FileId, note: &[u8]) {
        self.file(file).note = note.to_vec();
        self.change(file, Change::Note(note.to_vec()));
    }

    pub(super) fn link(&mut self, file: FileId, path: &Path) -> io::Result<()> {
        self.check_parent(path)?;
        if self.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.rename_with(NameChange::Added { name: path.to_owned(), file });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        let Some(file) = self.names.get(from).copied() else { return Err(ErrorKind::NotFound.into()) };
        self.check_parent(to)?;
        if !replace && self.names.contains_key(to) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.rename_with(NameChange::Renamed { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) {
        if let Some(file) = self.names.get(path).copied() {
            self.rename_with(NameChange::Removed { name: path.to_owned(), file });
        }
    }

    /// Creates what is missing of `root/relative`. Missing parts of `root` are the user's business and count as
    /// durable.
    pub(super) fn create_dirs(&mut self, root: &Path, relative: &Path) -> io::Result<()> {
        for above in root.ancestors() {
            self.directories.entry(above.to_owned()).or_insert(true);
        }
        let mut at = root.to_owned();
        for component in relative.components() {
            match component {
                Component::CurDir => continue,
                Component::Normal(name) => at.push(name),
                _ => return Err(ErrorKind::InvalidInput.into()),
            }
            if self.names.contains_key(&at) {
                return Err(ErrorKind::NotADirectory.into());
            }
            self.directories.entry(at.clone()).or_insert(false);
        }
        Ok(())
    }

    /// What a sync that starts now will write: everything with a lower number.
    pub(super) fn mark(&self) -> u64 {
        self.changes
    }

    pub(super) fn sync(&mut self, file: FileId, mark: u64) {
        self.generation += 1;
        self.file(file).sync(mark);
    }

    /// A sync failed. The system reported that once, and treats the bytes as written from now on.
    pub(super) fn fail_sync(&mut self, file: FileId, mark: u64) {
        self.file(file).fail_sync(mark);
    }

    /// Whether the next sync of a file must report bytes that are already lost; reported once.
    pub(super) fn take_failure(&mut self, file: FileId) -> bool {
        std::mem::take(&mut self.file(file).has_failed)
    }

    pub(super) fn sync_all(&mut self, mark: u64) {
        self.generation += 1;
        self.files.values_mut().for_each(|file| file.sync(mark));
        self.unsynced_names.clear();
        self.synced_names = self.names.clone();
        self.directories.values_mut().for_each(|is_synced| *is_synced = true);
    }

    pub(super) fn fail_sync_all(&mut self, mark: u64) {
        for file in self.files.values_mut() {
            file.has_failed |= file.fail_sync(mark);
        }
    }

    pub(super) fn sync_dir(&mut self, directory: &Path) -> io::Result<()> {
        if !self.directories.contains_key(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        self.generation += 1;
        let names = &mut self.synced_names;
        self.unsynced_names.retain(|change| {
            let is_elsewhere = change.directory() != Some(directory);
            if !is_elsewhere {
                change.apply(names);
            }
            is_elsewhere
        });
        for (path, is_synced) in &mut self.directories {
            *is_synced |= path.parent() == Some(directory);
        }
        Ok(())
    }

    /// What may be found after a crash. Seed 0 keeps nothing unsynced, seed 1 keeps everything, any other keeps
    /// some.
    pub(super) fn after_crash(&self, seed: u64) -> Self {
        let mut fate = Fate::of(seed);
        let mut directories = BTreeMap::new();
        // Parents come before their children.
        for (path, is_synced) in &self.directories {
            let has_parent = path.parent().is_none_or(|parent| directories.contains_key(parent));
            if has_parent && (*is_synced || fate.keeps()) {
                directories.insert(path.clone(), true);
            }
        }
        let mut names = self.synced_names.clone();
        let until = fate.prefix(self.unsynced_names.len());
        for (at, change) in self.unsynced_names.iter().enumerate() {
            if until.map_or_else(|| fate.keeps(), |until| at < until) {
                change.apply(&mut names);
            }
        }
        names.retain(|name, _| name.parent().is_some_and(|parent| directories.contains_key(parent)));
        let files = names.values().map(|id| (*id, self.files[id].after_crash(&mut fate))).collect();
        Self {
            files,
            synced_names: names.clone(),
            names,
            unsynced_names: Vec::new(),
            directories,
            changes: self.changes,
            generation: 0,
            has_unnamed: self.has_unnamed,
            free_bytes: self.free_bytes,
        }
    }

    fn next_id(&mut self) -> FileId {
        self.changes += 1;
        FileId(self.changes)
    }

    fn file(&mut self, id: FileId) -> &mut File {
        self.files.get_mut(&id).expect("a file stays as long as the disk")
    }

    fn create(&mut self, path: &Path) -> io::Result<FileId> {
        self.check_parent(path)?;
        let file = self.next_id();
        self.files.insert(file, File::default());
        self.rename_with(NameChange::Added { name: path.to_owned(), file });
        Ok(file)
    }

    fn check_parent(&self, path: &Path) -> io::Result<()> {
        let is_there = path.parent().is_some_and(|parent| self.directories.contains_key(parent));
        if is_there { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
    }

    fn change(&mut self, id: FileId, change: Change) {
        let number = self.changes;
        self.changes += 1;
        let file = self.file(id);
        // A note does not change the modification time, as on a real disk.
        if !matches!(change, Change::Note(_)) {
            file.modified = number;
        }
        file.unsynced.push_back((number, change));
    }

    fn rename_with(&mut self, change: NameChange) {
        self.generation += 1;
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }
}

impl File {
    fn modified(&self) -> SystemTime {
        UNIX_EPOCH + FIRST_CHANGE + Duration::from_secs(self.modified)
    }

    fn sync(&mut self, mark: u64) {
        while self.unsynced.front().is_some_and(|(number, _)| *number < mark) {
            match self.unsynced.pop_front() {
                Some((_, Change::Written { offset, bytes })) => put(&mut self.synced, offset, &bytes),
                Some((_, Change::Length(len))) => self.synced.resize(len, 0),
                Some((_, Change::Note(note))) => self.synced_note = note,
                None => {}
            }
        }
    }

    /// Whether bytes were lost.
    fn fail_sync(&mut self, mark: u64) -> bool {
        let before = self.unsynced.len();
        self.unsynced.retain(|(number, change)| *number >= mark || !matches!(change, Change::Written { .. }));
        self.unsynced.len() < before
    }

    fn after_crash(&self, fate: &mut Fate) -> Self {
        let (mut content, mut note) = (self.synced.clone(), self.synced_note.clone());
        for (_, change) in &self.unsynced {
            match change {
                Change::Written { offset, bytes } => fate.write(&mut content, *offset, bytes),
                Change::Length(len) if fate.keeps() => content.resize(*len, 0),
                Change::Note(other) if fate.keeps() => note.clone_from(other),
                _ => {}
            }
        }
        // The length may survive although the bytes do not.
        if content.len() < self.content.len() && fate.keeps() {
            content.resize(self.content.len(), 0);
        }
        let (synced, synced_note) = (content.clone(), note.clone());
        Self {
            content,
            note,
            synced,
            synced_note,
            unsynced: VecDeque::new(),
            has_failed: false,
            is_locked: false,
            modified: self.modified,
        }
    }
}

impl NameChange {
    fn directory(&self) -> Option<&Path> {
        match self {
            Self::Added { name, .. } | Self::Removed { name, .. } | Self::Renamed { to: name, .. } => name.parent(),
        }
    }

    /// Applies the change to names, where earlier changes may be missing.
    fn apply(&self, names: &mut BTreeMap<PathBuf, FileId>) {
        let remove = |names: &mut BTreeMap<PathBuf, FileId>, name: &Path, file: &FileId| {
            if names.get(name) == Some(file) {
                names.remove(name);
            }
        };
        match self {
            Self::Added { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Removed { name, file } => remove(names, name, file),
            Self::Renamed { from, to, file } => {
                remove(names, from, file);
                names.insert(to.clone(), *file);
            }
        }
    }
}

/// The fate of unsynced data.
enum Fate {
    Nothing,
    Everything,
    Dice(Rng),
}

impl Fate {
    fn of(seed: u64) -> Self {
        match seed {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Dice(Rng::with_seed(seed)),
        }
    }

    fn keeps(&mut self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Everything => true,
            Self::Dice(dice) => dice.bool(),
        }
    }

    /// Half of the file systems keep name changes in order: then this many of `len` survive.
    fn prefix(&mut self, len: usize) -> Option<usize> {
        match self {
            Self::Dice(dice) => dice.bool().then(|| dice.usize(0..=len)),
            _ => None,
        }
    }

    /// Writes some of the bytes into `content`.
    fn write(&mut self, content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
        let dice = match self {
            Self::Nothing => return,
            Self::Everything => return put(content, offset, bytes),
            Self::Dice(dice) => dice,
        };
        match dice.u8(0..4) {
            0 => {}
            1 => put(content, offset, bytes),
            _ => write_some(dice, content, offset, bytes),
        }
    }
}

/// Each block is lost, complete, or torn.
fn write_some(dice: &mut Rng, content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let (block, after) = rest.split_at(rest.len().min(BLOCK_BYTES - at % BLOCK_BYTES));
        let half = block.len() / 2;
        let kept: Range<usize> = match dice.u8(0..8) {
            0..=2 => 0..0,
            3..=5 => 0..block.len(),
            6 => 0..half,
            _ => half..block.len(),
        };
        put(content, at + kept.start, &block[kept]);
        at += block.len();
        rest = after;
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if bytes.is_empty() {
        return;
    }
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}
