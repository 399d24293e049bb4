//! How an entry is identified, and the key that keeps the ledger from revealing it.
//!
//! A URL may contain a secret that is short enough to guess (a six-digit code), so a plain hash would reveal it
//! to anybody who reads the ledger. Rows are found by a keyed hash, and the key lies beside the ledger,
//! readable only by its owner. Owns nothing but the key; runs on the feed thread.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::error::Error;
use crate::feed::paths::aside_name;
use crate::http::asker::Asker;
use crate::job::JobSpec;
use crate::secret::key_url;
use crate::storage::disk::limits::Limits;
use crate::storage::disk::{keep_private, sync};

/// The name of the key file in our directory.
pub(crate) const KEY_FILE: &str = "key";

const SECRET_BYTES: usize = 32;
const RANDOM: &str = "/dev/urandom";
/// No identity has this length, so this never equals the hash of one.
const CHECKED: &[u8] = b"towline: the key of a ledger";

/// The key of a row: a keyed hash of an [`Identity`].
pub(crate) type Key = [u8; 16];

/// How memory identifies an entry: a hash of its URL, without the parts that change, and of its output and its directory. Ledgers
/// of version 1 stored it as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(pub(crate) [u8; 16]);

impl Identity {
    /// The identity of the first occurrence of an entry.
    pub(crate) fn of(spec: &JobSpec, asker: &Asker) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key_url(&spec.url).as_bytes());
        hasher.update(&[0]);
        // Each user of a server has files of their own, and a share of Nextcloud is a user.
        if spec.listed.is_some() || !spec.url.username().is_empty() {
            hasher.update(spec.url.username().as_bytes());
            hasher.update(&[0]);
        }
        if let Some(output) = &spec.output {
            hasher.update(output.as_os_str().as_encoded_bytes());
        }
        if let Some(dir) = &spec.options.dir {
            hasher.update(&[0, 0, 0]).update(dir.as_os_str().as_encoded_bytes());
        }
        if let Some(asker) = asker.identify(spec).filter(|_| spec.listed.is_none()) {
            hasher.update(&[0, 0]).update(asker.as_bytes());
        }
        Self(first_bytes(&hasher.finalize()))
    }

    /// The identity of something with this name.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(first_bytes(&blake3::hash(text.as_bytes())))
    }

    /// The identity of its copy number `occurrence`.
    pub(crate) fn of_copy(self, occurrence: i64) -> Self {
        if occurrence == 0 {
            return self;
        }
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.0);
        bytes[16..].copy_from_slice(&occurrence.to_le_bytes());
        Self(first_bytes(&blake3::hash(&bytes)))
    }
}

/// The key of a directory's ledger.
pub(crate) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Reads the key in our directory, or creates one. An unusable key is kept under another name, with a
    /// warning.
    pub(crate) fn load(directory: &Path, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let path = directory.join(KEY_FILE);
        match read(&path).map_err(|source| Error::storage("read the key of the ledger", &path, source))? {
            Held::Secret(secret) => return Ok(Self(secret)),
            Held::Nothing => {}
            Held::Unusable => {
                let kept = aside_name(&path)?;
                fs::rename(&path, &kept)
                    .map_err(|source| Error::storage("move the unusable key of the ledger aside", &path, source))?;
                warnings.push(format!(
                    "the key of the ledger {} cannot be used: it is kept as {}, and a new one is made",
                    path.display(),
                    kept.display()
                ));
            }
        }
        make(directory, &path).map(Self).map_err(|source| Error::storage("make the key of the ledger", &path, source))
    }

    /// The key of this entry's row.
    pub(crate) fn key(&self, identity: Identity) -> Key {
        first_bytes(&blake3::keyed_hash(&self.0, &identity.0))
    }

    /// The value by which a ledger recognises its key.
    pub(crate) fn check(&self) -> Key {
        first_bytes(&blake3::keyed_hash(&self.0, CHECKED))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

enum Held {
    Secret([u8; SECRET_BYTES]),
    Nothing,
    /// Something else has this name.
    Unusable,
}

fn read(path: &Path) -> io::Result<Held> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Held::Nothing),
        // A symlink, somebody else's file, a socket. Other errors (too few descriptors) say nothing about the
        // key and must not make us lose it.
        Err(error) => match error.raw_os_error() {
            Some(libc::ELOOP | libc::EACCES | libc::EPERM | libc::ENXIO) => return Ok(Held::Unusable),
            _ => return Err(error),
        },
    };
    let found = file.metadata()?;
    // Another user who made it knows it. Where all files have one owner, the directory has the same.
    let ours = rustix::process::geteuid();
    let of_directory = fs::symlink_metadata(path.parent().unwrap_or(path))?.uid();
    let is_strange = !ours.is_root() && found.uid() != ours.as_raw() && found.uid() != of_directory;
    if !found.is_file() || found.len() != SECRET_BYTES as u64 || is_strange {
        return Ok(Held::Unusable);
    }
    keep_private(&file)?;
    let mut secret = [0; SECRET_BYTES];
    file.read_exact(&mut secret)?;
    Ok(Held::Secret(secret))
}

