//! One file as a stream: what comes over several connections is read in order, while it comes.
//!
//! The file is kept on the disk, as the partial file of any download, so that memory stays small whatever the order in
//! which pieces come, and however slow the reader is.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::{Condvar, Mutex};

use super::disk::Disk;
use super::{Capabilities, FileId, OpenPart, PartFile, Stat, Storage};
use crate::name::NameRules;
use crate::ranges::{ByteRange, RangeSet};

/// How much is read at once of what was read before.
const CHUNK_BYTES: u64 = 64 << 10;

/// Stores one file, and lets an [`InOrderReader`] read it meanwhile.
///
/// ```
/// use std::io::Read;
///
/// use towline_engine::storage::InOrder;
///
/// let storage = InOrder::new();
/// let mut reader = storage.reader();
/// // SessionBuilder::storage(storage.clone()), run the session in another thread, and then:
/// storage.end();
/// let mut content = Vec::new();
/// reader.read_to_end(&mut content)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct InOrder {
    disk: Disk,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for InOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InOrder").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Nobody can open the file again while it is open here.
    part: Option<Arc<dyn PartFile>>,
    /// Which file was open here last, and the digest of what was read of it.
    before: Option<(FileId, Option<blake3::Hash>)>,
    /// What was written.
    there: RangeSet,
    read_bytes: u64,
    /// The file has begun again, and nothing more is read before its beginning has this digest.
    expected: Option<blake3::Hash>,
    /// Some of what was read turned out to be wrong.
    was_wrong: bool,
    /// It is another file since it began again.
    has_changed: bool,
    has_ended: bool,
}

impl State {
    /// How far the file is there without a gap.
    fn frontier(&self) -> u64 {
        self.there.iter().next().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }

    /// The file begins again. What was read cannot be taken back: it has to come once more.
    fn begin(&mut self, was_read: Option<blake3::Hash>) {
        self.there = RangeSet::new();
        self.expected = was_read;
    }

    /// Closes the file. If it cannot be opened again, the next one is compared with what was read of this one.
    fn let_go(&mut self) -> io::Result<()> {
        let Some(part) = self.part.clone() else { return Ok(()) };
        let was_read = self.digest_of_read(&*part)?;
        let file = part.stat()?.file.ok_or(io::ErrorKind::Unsupported)?;
        (self.before, self.part) = (Some((file, was_read)), None);
        Ok(())
    }

    /// The digest of what was read of this file, if anything was.
    fn digest_of_read(&self, part: &dyn PartFile) -> io::Result<Option<blake3::Hash>> {
        // What has not come again yet was checked against the file before.
        if self.read_bytes == 0 || self.expected.is_some() {
            return Ok(self.expected);
        }
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES as usize];
        let mut at = 0;
        while at < self.read_bytes {
            let chunk = &mut chunk[..(self.read_bytes - at).min(CHUNK_BYTES) as usize];
            part.read_at(chunk, at)?;
            hasher.update(chunk);
            at += chunk.len() as u64;
        }
        Ok(Some(hasher.finalize()))
    }

    /// Once as much has come again as was read, looks whether it is the same.
    fn check_again(&mut self, part: &dyn PartFile) -> io::Result<()> {
        if self.expected.is_none() || self.frontier() < self.read_bytes {
            return Ok(());
        }
        let expected = self.expected.take();
        if self.digest_of_read(part)? == expected {
            return Ok(());
        }
        (self.has_changed, self.expected) = (true, expected);
        let read = crate::size::bytes(self.read_bytes);
        let text = format!("the file begins again with other bytes, and {read} were passed on already");
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Makes sure that these bytes change nothing of what was read, such as those of a mirror that sent wrong ones.
    fn keep_read(&mut self, part: &dyn PartFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.expected.is_some() {
            return Ok(());
        }
        let count = self.read_bytes.saturating_sub(offset).min(bytes.len() as u64) as usize;
        let mut read = vec![0; count];
        part.read_at(&mut read, offset)?;
        if read != bytes[..count] {
            self.was_wrong = true;
            return Err(io::Error::other("some of it was passed on already, and turned out to be wrong"));
        }
        Ok(())
    }
}

impl InOrder {
    /// A storage for one file.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { disk: Disk::new(), shared: Arc::default() })
    }

    /// Reads the file from its beginning.
    pub fn reader(&self) -> InOrderReader {
        InOrderReader(Arc::clone(&self.shared))
    }

    /// Whether all of the file was read.
    pub fn is_read(&self) -> bool {
        let state = self.shared.state.lock();
        state.expected.is_none()
            && state
                .part
                .as_ref()
                .is_some_and(|part| part.len_bytes().is_ok_and(|len_bytes| len_bytes == state.read_bytes))
    }

    /// Whether some of what was read turned out to be wrong. The session has failed then.
    pub fn was_wrong(&self) -> bool {
        self.shared.state.lock().was_wrong
    }

    /// Whether the file began again, and is another one than what was read. The session has failed then.
    pub fn has_changed(&self) -> bool {
        self.shared.state.lock().has_changed
    }

    /// Nothing more comes: the session has ended.
    pub fn end(&self) {
        self.shared.state.lock().has_ended = true;
        self.shared.changed.notify_all();
    }
}

