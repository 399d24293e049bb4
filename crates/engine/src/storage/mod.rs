//! Where files live. The one door to the file system: the real one is `Disk`, tests bring one
//! that loses what was not synced or fails the Nth call.

pub(crate) mod disk;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::name::NameRules;

/// A file system, as far as the engine needs one.
///
/// Paths are absolute or relative to the process; no call follows a symlink at the last component
/// (`ELOOP` instead). All calls may block.
pub trait Storage: Send + Sync + 'static {
    /// What is at `path`, not following a symlink; `None` if nothing is.
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>>;

    /// Opens or creates a partial file for writing, mode 0600 where the file system has modes (that of
    /// a finished file for [`OpenPart::New`]), and locks it for this process. After locking, the open file is compared
    /// with the path and opened again if another process has just published it.
    ///
    /// `Err` of kind `WouldBlock` if another process holds the lock.
    fn open_part(&self, path: &Path, mode: OpenPart) -> io::Result<Arc<dyn PartFile>>;

    /// A new file that has no name yet, with the permissions of a finished one, on the file system of
    /// `directory`: nobody else can see it, so it needs no lock. `Unsupported` where there is no such
    /// thing.
    fn create_unnamed(&self, directory: &Path) -> io::Result<Arc<dyn PartFile>>;

    /// Opens a complete file for reading (digests, samples).
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>>;

    /// Reads a small file whole; an error of kind `FileTooLarge` above `max_bytes`.
    fn read_small(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;

    /// Writes a small file under a temporary name, syncs it if `sync`, and renames it over `path`
    /// (mode 0600). The directory is synced too if `sync`.
    fn write_atomic(&self, path: &Path, content: &[u8], sync: bool) -> io::Result<()>;

    /// Renames within a file system; fails with `AlreadyExists` if `to` exists, unless `replace`.
    fn rename(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()>;

    /// Lets two names of a file system change their files in one step; `Unsupported` where that cannot be.
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()>;

    /// Removes a file; it is no error if there is none.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory with its parents below `root`, following no symlink below `root`.
    fn create_dirs(&self, root: &Path, relative: &Path) -> io::Result<()>;

    /// What it can do, where storages differ.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// What names a directory takes.
    fn name_rules(&self, directory: &Path) -> NameRules {
        let _ = directory;
        NameRules::default()
    }

    /// The longest file that a directory takes, where that is known to be short.
    fn file_bytes_max(&self, directory: &Path) -> Option<u64> {
        let _ = directory;
        None
    }

    /// Makes renames within a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Syncs everything that was written to the file system that holds the directory: one commit
    /// for a group of small files instead of one each.
    fn sync_all(&self, directory: &Path) -> io::Result<()>;

    /// Fills all of `bytes` from `offset` of the file at `path`; `UnexpectedEof` if it ends before.
    fn read_at(&self, path: &Path, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut file = self.open_read(path)?;
        io::copy(&mut io::Read::take(&mut file, offset), &mut io::sink())?;
        file.read_exact(bytes)
    }

    /// Whose a file would be that is made in `directory`: not always the process's own user.
    fn owner_of_new(&self, directory: &Path) -> io::Result<u32>;

    /// Whether any name in `directory` may end in one of these: a look that saves one for each file.
    fn may_have(&self, directory: &Path, suffixes: &[&str]) -> bool {
        let _ = (directory, suffixes);
        true
    }

    /// Bytes that can still be written below `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;

    /// How much the disk below `path` holds, whether it is free or not.
    fn capacity_bytes(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Ok(u64::MAX)
    }

    /// What the file system turned out not to do, in words for the user; each is told once.
    fn take_warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the engine noted about a complete file, if the file system keeps such notes.
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
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { overlapping_writes: true, piece_grain_bytes: 1, reads_back: true }
    }
}

/// How a partial file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenPart {
    /// It must not exist yet (`AlreadyExists` otherwise).
    New,
    /// What is there is kept; created if missing.
    Keep,
    /// What is there is cut to nothing, after the lock is held; created if missing.
    Empty,
}

/// What is known of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Regular file, directory or something else.
    pub kind: StatKind,
    /// Its length in bytes.
    pub len_bytes: u64,
    /// When it was last changed.
    pub modified: SystemTime,
    /// Whose it is.
    pub owner: u32,
    /// How many names it has.
    pub links: u64,
    /// Which file it is, where the file system tells.
    pub file: Option<FileId>,
}

/// Names a file on this machine, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    /// Which file system.
    pub device: u64,
    /// Which file on it.
    pub inode: u64,
    /// When it was made, nanoseconds since 1970, where the file system tells: a number is given to
    /// the next file when the one that had it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born_unix_ns: Option<u64>,
}

impl FileId {
    /// Whether both name one file, as far as both tell.
    pub fn is_same(&self, other: &Self) -> bool {
        let born = self.born_unix_ns.zip(other.born_unix_ns);
        (self.device, self.inode) == (other.device, other.inode) && born.is_none_or(|(one, other)| one == other)
    }
}

/// Which sort of thing a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink, whatever it leads to.
    Symlink,
    /// A named pipe.
    Pipe,
    /// A socket.
    Socket,
    /// A device: a terminal, a disk, `/dev/null` …
    Device,
}

impl StatKind {
    /// What it is, for people: `a directory`.
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

/// A partial file that this process holds the lock of. Dropping it releases the lock.
pub trait PartFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills all of `bytes` from `offset`; `UnexpectedEof` if the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Reserves room for `len_bytes` and sets the length; `StorageFull` if there is too little.
    /// File systems that cannot reserve only set the length.
    fn allocate(&self, len_bytes: u64) -> io::Result<()>;

    /// Sets the length.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;

    /// Sees to it that nobody else can read it; for a file that is ours.
    fn keep_private(&self) -> io::Result<()> {
        Ok(())
    }

    /// What is known of the open file, whatever its name is now.
    fn stat(&self) -> io::Result<Stat>;

    /// The parts to which nobody has ever written, as far as the file system tells: what somebody has
    /// cut off and grown again meanwhile, but also what it leaves out because it is zero.
    fn holes(&self) -> io::Result<Vec<(u64, u64)>> {
        Ok(Vec::new())
    }

    /// Reserves room for this part, ahead of what is to be written; a hint.
    fn reserve(&self, offset: u64, len_bytes: u64) {
        let _ = (offset, len_bytes);
    }

    /// Its length.
    fn len_bytes(&self) -> io::Result<u64> {
        Ok(self.stat()?.len_bytes)
    }

    /// Asks the system to begin writing this part to the disk; a hint.
    fn start_writeback(&self, offset: u64, len_bytes: u64);

    /// Waits until the content is on the disk.
    fn sync(&self) -> io::Result<()>;

    /// What the storage needs to resume from what is synced now; the journal keeps it.
    fn token(&self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// Gives the finished file the permissions that a new file has (0666 less the umask) and, if
    /// the file system keeps notes, this note; an empty one is none.
    fn finish(&self, note: &[u8]) -> io::Result<()>;

    /// Sets the modification time.
    fn set_modified(&self, time: SystemTime) -> io::Result<()>;

    /// Gives a file that was created without a name this one; `AlreadyExists` if it is taken.
    fn link_to(&self, path: &Path) -> io::Result<()>;

    /// Whether it is (still) the file at `path`.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}