/// Synced before any row depends on it. The caller holds the directory's lock.
fn make(directory: &Path, path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    File::open(RANDOM)?.read_exact(&mut secret)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    file.write_all(&secret)?;
    // Failed syncs are reported for the files; if the key is lost, everything is checked again.
    let limits = Limits::default();
    sync::file(&file, path, &limits)?;
    sync::directory(directory, &limits)?;
    Ok(secret)
}

fn first_bytes(hash: &blake3::Hash) -> [u8; 16] {
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    first
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn spec(url: &str) -> JobSpec {
        JobSpec::new(url.parse().unwrap())
    }

    fn load(directory: &Path) -> (Secret, Vec<String>) {
        let mut warnings = Vec::new();
        let secret = Secret::load(directory, &mut warnings).unwrap();
        (secret, warnings)
    }

    #[test]
    fn the_user_the_output_and_the_secrets_that_are_no_signature_belong_to_the_identity() {
        let nobody = Asker::default();
        let plain = Identity::of(&spec("http://h/a"), &nobody);
        assert_eq!(plain, Identity::of(&spec("http://:pass@h/a#part"), &nobody));
        let mine = Identity::of(&spec("http://me:pass@h/a"), &nobody);
        assert_eq!(mine, Identity::of(&spec("http://me:other@h/a#part"), &nobody));
        assert_ne!(mine, Identity::of(&spec("http://you:pass@h/a"), &nobody));
        assert_ne!(mine, plain);
        assert_ne!(plain, Identity::of(&spec("http://h/a").output("b"), &nobody));
        assert_ne!(Identity::of(&spec("http://h/a?key=1"), &nobody), Identity::of(&spec("http://h/a?key=2"), &nobody));
        let mut elsewhere = spec("http://h/a");
        elsewhere.options.dir = Some("b".into());
        let elsewhere = Identity::of(&elsewhere, &nobody);
        assert!(elsewhere != plain && elsewhere != Identity::of(&spec("http://h/a").output("b"), &nobody));
        let mut with_key = spec("http://h/a");
        with_key.options.headers.push((http::HeaderName::from_static("x-key"), http::HeaderValue::from_static("1")));
        assert_ne!(Identity::of(&with_key, &nobody), plain);
        assert_ne!(plain, plain.of_copy(1));
        assert_eq!(plain, plain.of_copy(0));
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (first, warnings) = load(directory.path());
        assert!(warnings.is_empty());
        let path = directory.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (second, _) = load(directory.path());
        assert_eq!(first.check(), second.check());
        let elsewhere = tempfile::tempdir().unwrap();
        let (other, _) = load(elsewhere.path());
        let identity = Identity::of(&spec("http://h/a"), &Asker::default());
        assert_eq!(first.key(identity), second.key(identity));
        assert_ne!(first.key(identity), other.key(identity));
        assert!(!format!("{first:?}").contains(&format!("{:?}", first.0)));
    }

    #[test]
    fn what_is_no_key_is_kept_aside_and_a_new_one_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(KEY_FILE);
        fs::write(&path, b"short").unwrap();
        assert!(load(directory.path()).1[0].contains("cannot be used"));
        assert_eq!(fs::read(directory.path().join("key.damaged-1")).unwrap(), b"short");

        fs::remove_file(&path).unwrap();
        let target = directory.path().join("target");
        fs::write(&target, [7; SECRET_BYTES]).unwrap();
        symlink(&target, &path).unwrap();
        assert_eq!(load(directory.path()).1.len(), 1);
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&target).unwrap(), [7; SECRET_BYTES]);
    }
}
