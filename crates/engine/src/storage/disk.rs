//! The real file system behind [`Storage`]. It never follows a symlink at one of our names and never waits for
//! another process. It owns only the permission bits of finished files, so any thread may use it; most calls
//! come from the committer and block for as long as the disk takes.

mod dirs;
mod folding;
mod generation;
mod kind;
pub(crate) mod limits;
pub(crate) mod lock;
mod notes;
mod open;
mod part;
mod rename;
mod stat;
pub(crate) mod sync;
mod writeback;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::retry_on_intr;

use self::limits::Limits;
pub(crate) use self::open::keep_private;
use self::open::{OPEN_FLAGS, PRIVATE_MODE, open_regular};
use self::part::DiskPart;
use self::rename::{exchange, rename_new};
use self::stat::{stat_of, stat_of_open};
use super::{OpenPart, PartFile, Stat, StatKind, Storage};
use crate::name::{BATCH_DIRECTORY, JOURNAL_SUFFIX, NameRules, damaged_path};

/// How many leading bytes must match for a leftover file to be ours.
const ALIKE_BYTES: u64 = 16;
/// How many zeros to write to see whether a file system keeps them.
const ZEROS_BYTES: usize = 256 << 10;

/// How many files may be set aside beside one file.
const ASIDE_MAX: u32 = 100;

/// The usual umask, for systems where a process cannot read its own without changing it.
const UMASK_DEFAULT: u32 = 0o022;

/// This machine's file system.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    file_mode: u32,
    /// Whether `/proc` is available, through which an unnamed file gets its name.
    has_proc: bool,
    limits: Arc<Limits>,
}

impl Disk {
    /// Reads the process's umask; create one at the start and share it.
    pub(crate) fn new() -> Self {
        Self { file_mode: 0o666 & !umask(), has_proc: Path::new("/proc/self/fd").is_dir(), limits: Arc::default() }
    }
}

/// The owner of a file that is made for that, and removed again.
fn owner_of_probe(directory: &Path) -> io::Result<u32> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!(".towline-owner-{}-{number}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE_MODE).open(&path)?;
    let owner = file.metadata().map(|metadata| metadata.uid());
    let _ = fs::remove_file(&path);
    owner
}

