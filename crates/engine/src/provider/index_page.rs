//! Plain index pages of servers ("Index of /pub"): every link below a page is a file, and one that ends with `/` is a
//! folder. Nothing above the page, beside it, or on another host is ever asked.

use std::collections::HashSet;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::seam::{Entries, Provider};
use super::tree::{Tree, Walk};
use super::web::{Web, WebRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::job::Located;
use crate::secret;

/// Pages below each other, at most: some servers lead in circles.
const LEVELS_MAX: usize = 64;

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
        Ok(Box::new(Walk::new(root, move |tree, page, depth| self.read(web, tree, page, depth))?))
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}

impl IndexPages {
    fn read(&self, web: &Web, tree: &mut Tree, page: &Url, depth: usize) -> Result<()> {
        let mut request = WebRequest::get(page.clone());
        request.headers = self.headers.clone();
        let answer = web.send(request)?;
        let shown = || secret::shown_url(page);
        if !answer.is_success() {
            let text = format!("the server answered {}", answer.status);
            return Err(Error::new(ErrorKind::Status(answer.status), text).with_url(shown()));
        }
        let is_page = answer.content_type.as_deref().is_some_and(crate::evidence::page::is_html_type);
        if !is_page || answer.url.origin() != page.origin() {
            return Err(Error::new(ErrorKind::Protocol, "this is no index page").with_url(shown()));
        }
        // Pages link a file twice if its icon is a link too.
        let mut seen = HashSet::new();
        for link in links(&answer.body) {
            // A query sorts the page, and a fragment is a place of it.
            let member = tree.member(&answer.url, &link);
            let Some(url) = member.filter(|url| url.query().is_none() && url.fragment().is_none()) else { continue };
            match url.path().ends_with('/') {
                true if depth + 1 < self.levels => tree.enter(url, depth + 1),
                true => {}
                false if seen.insert(url.path().to_owned()) => {
                    let entry = tree.file(url);
                    tree.push(entry);
                }
                false => {}
            }
        }
        Ok(())
    }
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
