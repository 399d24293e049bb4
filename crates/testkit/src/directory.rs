//! Lists directories that another process may be changing: the names in one, and all paths below it.
//! A missing directory counts as empty.

use std::fs;
use std::path::{Path, PathBuf};

/// The names in a directory, sorted; none if there is no such directory.
///
/// # Panics
/// If an entry cannot be read.
#[must_use]
pub fn leftovers(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// All paths below a directory, including directories. Symlinks are not followed, and what disappears
/// meanwhile is left out.
#[must_use]
pub fn below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}