impl Storage for Disk {
    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        stat_of(&metadata).map(Some)
    }

    fn identify(&self, path: &Path) -> io::Result<Option<Stat>> {
        let stat = self.stat(path)?;
        let is_known =
            |stat: &Stat| stat.kind != StatKind::File || stat.file.is_none_or(|file| file.born_unix_ns.is_some());
        if stat.as_ref().is_none_or(is_known) {
            return Ok(stat);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match open(path, flags, Mode::empty()) {
            Ok(file) => stat_of_open(&File::from(file)).map(Some),
            // It is there; whether it is ours is not known.
            Err(_) => Ok(stat),
        }
    }

    fn open_part(&self, path: &Path, mode: OpenPart) -> io::Result<Arc<dyn PartFile>> {
        Ok(Arc::new(DiskPart::open(path, mode, self.file_mode, &self.limits)?))
    }

    fn keeps_zeros(&self, directory: &Path) -> bool {
        let zeros = vec![0; ZEROS_BYTES];
        // Without proof, a hole is taken for one.
        let holes = self.create_unnamed(directory).and_then(|part| {
            part.write_at(&zeros, 0)?;
            part.sync()?;
            part.holes()
        });
        holes.map_or(true, |holes| holes.is_empty())
    }

    fn create_unnamed(&self, directory: &Path) -> io::Result<Arc<dyn PartFile>> {
        if !self.has_proc {
            return Err(ErrorKind::Unsupported.into());
        }
        Ok(Arc::new(DiskPart::unnamed(directory, self.file_mode, &self.limits)?))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(open_regular(OpenOptions::new().read(true), path)?))
    }

    fn read_small(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let file = open_regular(OpenOptions::new().read(true), path)?;
        let mut content = Vec::new();
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut content)?;
        if content.len() as u64 > max_bytes {
            let why = format!("it is longer than {max_bytes} bytes");
            return Err(io::Error::new(ErrorKind::FileTooLarge, why));
        }
        Ok(content)
    }

    fn write_atomic(&self, path: &Path, content: &[u8], sync: bool) -> io::Result<()> {
        let temporary = temporary_name(path)?;
        let file = create_private(&temporary, content)?;
        let filled = fill(file, content, &temporary, sync.then_some(&*self.limits));
        let replaced = filled.and_then(|()| fs::rename(&temporary, path));
        if replaced.is_err() {
            // Best effort: the next write removes what is left.
            let _ = fs::remove_file(&temporary);
        }
        replaced?;
        if sync { self.sync_dir(parent_of(path)) } else { Ok(()) }
    }

    fn rename(&self, from: &Path, to: &Path, replace: bool) -> io::Result<()> {
        if replace { fs::rename(from, to) } else { rename_new(from, to) }
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        exchange(one, other)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if is_journal(path) {
            // Best effort: a leftover does no harm.
            let _ = remove_unfinished(path);
        }
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn create_dirs(&self, root: &Path, relative: &Path) -> io::Result<()> {
        dirs::create(root, relative)
    }

    fn sync_all(&self, directory: &Path) -> io::Result<()> {
        sync::file_system(dirs::or_here(directory))
    }

    fn name_rules(&self, directory: &Path) -> NameRules {
        NameRules {
            folds: folding::folds_names(&directory.join(BATCH_DIRECTORY)),
            bytes_max: kind::name_bytes_max(directory),
            takes_any: kind::takes_any_name(directory),
        }
    }

    fn file_bytes_max(&self, directory: &Path) -> Option<u64> {
        kind::file_bytes_max(directory)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        sync::directory(dirs::or_here(path), &self.limits)
    }

    fn take_warnings(&self) -> Vec<String> {
        self.limits.take()
    }

    #[cfg(target_os = "linux")]
    fn holes(&self, path: &Path) -> io::Result<Vec<(u64, u64)>> {
        part::holes_of(&open_regular(OpenOptions::new().read(true), path)?)
    }

    fn read_at(&self, path: &Path, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        open_regular(OpenOptions::new().read(true), path)?.read_exact_at(bytes, offset)
    }

    fn names(&self, directory: &Path, max: usize) -> Option<Vec<OsString>> {
        let entries = fs::read_dir(dirs::or_here(directory)).ok()?.take(max.saturating_add(1));
        let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>().ok()?;
        (names.len() <= max).then_some(names)
    }

    fn may_have(&self, directory: &Path, suffixes: &[&str]) -> bool {
        let Ok(mut entries) = fs::read_dir(dirs::or_here(directory)) else { return true };
        entries.any(|entry| {
            entry.map_or(true, |entry| {
                let name = entry.file_name();
                suffixes.iter().any(|suffix| name.as_encoded_bytes().ends_with(suffix.as_bytes()))
            })
        })
    }

    fn owner_of_new(&self, directory: &Path) -> io::Result<u32> {
        match DiskPart::unnamed(dirs::or_here(directory), self.file_mode, &self.limits) {
            Ok(file) => Ok(file.stat()?.owner),
            // Some file systems show all files as one user's, whoever makes them.
            Err(error) if error.kind() == ErrorKind::Unsupported => owner_of_probe(dirs::or_here(directory)),
            Err(error) => Err(error),
        }
    }

    /// Asks for the nearest existing directory, because `path` may not have been created yet.
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        let room = retry_on_intr(|| rustix::fs::statvfs(dirs::nearest(path)))?;
        Ok(room.f_bavail.saturating_mul(room.f_frsize))
    }

    fn capacity_bytes(&self, path: &Path) -> io::Result<u64> {
        let room = retry_on_intr(|| rustix::fs::statvfs(dirs::nearest(path)))?;
        Ok(room.f_blocks.saturating_mul(room.f_frsize))
    }

    fn note(&self, path: &Path) -> Option<Vec<u8>> {
        notes::read(path)
    }
}

