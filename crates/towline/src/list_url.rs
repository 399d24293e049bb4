//! Fetches a list that has a URL, before the files in it: as safely as any file, and kept nowhere. What a run leaves that a
//! signal ends meanwhile, the next one removes.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use tempfile::TempDir;

use towline_engine::feed::ListSource;
use towline_engine::options::{Durability, HttpOptions};
use towline_engine::{JobSpec, Options, Session};
use url::Url;

use crate::advice;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::screen::summary;

/// A list that is longer is a mistake.
const LIST_BYTES_MAX: u64 = 1 << 30;
const NAME: &str = "list";
const PREFIX: &str = "towline-list-";
/// What a run may leave there.
const OURS: [&str; 4] = [NAME, "list.towline", "list.towline.json", "list.towline.json.tmp"];
/// A directory that is younger may be one that its run has not locked yet.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// Fetches the list.
///
/// # Errors
/// What kept it from being fetched; nothing else was started.
pub(crate) fn fetch(url: Url, http: &HttpOptions) -> Result<ListSource, Complaint> {
    let cannot = |error| Complaint::machine(format!("cannot keep the list: {error}"));
    let (place, _lock) = place(&std::env::temp_dir()).map_err(cannot)?;
    let mut options = Options::default();
    options.dir = place.path().to_owned();
    options.http = http.clone();
    options.durability = Durability::Process;
    options.max_size_bytes = Some(LIST_BYTES_MAX);
    let session = Session::builder(options).build()?;
    let handle = session.handle();
    handle.add(JobSpec::new(url).output(NAME))?;
    handle.close();
    let ended = session.run()?.summary;
    if let Some(failure) = ended.failures.first() {
        let code = exit_codes::from_summary(&ended.failure_kinds);
        let what = summary::failure_line(&failure.url, &failure.error);
        let complaint = Complaint::new(code, format!("cannot fetch the list: {what}"));
        return Err(match failure.error.advice {
            Some(advice) => complaint.hint(advice::words(advice)),
            None => complaint,
        });
    }
    let list = File::open(place.path().join(NAME)).map_err(cannot)?;
    Ok(ListSource::Reader(Box::new(list)))
}

/// A directory for the list, for its owner alone, which is locked while the run lasts.
fn place(parent: &Path) -> io::Result<(TempDir, File)> {
    remove_stale(parent);
    let dir = tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
    let lock = File::open(dir.path())?;
    // Where there are no locks, nobody else can lock it either, and nothing is removed.
    let _ = flock(&lock, FlockOperation::NonBlockingLockExclusive);
    Ok((dir, lock))
}

/// Removes what runs have left that ended without doing so. What may be somebody else's stays, and so does what cannot be
/// removed.
fn remove_stale(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_called_so = entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes());
        let is_stale = is_called_so
            && entry.metadata().is_ok_and(|found| {
                let is_old = found.modified().is_ok_and(|at| at + STALE_AFTER <= SystemTime::now());
                let is_private = found.mode() & 0o7777 == 0o700 && found.uid() == geteuid().as_raw();
                found.is_dir() && is_private && is_old
            });
        let Some(lock) = File::open(entry.path()).ok().filter(|_| is_stale) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() || !holds_our_files_alone(&entry.path()) {
            continue;
        }
        for name in OURS {
            let _ = fs::remove_file(entry.path().join(name));
        }
        // Fails if something else has come meanwhile.
        let _ = fs::remove_dir(entry.path());
    }
}

fn holds_our_files_alone(dir: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(dir) else { return false };
    entries.all(|entry| entry.is_ok_and(|entry| OURS.iter().any(|name| entry.file_name() == *name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_has_left_is_removed_by_the_next_one_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - 2 * STALE_AFTER;
        let make = |name: &str, is_old: bool, file: &str| {
            let path = parent.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
            fs::write(path.join("list.towline"), "https://h/?token=SECRET").unwrap();
            fs::write(path.join(file), "").unwrap();
            if is_old {
                File::open(&path).unwrap().set_modified(old).unwrap();
            }
            path
        };
        let stale = make("towline-list-1", true, "list");
        let kept = [("towline-list-2", false, "list"), ("towline-list-3", true, "thesis"), ("other", true, "list")]
            .map(|(name, is_old, file)| make(name, is_old, file));
        let (running, lock) = place(parent.path()).unwrap();
        File::open(running.path()).unwrap().set_modified(old).unwrap();
        assert!(!stale.exists() && kept.iter().all(|path| path.join("list.towline").exists()));
        assert_eq!(fs::metadata(running.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let again = place(parent.path()).unwrap();
        assert!(running.path().exists(), "it is locked");
        drop((lock, again));
        remove_stale(parent.path());
        assert!(!running.path().exists());
    }
}
