//! What directories held when a file of theirs was first looked at. Most files of a list are new, and a directory that
//! was listed once need not be asked for each of them. Owned by the opener, on its thread.
//!
//! A listing ages: another program may have made a file since. So what it does not have is only *presumed* to be
//! missing, which suffices for a file that gets its name in one step that fails if the name is taken. Anything else,
//! and whoever meets a name that is taken after all, looks again.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ours::{self, Found};
use crate::evidence::Given;
use crate::name::safe::fold_key;
use crate::name::{JOURNAL_SUFFIX, LEFTOVER_SUFFIXES, journal_path, part_path};
use crate::storage::Storage;

/// The most directories to remember.
const DIRECTORIES_MAX: usize = 4096;
/// The most names to remember. Those of a directory for which there is no more room are looked for one by one.
const NAMES_MAX: usize = 1 << 16;

/// The most partial files of one directory to remember. With more, leftovers are looked for one by one.
const PARTS_MAX: usize = 4096;
/// The most journals to read in one directory, to see which URLs were begun there.
const JOURNALS_MAX: usize = 1024;
/// The most names to look through for them.
const LISTED_MAX: usize = 1 << 18;

/// The directories that were looked at.
pub(crate) struct Directories {
    storage: Arc<dyn Storage>,
    known: RefCell<HashMap<PathBuf, Listing>>,
    /// The URLs that earlier runs have begun in a directory, and the names that they gave the files.
    begun: RefCell<HashMap<PathBuf, Vec<(Given, OsString)>>>,
    /// How many more names may be remembered.
    room: Cell<usize>,
}

/// What is known about one of them.
struct Listing {
    /// Whether it may hold leftovers of an earlier run under other names.
    may_have_leftovers: bool,
    /// Its names, as hashes; `None` if nobody knows them all.
    names: Option<HashSet<u64>>,
    /// Files that had a partial file in this run: an old version may be left beside each.
    parts: HashSet<u64>,
}

impl Directories {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, known: RefCell::default(), begun: RefCell::default(), room: Cell::new(NAMES_MAX) }
    }

    /// Whether leftovers of an earlier run may be beside this file.
    pub(super) fn may_have_leftovers(&self, path: &Path) -> bool {
        self.with_listing(path, |listing| listing.may_have_leftovers || listing.parts.contains(&hash(path)))
    }

    /// Whether neither the file nor a partial file of it nor any leftover was there.
    pub(super) fn is_presumably_new(&self, path: &Path) -> bool {
        self.with_listing(path, |listing| {
            let has = |names: &HashSet<u64>, path: &Path| names.contains(&hash(path));
            let is_new = |names: &HashSet<u64>| !has(names, path) && !has(names, &part_path(path));
            !listing.may_have_leftovers && listing.names.as_ref().is_some_and(is_new)
        })
    }

    /// The name under which an earlier run has begun this URL in the directory of `path`, unless it is that of `path`. Of
    /// several, nobody knows which one is meant.
    pub(super) fn begun_as(&self, path: &Path, url: Given) -> Option<OsString> {
        let directory = directory_of(path);
        let mut begun = self.begun.borrow_mut();
        if begun.len() >= DIRECTORIES_MAX {
            begun.clear();
        }
        let begun = begun.entry(directory.to_owned()).or_insert_with(|| self.begun_in(directory));
        let mut names = begun.iter().filter(|(given, _)| given.is_same(url)).map(|(_, name)| name);
        let name = names.next().filter(|_| names.next().is_none())?;
        (Some(name.as_os_str()) != path.file_name()).then(|| name.clone())
    }

    /// Reads the journals of a directory.
    fn begun_in(&self, directory: &Path) -> Vec<(Given, OsString)> {
        let names = self.storage.names(directory, LISTED_MAX).unwrap_or_default();
        let of = |name: &OsString| name.as_encoded_bytes().strip_suffix(JOURNAL_SUFFIX.as_bytes()).map(<[u8]>::to_vec);
        let begun = |name: Vec<u8>| {
            let name = OsString::from_vec(name);
            match ours::read_journal(&*self.storage, &journal_path(&directory.join(&name))) {
                Ok(Found::Fits(journal)) => Some((journal.identity.given?, name)),
                _ => None,
            }
        };
        names.iter().filter_map(of).take(JOURNALS_MAX).filter_map(begun).collect()
    }

    /// Notes that there may be a partial file of this file from now on.
    pub(super) fn has_part(&self, path: &Path) {
        let mut known = self.known.borrow_mut();
        let Some(listing) = known.get_mut(directory_of(path)) else { return };
        if listing.parts.len() >= PARTS_MAX {
            listing.parts.clear();
            listing.may_have_leftovers = true;
        }
        if !listing.may_have_leftovers {
            listing.parts.insert(hash(path));
        }
        if let Some(names) = &mut listing.names {
            names.insert(hash(&part_path(path)));
        }
    }

    fn with_listing<T>(&self, path: &Path, of: impl FnOnce(&Listing) -> T) -> T {
        let directory = directory_of(path);
        if let Some(listing) = self.known.borrow().get(directory) {
            return of(listing);
        }
        let listing = self.list(directory);
        let answer = of(&listing);
        let mut known = self.known.borrow_mut();
        if known.len() >= DIRECTORIES_MAX {
            known.clear();
            self.room.set(NAMES_MAX);
        }
        known.insert(directory.to_owned(), listing);
        answer
    }

    fn list(&self, directory: &Path) -> Listing {
        let Some(names) = self.storage.names(directory, self.room.get()) else {
            let may_have_leftovers = self.storage.may_have(directory, &LEFTOVER_SUFFIXES);
            return Listing { may_have_leftovers, names: None, parts: HashSet::new() };
        };
        self.room.set(self.room.get().saturating_sub(names.len()));
        let is_left = |name: &[u8]| LEFTOVER_SUFFIXES.iter().any(|suffix| name.ends_with(suffix.as_bytes()));
        Listing {
            may_have_leftovers: names.iter().any(|name| is_left(name.as_encoded_bytes())),
            names: Some(names.iter().map(|name| hash(Path::new(name))).collect()),
            parts: HashSet::new(),
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// The hash of a path's last part, equal for names that some file systems take for one.
fn hash(path: &Path) -> u64 {
    let name = path.file_name().map_or_else(String::new, |name| fold_key(Path::new(name)));
    BuildHasherDefault::<DefaultHasher>::default().hash_one(name)
}
