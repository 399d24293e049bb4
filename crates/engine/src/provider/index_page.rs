//! Plain index pages of servers ("Index of /pub"): every link below a page is a file, and one that ends with `/` is a
//! folder. Nothing above the page, beside it, or on another host is ever asked.

use std::collections::{HashSet, VecDeque};
use std::path::PathBuf;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use url::Url;

use super::seam::{Entries, Entry, Provider};
use super::web::{Web, WebRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Located;
use crate::name::safe;
use crate::secret;

/// Pages below each other, at most: some servers lead in circles.
const LEVELS_MAX: usize = 64;
/// Folders of one tree that are remembered, so that none is listed twice.
const FOLDERS_MAX: usize = 100_000;

/// Lists index pages.
#[derive(Debug)]
pub struct IndexPages {
    levels: usize,
    headers: HeaderMap,
}

impl IndexPages {
    /// Lists a page and those below it; with `levels`, only so many pages below each other.
    pub fn new(levels: Option<usize>) -> Self {
        Self { levels: levels.unwrap_or(LEVELS_MAX).min(LEVELS_MAX), headers: HeaderMap::new() }
    }

    /// Sends this field with each request for a page, to the server of the link alone.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

impl Provider for IndexPages {
    fn name(&self) -> &'static str {
        "an index page"
    }

    fn knows(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https") && url.path().ends_with('/')
    }

    fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<Entries<'a>> {
        let mut root = link.clone();
        root.set_fragment(None);
        let mut walk = Walk {
            pages: self,
            web,
            seen: HashSet::from([root.path().to_owned()]),
            root,
            entries: VecDeque::new(),
            folders: Vec::new(),
        };
        // What is wrong with the page itself is the error of the link.
        let root = walk.root.clone();
        walk.read(&root, 0)?;
        Ok(Box::new(walk))
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}

struct Walk<'a> {
    pages: &'a IndexPages,
    web: &'a Web,
    root: Url,
    entries: VecDeque<Entry>,
    /// Folders to list, and how deep each is.
    folders: Vec<(Url, usize)>,
    seen: HashSet<String>,
}

impl Walk<'_> {
    fn read(&mut self, page: &Url, level: usize) -> Result<()> {
        let mut request = WebRequest::get(page.clone());
        request.headers = self.pages.headers.clone();
        let answer = self.web.send(request)?;
        let shown = || secret::shown_url(page);
        if !answer.is_success() {
            let text = format!("the server answered {}", answer.status);
            return Err(Error::new(ErrorKind::Status(answer.status), text).with_url(shown()));
        }
        let is_page = answer.content_type.as_deref().is_some_and(crate::evidence::page::is_html_type);
        if !is_page || answer.url.origin() != page.origin() {
            return Err(Error::new(ErrorKind::Protocol, "this is no index page").with_url(shown()));
        }
        for link in links(&answer.body) {
            self.take(&answer.url, &link, level);
        }
        Ok(())
    }

    fn take(&mut self, page: &Url, link: &str, level: usize) {
        // A query sorts the page, and a fragment is a place of it.
        let Ok(url) = page.join(link) else { return };
        let is_below = url.origin() == self.root.origin()
            && url.path().strip_prefix(page.path()).is_some_and(|rest| !rest.is_empty())
            && url.path().starts_with(self.root.path());
        if !is_below || url.query().is_some() || url.fragment().is_some() {
            return;
        }
        let mut url = url;
        // The credentials of the link are for its server.
        let _ = url.set_username(self.root.username());
        let _ = url.set_password(self.root.password());
        if self.seen.len() >= FOLDERS_MAX || !self.seen.insert(url.path().to_owned()) {
            return;
        }
        match url.path().ends_with('/') {
            true if level + 1 < self.pages.levels => self.folders.push((url, level + 1)),
            true => {}
            false => {
                let path = below(&self.root, &url);
                self.entries.push_back(Entry::new(url, path));
            }
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some(entry) = self.entries.pop_front() {
                return Some(Ok(entry));
            }
            let (folder, level) = self.folders.pop()?;
            if let Err(error) = self.read(&folder, level) {
                return Some(Err(error));
            }
        }
    }
}

/// The path of a URL below another, part by part, so that no part leads elsewhere.
pub(super) fn below(root: &Url, url: &Url) -> PathBuf {
    let rest = url.path().strip_prefix(root.path()).unwrap_or_default();
    let parts = rest.split('/').filter(|part| !part.is_empty());
    parts.map(|part| safe::make_safe(&percent_decode_str(part).decode_utf8_lossy())).collect()
}

/// The links of a page, in order.
fn links(page: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(page);
    let mut links = Vec::new();
    let mut emitter = DefaultEmitter::default();
    // What is in a script is no tag.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(&*text, emitter).flatten() {
        if let Token::StartTag(tag) = token
            && &*tag.name == b"a"
            && let Some(href) = tag.attributes.get(&b"href"[..])
        {
            links.push(String::from_utf8_lossy(href).trim().to_owned());
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_those_that_a_browser_sees() {
        let page = br#"<html><!-- <a href="no"> --><script>"<a href='no'>"</script><A HREF=one>x</A>
            <a class=x href='t&amp;wo'>y</a><a name="z">z</a><a href=" three ">"#;
        assert_eq!(links(page), ["one", "t&wo", "three"]);
    }
}
