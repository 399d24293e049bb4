//! A partial file on disk and the lock that makes it ours. Owns the open file; the lock ends with it. Workers
//! write through it, the committer syncs and finishes it, all through `&self`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use rustix::io::retry_on_intr;

use super::limits::Limits;
use super::lock::{Held, Lock, try_lock};
use super::open::{PRIVATE_MODE, keep_private, open_regular};
use super::stat::stat_of_open;
use super::{kind, notes, sync, writeback};
use crate::failpoint;
use crate::storage::{OpenPart, PartFile, Stat};

/// How often to reopen a name because its file went away before we got the lock.
const OPEN_TRIES_MAX: u32 = 16;

/// The errors of file systems that cannot extend a file.
const ONLY_SHORTENS: [i32; 4] = [libc::EPERM, libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP];

/// The most holes to list; everything after them counts as one hole.
const HOLES_MAX: usize = 1 << 16;

/// Whether the kernel gives an open file a name directly (`linkat` with `AT_EMPTY_PATH`, for everybody since Linux
/// 6.10, before with a capability). Otherwise its name in `/proc` is resolved, as open(2) describes, which takes
/// twice as long.
static LINKS_OPEN_FILES: AtomicBool = AtomicBool::new(true);

/// A locked partial file.
#[derive(Debug)]
pub(super) struct DiskPart {
    file: File,
    /// `None` if nobody else can find the file.
    lock: Option<Held>,
    /// The path it was opened at.
    path: PathBuf,
    limits: Arc<Limits>,
    file_mode: u32,
    /// Whether it was created with the final permissions.
    has_file_mode: AtomicBool,
    is_finished: AtomicBool,
    /// One writer at a time. The kernel's own file lock makes a second writer spin while the first one copies,
    /// which costs CPU time on a small machine: with two workers 1.25 s instead of 1.0 s per GiB.
    turn: parking_lot::Mutex<Length>,
}

/// The length that the file has to have, and what somebody has cut off.
#[derive(Debug, Default)]
struct Length {
    least_bytes: u64,
    /// From the shortest length that was found to the longest that it had before.
    cut: Option<(u64, u64)>,
}

impl Length {
    /// The file has this length now. If it had more, what it lost reads as zeros once it has grown again.
    fn found(&mut self, len_bytes: u64) {
        if len_bytes < self.least_bytes {
            let (start, end) = self.cut.unwrap_or((u64::MAX, 0));
            self.cut = Some((start.min(len_bytes), end.max(self.least_bytes)));
        }
        self.least_bytes = len_bytes;
    }
}

impl DiskPart {
    /// Opens and locks the file at `path`; once finished it gets `file_mode`.
    pub(super) fn open(path: &Path, mode: OpenPart, file_mode: u32, limits: &Arc<Limits>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        // A new file arrives whole and is finished at once.
        let created_mode = if mode == OpenPart::New { file_mode } else { PRIVATE_MODE };
        options.read(true).write(true).mode(created_mode);
        match mode {
            OpenPart::New => options.create_new(true),
            OpenPart::Keep => options.create(true).truncate(false),
            OpenPart::Existing => &mut options,
        };
        for _ in 0..OPEN_TRIES_MAX {
            let file = open_regular(&mut options, path)?;
            failpoint::reach("part-opened");
            let lock = try_lock(&file, path, Lock::Exclusive, limits)?;
            // Between the two calls above, the previous holder may have published or removed it.
            if is_same(&file, path)? {
                return Ok(Self {
                    file,
                    lock: Some(lock),
                    path: path.to_owned(),
                    limits: Arc::clone(limits),
                    file_mode,
                    has_file_mode: AtomicBool::new(mode == OpenPart::New),
                    is_finished: AtomicBool::new(false),
                    turn: parking_lot::Mutex::default(),
                });
            }
        }
        Err(io::Error::new(ErrorKind::WouldBlock, "other processes keep replacing the partial file"))
    }
}

