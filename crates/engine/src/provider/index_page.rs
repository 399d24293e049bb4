//! Plain index pages of servers ("Index of /pub"): every link below a page is a file, and one that ends with `/` is a
//! folder. Nothing above the page, beside it, or on another host is ever asked.

use std::collections::HashSet;

use bytes::Bytes;
use html5gum::{DefaultEmitter, Token, Tokenizer};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::seam::{Entries, Provider};
use super::tree::{Tree, Walk};
use super::web::{Web, WebRequest};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::page;
use crate::job::Located;
use crate::secret;

/// Pages below each other, at most: some servers lead in circles.
const LEVELS_MAX: usize = 64;

/// Parts of the titles of index pages, in lower case.
const TITLES: [&str; 3] = ["index of", "directory listing", "listing of"];
/// The most that is read behind a link, and that is kept of it.
const TOLD_BYTES_MAX: usize = 1000;
const TOLD_CHARS_MAX: usize = 100;
/// A date with its time has so many digits at least; a size alone is no version.
const DATE_DIGITS_MIN: usize = 10;

/// Lists index pages.
#[derive(Debug)]
pub struct IndexPages {
    levels: usize,
    /// The user wants no more levels.
    is_limited: bool,
    headers: HeaderMap,
}

impl IndexPages {
    /// Lists a page and those below it; with `levels`, only so many pages below each other.
    pub fn new(levels: Option<usize>) -> Self {
        let is_limited = levels.is_some_and(|levels| levels <= LEVELS_MAX);
        Self { levels: levels.unwrap_or(LEVELS_MAX).min(LEVELS_MAX), is_limited, headers: HeaderMap::new() }
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
    fn read(&self, web: &Web, tree: &mut Tree, at: &Url, depth: usize) -> Result<()> {
        let mut request = WebRequest::get(at.clone());
        request.headers = self.headers.clone();
        let answer = web.send(request)?;
        let shown = || secret::shown_url(at);
        if !answer.is_success() {
            let text = format!("the server answered {}", answer.status);
            return Err(Error::new(ErrorKind::Status(answer.status), text).with_url(shown()));
        }
        let is_page = answer.content_type.as_deref().is_some_and(page::is_html_type);
        let no_index = || Err(Error::new(ErrorKind::Protocol, "this is no index page").with_url(shown()));
        if !is_page || answer.url.origin() != at.origin() || answer.url.path() != at.path() {
            return no_index();
        }
        // Pages link a file twice if its icon is a link too.
        let mut seen = HashSet::new();
        let title = page::title(&[Bytes::copy_from_slice(&answer.body)]).unwrap_or_default().to_lowercase();
        let mut is_index = TITLES.iter().any(|known| title.contains(known));
        for Link { to, told } in links(&answer.body) {
            // An empty index leads up at least.
            is_index |= at.join(&to).is_ok_and(|url| at.join("..").is_ok_and(|up| up.path() == url.path()));
            // A query sorts the page, and a fragment is a place of it.
            let member = tree.member(at, &to);
            let Some(url) = member.filter(|url| url.query().is_none() && url.fragment().is_none()) else { continue };
            is_index = true;
            match url.path().ends_with('/') {
                true if depth + 1 < self.levels => tree.enter(url, depth + 1),
                true if self.is_limited => {}
                true => tree.leave_out("the folders are nested too deep, and the lowest are left out", &url),
                false if seen.insert(url.path().to_owned()) => {
                    let mut entry = tree.file(url);
                    (entry.version, entry.is_coarse) = (told, true);
                    tree.push(entry);
                }
                false => {}
            }
        }
        if is_index { Ok(()) } else { no_index() }
    }
}

/// A link of a page.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    to: String,
    /// What the page says behind it: the date and the size of a file.
    told: Option<String>,
}

/// Tags at which what is told of a file ends.
const ROW_ENDS: [&[u8]; 6] = [b"tr", b"li", b"table", b"ul", b"pre", b"hr"];

