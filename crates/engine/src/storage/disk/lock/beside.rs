//! A lock file beside the file that it protects, for file systems without locks. It names its holder: machine,
//! boot, process namespace, process, and when that process started. A lock whose process is known to be gone is
//! taken over. If that cannot be known (another machine, another container), the lock counts as held, and the
//! error says which file to remove. No state except the file; it is removed with its [`LockFile`].
//!
//! Two processes that take over the same dead lock at the same moment may, rarely, both believe that they hold
//! it: without real locks, nothing prevents that.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::super::rename::rename_new;

/// The suffix of lock files.
const SUFFIX: &str = ".lock";
/// The most bytes to read of a lock file.
const BYTES_MAX: u64 = 1024;
/// How often to retry creating a lock file after removing dead ones.
const TRIES_MAX: u32 = 3;

/// A lock file of this process.
#[derive(Debug)]
pub(super) struct LockFile(PathBuf);

impl Drop for LockFile {
    fn drop(&mut self) {
        // If it stays, it can be taken over once this process has ended.
        if read(&self.0).is_ok_and(|holder| holder == Holder::this()) {
            let _ = fs::remove_file(&self.0);
        }
    }
}

/// Creates the lock file of `path`; `WouldBlock` if somebody holds it.
pub(super) fn take(path: &Path) -> io::Result<LockFile> {
    let name = name_of(path);
    for _ in 0..TRIES_MAX {
        match make(&name) {
            Ok(()) => return Ok(LockFile(name)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => remove_dead(&name)?,
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::WouldBlock.into())
}

/// The file gets its name only after it is written: an empty one, left by a kill, would name nobody.
fn make(name: &Path) -> io::Result<()> {
    // An unused name that is short enough to fit.
    let unfinished = name.with_file_name(format!(".towline-{:016x}", fastrand::u64(..)));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let written = options.open(&unfinished).and_then(|mut file| file.write_all(Holder::this().to_text().as_bytes()));
    let made = written.and_then(|()| rename_new(&unfinished, name));
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made
}

/// Checks that nobody holds the lock file of `path`; `WouldBlock` otherwise.
pub(super) fn look(path: &Path) -> io::Result<()> {
    let name = name_of(path);
    match read(&name) {
        Ok(holder) if holder.is_dead() => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(holder) => Err(held_by(&holder, &name)),
        Err(error) => Err(error),
    }
}

fn remove_dead(name: &Path) -> io::Result<()> {
    let holder = match read(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !holder.is_dead() {
        return Err(held_by(&holder, name));
    }
    match fs::remove_file(name) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn held_by(holder: &Holder, name: &Path) -> io::Error {
    let who = match holder.process.is_empty() {
        true => "its holder is not named".to_owned(),
        false if holder.machine.is_empty() => format!("process {}", holder.process),
        false => format!("process {} of {}", holder.process, holder.machine),
    };
    let text = format!("{who}; if that has ended, remove {}", name.display());
    io::Error::new(ErrorKind::WouldBlock, text)
}

fn name_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(SUFFIX));
    PathBuf::from(name)
}

fn read(name: &Path) -> io::Result<Holder> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut text = Vec::new();
    options.open(name)?.take(BYTES_MAX).read_to_end(&mut text)?;
    Ok(Holder::from_text(&String::from_utf8_lossy(&text)))
}

/// The holder of a lock file. Unknown fields are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Holder {
    machine: String,
    boot: String,
    processes: String,
    process: String,
    began: String,
}

impl Holder {
    fn this() -> Self {
        let first = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let process = std::process::id().to_string();
        Self {
            machine: match first("/etc/machine-id") {
                id if id.is_empty() => id,
                id => format!("{}/{id}", rustix::system::uname().nodename().to_string_lossy()),
            },
            boot: first("/proc/sys/kernel/random/boot_id"),
            processes: fs::read_link("/proc/self/ns/pid")
                .map_or_else(|_| String::new(), |link| link.to_string_lossy().into_owned()),
            began: began(&process),
            process,
        }
    }

    fn to_text(&self) -> String {
        [&self.machine, &self.boot, &self.processes, &self.process, &self.began]
            .map(|field| format!("{field}\n"))
            .concat()
    }

    fn from_text(text: &str) -> Self {
        // A line truncated by a kill is ignored.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines();
        let mut next = || crate::secret::printable(lines.next().unwrap_or_default()).into_owned();
        Self { machine: next(), boot: next(), processes: next(), process: next(), began: next() }
    }

    /// Whether the process is known to have ended.
    fn is_dead(&self) -> bool {
        let this = Self::this();
        let is_known = |field: &str, ours: &str| !field.is_empty() && field == ours;
        if self.boot.is_empty() || this.boot.is_empty() {
            return false;
        }
        if self.boot != this.boot {
            // It ended with the earlier boot, if the machine is this one; a hostname alone does not identify
            // it.
            return is_known(&self.machine, &this.machine);
        }
        is_known(&self.processes, &this.processes) && !self.began.is_empty() && began(&self.process) != self.began
    }
}

/// When a process started, in ticks since boot; empty if it does not exist.
fn began(process: &str) -> String {
    if process.is_empty() || !process.bytes().all(|byte| byte.is_ascii_digit()) {
        return String::new();
    }
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name may contain anything; the third field follows it, and this one is the twenty-second.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().nth(19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.towline");
        (directory, path)
    }

    #[test]
    fn it_excludes_others_and_goes_when_it_is_dropped() {
        let (directory, path) = place();
        look(&path).unwrap();
        let taken = take(&path).unwrap();
        let refused = take(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WouldBlock);
        assert!(refused.to_string().contains("a.towline.lock"), "{refused}");
        assert_eq!(look(&path).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(taken);
        look(&path).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn that_of_a_process_which_has_ended_is_taken_over_and_no_other() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = child.id().to_string();
        child.wait().unwrap();
        let this = Holder::this();
        let of = |change: &dyn Fn(&mut Holder)| {
            let mut holder = this.clone();
            change(&mut holder);
            holder
        };
        let cases = [
            ("ended", of(&|holder| holder.process = gone.clone()), true),
            ("another with its number", of(&|holder| holder.began = "1".to_owned()), true),
            ("before the machine began anew", of(&|holder| holder.boot = "another".to_owned()), true),
            ("lives", this.clone(), false),
            ("another machine", of(&|holder| holder.machine = "another".to_owned()), false),
            ("another container", of(&|holder| holder.processes = "another".to_owned()), false),
            ("names nobody", Holder::default(), false),
        ];
        for (what, holder, is_taken) in cases {
            let (_directory, path) = place();
            fs::write(name_of(&path), holder.to_text()).unwrap();
            assert_eq!(look(&path).is_ok(), is_taken, "{what}");
            assert_eq!(take(&path).is_ok(), is_taken, "{what}");
        }
    }

    #[test]
    fn a_text_that_was_cut_off_proves_nothing() {
        let (_directory, path) = place();
        let text = Holder::this().to_text();
        for length in 0..text.len() {
            fs::write(name_of(&path), &text[..length]).unwrap();
            assert_eq!(take(&path).unwrap_err().kind(), ErrorKind::WouldBlock, "{length}");
        }
    }
}
