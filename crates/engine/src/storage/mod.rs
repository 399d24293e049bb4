//! File storage: the engine's only access to the file system. `Disk` is the real one; tests use one that loses
//! unsynced data or fails the Nth call.

pub(crate) mod disk;
mod in_order;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use self::in_order::{InOrder, InOrderReader};
use crate::name::NameRules;

/// The part of a file system that the engine needs.
///
/// Paths are absolute or relative to the process; no call follows a symlink at the last component
/// (`ELOOP` instead). All calls may block.
pub trait Storage: Send + Sync + 'static {
    /// The metadata of `path`, without following a symlink; `None` if it does not exist.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// The same, with all that is known of the identity of a file: what only an open file tells as well.
    fn identify(&self, path: &Path) -> io::Result<Option<Stat>> {
        self.stat(path)
    }

    /// Opens or creates a partial file for writing, with mode 0600 where the file system has modes (that of a
    /// finished file for [`OpenPart::New`]), and locks it for this process. After locking, checks that the path
    /// still refers to the open file, and reopens it if another process has just published it.
    ///
    /// `Err` of kind `WouldBlock` if another process holds the lock.
    fn open_part(&self, path: &Path, mode: OpenPart) -> io::Result<Arc<dyn PartFile>>;

    /// Creates a file without a name, with the permissions of a finished one, on the file system of
    /// `directory`: nobody else can see it, so it needs no lock. `Unsupported` where that is impossible.
    fn create_unnamed(&self, directory: &Path) -> io::Result<Arc<dyn PartFile>>;

    /// Opens a complete file for reading (digests, samples).
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>>;

    /// Reads a small file completely; an error of kind `FileTooLarge` above `max_bytes`.
    fn read_small(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// Writes a small file under a temporary name, syncs it if `sync`, and renames it over `path`
    /// (mode 0600). The directory is synced too if `sync`.
    fn write_atomic(&self, path: &Path, content: &[u8], sync: bool) -> io::Result<()>;

    /// Renames within a file system; fails with `AlreadyExists` if `to` exists, unless `replace`.
    fn rename(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()>;

    /// Swaps the files of two names atomically, within a file system; `Unsupported` where that is impossible.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Removes a file; a missing file is not an error.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory and its parents below `root`, following no symlink below `root`.
    fn create_dirs(&self, root: &Path, relative: &Path) -> io::Result<()>;

    /// What it can do, where storages differ.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Which names a directory accepts.
    fn name_rules(&self, directory: &Path) -> NameRules {
        let _ = directory;
        NameRules::default()
    }

    /// The longest file that a directory can hold, if it has a known low limit.
    fn file_bytes_max(&self, directory: &Path) -> Option<u64> {
        let _ = directory;
        None
    }

    /// Makes renames within a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Syncs everything written to the file system that holds the directory: one commit for a group of small
    /// files instead of one for each.
    fn sync_all(&self, directory: &Path) -> io::Result<()>;

    /// Fills all of `bytes` from `offset` of the file at `path`; `UnexpectedEof` if the file ends early.
    fn read_at(&self, path: &Path, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut file = self.open_read(path)?;
        io::copy(&mut io::Read::take(&mut file, offset), &mut io::sink())?;
        file.read_exact(bytes)
    }

    /// The ranges of the file at `path` that were never written, if the file system can tell.
    fn holes(&self, _path: &Path) -> io::Result<Vec<(u64, u64)>> {
        Ok(Vec::new())
    }

    /// The owner of a file created in `directory`: not always the process's own user.
    fn owner_of_new(&self, directory: &Path) -> io::Result<u32>;

    /// All names in `directory`; `None` if there are more than `max`, or if that is not known. With them, files that are
    /// not there are not looked for one by one.
    fn names(&self, directory: &Path, max: usize) -> Option<Vec<OsString>> {
        let _ = (directory, max);
        None
    }

    /// Whether any name in `directory` may end in one of these suffixes: one listing saves a check for each
    /// file.
    fn may_have(&self, directory: &Path, suffixes: &[&str]) -> bool {
        let _ = (directory, suffixes);
        true
    }

    /// Whether zeros that are written to a file in `directory` are stored, so that a hole shows that nothing was
    /// written there.
    fn keeps_zeros(&self, directory: &Path) -> bool {
        let _ = directory;
        true
    }

    /// Free space below `path`, in bytes.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// Total capacity of the disk below `path`, in bytes, free or not.
    fn capacity_bytes(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Ok(u64::MAX)
    }

    /// What the file system turned out not to support, in words for the user; each is reported once.
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// The engine's note on a complete file, if the file system stores notes.
    fn note(&self, path: &Path) -> Option<Vec<u8>>;
}

/// What a storage can do, where storages differ. A file system can do all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Two connections may write the same bytes of a partial file, so that the last ones may be raced for.
    pub overlapping_writes: bool,
    /// Each piece begins at a multiple of this many bytes.
    pub piece_grain_bytes: u64,
    /// What was written to a partial file can be read before it is published, so that it can be compared with
    /// what a server sends.
    pub reads_back: bool,
    /// What was written may be replaced later, also by another source's.
    pub replaces: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { overlapping_writes: true, piece_grain_bytes: 1, reads_back: true, replaces: true }
    }
}

