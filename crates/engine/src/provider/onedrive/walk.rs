//! The tree behind a link, folder by folder and page by page, as it is consumed.

use std::collections::VecDeque;
use std::path::PathBuf;

use url::Url;

use super::item::{FIELDS, Item, Page};
use super::{NAME, OneDrive};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::provider::seam::Entry;
use crate::provider::web::Web;
use crate::secret;

/// A page has up to this many items; the service may send fewer.
const PAGE_ITEMS: &str = "200";
/// Nobody nests folders deeper; a service that does leads in circles.
const DEPTH_MAX: usize = 200;

/// Walks a tree. An error stands for what it kept from being listed; the rest follows.
pub(super) struct Walk<'a> {
    drive: &'a OneDrive,
    web: &'a Web,
    /// What the page that was read last has still to give.
    items: VecDeque<(PathBuf, Item)>,
    /// Pages to read, the next one last.
    pages: Vec<(PathBuf, Url)>,
}

impl<'a> Walk<'a> {
    /// The tree below an item, or the item alone if it is a file.
    pub(super) fn new(drive: &'a OneDrive, web: &'a Web, root: Item) -> Self {
        let mut walk = Self { drive, web, items: VecDeque::new(), pages: Vec::new() };
        match root.is_folder() {
            // The user chose the directory: the name of the root adds nothing.
            true => walk.enter(PathBuf::new(), &root),
            false => walk.items.push_back((PathBuf::new(), root)),
        }
        walk
    }

    fn enter(&mut self, path: PathBuf, folder: &Item) {
        let query = [("$top", PAGE_ITEMS), ("$select", FIELDS)];
        if let Some(at) = self.drive.place_of(folder) {
            self.pages.push((path, self.drive.graph.at(&format!("{at}/children"), &query)));
        }
    }

    fn read(&mut self, path: PathBuf, url: &Url) -> Result<()> {
        let page: Page = self.drive.graph.ask(self.web, url)?;
        if let Some(next) = page.next {
            self.pages.push((path.clone(), next));
        }
        self.items.extend(page.value.into_iter().map(|item| (path.clone(), item)));
        Ok(())
    }

    fn take(&mut self, path: PathBuf, item: Item) -> Option<Result<Entry>> {
        let (name, is_deleted) = (item.name.clone(), item.is_deleted());
        // A shortcut leads to another drive, under its own name.
        let item = match item.remote_item {
            Some(remote) => remote.called(&name),
            None => item,
        };
        let path = path.join(crate::name::safe::make_safe(&name));
        let refused = |text: &str| {
            let shown = secret::printable(&path.to_string_lossy()).into_owned();
            Some(Err(Error::new(ErrorKind::Protocol, text).with_url(shown)))
        };
        match () {
            () if is_deleted || item.is_deleted() => None,
            () if item.is_folder() && path.components().count() > DEPTH_MAX => {
                refused("the folders are nested too deep")
            }
            () if item.is_folder() => {
                self.enter(path, &item);
                None
            }
            () if item.is_held_for_malware() => {
                let error = refused(&format!("{NAME} holds this file back: it found malware in it"));
                error.map(|error| error.map_err(|error: Error| error.with_advice(Advice::AskOwnerOfShare)))
            }
            () if !item.is_file() => refused(&format!("{NAME} has something of this name that is no file")),
            () => match self.drive.entry(item, path.clone()) {
                Some(entry) => Some(Ok(entry)),
                None => refused(&format!("{NAME} does not say where this file is")),
            },
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some((path, item)) = self.items.pop_front() {
                match self.take(path, item) {
                    Some(entry) => return Some(entry),
                    None => continue,
                }
            }
            let (path, url) = self.pages.pop()?;
            if let Err(error) = self.read(path.clone(), &url) {
                if error.kind() == ErrorKind::Interrupted {
                    self.pages.clear();
                }
                let shown = secret::printable(&path.to_string_lossy()).into_owned();
                return Some(Err(if shown.is_empty() { error } else { error.with_url(shown) }));
            }
        }
    }
}