/// Creates a private file for this content. A leftover of a crash under this name is removed first, because it
/// may have a wider mode or a second name. Somebody else's file is moved to a free name.
fn create_private(path: &Path, content: &[u8]) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(PRIVATE_MODE).custom_flags(OPEN_FLAGS);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            match is_left_by_us(path, content)? {
                true => fs::remove_file(path)?,
                false => move_aside(path)?,
            }
            options.open(path)
        }
        opened => opened,
    }
}

/// Whether a file starts like this content, as far as the file goes.
fn is_left_by_us(path: &Path, content: &[u8]) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(false);
    }
    let Ok(file) = open_regular(OpenOptions::new().read(true), path) else { return Ok(false) };
    let mut beginning = Vec::new();
    file.take(ALIKE_BYTES).read_to_end(&mut beginning)?;
    Ok(content.starts_with(&beginning))
}

/// Removes what a killed write of this journal left; the journal itself is about to be removed too.
fn remove_unfinished(journal: &Path) -> io::Result<()> {
    let temporary = temporary_name(journal)?;
    if fs::symlink_metadata(&temporary).is_err() {
        return Ok(());
    }
    let mut content = Vec::new();
    open_regular(OpenOptions::new().read(true), journal)?.take(ALIKE_BYTES).read_to_end(&mut content)?;
    if is_left_by_us(&temporary, &content)? { fs::remove_file(temporary) } else { Ok(()) }
}

fn is_journal(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(JOURNAL_SUFFIX.as_bytes())
}

fn move_aside(path: &Path) -> io::Result<()> {
    for number in 1..=ASIDE_MAX {
        match rename_new(path, &damaged_path(path, number)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result,
        }
    }
    Err(io::Error::new(ErrorKind::AlreadyExists, "it is in the way, and too many others were set aside before"))
}

/// Writes the content, and syncs it if given limits for reporting a refusal.
fn fill(mut file: File, content: &[u8], path: &Path, syncs: Option<&Limits>) -> io::Result<()> {
    file.write_all(content)?;
    syncs.map_or(Ok(()), |limits| sync::file(&file, path, limits))
}

/// The temporary name of a file while it is written; only our files have such names.
fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path has no file name"))?;
    let mut name = name.to_os_string();
    match is_journal(path) {
        true => name.push(".tmp"),
        false => name.push(format!(".status{JOURNAL_SUFFIX}.tmp")),
    }
    Ok(path.with_file_name(name))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The process's umask, read without changing it briefly as `umask(2)` would.
#[cfg(target_os = "linux")]
fn umask() -> u32 {
    let status = fs::read("/proc/self/status").unwrap_or_default();
    umask_in(&String::from_utf8_lossy(&status)).unwrap_or(UMASK_DEFAULT)
}

#[cfg(not(target_os = "linux"))]
fn umask() -> u32 {
    UMASK_DEFAULT
}