/// How a partial file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPart {
    /// It must not exist yet (`AlreadyExists` otherwise).
    New,
    /// Keep existing data; create the file if missing.
    Keep,
    /// Keep existing data; it must exist (`NotFound` otherwise).
    Existing,
}

/// Metadata of a file, without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Regular file, directory or something else.
    pub kind: StatKind,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// When it was last modified.
    pub modified: SystemTime,
    /// Whether its file system may round times.
    pub rounds_times: bool,
    /// Its owner's user id.
    pub owner: u32,
    /// Its number of hard links.
    pub links: u64,
    /// Its identity, where the file system provides one.
    pub file: Option<FileId>,
}

impl Stat {
    /// Whether both are of one file, as far as the file system can tell.
    pub(crate) fn is_of_one_file(&self, other: &Self) -> bool {
        self.file.zip(other.file).is_none_or(|(one, other)| one.is_same(&other))
    }
}

/// Identifies a file on this machine, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// The file system's device number.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
    /// When it was created, in nanoseconds since 1970, where the file system says so: the inode number of a
    /// removed file is reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born_unix_ns: Option<u64>,
    /// What tells the files of one inode number apart where no creation time does: file systems of Linux draw it anew for
    /// each. It is known of open files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u32>,
}

impl FileId {
    /// Whether both identify the same file, by the fields that both have.
    pub fn is_same(&self, other: &Self) -> bool {
        let born = self.born_unix_ns.zip(other.born_unix_ns).is_none_or(|(one, other)| one == other);
        let generation = self.generation.zip(other.generation).is_none_or(|(one, other)| one == other);
        (self.device, self.inode) == (other.device, other.inode) && born && generation
    }
}

/// The type of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink, whatever it points to.
    Symlink,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device: a terminal, a disk, `/dev/null` …
    Device,
}

impl StatKind {
    /// The type in words, for people: `a directory`.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        }
    }
}

/// A partial file whose lock this process holds. Dropping it releases the lock.
pub trait PartFile: Send + Sync {
    /// Writes all of `bytes` at `offset`; an error of kind `InvalidData` if they cannot be the file's.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills all of `bytes` from `offset`; `UnexpectedEof` if the file ends early.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Reserves space for `len_bytes` and sets the length; `StorageFull` if there is too little. File systems
    /// that cannot reserve only set the length.
    fn allocate(&self, len_bytes: u64) -> io::Result<()>;

    /// Sets the length.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Makes sure that nobody else can read the file, which must be ours.
    fn keep_private(&self) -> io::Result<()> {
        Ok(())
    }

    /// Metadata of the open file, whatever its name is now.
    fn stat(&self) -> io::Result<Stat>;

    /// The ranges that were never written, if the file system can tell: those that somebody truncated and
    /// extended again, but also zeros that it does not store.
    fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
        Ok(Vec::new())
    }

    /// The range that somebody has cut off since it was last taken, although it was written; the file may have grown
    /// again.
    fn cut(&self) -> Option<(u64, u64)> {
        None
    }

    /// The same, which is forgotten then.
    fn take_cut(&self) -> Option<(u64, u64)> {
        None
    }

    /// Reserves space for this range, ahead of writing; a hint.
    fn reserve(&self, offset: u64, len_bytes: u64) {
        let _ = (offset, len_bytes);
    }

    /// Its length in bytes.
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.stat()?.len_bytes)
    }

    /// Asks the system to start writing this range to disk; a hint.
    fn start_writeback(&self, offset: u64, len_bytes: u64);

    /// Waits until the content is on disk.
    fn sync(&self) -> io::Result<()>;

    /// Fails if [`Storage::sync_all`] has lost bytes of this file. A system reports such a loss once to each holder of
    /// an open file, and may report it to one caller of a sync of everything only, whose file it was or not.
    fn check_synced(&self) -> io::Result<()> {
        self.sync()
    }

    /// What the storage needs to resume from what is synced now; the journal keeps it.
    fn token(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// Gives the finished file the permissions of a new file (0666 minus the umask) and, if the file system
    /// stores notes, this note; an empty note means none.
    fn finish(&self, note: &[u8]) -> io::Result<()>;

    /// Sets the modification time.
    fn set_modified(&self, time: SystemTime) -> io::Result<()>;

    /// Gives an unnamed file this name; `AlreadyExists` if it is taken.
    fn link_to(&self, path: &Path) -> io::Result<()>;

    /// Whether it is (still) the file at `path`.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}
