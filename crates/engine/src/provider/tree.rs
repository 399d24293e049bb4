//! The tree of folders below a URL, a few folders at a time, as it is consumed: what index pages and WebDAV have in common.
//! Nothing above the URL, beside it, or on another host is ever asked.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use towline_threads::queue::Queue;
use url::Url;

use super::seam::Entry;
use super::web::WebAnswer;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Reply;
use crate::name::safe;
use crate::secret;

/// Folders of one tree that are remembered, so that none is listed twice.
const FOLDERS_MAX: usize = 100_000;
const TOO_MANY: &str = "there are more than 100,000 folders; this one and others are left out";
/// Folders below each other. A folder that contains itself has no end.
const LEVELS_MAX: usize = 200;
const TOO_DEEP: &str = "there are more than 200 folders below each other; the others are left out";

/// Folders that are asked for at once. One that answers slowly, or not at all, holds up none of the others.
const ASKED_MAX: usize = 16;

/// What a service says of folders.
pub(super) trait Folders {
    /// Asks for a folder.
    fn ask(&self, folder: &Url, reply: Reply);

    /// Reads what was answered: files and folders below it go to the tree.
    ///
    /// # Errors
    /// What kept it from being listed.
    fn read(&self, tree: &mut Tree, folder: &Url, depth: usize, answer: &WebAnswer) -> Result<()>;
}

/// Walks a tree. An error stands for what it kept from being listed; the rest follows.
pub(super) struct Walk<F> {
    tree: Tree,
    folders: F,
    answers: Queue<Answered>,
    /// Folders that were asked for and have not been read.
    asked: usize,
}

/// The answer to the question for a folder.
struct Answered {
    folder: Url,
    depth: usize,
    answer: Result<WebAnswer>,
}

/// What has been found of a tree.
pub(super) struct Tree {
    root: Url,
    entries: VecDeque<Result<Entry>>,
    /// Folders to list, and how deep each is.
    folders: Vec<(Url, usize)>,
    seen: HashSet<String>,
    /// What was left out without being listed, once for each reason.
    left_out: HashSet<&'static str>,
}

impl<F: Folders> Walk<F> {
    /// Reads the folder at the root.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(root: Url, folders: F) -> Result<Self> {
        let seen = HashSet::from([root.path().to_owned()]);
        let (entries, left_out) = (VecDeque::new(), HashSet::new());
        let tree = Tree { root: root.clone(), entries, folders: Vec::new(), seen, left_out };
        let mut walk = Self { tree, folders, answers: Queue::new(), asked: 0 };
        walk.ask(root, 0);
        walk.read_one()?;
        Ok(walk)
    }

    fn ask(&mut self, folder: Url, depth: usize) {
        let (answers, of) = (self.answers.clone(), folder.clone());
        let reply = Reply::to(move |answer| drop(answers.put(Answered { folder: of, depth, answer })));
        self.asked += 1;
        self.folders.ask(&folder, reply);
    }

    /// Waits for the next answer, whichever it is, and reads it.
    fn read_one(&mut self) -> Result<()> {
        let ended = |_| Error::new(ErrorKind::Internal, "nobody answers for a folder; please report it");
        let Answered { folder, depth, answer } = self.answers.get().map_err(ended)?;
        self.asked -= 1;
        self.folders.read(&mut self.tree, &folder, depth, &answer?)
    }
}

impl<F: Folders> Iterator for Walk<F> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some(entry) = self.tree.entries.pop_front() {
                return Some(entry);
            }
            while self.asked < ASKED_MAX
                && let Some((folder, depth)) = self.tree.folders.pop()
            {
                self.ask(folder, depth);
            }
            if self.asked == 0 {
                return None;
            }
            if let Err(error) = self.read_one() {
                return Some(Err(error));
            }
        }
    }
}

impl Tree {
    /// The URL that a folder gives for one of its members, with the credentials of the root; `None` if it is not below
    /// the folder.
    pub(super) fn member(&self, folder: &Url, link: &str) -> Option<Url> {
        let mut url = folder.join(link).ok()?;
        let path = decoded(url.path());
        let is_below = url.origin() == self.root.origin()
            && path.strip_prefix(&*decoded(folder.path())).is_some_and(|rest| !rest.is_empty())
            && path.starts_with(&*decoded(self.root.path()))
            && !path.split(['/', '\\']).any(|part| part == "..");
        let _ = url.set_username(self.root.username());
        let _ = url.set_password(self.root.password());
        is_below.then_some(url)
    }

    /// A folder to list, unless it was met before.
    pub(super) fn enter(&mut self, folder: Url, depth: usize) {
        if self.seen.contains(folder.path()) {
            return;
        }
        if depth > LEVELS_MAX {
            return self.leave_out(TOO_DEEP, &folder);
        }
        if self.seen.len() >= FOLDERS_MAX {
            return self.leave_out(TOO_MANY, &folder);
        }
        self.seen.insert(folder.path().to_owned());
        self.folders.push((folder, depth));
    }