#[cfg(target_os = "linux")]
fn umask_in(status: &str) -> Option<u32> {
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(mask.trim(), 8).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use towline_testkit::leftovers;

    use super::*;
    use crate::storage::StatKind;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_rename_without_replace_keeps_the_other_file() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.part"), directory.path().join("a"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let disk = Disk::new();
        assert_eq!(disk.rename(&from, &to, false).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"old");
        disk.rename(&from, &to, true).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
        assert_eq!(leftovers(directory.path()), ["a"]);
    }

    #[test]
    fn a_symlink_at_the_final_name_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("target");
        let (from, to) = (directory.path().join("a.part"), directory.path().join("a"));
        fs::write(&target, "theirs").unwrap();
        fs::write(&from, "new").unwrap();
        symlink(&target, &to).unwrap();
        let disk = Disk::new();
        assert_eq!(disk.stat(&to).unwrap().unwrap().kind, StatKind::Symlink);
        assert_eq!(disk.rename(&from, &to, false).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.open_read(&to).err().unwrap().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(disk.read_small(&to, 100).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
        // With `replace`, it replaces the link itself.
        disk.rename(&from, &to, true).unwrap();
        assert_eq!(disk.stat(&to).unwrap().unwrap().kind, StatKind::File);
        assert_eq!(fs::read(&target).unwrap(), b"theirs");
    }

    #[test]
    fn an_atomic_write_replaces_the_file_and_leaves_no_temporary_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.towline.json");
        let disk = Disk::new();
        fs::write(directory.path().join("a.towline.json.tmp"), "the same beginning, left by a crash").unwrap();
        for (content, sync) in [("the same beginning, one", true), ("the same beginning, two", false)] {
            disk.write_atomic(&path, content.as_bytes(), sync).unwrap();
            assert_eq!(disk.read_small(&path, 100).unwrap(), content.as_bytes());
            assert_eq!(leftovers(directory.path()), ["a.towline.json"]);
        }
        disk.remove(&path).unwrap();
        disk.write_atomic(&path, b"three", true).unwrap();
        assert_eq!(mode_of(&path) & !PRIVATE_MODE, 0);
    }

    #[test]
    fn what_is_left_of_a_write_of_a_journal_goes_with_it_unless_it_is_somebody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.towline.json");
        let temporary = directory.path().join("a.towline.json.tmp");
        let disk = Disk::new();
        for (left, remaining) in [("the same beginning, le", &[][..]), ("", &[]), ("mine", &["a.towline.json.tmp"])] {
            fs::write(&path, "the same beginning, one").unwrap();
            fs::write(&temporary, left).unwrap();
            disk.remove(&path).unwrap();
            assert_eq!(leftovers(directory.path()), remaining, "{left:?}");
        }
    }

    #[test]
    fn an_atomic_write_that_fails_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        Disk::new().write_atomic(&path, b"content", true).unwrap_err();
        assert_eq!(leftovers(directory.path()), ["taken"]);
    }

    #[test]
    fn an_atomic_write_sets_aside_what_has_its_temporary_name_and_is_none_of_ours() {
        for is_link in [true, false] {
            let directory = tempfile::tempdir().unwrap();
            let (path, target) = (directory.path().join("a.towline.json"), directory.path().join("target"));
            let temporary = directory.path().join("a.towline.json.tmp");
            fs::write(&target, "theirs").unwrap();
            match is_link {
                true => symlink(&target, &temporary).unwrap(),
                false => fs::write(&temporary, "theirs").unwrap(),
            }
            Disk::new().write_atomic(&path, b"ours", true).unwrap();
            let names = ["a.towline.json", "a.towline.json.tmp.damaged-1", "target"];
            assert_eq!(leftovers(directory.path()), names);
            assert_eq!(fs::read(&target).unwrap(), b"theirs");
            assert_eq!(fs::read(directory.path().join(names[1])).unwrap(), b"theirs");
        }
    }

    #[test]
    fn a_small_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "12345").unwrap();
        let disk = Disk::new();
        assert_eq!(disk.read_small(&path, 5).unwrap(), b"12345");
        assert_eq!(disk.read_small(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(disk.read_small(directory.path(), 4).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn what_is_not_there_is_none_and_may_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let disk = Disk::new();
        assert_eq!(disk.stat(&path).unwrap(), None);
        disk.remove(&path).unwrap();
        fs::write(&path, "12345").unwrap();
        assert_eq!(disk.stat(&path.join("below a file")).unwrap(), None);
        let stat = disk.stat(&path).unwrap().unwrap();
        assert_eq!((stat.kind, stat.len_bytes), (StatKind::File, 5));
        assert_eq!(disk.stat(directory.path()).unwrap().unwrap().kind, StatKind::Directory);
    }

    #[test]
    fn free_room_is_asked_of_the_nearest_directory_that_exists() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new();
        assert!(disk.free_bytes(&directory.path().join("not/yet/there")).is_ok());
        assert!(disk.free_bytes(Path::new("not-yet-there-either")).is_ok());
        disk.sync_dir(directory.path()).unwrap();
        disk.sync_dir(Path::new("")).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_umask_is_read_as_an_octal_number() {
        assert_eq!(umask_in("Name:\tx\nUmask:\t0027\nState:\tR\n"), Some(0o027));
        assert_eq!(umask_in("Name:\tx\n"), None);
    }
}
