//! Locks on our files, so that two processes do not work on the same one. Every local file system has `flock`;
//! some network file systems and containers have only open file description locks (`fcntl`), which work the
//! same; a few have neither, and there a lock file separates the processes of one machine. A process uses one
//! kind: if one process has `flock` and another, in a container, does not, they do not exclude each other.

mod beside;
mod description;

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::retry_on_intr;

pub(crate) use self::description::has_range_locks;
use self::description::is_none;
use super::limits::{Limit, Limits};

/// The kind of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// Nobody else may hold one.
    Exclusive,
    /// Others may hold a shared one.
    Shared,
}

/// A held lock. It ends with the open file or, if it is a lock file, when this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Held(Option<beside::LockFile>);

impl Held {
    /// Releases the lock before the file is closed.
    pub(crate) fn release(&self, file: &File) {
        if self.0.is_none() && retry_on_intr(|| flock(file, FlockOperation::Unlock)).is_err() {
            // Closing the file releases it as well.
            let _ = description::unlock(file);
        }
    }
}

/// Locks the open file at `path`.
///
/// # Errors
/// `WouldBlock` if somebody else holds a conflicting lock; the message names the holder if known.
pub(crate) fn try_lock(file: &File, path: &Path, lock: Lock, limits: &Limits) -> io::Result<Held> {
    let operation = match lock {
        Lock::Exclusive => FlockOperation::NonBlockingLockExclusive,
        Lock::Shared => FlockOperation::NonBlockingLockShared,
    };
    let by_flock = || Ok(retry_on_intr(|| flock(file, operation))?);
    match by_flock().or_else(|error| {
        if is_none(&error) { description::try_lock(file, lock == Lock::Exclusive) } else { Err(error) }
    }) {
        Ok(()) => return Ok(Held(None)),
        Err(error) if !is_none(&error) => return Err(error),
        Err(_) => {}
    }
    limits.met(Limit::Locks, path);
    match lock {
        Lock::Exclusive => beside::take(path).map(|taken| Held(Some(taken))),
        Lock::Shared => beside::look(path).map(|()| Held(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_exclude_each_other_and_go_with_their_files() {
        let one = tempfile::NamedTempFile::new().unwrap();
        let other = File::options().read(true).write(true).open(one.path()).unwrap();
        let limits = Limits::default();
        let take = |file: &File, lock| try_lock(file, one.path(), lock, &limits);
        let _ours = take(one.as_file(), Lock::Shared).unwrap();
        let theirs = take(&other, Lock::Shared).unwrap();
        assert_eq!(take(one.as_file(), Lock::Exclusive).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        theirs.release(&other);
        let _ours = take(one.as_file(), Lock::Exclusive).unwrap();
        assert!(limits.take().is_empty());
    }
}
