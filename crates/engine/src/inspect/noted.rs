//! Files that have the engine's note on them, and whether they are still as it says.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::checksum::Checksum;
use crate::error::{Error, Result};
use crate::feed::Condition;
use crate::http::digest::ServerDigest;
use crate::message::{Existing, Note};
use crate::storage::disk::Disk;
use crate::storage::{StatKind, Storage as _};

/// The names of the regular files in `dir` that have a note, sorted.
///
/// # Errors
/// If the directory cannot be read.
pub fn noted_files(dir: &Path) -> Result<Vec<std::ffi::OsString>> {
    let cannot = |source: io::Error| Error::storage("read the directory", dir, source);
    let disk = Disk::new();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        if disk.note(&entry.path()).is_some() {
            found.push(entry.file_name());
        }
    }
    found.sort();
    Ok(found)
}

/// Compares the file at `path` with its note; a file whose server told a digest is read. `None` if it has no note that
/// tells anything.
///
/// # Errors
/// If it cannot be read.
pub fn noted(path: &Path) -> Result<Option<Condition>> {
    let disk = Disk::new();
    let cannot = |source: io::Error| Error::storage("read", path, source);
    let Some(stat) = disk.stat(path).map_err(cannot)? else { return Ok(Some(Condition::Missing)) };
    let note = disk.note(path).filter(|_| stat.kind == StatKind::File);
    let Some(note) = note.and_then(|note| serde_json::from_slice::<Note>(&note).ok()) else { return Ok(None) };
    if note.file.is_some_and(|(len_bytes, _)| len_bytes != stat.len_bytes) {
        return Ok(Some(Condition::Changed));
    }
    let checked = note.checked.as_ref().and_then(|text| text.parse::<Checksum>().ok());
    if let Some(digest) = checked.as_ref().or(note.evidence.digest.as_ref().map(ServerDigest::checksum)) {
        let is_right = File::open(path).and_then(|mut file| digest.is_of(&mut file)).map_err(cannot)?;
        return Ok(Some(if is_right { Condition::Right } else { Condition::Changed }));
    }
    let existing = Existing { stat, note: None };
    Ok(note.file.map(|noted| if existing.has(noted) { Condition::Unchanged } else { Condition::Touched }))
}
