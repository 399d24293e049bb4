//! Tells our files from others with the same names. A journal is ours if it can be read. Files of others are
//! never written to; they are moved to a free name beside it. Owns no state.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Advice, Error, ErrorKind, Result};
use crate::journal::{JOURNAL_BYTES_MAX, Journal, JournalError};
use crate::name::{aside_path, damaged_path, journal_path, old_journal_path, old_part_path, part_path};
use crate::storage::{PartFile, Stat, StatKind, Storage};

/// How many files may be set aside beside one file.
const ASIDE_MAX: u32 = 100;

/// What a journal file holds.
pub(super) enum Found {
    Nothing,
    Fits(Box<Journal>),
    Damaged(String),
}

pub(super) fn read_journal(storage: &dyn Storage, file: &Path) -> Result<Found> {
    let bytes = match storage.read_small(file, JOURNAL_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Vec::new(),
        Err(error) => return Err(Error::storage("read the journal", file, error)),
    };
    match Journal::decode(&bytes) {
        // Whoever wrote it could claim any bytes of any file.
        Ok(_) if is_of_another_user(storage, file) => Ok(Found::Damaged("it belongs to another user".to_owned())),
        Ok(journal) => Ok(Found::Fits(Box::new(journal))),
        Err(JournalError::Newer(version)) => {
            let text = format!("the journal was written by a newer towline (format {version})");
            Err(Error::new(ErrorKind::JournalVersion, text).with_path(file))
        }
        Err(JournalError::Damaged(why)) => Ok(Found::Damaged(why)),
    }
}

/// Whether a file has another owner than one that is made beside it would have.
pub(super) fn is_of_another_user(storage: &dyn Storage, file: &Path) -> bool {
    let stat = storage.stat(file).ok().flatten();
    let owner = storage.owner_of_new(directory_of(file)).ok();
    stat.zip(owner).is_some_and(|(stat, owner)| stat.owner != owner)
}

/// Makes sure that a journal can be written for the file at `path`. Returns the journal of ours that has the name, and
/// what was set aside because it is not ours.
pub(super) fn clear_journal_name(storage: &dyn Storage, path: &Path) -> Result<(Option<Box<Journal>>, Option<String>)> {
    clear(storage, &journal_path(path))
}

fn clear(storage: &dyn Storage, file: &Path) -> Result<(Option<Box<Journal>>, Option<String>)> {
    let Some(stat) = stat(storage, file)? else { return Ok((None, None)) };
    if stat.kind == StatKind::File
        && let Found::Fits(journal) = read_journal(storage, file)?
    {
        return Ok((Some(journal), None));
    }
    let kept = set_aside(storage, file, damaged_path)?;
    let text = format!("{} is no journal of ours, and is kept as {}", file.display(), kept.display());
    Ok((None, Some(text)))
}

/// Rewrites a journal with the identity of the file that was opened after it, so that any other file with that
/// name is not taken for ours.
pub(super) fn write_identity(
    storage: &dyn Storage,
    path: &Path,
    journal: &Journal,
    part: &dyn PartFile,
) -> io::Result<()> {
    match part.stat()?.file {
        Some(file) => {
            let journal = Journal { file: Some(file), ..journal.clone() };
            storage.write_atomic(&journal_path(path), &journal.encode(), false)
        }
        None => Ok(()),
    }
}

/// Keeps the partial file of an old version until the new one is complete. Of several versions it keeps the
/// first; those in between were not finished either. `held` is what we have open, if it still has the name. Returns what
/// was set aside because it is not ours.
pub(super) fn keep_old(storage: &dyn Storage, path: &Path, held: Option<&Stat>) -> Result<Option<String>> {
    let (part, journal) = (old_part_path(path), old_journal_path(path));
    let (is_ours, mut told) = clear(storage, &journal)?;
    let has_part = stat(storage, &part)?;
    if is_ours.is_some() && has_part.is_some_and(|stat| stat.kind == StatKind::File) {
        return Ok(told);
    }
    if has_part.is_some() {
        let kept = set_aside(storage, &part, aside_path)?;
        told = Some(format!("{} is none of ours, and is kept as {}", part.display(), kept.display()));
    }
    let rename = |from: &Path, to: &Path| {
        storage.rename(from, to, true).map_err(|source| Error::storage("rename", from, source))
    };
    if let Some(held) = held {
        name_its_file(storage, path, held)?;
    }
    rename(&part_path(path), &part)?;
    rename(&journal_path(path), &journal)?;
    Ok(told)
}

/// A journal that was copied with its partial file names the other one, and would not be removed with this one.
fn name_its_file(storage: &dyn Storage, path: &Path, held: &Stat) -> Result<()> {
    let name = journal_path(path);
    let Ok(Found::Fits(journal)) = read_journal(storage, &name) else { return Ok(()) };
    if journal.file.zip(held.file).is_none_or(|(named, held)| named.is_same(&held)) {
        return Ok(());
    }
    let journal = Journal { file: held.file, ..*journal };
    let written = storage.write_atomic(&name, &journal.encode(), true);
    written.map_err(|source| Error::storage("write the journal", path, source))
}

/// Why a file under the partial name is set aside instead of emptied: it appeared after we looked, and is neither the one
/// that was open until now nor the one that the journal names; or somebody has given it another name meanwhile.
pub(super) fn why_not_emptied(stat: &Stat, was_open: bool, journal: Option<&Journal>) -> Option<&'static str> {
    // Earlier builds named no file, and some file systems have no inode numbers.
    let names = |journal: &Journal| journal.file.zip(stat.file).is_none_or(|(held, found)| held.is_same(&found));
    match () {
        () if !was_open && journal.is_none() => Some("has no journal"),
        () if !was_open && !journal.is_some_and(names) => Some("is not the file that its journal names"),
        () if stat.links > 1 => Some("has another name as well (a hard link)"),
        () => None,
    }
}

