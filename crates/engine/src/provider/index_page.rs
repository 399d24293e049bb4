//! Plain index pages of servers ("Index of /pub"): every link below a page is a file, and one that ends with `/` is a
//! folder. Nothing above the page, beside it, or on another host is ever asked.

use std::collections::HashMap;

use bytes::Bytes;
use html5gum::{DefaultEmitter, Token, Tokenizer};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use url::Url;

use super::seam::{Entries, Entry, Provider};
use super::tree::{Folders, Tree, Walk, with_credentials, without_credentials};
use super::web::{Web, WebAnswer, WebRequest};
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::evidence::page;
use crate::job::Located;
use crate::message::Reply;
use crate::secret;

/// Pages below each other, at most: some servers lead in circles.
const LEVELS_MAX: usize = 64;

/// Parts of the titles of index pages, in lower case.
const TITLES: [&str; 3] = ["index of", "directory listing", "listing of"];
/// The most that is read behind a link, and that is kept of it.
const TOLD_BYTES_MAX: usize = 1000;
const TOLD_CHARS_MAX: usize = 100;
/// How servers write dates: nginx, Apache, lighttpd, Caddy.
const DATES: [&str; 5] =
    ["%d-%b-%Y %H:%M", "%Y-%m-%d %H:%M", "%Y-%b-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d-%b-%Y %H:%M:%S"];

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
        Ok(Box::new(Walk::new(root, Pages { pages: self, web })?))
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}

/// The pages of one walk.
struct Pages<'a> {
    pages: &'a IndexPages,
    web: &'a Web,
}

impl Folders for Pages<'_> {
    fn ask(&self, at: &Url, reply: Reply) {
        // What is elsewhere is no page of this tree.
        let mut request = WebRequest::get(without_credentials(at)).without_redirects();
        request.headers = with_credentials(&self.pages.headers, at);
        self.web.ask(request, reply);
    }

    fn read(&self, tree: &mut Tree, at: &Url, depth: usize, answer: &WebAnswer) -> Result<()> {
        self.pages.read(tree, at, depth, answer)
    }
}

impl IndexPages {
    fn read(&self, tree: &mut Tree, at: &Url, depth: usize, answer: &WebAnswer) -> Result<()> {
        let shown = || secret::shown_url(at);
        if !answer.is_success() {
            let text = format!("the server answered {}", answer.status);
            return Err(Error::new(ErrorKind::Status(answer.status), text).with_url(shown()));
        }
        let is_page = answer.content_type.as_deref().is_some_and(page::is_html_type);
        let no_index = || {
            let error = Error::new(ErrorKind::Protocol, "this is no index page").with_url(shown());
            Err(error.with_advice(Advice::CheckUrl))
        };
        if !is_page || answer.url.origin() != at.origin() || answer.url.path() != at.path() {
            return no_index();
        }
        let up = at.join("..").ok().filter(|up| up.path() != at.path());
        let is_up = |url: &Url| up.as_ref().is_some_and(|up| url.origin() == up.origin() && url.path() == up.path());
        // Pages link a file twice if its icon is a link too; the date stands behind the second link.
        let mut files: Vec<Entry> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let title = page::title(&[Bytes::copy_from_slice(&answer.body)]).unwrap_or_default().to_lowercase();
        let mut is_index = TITLES.iter().any(|known| title.contains(known));
        for Link { to, told } in links(&answer.body) {
            // An empty index leads up at least.
            is_index |= at.join(&to).is_ok_and(|url| is_up(&url));
            // A query sorts the page, and a fragment is a place of it.
            let member = tree.member(at, &to);
            let Some(url) = member.filter(|url| url.query().is_none() && url.fragment().is_none()) else { continue };
            is_index = true;
            match url.path().ends_with('/') {
                true if depth + 1 < self.levels => tree.enter(url, depth + 1),
                true if self.is_limited => {}
                true => tree.leave_out("the folders are nested too deep, and the lowest are left out", &url),
                false => {
                    let number = *seen.entry(url.path().to_owned()).or_insert(files.len());
                    if number == files.len() {
                        files.push(tree.file(url));
                    }
                    let entry = &mut files[number];
                    entry.is_coarse = true;
                    entry.modified = entry.modified.take().or_else(|| told.as_deref().and_then(date_in));
                    entry.version = entry.version.take().or(told);
                }
            }
        }
        files.into_iter().for_each(|file| tree.push(file));
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
        if std::mem::take(&mut self.is_open)
            && let Some(last) = self.links.last_mut().filter(|_| date_in(&told).is_some())
        {
            last.told = Some(told.chars().take(TOLD_CHARS_MAX).collect());
        }
    }
}

/// The date in what a page says of a file, as RFC 3339 writes it. Nobody knows its time zone; most servers write UTC.
fn date_in(told: &str) -> Option<String> {
    let words: Vec<_> = told.split(' ').collect();
    let read = |text: &str| DATES.iter().find_map(|form| DateTime::strptime(form, text).ok());
    let found = (2..=3).flat_map(|count| words.windows(count)).find_map(|words| read(&words.join(" ")))?;
    TimeZone::UTC.to_timestamp(found).ok().map(|moment| moment.to_string())
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
        for size in ["5000", "4700372992", "2026-01-02 5000"] {
            let page = format!("<li><a href=a>a</a> {size}</li>");
            assert_eq!(links(page.as_bytes())[0].told, None, "{size} alone is no version");
        }
        for told in [
            "02-Jan-2026 10:00 5000",
            "2026-01-02 10:00 1.2M",
            "2026-Jan-02 10:00:00 1.2K x",
            "1000 B 01/02/2026 10:00:00 AM +00:00",
        ] {
            assert_eq!(date_in(told).as_deref(), Some("2026-01-02T10:00:00Z"), "{told}");
        }
    }
}
