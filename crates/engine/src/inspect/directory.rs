//! Reads a directory's ledger and journals.

use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, ErrorKind, Result};
use crate::feed::{LedgerStatus, ledger_status};
use crate::journal::{JOURNAL_BYTES_MAX, glance};
use crate::secret::printable;

/// The suffixes of current journals and of those from earlier builds.
const JOURNAL_ENDS: [&str; 2] = [".towline.json", ".part.json"];

/// The state of the downloads in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DirectoryStatus {
    /// The state of its list, from the ledger, if there is one.
    pub ledger: Option<LedgerStatus>,
    /// The incomplete files, by name.
    pub files: Vec<Partial>,
}

/// An incomplete file, as described by its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Partial {
    /// Its name, made printable.
    pub name: String,
    /// Bytes on disk.
    pub done_bytes: u64,
    /// Its length, if known.
    pub total_bytes: Option<u64>,
}

/// Reads the state of the downloads in `dir`.
///
/// # Errors
/// [`ErrorKind::Usage`] if the directory does not exist, [`ErrorKind::Storage`] if it or its ledger cannot be
/// read, [`ErrorKind::JournalVersion`] if a newer version wrote the ledger.
pub fn directory(dir: &Path) -> Result<DirectoryStatus> {
    if !dir.is_dir() {
        let text = format!("there is no directory {}", printable(&dir.to_string_lossy()));
        return Err(Error::new(ErrorKind::Usage, text));
    }
    let ledger = ledger_status(dir)?;
    let files = partials(dir).map_err(|source| Error::storage("read the directory", dir, source))?;
    Ok(DirectoryStatus { ledger, files })
}

/// Reads the journal at `path`; `None` if it is missing or unintelligible. Damage is tolerated: it matters only
/// for a resume.
pub fn partial(path: &Path) -> Option<Partial> {
    let name = path.file_name()?.to_string_lossy();
    let name = JOURNAL_ENDS.into_iter().find_map(|end| name.strip_suffix(end)).filter(|name| !name.is_empty())?;
    let metadata = fs::symlink_metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > JOURNAL_BYTES_MAX {
        return None;
    }
    let (done_bytes, total_bytes) = glance(&fs::read(path).ok()?)?;
    Some(Partial { name: printable(name).into_owned(), done_bytes, total_bytes })
}

fn partials(dir: &Path) -> io::Result<Vec<Partial>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        found.extend(partial(&path));
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journals_are_read_with_goodwill() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"format":"towline-journal","version":1,"crc32":"0","body":{"generation":3,
            "identity":{"url":"http://h/a","total_bytes":1000},"done":[[0,100],[500,900]],"more":true}}"#;
        for name in ["a.iso.towline.json", "of-before.part.json", "c.json", ".towline.json", "d.towline.old.json"] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        fs::write(dir.path().join("b.towline.json"), "no journal").unwrap();
        let found = partials(dir.path()).unwrap();
        let half = |name: &str| Partial { name: name.to_owned(), done_bytes: 500, total_bytes: Some(1000) };
        assert_eq!(found, [half("a.iso"), half("of-before")]);
    }

    #[test]
    fn a_directory_that_is_none_is_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(directory(&dir.path().join("none")).unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(directory(dir.path()).unwrap(), DirectoryStatus { ledger: None, files: Vec::new() });
    }
}