/// The links of a page, in order.
fn links(page: &[u8]) -> Vec<Link> {
    // A byte order mark tells UTF-16.
    let (text, ..) = encoding_rs::UTF_8.decode(page);
    let mut rows = Rows::default();
    let mut emitter = DefaultEmitter::default();
    // What is in a script is no tag.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(&*text, emitter).flatten() {
        match token {
            Token::StartTag(tag) if &*tag.name == b"a" => {
                rows.end();
                if let Some(href) = tag.attributes.get(&b"href"[..]) {
                    rows.begin(String::from_utf8_lossy(href).trim());
                }
            }
            // The text of the link itself says nothing more.
            Token::EndTag(tag) if &*tag.name == b"a" => rows.told.clear(),
            Token::StartTag(tag) => {
                rows.tag(&tag.name);
                rows.is_in_pre |= &*tag.name == b"pre";
            }
            Token::EndTag(tag) => {
                rows.tag(&tag.name);
                rows.is_in_pre &= &*tag.name != b"pre";
            }
            Token::String(part) => rows.text(&String::from_utf8_lossy(&part)),
            _ => {}
        }
    }
    rows.end();
    rows.links
}

/// The links that were read, and what stands behind the last one.
#[derive(Default)]
struct Rows {
    links: Vec<Link>,
    told: String,
    is_open: bool,
    /// A line is a row.
    is_in_pre: bool,
}

impl Rows {
    fn begin(&mut self, to: &str) {
        self.links.push(Link { to: to.to_owned(), told: None });
        self.is_open = true;
    }

    fn tag(&mut self, name: &[u8]) {
        match ROW_ENDS.contains(&name) {
            true => self.end(),
            false => self.told.push(' '),
        }
    }

    fn text(&mut self, text: &str) {
        let line = text.split('\n').next().filter(|_| self.is_in_pre).unwrap_or(text);
        if self.told.len() < TOLD_BYTES_MAX {
            self.told += line;
        }
        if line.len() < text.len() {
            self.end();
        }
    }

    /// What stands behind the last link tells its version, if it is a date and a size.
    fn end(&mut self) {
        let told = std::mem::take(&mut self.told);
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        let digits = told.bytes().filter(u8::is_ascii_digit).count();
        if std::mem::take(&mut self.is_open)
            && let Some(last) = self.links.last_mut().filter(|_| digits >= DATE_DIGITS_MIN)
        {
            last.told = Some(told.chars().take(TOLD_CHARS_MAX).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_those_that_a_browser_sees() {
        let page = br#"<html><!-- <a href="no"> --><script>"<a href='no'>"</script><A HREF=one>x</A>
            <a class=x href='t&amp;wo'>y</a><a name="z">z</a><a href=" three ">"#;
        let found: Vec<_> = links(page).into_iter().map(|link| link.to).collect();
        assert_eq!(found, ["one", "t&wo", "three"]);
    }

    #[test]
    fn what_a_page_says_of_a_file_tells_its_version() {
        let pages = [
            // nginx, Apache, lighttpd.
            "<pre><a href=\"a.bin\">a.bin</a>   02-Jan-2026 10:00     5000\n<a href=\"b\">b</a></pre>",
            "<pre><a href=b>b</a> x\n<a href=\"a.bin\">a.bin</a> 02-Jan-2026 10:00 5000\n</pre><hr>nginx/1.22.1",
            "<tr><td><a href=\"a.bin\">a.bin</a></td><td>02-Jan-2026 10:00 </td><td>5000</td></tr><a href=\"b\">b</a>",
            "<a href=b>b</a><tr><td><a href=\"a.bin\">a.bin</a>\n<td>02-Jan-2026 10:00<td>5000</table>lighttpd/1.4.69",
        ];
        for page in pages {
            let found = links(page.as_bytes());
            assert_eq!(found.len(), 2);
            for Link { to, told } in found {
                assert_eq!(told.as_deref(), (to == "a.bin").then_some("02-Jan-2026 10:00 5000"), "{page}");
            }
        }
        assert_eq!(links(b"<li><a href=a>a</a> 5000</li>")[0].told, None, "a size alone is no version");
    }
}
