//! An in-memory file system that tracks what was synced. It counts operations, can fail a given one, can stop
//! at one as if the power had failed, and says what may be found then.
//!
//! Replacing a small file takes several operations (create, write, sync, rename, sync of the directory), so
//! that each can fail and a crash can come between any two.

mod disk;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, thread};

use parking_lot::{Mutex, MutexGuard};
use towline_engine::storage::{OpenPart, PartFile, Stat, Storage};

pub(crate) use self::disk::Disk;
use self::disk::FileId;

/// Which operation fails, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The number of the operation, from 1; of the write for [`FaultError::Short`].
    pub(crate) at: u64,
    /// The error it fails with.
    pub(crate) error: FaultError,
    /// Whether all later operations fail too.
    pub(crate) is_for_good: bool,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultError {
    /// `EIO`.
    Io,
    /// `ENOSPC`.
    Full,
    /// `EINTR`.
    Interrupted,
    /// Half of the bytes are written, then no more.
    Short,
}

impl FaultError {
    /// All errors.
    pub(crate) const ALL: [Self; 4] = [Self::Io, Self::Full, Self::Interrupted, Self::Short];

    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::from_raw_os_error(libc::EIO),
            Self::Full => io::Error::from_raw_os_error(libc::ENOSPC),
            Self::Interrupted => io::Error::from_raw_os_error(libc::EINTR),
            Self::Short => ErrorKind::WriteZero.into(),
        }
    }
}

/// The file system. Clones are handles to the same one; paths are absolute.
#[derive(Clone)]
pub(crate) struct TestStorage {
    state: Arc<Mutex<State>>,
}

/// Reports what is wrong with a disk, if anything.
type Watch = Box<dyn Fn(&Disk) -> Option<String> + Send>;

struct State {
    disk: Disk,
    calls: u64,
    writes: u64,
    fault: Option<Fault>,
    failed_calls: u64,
    stop_at: Option<u64>,
    is_stopped: bool,
    sync_takes: Duration,
    /// The next sync of everything fails.
    fails_sync_all: bool,
    /// The disk before the first operation and after each one.
    history: Option<Vec<Disk>>,
    watch: Option<Watch>,
    watched_generation: u64,
    violation: Option<String>,
}