/// Fails if this journal, found where nothing was before, claims something: another process has begun the file, and
/// whoever looks again goes on with that.
pub(super) fn check_unclaimed(part: &Path, journal: Option<&Journal>) -> Result<()> {
    match journal.is_some_and(|journal| !journal.done.is_empty()) {
        true => {
            let text = "another process has begun this file meanwhile, and what it has left stays";
            Err(Error::new(ErrorKind::Locked, text).with_path(part).with_advice(Advice::RunAgain))
        }
        false => Ok(()),
    }
}

/// Empties a file that was opened and locked under a partial name. `found` is what had the name before: ours, or
/// nothing. Another file, which has taken the name since, is left as it is.
pub(super) fn empty(part: &dyn PartFile, found: Option<&Stat>) -> io::Result<()> {
    let stat = part.stat()?;
    let is_it =
        found.is_some_and(|found| found.file.zip(stat.file).is_none_or(|(found, opened)| found.is_same(&opened)));
    // Nobody misses an empty file.
    if !is_it && stat.len_bytes > 0 {
        return Err(io::Error::other("another program has put a file there meanwhile"));
    }
    part.keep_private()?;
    part.set_len(0)
}

/// Empties a partial file that begins anew, which makes room at once, whoever still has it open, and takes its name away: a
/// copy of its journal must not fit what comes now. Returns whether the name is free.
pub(super) fn make_way(
    storage: &dyn Storage,
    name: &Path,
    part: &dyn PartFile,
    found: Option<&Stat>,
) -> io::Result<bool> {
    empty(part, found)?;
    Ok(part.is_at(name).unwrap_or(false) && storage.remove(name).is_ok())
}

/// Removes a journal whose file could not be created, if nothing has that name.
pub(super) fn drop_orphan(storage: &dyn Storage, path: &Path) {
    if matches!(storage.stat(&part_path(path)), Ok(None)) {
        storage.remove(&journal_path(path)).ok();
    }
}

/// Why a journal cannot be written. That happens before its file is locked, so another process that does the same may take
/// ours away.
pub(super) fn not_written(storage: &dyn Storage, what: &str, path: &Path, source: io::Error) -> Error {
    // A directory that was removed while somebody is in it has no name left.
    let is_there = storage.stat(directory_of(path)).is_ok_and(|stat| stat.is_some_and(|stat| stat.links > 0));
    match source.kind() {
        io::ErrorKind::NotFound if is_there => Error::locked("another process is fetching this file", path, source),
        _ => Error::storage(what, path, source),
    }
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn stat(storage: &dyn Storage, file: &Path) -> Result<Option<Stat>> {
    storage.stat(file).map_err(|source| Error::storage("look at it", file, source))
}

/// Moves a file that is not ours to a free name beside it.
pub(super) fn set_aside(storage: &dyn Storage, file: &Path, named: fn(&Path, u32) -> PathBuf) -> Result<PathBuf> {
    set_aside_as(storage, file, |number| named(file, number))
}

/// Like `set_aside`, with a free choice of name for each number. Syncs the directory: a file of ours gets the name
/// next, and a power cut that loses only the first of the two steps would lose the other file.
pub(super) fn set_aside_as(storage: &dyn Storage, file: &Path, named: impl Fn(u32) -> PathBuf) -> Result<PathBuf> {
    for number in 1..=ASIDE_MAX {
        let mut aside = named(number);
        let mut renamed = storage.rename(file, &aside, false);
        if renamed.as_ref().is_err_and(|error| error.raw_os_error() == Some(libc::ENAMETOOLONG)) {
            aside = file.with_file_name(format!("towline-aside-{number}"));
            renamed = storage.rename(file, &aside, false);
        }
        match renamed {
            Ok(()) => {
                let synced = storage.sync_dir(directory_of(file));
                return synced.map(|()| aside).map_err(|error| Error::storage("sync the directory of", file, error));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::storage("set aside", file, error)),
        }
    }
    let text = format!("it is in the way, and {ASIDE_MAX} others were set aside before");
    Err(Error::new(ErrorKind::Storage, text).with_path(file))
}

/// Why a partial file that was there a moment ago cannot be opened: somebody may have finished it, or taken it away.
pub(crate) fn not_opened(part: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::NotFound => {
            Error::locked("another process is fetching this file", part, source)
        }
        _ => Error::storage("write", part, source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::Disk;

    #[test]
    fn a_copied_journal_names_what_is_held_and_no_file_of_others() {
        let place = tempfile::tempdir().unwrap();
        let (disk, path) = (Disk::new(), place.path().join("a"));
        std::fs::write(part_path(&path), "ours").unwrap();
        let held = disk.stat(&part_path(&path)).unwrap().unwrap();
        let elsewhere = disk.stat(place.path()).unwrap().unwrap().file;
        for (held, named) in [(None, elsewhere), (Some(&held), held.file)] {
            let journal = Journal { file: elsewhere, ..Journal::of_nothing() };
            disk.write_atomic(&journal_path(&path), &journal.encode(), false).unwrap();
            keep_old(&disk, &path, held).unwrap();
            let Ok(Found::Fits(kept)) = read_journal(&disk, &old_journal_path(&path)) else { panic!("no journal") };
            assert_eq!(kept.file, named);
            std::fs::rename(old_part_path(&path), part_path(&path)).unwrap();
            std::fs::remove_file(old_journal_path(&path)).unwrap();
        }
    }
}
