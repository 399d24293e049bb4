//! The tree behind a link, folder by folder and page by page, as it is consumed. A service that leads in circles, by
//! folders or by pages, comes to an end with an error.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

use url::Url;

use super::item::{FIELDS, Item, Page};
use super::{NAME, OneDrive};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::provider::seam::Entry;
use crate::provider::web::Web;
use crate::secret;

/// A page has up to this many items; the service may send fewer.
const PAGE_ITEMS: &str = "200";
/// Nobody nests folders deeper.
const DEPTH_MAX: usize = 200;
/// Pages of one tree. The largest drives have fewer.
const PAGES_MAX: usize = 200_000;
/// Pages without an item that follow each other: the service may leave some empty.
const EMPTY_PAGES_MAX: u32 = 100;

/// Walks a tree. An error stands for what it kept from being listed; the rest follows.
pub(super) struct Walk<'a> {
    drive: &'a OneDrive,
    web: &'a Web,
    /// What the page that was read last has still to give.
    items: VecDeque<(Rc<Folder>, Result<Item>)>,
    /// Pages to read, the next one last.
    pages: Vec<(Rc<Folder>, Url)>,
    /// Those that were read.
    seen: HashSet<Url>,
    empty_pages: u32,
}

/// A folder, and those that it is in.
struct Folder {
    path: PathBuf,
    /// Its place in the API; none above the root.
    place: Option<String>,
    above: Option<Rc<Self>>,
    depth: usize,
}

impl Folder {
    /// Whether this place is that of the folder, or of one above.
    fn is_below(&self, place: &str) -> bool {
        let mut at = Some(self);
        while let Some(folder) = at {
            if folder.place.as_deref() == Some(place) {
                return true;
            }
            at = folder.above.as_deref();
        }
        false
    }
}

impl<'a> Walk<'a> {
    /// The tree below an item, or the item alone if it is a file.
    pub(super) fn new(drive: &'a OneDrive, web: &'a Web, root: Item) -> Self {
        let (items, pages, seen) = (VecDeque::new(), Vec::new(), HashSet::new());
        let mut walk = Self { drive, web, items, pages, seen, empty_pages: 0 };
        let top = Rc::new(Folder { path: PathBuf::new(), place: None, above: None, depth: 0 });
        match root.is_folder() {
            // The user chose the directory: the name of the root adds nothing.
            true => {
                if let Err(why) = walk.enter(PathBuf::new(), &top, &root) {
                    walk.items.push_back((top, Err(Error::new(ErrorKind::Protocol, why))));
                }
            }
            false => walk.items.push_back((top, Ok(root))),
        }
        walk
    }

    /// A folder to list; why it is not, otherwise.
    fn enter(&mut self, path: PathBuf, above: &Rc<Folder>, folder: &Item) -> Result<(), &'static str> {
        let query = [("$top", PAGE_ITEMS), ("$select", FIELDS)];
        let place = self.drive.place_of(folder).ok_or("the service does not say where this folder is")?;
        if above.is_below(&place) {
            return Err("this folder leads back to one that it is in");
        }
        if above.depth >= DEPTH_MAX {
            return Err("the folders are nested too deep");
        }
        let url = self.drive.graph.at(&format!("{place}/children"), &query);
        let depth = above.depth + 1;
        self.pages.push((Rc::new(Folder { path, place: Some(place), above: Some(Rc::clone(above)), depth }), url));
        Ok(())
    }

    fn read(&mut self, folder: &Rc<Folder>, url: &Url) -> Result<()> {
        let protocol = |text: String| Err(Error::new(ErrorKind::Protocol, text));
        if self.seen.len() >= PAGES_MAX {
            self.pages.clear();
            return protocol(format!("{NAME} lists more than {PAGES_MAX} pages; the rest is left out"));
        }
        let page: Page = self.drive.graph.ask(self.web, url)?;
        let next = page.next.map(|next| url.join(&next));
        let is_empty = page.value.is_empty() && next.is_some();
        self.empty_pages = if is_empty { self.empty_pages + 1 } else { 0 };
        let is_endless = next.is_some() && self.empty_pages > EMPTY_PAGES_MAX;
        let items = page.value.into_iter().map(|item| {
            let name = item.get("name").and_then(|name| name.as_str()).map(crate::name::safe::make_safe);
            serde_json::from_value(item).map_err(|_| {
                let text = format!("{NAME} lists an item that Towline cannot read");
                let shown = folder.path.join(name.unwrap_or_default());
                Error::new(ErrorKind::Protocol, text).with_url(secret::printable(&shown.to_string_lossy()).into_owned())
            })
        });
        self.items.extend(items.map(|item| (Rc::clone(folder), item)));
        self.seen.insert(url.clone());
        match next {
            Some(Err(_)) => {
                protocol(format!("{NAME} names a next page that is no URL; the rest of the folder is left out"))
            }
            Some(Ok(next)) if self.seen.contains(&next) || is_endless => {
                protocol(format!("{NAME} lists this folder without end; the rest of it is left out"))
            }
            Some(Ok(next)) => {
                self.pages.push((Rc::clone(folder), next));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take(&mut self, folder: &Rc<Folder>, item: Item) -> Option<Result<Entry>> {
        let (name, is_deleted) = (item.name.clone(), item.is_deleted());
        // A shortcut leads to another drive, under its own name.
        let item = match item.remote_item {
            Some(remote) => remote.called(&name),
            None => item,
        };
        let path = folder.path.join(crate::name::safe::make_safe(&name));
        let refused = |text: &str| {
            let shown = secret::printable(&path.to_string_lossy()).into_owned();
            Some(Err(Error::new(ErrorKind::Protocol, text).with_url(shown)))
        };
        match () {
            () if is_deleted || item.is_deleted() => None,
            () if item.is_folder() => match self.enter(path.clone(), folder, &item) {
                Ok(()) => None,
                Err(why) => refused(why),
            },
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

/// An error that stands for something in a folder.
fn within(folder: &Folder, error: Error) -> Error {
    let shown = secret::printable(&folder.path.to_string_lossy()).into_owned();
    if shown.is_empty() { error } else { error.with_url(shown) }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some((folder, item)) = self.items.pop_front() {
                let taken = match item {
                    Ok(item) => self.take(&folder, item),
                    Err(error) if error.url().is_some() => Some(Err(error)),
                    Err(error) => Some(Err(within(&folder, error))),
                };
                match taken {
                    Some(entry) => return Some(entry),
                    None => continue,
                }
            }
            let (folder, url) = self.pages.pop()?;
            if let Err(error) = self.read(&folder, &url) {
                if error.kind() == ErrorKind::Interrupted {
                    self.pages.clear();
                }
                return Some(Err(within(&folder, error)));
            }
        }
    }
}