impl TestStorage {
    /// An empty file system with the directory `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self::of(Disk::new(root))
    }

    fn of(disk: Disk) -> Self {
        let state = State {
            disk,
            calls: 0,
            writes: 0,
            fault: None,
            failed_calls: 0,
            stop_at: None,
            is_stopped: false,
            sync_takes: Duration::ZERO,
            fails_sync_all: false,
            history: None,
            watch: None,
            watched_generation: 0,
            violation: None,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Sets whether it supports unnamed files.
    pub(crate) fn set_unnamed(&self, has_unnamed: bool) {
        self.lock().disk.has_unnamed = has_unnamed;
    }

    /// Sets how long each sync takes.
    pub(crate) fn set_sync_time(&self, sync_takes: Duration) {
        self.lock().sync_takes = sync_takes;
    }

    /// Makes the next sync of everything fail: what was not synced before is lost.
    pub(crate) fn fail_sync_all(&self) {
        self.lock().fails_sync_all = true;
    }

    /// Whether it has failed.
    pub(crate) fn has_failed_sync_all(&self) -> bool {
        !self.lock().fails_sync_all
    }

    /// Adds a durable file.
    pub(crate) fn plant(&self, path: &Path, content: &[u8]) {
        self.lock().disk.plant(path, content);
    }

    /// Replaces each file with such a name by a copy of it, durably, which was made before this range was written.
    pub(crate) fn replace_by_copies(&self, suffix: &str, unwritten: &Range<usize>) {
        self.lock().disk.replace_by_copies(suffix, unwritten);
    }

    /// Makes an operation fail, or none any more.
    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    /// Stops at the operation with this number: it and all later ones do nothing.
    pub(crate) fn stop_at(&self, call: Option<u64>) {
        self.lock().stop_at = call;
    }

    /// Checks the disk after each sync and each name change; keeps the first complaint.
    pub(crate) fn watch(&self, watch: impl Fn(&Disk) -> Option<String> + Send + 'static) {
        self.lock().watch = Some(Box::new(watch));
    }

    /// Records the disk after each operation. Call before the first one.
    pub(crate) fn record(&self) {
        let mut state = self.lock();
        state.history = Some(vec![state.disk.clone()]);
    }

    /// The number of operations.
    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The number of writes among them.
    pub(crate) fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// The number of operations that failed because of a fault.
    pub(crate) fn failed_calls(&self) -> u64 {
        self.lock().failed_calls
    }

    /// Whether it has stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        self.lock().is_stopped
    }

    /// The first complaint of the watch.
    pub(crate) fn violation(&self) -> Option<String> {
        self.lock().violation.clone()
    }

    /// Inspects the disk.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Disk) -> T) -> T {
        look(&self.lock().disk)
    }

    /// What may be found if the power fails now. Seed 0 keeps nothing unsynced, seed 1 everything, any other
    /// some.
    pub(crate) fn crashed(&self, seed: u64) -> Self {
        Self::of(self.lock().disk.after_crash(seed))
    }

    /// The same for a recorded moment: after this many operations.
    pub(crate) fn crashed_after(&self, calls: u64, seed: u64) -> Self {
        let state = self.lock();
        let history = state.history.as_ref().expect("a crash in the past must have been recorded");
        Self::of(history[calls as usize].after_crash(seed))
    }

    /// Writes all files under their names to this machine's file system.
    pub(crate) fn write_out(&self) -> io::Result<()> {
        let state = self.lock();
        for name in state.disk.names() {
            fs::create_dir_all(parent_of(name))?;
            fs::write(name, state.disk.read(name)?)?;
            let modified = state.disk.modified(name).unwrap_or(SystemTime::UNIX_EPOCH);
            fs::File::options().write(true).open(name)?.set_modified(modified)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Runs one operation.
    fn step<T>(&self, work: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.lock();
        let result = match state.turn(false) {
            Some(error) => Err(error),
            None => work(&mut state.disk),
        };
        state.look_back();
        result
    }

    fn write(&self, file: FileId, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.lock();
        let failure = state.turn(true);
        match &failure {
            None => state.disk.write(file, offset, bytes),
            Some(error) if error.kind() == ErrorKind::WriteZero => {
                state.disk.write(file, offset, &bytes[..bytes.len() / 2]);
            }
            Some(_) => {}
        }
        state.look_back();
        failure.map_or(Ok(()), Err)
    }

    /// Syncs one file, or everything. Writes during a slow sync are not included.
    fn sync(&self, file: Option<FileId>) -> io::Result<()> {
        let (mark, takes) = {
            let state = self.lock();
            (state.disk.mark(), state.sync_takes)
        };
        if !takes.is_zero() {
            thread::sleep(takes);
        }
        let mut state = self.lock();
        let mut failure = state.turn(false);
        if file.is_none() && std::mem::take(&mut state.fails_sync_all) {
            failure = Some(FaultError::Io.error());
        }
        // An interrupted sync has not started, and one after the stop changes nothing.
        let loses = !state.is_stopped && failure.as_ref().is_some_and(|error| error.kind() != ErrorKind::Interrupted);
        match (file, &failure) {
            (Some(file), None) => {
                state.disk.sync(file, mark);
                failure = state.disk.take_failure(file).then(|| FaultError::Io.error());
            }
            (None, None) => state.disk.sync_all(mark),
            (Some(file), Some(_)) if loses => state.disk.fail_sync(file, mark),
            (None, Some(_)) if loses => state.disk.fail_sync_all(mark),
            _ => {}
        }
        state.look_back();
        failure.map_or(Ok(()), Err)
    }

    fn part(&self, file: FileId, is_locked: bool) -> TestPart {
        TestPart { storage: self.clone(), file, is_locked }
    }

    fn write_temporary(&self, temporary: &Path, content: &[u8], sync: bool) -> io::Result<()> {
        let file = self.step(|disk| disk.open_empty(temporary))?;
        self.write(file, content, 0)?;
        if sync { self.sync(Some(file)) } else { Ok(()) }
    }
}

impl State {
    /// Counts an operation; returns an error if it must fail.
    fn turn(&mut self, is_write: bool) -> Option<io::Error> {
        self.calls += 1;
        self.writes += u64::from(is_write);
        self.is_stopped |= self.stop_at.is_some_and(|at| self.calls >= at);
        if self.is_stopped {
            return Some(io::Error::other("the process is gone"));
        }
        let fault = self.fault?;
        let number = match fault.error {
            FaultError::Short if is_write => self.writes,
            FaultError::Short => return None,
            _ => self.calls,
        };
        if number < fault.at || (number > fault.at && !fault.is_for_good) {
            return None;
        }
        self.failed_calls += 1;
        Some(fault.error.error())
    }

    /// Records the disk after an operation and runs the watch.
    fn look_back(&mut self) {
        if let Some(history) = &mut self.history {
            history.push(self.disk.clone());
        }
        let generation = self.disk.generation();
        if self.violation.is_some() || self.watched_generation == generation {
            return;
        }
        self.watched_generation = generation;
        if let Some(watch) = &self.watch {
            self.violation = watch(&self.disk);
        }
    }
}

impl Storage for TestStorage {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.step(|disk| Ok(disk.stat(path)))
    }

    fn open_part(&self, path: &Path, mode: OpenPart) -> io::Result<Arc<dyn PartFile>> {
        let file = self.step(|disk| disk.open_locked(path, mode == OpenPart::New))?;
        Ok(Arc::new(self.part(file, true)))
    }

    fn names(&self, directory: &Path, max: usize) -> Option<Vec<OsString>> {
        let names = self.step(|disk| {
            let inside = disk.names().filter(|path| path.parent() == Some(directory)).filter_map(Path::file_name);
            Ok(inside.map(ToOwned::to_owned).collect::<Vec<_>>())
        });
        names.ok().filter(|names| names.len() <= max)
    }

    fn create_unnamed(&self, directory: &Path) -> io::Result<Arc<dyn PartFile>> {
        let file = self.step(|disk| disk.create_unnamed(directory))?;
        Ok(Arc::new(self.part(file, false)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let content = self.step(|disk| disk.read(path))?;
        Ok(Box::new(io::Cursor::new(content)))
    }

    fn read_small(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let content = self.step(|disk| disk.read(path))?;
        if content.len() as u64 > max_bytes { Err(ErrorKind::FileTooLarge.into()) } else { Ok(content) }
    }

    fn write_atomic(&self, path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let written = self.write_temporary(&temporary, content, sync);
        let replaced = written.and_then(|()| self.step(|disk| disk.rename(&temporary, path, true)));
        if replaced.is_err() {
            // Best effort.
            let _ = self.remove(&temporary);
        }
        replaced?;
        if sync { self.sync_dir(parent_of(path)) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        self.step(|disk| disk.rename(from, to, replace))
    }

    fn exchange(&self, _one: &Path, _other: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step(|disk| {
            disk.remove(path);
            Ok(())
        })
    }

    fn create_dirs(&self, root: &Path, relative: &Path) -> io::Result<()> {
        self.step(|disk| disk.create_dirs(root, relative))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step(|disk| disk.sync_dir(path))
    }

    fn sync_all(&self, _directory: &Path) -> io::Result<()> {
        self.sync(None)
    }

    fn owner_of_new(&self, _directory: &Path) -> io::Result<u32> {
        Ok(0)
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        self.step(|disk| Ok(disk.free_bytes))
    }

    fn note(&self, path: &Path) -> Option<Vec<u8>> {
        self.step(|disk| Ok(disk.note(path))).ok().flatten()
    }
}

/// An open file, and its lock if it has one.
struct TestPart {
    storage: TestStorage,
    file: FileId,
    is_locked: bool,
}

impl PartFile for TestPart {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.storage.write(self.file, bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.storage.step(|disk| disk.read_at(self.file, bytes, offset))
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.storage.step(|disk| {
            if len_bytes > disk.free_bytes {
                return Err(ErrorKind::StorageFull.into());
            }
            disk.set_len(self.file, len_bytes);
            Ok(())
        })
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        self.storage.step(|disk| {
            disk.set_len(self.file, len_bytes);
            Ok(())
        })
    }

    fn stat(&self) -> io::Result<Stat> {
        self.storage.step(|disk| Ok(disk.stat_of(self.file)))
    }

    /// A hint: the crash decides what it achieves.
    fn start_writeback(&self, _offset: u64, _len_bytes: u64) {
        let _ = self.storage.step(|_| Ok(()));
    }

    fn sync(&self) -> io::Result<()> {
        self.storage.sync(Some(self.file))
    }

    fn check_synced(&self) -> io::Result<()> {
        self.storage.step(|disk| if disk.take_failure(self.file) { Err(FaultError::Io.error()) } else { Ok(()) })
    }

    fn finish(&self, note: &[u8]) -> io::Result<()> {
        self.storage.step(|disk| {
            disk.set_note(self.file, note);
            Ok(())
        })
    }

    /// No decision under test depends on times.
    fn set_modified(&self, _time: SystemTime) -> io::Result<()> {
        self.storage.step(|_| Ok(()))
    }

    fn link_to(&self, path: &Path) -> io::Result<()> {
        self.storage.step(|disk| disk.link(self.file, path))
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.storage.step(|disk| Ok(disk.is_at(self.file, path)))
    }
}

impl Drop for TestPart {
    fn drop(&mut self) {
        if self.is_locked {
            self.storage.lock().disk.unlock(self.file);
        }
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}