/// Reads what comes, in order; the end comes after [`InOrder::end`].
#[derive(Clone)]
pub struct InOrderReader(Arc<Shared>);

impl std::fmt::Debug for InOrderReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InOrderReader").finish_non_exhaustive()
    }
}

impl Read for InOrderReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        let there = loop {
            let is_known = state.expected.is_none() && state.part.is_some();
            let there = if is_known { state.frontier().saturating_sub(state.read_bytes) } else { 0 };
            if there > 0 || state.has_ended || buffer.is_empty() {
                break there;
            }
            self.0.changed.wait(&mut state);
        };
        let count = there.min(buffer.len() as u64) as usize;
        let Some(part) = state.part.as_ref().filter(|_| count > 0) else { return Ok(0) };
        // Nobody may write here, or open the file again, before it is read.
        part.read_at(&mut buffer[..count], state.read_bytes)?;
        state.read_bytes += count as u64;
        Ok(count)
    }
}

impl Storage for InOrder {
    fn capabilities(&self) -> Capabilities {
        // By the time that a digest shows that something is wrong, it was passed on.
        Capabilities { replaces: false, ..Capabilities::default() }
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.disk.stat(path)
    }

    fn open_part(&self, path: &Path, mode: OpenPart) -> io::Result<Arc<dyn PartFile>> {
        let mut state = self.shared.state.lock();
        state.let_go()?;
        let inner = self.disk.open_part(path, mode)?;
        let now = inner.stat()?.file;
        match state.before {
            // A file that had to wait, for descriptors say, goes on.
            Some((before, _)) if now.is_some_and(|now| before.is_same(&now)) => {}
            Some((_, was_read)) => state.begin(was_read),
            None => {}
        }
        state.part = Some(Arc::clone(&inner));
        self.shared.changed.notify_all();
        Ok(Arc::new(Part { inner, shared: Arc::clone(&self.shared) }))
    }

    fn create_unnamed(&self, _directory: &Path) -> io::Result<Arc<dyn PartFile>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        self.disk.open_read(path)
    }

    fn read_small(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        self.disk.read_small(path, max_bytes)
    }

    fn write_atomic(&self, path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
        self.disk.write_atomic(path, content, sync)
    }

    fn rename(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        self.disk.rename(from, to, replace)
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.disk.exchange(one, other)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn create_dirs(&self, root: &Path, relative: &Path) -> io::Result<()> {
        self.disk.create_dirs(root, relative)
    }

    fn name_rules(&self, directory: &Path) -> NameRules {
        self.disk.name_rules(directory)
    }

    fn file_bytes_max(&self, directory: &Path) -> Option<u64> {
        self.disk.file_bytes_max(directory)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn sync_all(&self, directory: &Path) -> io::Result<()> {
        self.disk.sync_all(directory)
    }

    fn read_at(&self, path: &Path, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.read_at(path, bytes, offset)
    }

    fn owner_of_new(&self, directory: &Path) -> io::Result<u32> {
        self.disk.owner_of_new(directory)
    }

    fn names(&self, directory: &Path, max: usize) -> Option<Vec<OsString>> {
        self.disk.names(directory, max)
    }

    fn may_have(&self, directory: &Path, suffixes: &[&str]) -> bool {
        self.disk.may_have(directory, suffixes)
    }

    fn keeps_zeros(&self, directory: &Path) -> bool {
        self.disk.keeps_zeros(directory)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }

    fn capacity_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.capacity_bytes(path)
    }

    fn take_warnings(&self) -> Vec<String> {
        self.disk.take_warnings()
    }

    fn note(&self, path: &Path) -> Option<Vec<u8>> {
        self.disk.note(path)
    }
}

/// The partial file, which notes what was written.
struct Part {
    inner: Arc<dyn PartFile>,
    shared: Arc<Shared>,
}

