//! The accounts of services that the user has signed in to: one private file each. It holds what the service needs
//! to recognise the user, so that nobody else may read it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Advice, Error, ErrorKind, Result};
use crate::storage::disk::keep_private;

/// A longer file is none of ours.
const BYTES_MAX: u64 = 1 << 20;
const SUFFIX: &str = "json";
/// How often to look whether another process is done with an account.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// An account is removed after this time, whatever another process does with it.
const REMOVED_WITHIN: Duration = Duration::from_secs(5);

/// A directory of accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    dir: PathBuf,
}

impl Accounts {
    /// The accounts in this directory, which is created when the first one is kept.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// The names of the accounts, sorted.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] if the directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let read = match fs::read_dir(&self.dir) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::storage("read the accounts in", &self.dir, source)),
        };
        let name_of = |path: PathBuf| {
            let is_ours = path.extension().is_some_and(|suffix| suffix == SUFFIX);
            path.file_stem().filter(|_| is_ours).map(|name| name.to_string_lossy().into_owned())
        };
        let mut names: Vec<String> = read.flatten().filter_map(|found| name_of(found.path())).collect();
        names.sort();
        Ok(names)
    }

    /// What is kept of an account; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] if it cannot be read, or is not what was kept.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path(name);
        let cannot = |source: io::Error| Error::storage("read the account", &path, source);
        let mut options = OpenOptions::new();
        let file = match options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(cannot(error)),
        };
        let found = file.metadata().map_err(cannot)?;
        if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(Error::new(ErrorKind::Storage, "the account is not a file of yours").with_path(path));
        }
        // Somebody may have copied it without its mode.
        keep_private(&file).map_err(cannot)?;
        let mut text = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut text).map_err(cannot)?;
        let account = serde_json::from_slice(&text);
        // The parser's words may repeat what is in the file.
        account.map(Some).map_err(|_| {
            let error = Error::new(ErrorKind::Storage, "the account is damaged").with_path(path);
            error.with_advice(Advice::SignInToOneDrive)
        })
    }

    /// Waits until no other process changes this account. Whoever renews or keeps it holds this.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] if it cannot be locked, [`ErrorKind::Interrupted`] once `is_over`.
    pub(crate) fn lock(&self, name: &str, is_over: &dyn Fn() -> bool) -> Result<File> {
        let path = self.dir.join(format!(".{name}.lock"));
        let cannot = |source: io::Error| Error::storage("lock the account", &path, source);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(cannot)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(cannot)?;
        while !is_over() {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => thread::sleep(LOOK_EVERY),
                // Some file systems have no locks: two processes may renew at once there.
                Ok(()) | Err(_) => return Ok(file),
            }
        }
        Err(Error::new(ErrorKind::Interrupted, "interrupted while another process renewed the sign-in"))
    }

    /// Keeps an account, readable by its owner alone. The caller has locked it.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] if it cannot be written.
    pub(crate) fn write<T: Serialize>(&self, name: &str, account: &T) -> Result<()> {
        let path = self.path(name);
        let cannot = |source: io::Error| Error::storage("keep the account", &path, source);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(cannot)?;
        let text = serde_json::to_vec(account)
            .map_err(|source| Error::new(ErrorKind::Internal, "an account cannot be kept").with_source(source))?;
        let temporary = self.unfinished(name);
        let written = write_private(&temporary, &text).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.map_err(cannot)
    }

    /// Forgets an account. Returns whether there was one.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] if it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<bool> {
        let path = self.path(name);
        // Whoever renews the account now would keep it again.
        let began = Instant::now();
        let _held = self.lock(name, &|| began.elapsed() > REMOVED_WITHIN);
        // A process that was killed may have left one, with all its secrets.
        let _ = fs::remove_file(self.unfinished(name));
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(Error::storage("remove the account", &path, source)),
        }
    }

    fn unfinished(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.unfinished"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name).with_extension(SUFFIX)
    }
}

fn write_private(path: &Path, text: &[u8]) -> io::Result<()> {
    // What a killed process has left.
    let _ = fs::remove_file(path);
    let mut options = OpenOptions::new();
    let mut file: File = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_account_is_private_whatever_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let accounts = Accounts::in_dir(directory.path().join("towline/accounts"));
        assert_eq!(accounts.names().unwrap(), [""; 0]);
        assert_eq!(accounts.read::<String>("onedrive").unwrap(), None);
        accounts.write("onedrive", &"first").unwrap();
        let path = accounts.path("onedrive");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(accounts.read::<String>("onedrive").unwrap().as_deref(), Some("first"));
        assert_eq!(mode(), 0o600);
        accounts.write("onedrive", &"second").unwrap();
        assert_eq!(accounts.read::<String>("onedrive").unwrap().as_deref(), Some("second"));
        assert_eq!(accounts.names().unwrap(), ["onedrive"]);
        fs::write(&path, "{\"token\": SECRET").unwrap();
        let error = accounts.read::<String>("onedrive").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("SECRET"));
        assert!(accounts.remove("onedrive").unwrap() && !accounts.remove("onedrive").unwrap());
    }
}
