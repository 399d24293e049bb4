//! The finished files of a batch, as its ledger records them, and whether they are still as they were.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows};

use crate::checksum::Checksum;
use crate::error::{Error, Result};
use crate::feed::paths::DIRECTORY;
use crate::feed::values::{is_same_time, path_from, path_value};
use crate::feed::{reading, strangers};
use crate::storage::disk::Disk;
use crate::storage::{StatKind, Storage as _};

/// How many rows to read at once.
const ROWS: i64 = 1000;
const DONE_AT: &str = "SELECT id, path, len_bytes, modified_ns, digest FROM entry
    WHERE state = 'done' AND path = ?1 ORDER BY id DESC LIMIT 1";
const DONE: &str = "SELECT id, path, len_bytes, modified_ns, digest FROM entry
    WHERE state = 'done' AND id > ?1 ORDER BY id LIMIT ?2";

/// A finished file in a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Its path, relative to the batch's directory if it is inside it.
    pub path: PathBuf,
    /// Its length, in bytes.
    pub len_bytes: u64,
    /// Its modification time, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// The digest that was checked.
    pub digest: Option<Checksum>,
}

/// How a file is now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// It has the recorded digest.
    Right,
    /// No digest is recorded; its length and its time are those that it had.
    Unchanged,
    /// No digest is recorded, and its time has changed; its length is the same.
    Touched,
    /// It has another length, or another digest.
    Changed,
    /// It is not there.
    Missing,
}

impl Recorded {
    /// Compares the file in the batch's directory `dir`; a file with a digest is read.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn condition(&self, dir: &Path) -> Result<Condition> {
        let path = dir.join(&self.path);
        let cannot = |source: io::Error| Error::storage("read", &path, source);
        let Some(stat) = Disk::new().stat(&path).map_err(cannot)? else { return Ok(Condition::Missing) };
        if stat.kind != StatKind::File || stat.len_bytes != self.len_bytes {
            return Ok(Condition::Changed);
        }
        let Some(digest) = &self.digest else {
            let is_same = is_same_time(self.modified_ns, &stat);
            return Ok(if is_same { Condition::Unchanged } else { Condition::Touched });
        };
        let is_right = Disk::new().open_read(&path).and_then(|mut file| digest.is_of(&mut file)).map_err(cannot)?;
        Ok(if is_right { Condition::Right } else { Condition::Changed })
    }
}

/// Up to a thousand finished files of the batch in directory `dir`, in the order of its list, after the row `after` (0
/// for the first ones); with the last row. `None` if there is no ledger.
///
/// # Errors
/// Those of [`ledger_status`](super::ledger_status).
pub fn ledger_files(dir: &Path, after: i64) -> Result<Option<(Vec<Recorded>, i64)>> {
    let read = reading::read(dir, |conn| rows(conn, after))?;
    Ok(read.map(|(rows, _)| rows))
}

/// What the ledger of a directory above a file records of it. Of several ledgers the nearest counts that can be read;
/// those of other users do not count.
///
/// # Errors
/// Those of [`ledger_status`](super::ledger_status), if no ledger that can be read knows the file.
pub fn ledger_file(path: &Path) -> Result<Option<(PathBuf, Recorded)>> {
    let Some(name) = path.file_name() else { return Ok(None) };
    let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let Ok(parent) = parent.canonicalize() else { return Ok(None) };
    let mut unread = None;
    for dir in parent.ancestors().filter(|dir| is_trusted(&dir.join(DIRECTORY))) {
        let Ok(below) = parent.strip_prefix(dir) else { continue };
        let name = path_value(&below.join(name));
        match reading::read(dir, |conn| read_rows(conn.prepare(DONE_AT)?.query([&name])?, 0)) {
            Ok(read) => {
                if let Some(file) = read.and_then(|((mut files, _), _)| files.pop()) {
                    return Ok(Some((dir.to_owned(), file)));
                }
            }
            Err(error) => unread = unread.or(Some(error)),
        }
    }
    unread.map_or(Ok(None), Err)
}

/// Whether nobody else could have written what is in a directory of ours.
fn is_trusted(directory: &Path) -> bool {
    let found = fs::symlink_metadata(directory);
    found.is_ok_and(|found| found.is_dir() && strangers::check_owner(directory, &found).is_ok())
}

fn rows(conn: &Connection, after: i64) -> rusqlite::Result<(Vec<Recorded>, i64)> {
    read_rows(conn.prepare(DONE)?.query([after, ROWS])?, after)
}

/// The files of these rows, and the last row; `after` if there is none.
fn read_rows(mut found: Rows<'_>, after: i64) -> rusqlite::Result<(Vec<Recorded>, i64)> {
    let (mut files, mut last) = (Vec::new(), after);
    while let Some(row) = found.next()? {
        last = row.get(0)?;
        // Values of a type that we never write are no record.
        let Some(path) = path_from(row.get_ref(1)?) else { continue };
        let (ValueRef::Integer(len_bytes), ValueRef::Integer(modified_ns)) = (row.get_ref(2)?, row.get_ref(3)?) else {
            continue;
        };
        let digest = match row.get_ref(4)? {
            ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        files.push(Recorded { path, len_bytes: len_bytes.unsigned_abs(), modified_ns, digest });
    }
    Ok((files, last))
}