    /// Something that is not listed: an error, once for each reason.
    pub(super) fn leave_out(&mut self, why: &'static str, what: &Url) {
        if self.left_out.insert(why) {
            self.entries.push_back(Err(Error::new(ErrorKind::Protocol, why).with_url(secret::shown_url(what))));
        }
    }

    /// A file, under its path below the root.
    pub(super) fn file(&mut self, url: Url) -> Entry {
        let path = below(&self.root, &url);
        Entry::new(url, path)
    }

    /// Adds an error, for something that its server does not give away.
    pub(super) fn push_error(&mut self, error: Error) {
        self.entries.push_back(Err(error));
    }

    /// Adds a file.
    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push_back(Ok(entry));
    }
}

/// A URL without a name and a password, for a request that has them in a field.
pub(super) fn without_credentials(url: &Url) -> Url {
    let mut bare = url.clone();
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare
}

/// These fields, with the name and the password of the URL unless they say who asks.
pub(super) fn with_credentials(headers: &HeaderMap, url: &Url) -> HeaderMap {
    let mut headers = headers.clone();
    if let Some(value) = crate::http::credentials::basic(url) {
        headers.entry(AUTHORIZATION).or_insert(value);
    }
    headers
}

/// A path without its percent-encoding: servers encode as they like.
fn decoded(path: &str) -> Cow<'_, str> {
    percent_decode_str(path).decode_utf8_lossy()
}

/// The path of a URL below another, part by part, so that no part leads elsewhere.
fn below(root: &Url, url: &Url) -> PathBuf {
    // A root has as many parts however it is encoded.
    let depth = root.path().split('/').filter(|part| !part.is_empty()).count();
    let parts = url.path().split('/').filter(|part| !part.is_empty()).skip(depth);
    parts.map(|part| safe::make_safe(&decoded(part))).collect()
}

/// Folders of a test, which are answered at once.
#[cfg(test)]
pub(super) struct Answering<F>(pub(super) F);

#[cfg(test)]
impl<F: Fn(&mut Tree, &Url, usize) -> Result<()>> Folders for Answering<F> {
    fn ask(&self, folder: &Url, reply: Reply) {
        reply.answer(Ok(WebAnswer::new(folder.clone(), 200, None, bytes::Bytes::new())));
    }

    fn read(&self, tree: &mut Tree, folder: &Url, depth: usize, _: &WebAnswer) -> Result<()> {
        self.0(tree, folder, depth)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_cannot_be_remembered_is_an_error_and_not_left_out_in_silence() {
        let root: Url = "http://h/".parse().unwrap();
        let top = root.clone();
        let folders = Answering(move |tree: &mut Tree, _: &Url, depth| {
            if depth == 0 {
                for number in 0..=FOLDERS_MAX {
                    tree.enter(top.join(&format!("{number}/")).unwrap(), 1);
                }
            }
            Ok(())
        });
        let found: Vec<_> = Walk::new(root, folders).unwrap().collect();
        assert_eq!(found.len(), 1, "it is said once");
        assert!(found[0].as_ref().is_err_and(|error| error.message().contains("more than 100,000 folders")));
    }

    /// The last folder of the root is silent until all others have been read.
    #[derive(Default)]
    struct OneSilent {
        held: RefCell<Option<(Url, Reply)>>,
        read: RefCell<usize>,
    }

    const FOLDERS: usize = 40;

    impl Folders for OneSilent {
        fn ask(&self, folder: &Url, reply: Reply) {
            let answer = Ok(WebAnswer::new(folder.clone(), 200, None, bytes::Bytes::new()));
            match folder.path() == format!("/{}/", FOLDERS - 1) {
                true => *self.held.borrow_mut() = Some((folder.clone(), reply)),
                false => reply.answer(answer),
            }
        }

        fn read(&self, tree: &mut Tree, folder: &Url, depth: usize, _: &WebAnswer) -> Result<()> {
            if depth == 0 {
                (0..FOLDERS).for_each(|number| tree.enter(folder.join(&format!("{number}/")).unwrap(), 1));
                return Ok(());
            }
            *self.read.borrow_mut() += 1;
            if *self.read.borrow() == FOLDERS - 1 {
                let (_, reply) = self.held.take().expect("it was asked for first");
                reply.answer(Err(Error::new(ErrorKind::Stalled, "no data")));
            }
            let file = tree.file(folder.join("f").unwrap());
            tree.push(file);
            Ok(())
        }
    }

    #[test]
    fn a_silent_folder_holds_up_no_other() {
        let found: Vec<_> = Walk::new("http://h/".parse().unwrap(), OneSilent::default()).unwrap().collect();
        assert_eq!(found.iter().filter(|entry| entry.is_ok()).count(), FOLDERS - 1);
        assert_eq!(found.iter().filter(|entry| entry.is_err()).count(), 1);
    }
}