impl DiskPart {
    /// Creates a file without a name, which others cannot find, open or lock.
    #[cfg(target_os = "linux")]
    pub(super) fn unnamed(directory: &Path, file_mode: u32, limits: &Arc<Limits>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(file_mode).custom_flags(libc::O_TMPFILE);
        let file = options.open(directory).map_err(|error| match error.raw_os_error() {
            // File systems without support return the first, old kernels the others.
            Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL) => io::Error::from(ErrorKind::Unsupported),
            _ => error,
        })?;
        Ok(Self {
            file,
            lock: None,
            path: directory.to_owned(),
            limits: Arc::clone(limits),
            file_mode,
            has_file_mode: AtomicBool::new(true),
            is_finished: AtomicBool::new(true),
            turn: parking_lot::Mutex::default(),
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn unnamed(_directory: &Path, _file_mode: u32, _limits: &Arc<Limits>) -> io::Result<Self> {
        Err(ErrorKind::Unsupported.into())
    }
}

impl PartFile for DiskPart {
    fn link_to(&self, path: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd;

        use rustix::fs::{AtFlags, CWD, linkat};
        use rustix::io::Errno;

        if LINKS_OPEN_FILES.load(Ordering::Relaxed) {
            match linkat(&self.file, "", CWD, path, AtFlags::EMPTY_PATH) {
                // The kernel refuses like this, and so does a directory that is gone: the other way shows it.
                Err(Errno::NOENT | Errno::PERM | Errno::INVAL) => {}
                linked => return Ok(linked?),
            }
        }
        let ours = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        linkat(CWD, ours, CWD, path, AtFlags::SYMLINK_FOLLOW)?;
        LINKS_OPEN_FILES.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut turn = self.turn.lock();
        // Nobody finds a file without a name.
        if self.lock.is_some() {
            turn.found(self.file.metadata()?.len());
        }
        self.file.write_all_at(bytes, offset)?;
        turn.least_bytes = turn.least_bytes.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn allocate(&self, len_bytes: u64) -> io::Result<()> {
        let mut turn = self.turn.lock();
        let before_bytes = self.file.metadata()?.len();
        turn.found(before_bytes);
        let allocated = reserve(&self.file, 0, len_bytes).and_then(|()| set_len(&self.file, len_bytes));
        if allocated.is_err() {
            // Release what was reserved before the disk was full; the first error is the one to report.
            let _ = self.file.set_len(before_bytes);
        }
        turn.least_bytes = self.file.metadata()?.len();
        allocated
    }

    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        let mut turn = self.turn.lock();
        turn.found(self.file.metadata()?.len());
        set_len(&self.file, len_bytes)?;
        turn.least_bytes = len_bytes;
        Ok(())
    }

    fn cut(&self) -> Option<(u64, u64)> {
        self.turn.lock().cut
    }

    fn take_cut(&self) -> Option<(u64, u64)> {
        self.turn.lock().cut.take()
    }

    fn keep_private(&self) -> io::Result<()> {
        self.has_file_mode.store(false, Ordering::Relaxed);
        keep_private(&self.file)
    }

    fn stat(&self) -> io::Result<Stat> {
        stat_of_open(&self.file)
    }

    #[cfg(target_os = "linux")]
    fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
        holes_of(&self.file)
    }

    fn reserve(&self, offset: u64, len_bytes: u64) {
        let mut turn = self.turn.lock();
        // Writing will show whether there is enough space.
        let _ = reserve(&self.file, offset, len_bytes);
        // It may have grown.
        if let Ok(found) = self.file.metadata()
            && found.len() > turn.least_bytes
        {
            turn.least_bytes = found.len();
        }
    }

    fn start_writeback(&self, offset: u64, len_bytes: u64) {
        writeback::start(&self.file, offset, len_bytes);
    }

    fn sync(&self) -> io::Result<()> {
        sync::file(&self.file, &self.path, &self.limits)
    }

    fn check_synced(&self) -> io::Result<()> {
        if kind::is_stacked(&self.file) {
            return self.sync();
        }
        match writeback::wait(&self.file) {
            Err(error) if error.kind() == ErrorKind::Unsupported => self.sync(),
            waited => waited,
        }
    }

    fn finish(&self, note: &[u8]) -> io::Result<()> {
        let was_finished = self.is_finished.swap(true, Ordering::Relaxed);
        let has_file_mode = self.has_file_mode.load(Ordering::Relaxed);
        if has_file_mode && note.is_empty() && (!was_finished || self.lock.is_none()) {
            // A new file has no note to remove.
            return Ok(());
        }
        if has_file_mode {
            return notes::write(&self.file, note);
        }
        // File systems without modes refuse in many ways; a file that stays private is still complete.
        let _ = self.file.set_permissions(Permissions::from_mode(self.file_mode));
        notes::write(&self.file, note)
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        is_same(&self.file, path)
    }
}

impl Drop for DiskPart {
    /// Closing the file would suffice, unless a process being spawned shares the descriptor.
    fn drop(&mut self) {
        if let Some(lock) = self.lock.as_ref().filter(|_| !self.is_finished.load(Ordering::Relaxed)) {
            lock.release(&self.file);
        }
    }
}

/// Some file systems lack this call, or only shorten files with it: then writing the last byte extends the
/// file.
fn set_len(file: &File, len_bytes: u64) -> io::Result<()> {
    let Err(error) = file.set_len(len_bytes) else { return Ok(()) };
    let is_refused = error.raw_os_error().is_some_and(|code| ONLY_SHORTENS.contains(&code));
    match file.metadata()?.len() {
        found if is_refused && found == len_bytes => Ok(()),
        found if is_refused && found < len_bytes => file.write_all_at(&[0], len_bytes - 1),
        _ => Err(error),
    }
}

/// Whether `path` names the open file.
fn is_same(file: &File, path: &Path) -> io::Result<bool> {
    let named = match fs::symlink_metadata(path) {
        Ok(named) => named,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let open = file.metadata()?;
    Ok(open.dev() == named.dev() && open.ino() == named.ino())
}

/// Reserves blocks where the file system can. The alternative, writing zeros, would cost as much as the
/// download, so there is no fallback.
#[cfg(target_os = "linux")]
fn reserve(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;

    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), offset, len_bytes)) {
        Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(errno.into()),
        // It is only a reservation: without one, writing reports any error.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _offset: u64, _len_bytes: u64) -> io::Result<()> {
    Ok(())
}