impl PartFile for Part {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // One after the other: two sources may write the same bytes, and only the first may have been read.
        let mut state = self.shared.state.lock();
        state.keep_read(&*self.inner, bytes, offset)?;
        self.inner.write_at(bytes, offset)?;
        let before = state.frontier();
        state.there.insert(ByteRange::new(offset, offset + bytes.len() as u64));
        state.check_again(&*self.inner)?;
        if state.frontier() > before {
            self.shared.changed.notify_all();
        }
        Ok(())
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        if len_bytes == 0 {
            let mut state = self.shared.state.lock();
            let was_read = state.digest_of_read(&*self.inner)?;
            state.begin(was_read);
        }
        self.inner.set_len(len_bytes)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(bytes, offset)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        self.inner.allocate(len_bytes)
    }

    fn keep_private(&self) -> io::Result<()> {
        self.inner.keep_private()
    }

    fn stat(&self) -> io::Result<Stat> {
        self.inner.stat()
    }

    fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
        self.inner.holes()
    }

    fn cut(&self) -> Option<(u64, u64)> {
        self.inner.cut()
    }

    fn take_cut(&self) -> Option<(u64, u64)> {
        self.inner.take_cut()
    }

    fn reserve(&self, offset: u64, len_bytes: u64) {
        self.inner.reserve(offset, len_bytes);
    }

    fn start_writeback(&self, offset: u64, len_bytes: u64) {
        self.inner.start_writeback(offset, len_bytes);
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn check_synced(&self) -> io::Result<()> {
        self.inner.check_synced()
    }

    fn finish(&self, note: &[u8]) -> io::Result<()> {
        self.inner.finish(note)
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.inner.set_modified(time)
    }

    fn link_to(&self, path: &Path) -> io::Result<()> {
        self.inner.link_to(path)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.inner.is_at(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads two bytes, and lets the file begin again.
    fn begun_again(directory: &Path) -> (Arc<InOrder>, InOrderReader, Arc<dyn PartFile>) {
        let storage = InOrder::new();
        let part = storage.open_part(&directory.join("a"), OpenPart::New).unwrap();
        let mut reader = storage.reader();
        part.write_at(b"abc", 0).unwrap();
        assert_eq!(reader.read(&mut [0; 2]).unwrap(), 2);
        drop(part);
        let part = storage.open_part(&directory.join("a"), OpenPart::Keep).expect("nobody else has it open");
        part.set_len(0).unwrap();
        (storage, reader, part)
    }

    #[test]
    fn what_begins_again_as_it_was_goes_on() {
        let place = tempfile::tempdir().unwrap();
        let (storage, mut reader, part) = begun_again(place.path());
        part.write_at(b"cd", 2).unwrap();
        part.write_at(b"a", 0).unwrap();
        assert!(!storage.is_read());
        part.write_at(b"b", 1).unwrap();
        storage.end();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "cd");
        assert!(storage.is_read() && !storage.has_changed());
    }

    #[test]
    fn what_could_not_be_opened_meanwhile_is_compared_all_the_same() {
        let place = tempfile::tempdir().unwrap();
        for (content, is_right) in [(b"abcd", true), (b"aXcd", false)] {
            let storage = InOrder::new();
            let [path, away] = ["a", "b"].map(|name| place.path().join(name));
            let part = storage.open_part(&path, OpenPart::New).unwrap();
            let mut reader = storage.reader();
            part.write_at(b"ab", 0).unwrap();
            assert_eq!(reader.read(&mut [0; 2]).unwrap(), 2);
            drop(part);
            std::fs::rename(&path, &away).unwrap();
            storage.open_part(&path, OpenPart::Existing).err().unwrap();
            let part = storage.open_part(&path, OpenPart::New).unwrap();
            assert_eq!(part.write_at(content, 0).is_ok(), is_right);
            storage.end();
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!((&rest[..], storage.has_changed()), (if is_right { b"cd" } else { &b""[..] }, !is_right));
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_begins_again_as_another_file_is_not_read() {
        let place = tempfile::tempdir().unwrap();
        let (storage, mut reader, part) = begun_again(place.path());
        part.write_at(b"cd", 2).unwrap();
        part.write_at(b"aX", 0).unwrap_err();
        storage.end();
        assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
        assert!(storage.has_changed() && !storage.is_read());
    }

    #[test]
    fn what_was_read_is_not_changed() {
        let place = tempfile::tempdir().unwrap();
        let storage = InOrder::new();
        let part = storage.open_part(&place.path().join("a"), OpenPart::New).unwrap();
        let mut reader = storage.reader();
        let mut read = [0; 8];
        part.write_at(b"bcd", 1).unwrap();
        part.write_at(b"a", 0).unwrap();
        assert_eq!((reader.read(&mut read[..2]).unwrap(), &read[..2]), (2, &b"ab"[..]));
        part.write_at(b"abX", 0).unwrap();
        assert!(!storage.was_wrong(), "what had been read is the same");
        part.write_at(b"bc", 1).unwrap();
        part.write_at(b"Yc", 1).unwrap_err();
        assert!(storage.was_wrong());
        storage.end();
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "cd", "the last bytes count, as long as nobody has read them");
    }
}