/// The ranges of a file that were never written. A file system that cannot tell has none.
#[cfg(target_os = "linux")]
pub(super) fn holes_of(file: &File) -> io::Result<Vec<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;

    let len_bytes = file.metadata()?.len();
    let (mut holes, mut position) = (Vec::new(), 0);
    while position < len_bytes {
        if holes.len() == HOLES_MAX {
            holes.push((position, len_bytes));
            break;
        }
        let start = match seek(file, SeekFrom::Hole(position)) {
            Ok(start) if start < len_bytes => start,
            // A file system that cannot tell has no holes.
            Ok(_) | Err(Errno::INVAL | Errno::NXIO | Errno::OPNOTSUPP) => break,
            Err(errno) => return Err(errno.into()),
        };
        position = match seek(file, SeekFrom::Data(start)) {
            Ok(end) => end,
            Err(_) => len_bytes,
        };
        holes.push((start, position));
    }
    Ok(holes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use super::*;
    use crate::storage::Storage;
    use crate::storage::disk::Disk;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn open(path: &Path, mode: OpenPart) -> io::Result<DiskPart> {
        DiskPart::open(path, mode, 0o640, &Arc::default())
    }

    #[test]
    fn what_was_made_private_is_finished_with_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        let part = open(&path, OpenPart::New).unwrap();
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let of_file = mode();
        part.keep_private().unwrap();
        assert_eq!(mode(), 0o600);
        part.finish(b"").unwrap();
        assert_eq!(mode(), of_file);
    }

    #[test]
    fn a_second_opening_is_told_that_the_file_is_locked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        let first = open(&path, OpenPart::New).unwrap();
        first.write_at(b"kept", 0).unwrap();
        assert_eq!(open(&path, OpenPart::Keep).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        drop(first);
        open(&path, OpenPart::Keep).unwrap();
    }

    #[test]
    fn each_way_of_opening_does_what_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        open(&path, OpenPart::Keep).unwrap().write_at(b"kept", 0).unwrap();
        assert_eq!(open(&path, OpenPart::New).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(open(&path, OpenPart::Keep).unwrap().len_bytes().unwrap(), 4);
    }

    #[test]
    fn a_symlink_at_the_part_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, target) = (directory.path().join("a.part"), directory.path().join("target"));
        fs::write(&target, "theirs").unwrap();
        symlink(&target, &path).unwrap();
        assert_eq!(open(&path, OpenPart::Keep).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(open(&path, OpenPart::New).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (path, socket) = (directory.path().join("directory"), directory.path().join("socket"));
        fs::create_dir(&path).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        for path in [path.as_path(), socket.as_path(), Path::new("/dev/null")] {
            assert_eq!(open(path, OpenPart::Keep).unwrap_err().kind(), ErrorKind::InvalidInput, "{path:?}");
        }
    }

    #[test]
    fn a_part_knows_whether_it_is_still_at_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("a.part"), directory.path().join("a"));
        let part = open(&path, OpenPart::New).unwrap();
        assert!(part.is_at(&path).unwrap());
        Disk::new().rename(&path, &moved, false).unwrap();
        assert!(!part.is_at(&path).unwrap());
        assert!(part.is_at(&moved).unwrap());
        // The name is free again, even while somebody holds the lock of the published file.
        open(&path, OpenPart::Keep).unwrap();
    }

    #[test]
    fn bytes_are_read_where_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let part = open(&directory.path().join("a.part"), OpenPart::New).unwrap();
        part.write_at(b"behind", 1000).unwrap();
        part.start_writeback(0, 0);
        part.start_writeback(1000, 6);
        part.start_writeback(u64::MAX, u64::MAX);
        part.sync().unwrap();
        let mut bytes = [0; 6];
        part.read_at(&mut bytes, 1000).unwrap();
        assert_eq!(&bytes, b"behind");
        assert_eq!(part.read_at(&mut bytes, 1001).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_allocated_file_has_its_length_and_keeps_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let part = open(&directory.path().join("a.part"), OpenPart::New).unwrap();
        part.write_at(b"kept", 0).unwrap();
        for len_bytes in [1 << 20, 5, 4] {
            part.allocate(len_bytes).unwrap();
            assert_eq!(part.len_bytes().unwrap(), len_bytes);
        }
        let mut bytes = [0; 4];
        part.read_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"kept");
        part.allocate(u64::MAX).unwrap_err();
        assert_eq!(part.len_bytes().unwrap(), 4);
        part.allocate(0).unwrap();
        assert_eq!(part.len_bytes().unwrap(), 0);
        part.set_len(7).unwrap();
        assert_eq!(part.len_bytes().unwrap(), 7);
    }

    #[test]
    fn what_somebody_cuts_off_is_told_although_it_has_grown_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        let part = open(&path, OpenPart::New).unwrap();
        let somebody = OpenOptions::new().write(true).open(&path).unwrap();
        part.write_at(&[1; 5000], 0).unwrap();
        part.set_len(9000).unwrap();
        part.reserve(0, 10_000);
        part.allocate(4500).unwrap();
        assert_eq!(part.take_cut(), None, "we did that");
        for cut_to in [4400, 4200, 4300] {
            somebody.set_len(cut_to).unwrap();
            part.write_at(&[2; 100], 4400).unwrap();
        }
        assert_eq!(part.take_cut(), Some((4200, 4500)));
        assert_eq!(part.take_cut(), None);
        assert!(part.holes().unwrap().is_empty(), "no block is missing");
    }

    #[test]
    fn a_part_is_private_until_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        let part = open(&path, OpenPart::Keep).unwrap();
        assert_eq!(mode_of(&path) & !PRIVATE_MODE, 0);
        part.finish(b"note").unwrap();
        assert_eq!(mode_of(&path), 0o640);
    }

    #[test]
    fn an_unnamed_file_is_seen_by_nobody_until_it_gets_a_name_that_is_free() {
        let directory = tempfile::tempdir().unwrap();
        let (taken, free) = (directory.path().join("taken"), directory.path().join("free"));
        fs::write(&taken, "mine").unwrap();
        let part = match Disk::new().create_unnamed(directory.path()) {
            Ok(part) => part,
            // This file system has no unnamed files, so the rest of the test does not apply.
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Unsupported),
        };
        part.write_at(b"content", 0).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(part.link_to(&taken).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&taken).unwrap(), b"mine");
        part.link_to(&free).unwrap();
        assert_eq!(fs::read(&free).unwrap(), b"content");
    }

    #[test]
    fn the_modification_time_is_set() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.part");
        let part = open(&path, OpenPart::New).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        part.set_modified(time).unwrap();
        assert_eq!(Disk::new().stat(&path).unwrap().unwrap().modified, time);
    }

    #[test]
    fn a_note_survives_the_rename_and_an_old_one_never_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("a.part"), directory.path().join("a"));
        let disk = Disk::new();
        let part = open(&path, OpenPart::New).unwrap();
        assert_eq!(disk.note(&path), None);
        part.finish(b"where it came from").unwrap();
        disk.rename(&path, &moved, false).unwrap();
        match disk.note(&moved) {
            Some(note) => assert_eq!(note, b"where it came from"),
            // This file system stores no notes, so the rest of the test does not apply.
            None => return,
        }
        symlink(&moved, &path).unwrap();
        assert_eq!(disk.note(&path), None, "a symlink was followed");
        part.finish(&[b'x'; 5000]).unwrap();
        assert_eq!(disk.note(&moved), None, "a note that is too long kept the old one");
        part.finish(b"again").unwrap();
        part.finish(b"").unwrap();
        assert_eq!(disk.note(&moved), None, "an empty note kept the old one");
    }
}
