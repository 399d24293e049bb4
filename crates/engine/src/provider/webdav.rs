//! Folders of WebDAV servers (RFC 4918), Nextcloud's and ownCloud's among them: `davs://host/path/`, and public shares
//! of Nextcloud (`https://host/s/TOKEN`).

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use super::lenient;
use super::seam::{Entries, Entry, Provider};
use super::tree::{Folders, Tree, Walk, with_credentials, without_credentials};
use super::web::{Web, WebAnswer, WebRequest};
use crate::checksum::Checksum;
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::job::Located;
use crate::message::Reply;
use crate::name::safe;
use crate::secret;

/// Where public shares of Nextcloud are.
const SHARE_ROOT: &str = "/public.php/webdav/";
const NAME: &str = "WebDAV";
/// What is asked of each member of a folder.
const PROPFIND: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:prop><d:resourcetype/><d:getcontentlength/>
<d:getlastmodified/><d:getetag/><oc:checksums/></d:prop></d:propfind>"#;

/// WebDAV.
#[derive(Debug, Default)]
pub struct WebDav {
    headers: HeaderMap,
}

impl WebDav {
    /// Sends this field with each request for a folder, to the server of the link alone.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

impl Provider for WebDav {
    fn name(&self) -> &'static str {
        NAME
    }

    fn knows(&self, url: &Url) -> bool {
        folder(url).is_some()
    }

    fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<Entries<'a>> {
        let root = folder(link).ok_or_else(|| Error::new(ErrorKind::Usage, "this is no folder of WebDAV"))?;
        let file = root.path().strip_suffix('/').filter(|_| !link.path().ends_with('/')).map(|path| {
            let mut file = root.clone();
            file.set_path(path);
            file
        });
        match (Walk::new(root, Shares { dav: self, web }), file) {
            (Ok(walk), _) => Ok(Box::new(walk)),
            // It may be a file: servers refuse its name with a slash in many ways.
            (Err(error), Some(file)) if error.kind().rejection().is_some() => match self.file(web, &file)? {
                Some(entry) => Ok(Box::new(std::iter::once(Ok(entry)))),
                None => Err(error),
            },
            (Err(error), _) => Err(error),
        }
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}

/// The folder that a link means, as it is asked for.
fn folder(link: &Url) -> Option<Url> {
    let scheme = match link.scheme() {
        "dav" | "webdav" => "http",
        "davs" | "webdavs" => "https",
        "http" | "https" => return public_share(link),
        _ => return None,
    };
    // A URL does not change between schemes that have hosts by rule and those that have not.
    let rest = link.as_str().split_once("://")?.1;
    let mut folder = Url::parse(&format!("{scheme}://{rest}")).ok()?;
    folder.set_fragment(None);
    if !folder.path().ends_with('/') {
        folder.set_path(&format!("{}/", folder.path()));
    }
    Some(folder)
}

/// The folder of a public share of Nextcloud. The token is the user's name for it; a password follows it in the link:
/// `https://:PASSWORD@host/s/TOKEN`.
fn public_share(link: &Url) -> Option<Url> {
    let mut last = link.path_segments()?.rev();
    let token = last.next().filter(|token| secret::is_share_token(token))?;
    if last.next() != Some("s") {
        return None;
    }
    let mut parts: Vec<_> = last.rev().collect();
    if parts.last() == Some(&"index.php") {
        parts.pop();
    }
    let mut folder = link.clone();
    folder.set_path(&[parts.join("/").as_str(), SHARE_ROOT].concat());
    folder.set_query(None);
    folder.set_fragment(None);
    folder.set_username(token).ok()?;
    Some(folder)
}

/// The answer (RFC 4918, section 13).
#[derive(Debug, Deserialize)]
struct Multistatus {
    #[serde(default, rename = "response")]
    responses: Vec<Response>,
}

#[derive(Clone, Debug, Deserialize)]
struct Response {
    /// Several have one status in common (section 14.24).
    #[serde(default, rename = "href")]
    hrefs: Vec<String>,
    #[serde(default)]
    propstat: Vec<PropStat>,
    /// Why nothing is known of it, otherwise.
    status: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct PropStat {
    #[serde(default)]
    prop: Prop,
    /// `HTTP/1.1 200 OK`, or why these properties are not there.
    status: Option<String>,
}

impl PropStat {
    fn is_there(&self) -> bool {
        self.status.as_deref().is_none_or(|status| code(status) == Some(200))
    }
}

/// The code in `HTTP/1.1 200 OK`.
fn code(status: &str) -> Option<u16> {
    status.split_whitespace().nth(1)?.parse().ok()
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Prop {
    resourcetype: Option<ResourceType>,
    getcontentlength: Option<String>,
    getlastmodified: Option<String>,
    getetag: Option<String>,
    checksums: Option<Checksums>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ResourceType {
    collection: Option<Empty>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Empty {}

/// `SHA1:… MD5:… ADLER32:…`, where somebody has computed them.
#[derive(Clone, Debug, Default, Deserialize)]
struct Checksums {
    #[serde(default)]
    checksum: Vec<String>,
}

/// The folders of one walk.
struct Shares<'a> {
    dav: &'a WebDav,
    web: &'a Web,
}

impl Folders for Shares<'_> {
    fn ask(&self, folder: &Url, reply: Reply) {
        self.web.ask(self.dav.request(folder, "1"), reply);
    }

    fn read(&self, tree: &mut Tree, folder: &Url, depth: usize, answer: &WebAnswer) -> Result<()> {
        let responses = self.dav.responses(folder, answer)?;
        if responses.is_empty() {
            let text = "the server's answer does not say what is in the folder";
            return Err(Error::new(ErrorKind::Protocol, text).with_url(secret::shown_url(folder)));
        }
        take_all(tree, folder, depth, responses)
    }
}

impl WebDav {
    /// A single file; `None` if it is none.
    fn file(&self, web: &Web, url: &Url) -> Result<Option<Entry>> {
        let Some(response) = self.responses(url, &web.send(self.request(url, "0"))?)?.into_iter().next() else {
            return Ok(None);
        };
        let props = response.props();
        let name = url.path().rsplit('/').next().unwrap_or_default();
        let name = match url.path().ends_with(SHARE_ROOT.trim_end_matches('/')) {
            // The file of a share: its server names it.
            true => String::new(),
            false => safe::make_safe(&percent_decode_str(name).decode_utf8_lossy()),
        };
        Ok((!is_folder(&props)).then(|| described(Entry::new(url.clone(), name), &props)))
    }

    /// Asks for what is known of a place, and of its members if `depth` is 1.
    fn request(&self, folder: &Url, depth: &'static str) -> WebRequest {
        let method = Method::from_bytes(b"PROPFIND").expect("a method");
        let mut request = WebRequest::new(method, without_credentials(folder)).body(PROPFIND);
        request.headers = with_credentials(&self.headers, folder);
        request.headers.insert(HeaderName::from_static("depth"), HeaderValue::from_static(depth));
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml; charset=utf-8"));
        request
    }

    fn responses(&self, folder: &Url, answer: &WebAnswer) -> Result<Vec<Response>> {
        let shown = || secret::shown_url(folder);
        if answer.status != 207 {
            let gives_credentials = folder.password().is_some() || self.headers.contains_key(AUTHORIZATION);
            return Err(refusal(answer.status, gives_credentials).with_url(shown()));
        }
        let read: Multistatus = quick_xml::de::from_str(&lenient::xml(&answer.body)).map_err(|_| {
            Error::new(ErrorKind::Protocol, "the server's answer is not that of WebDAV").with_url(shown())
        })?;
        Ok(read.responses.into_iter().flat_map(Response::apart).collect())
    }
}

impl Response {
    /// One for each place.
    fn apart(self) -> Vec<Self> {
        match self.hrefs.len() {
            0 | 1 => vec![self],
            _ => self.hrefs.iter().map(|href| Self { hrefs: vec![href.clone()], ..self.clone() }).collect(),
        }
    }

    /// Why the server tells nothing of it.
    fn refused(&self) -> Option<u16> {
        let of_props = || match self.propstat.iter().any(PropStat::is_there) {
            true => None,
            false => self.propstat.first().and_then(|stat| stat.status.as_deref()),
        };
        let status = self.status.as_deref().or_else(of_props)?;
        code(status).filter(|code| !(200..300).contains(code))
    }

    /// The properties that are there.
    fn props(self) -> Vec<Prop> {
        self.propstat.into_iter().filter(PropStat::is_there).map(|stat| stat.prop).collect()
    }
}

fn is_folder(props: &[Prop]) -> bool {
    props.iter().any(|prop| prop.resourcetype.as_ref().is_some_and(|kind| kind.collection.is_some()))
}

/// An entry with what its properties say.
fn described(mut entry: Entry, props: &[Prop]) -> Entry {
    let first = |of: fn(&Prop) -> Option<&String>| {
        let texts = props.iter().filter_map(of).map(|text| text.trim());
        texts.filter(|text| !text.is_empty()).map(ToOwned::to_owned).next()
    };
    entry.total_bytes = first(|prop| prop.getcontentlength.as_ref()).and_then(|length| length.parse().ok());
    let (tag, date) = (first(|prop| prop.getetag.as_ref()), first(|prop| prop.getlastmodified.as_ref()));
    entry.is_coarse = tag.is_none();
    entry.version =
        tag.or_else(|| date.clone().map(|date| format!("{date} {}", entry.total_bytes.unwrap_or_default())));
    entry.modified = date.as_deref().and_then(as_rfc_3339);
    entry.checksum = props.iter().filter_map(|prop| prop.checksums.as_ref()).find_map(strongest);
    entry
}

/// Takes a member of a folder; the folder itself is among what the server sends.
fn take(tree: &mut Tree, folder: &Url, depth: usize, response: Response) -> Result<()> {
    // Behind a proxy, a server may name another host than the one that is asked; only the path counts.
    let Some(named) = response.hrefs.first().and_then(|href| folder.join(href.trim()).ok()) else {
        tree.leave_out("the server names something by what is no URL; it is left out", folder);
        return Ok(());
    };
    let refused =
        response.refused().map(|code| refusal(code, folder.password().is_some()).with_url(secret::shown_url(&named)));
    let Some(mut url) = tree.member(folder, named.path()) else {
        let is_folder_itself = is_same_place(&named, folder);
        if !is_folder_itself {
            tree.leave_out("the server names files at another place than the one that was asked for", &named);
            return Ok(());
        }
        let props = response.props();
        let has_kind = props.iter().any(|prop| prop.resourcetype.is_some());
        let no_folder = || Error::new(ErrorKind::Status(404), "it is no folder").with_url(secret::shown_url(folder));
        return match refused {
            Some(error) => Err(error),
            None if has_kind && !is_folder(&props) => Err(no_folder().with_advice(Advice::CheckUrl)),
            None => Ok(()),
        };
    };
    if let Some(error) = refused {
        tree.push_error(error);
        return Ok(());
    }
    let props = response.props();
    if is_folder(&props) {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        tree.enter(url, depth + 1);
        return Ok(());
    }
    let entry = described(tree.file(url), &props);
    tree.push(entry);
    Ok(())
}

/// Adds what a folder has. What is said of the folder itself, a 507 of a list that is cut for example, hides none of its
/// members.
fn take_all(tree: &mut Tree, folder: &Url, depth: usize, responses: Vec<Response>) -> Result<()> {
    let count = responses.len();
    let refused: Vec<_> = responses.into_iter().filter_map(|one| take(tree, folder, depth, one).err()).collect();
    if refused.len() == count {
        return refused.into_iter().next().map_or(Ok(()), Err);
    }
    refused.into_iter().for_each(|error| tree.push_error(error));
    Ok(())
}

/// Whether two URLs have one path, however it is encoded, with a slash at its end or without.
fn is_same_place(one: &Url, other: &Url) -> bool {
    let bare = |url: &Url| percent_decode_str(url.path().trim_end_matches('/')).collect::<Vec<u8>>();
    bare(one) == bare(other)
}

fn refusal(status: u16, gives_credentials: bool) -> Error {
    let error = |text: &str| Error::new(ErrorKind::Status(status), text.to_owned());
    match status {
        401 if gives_credentials => error("the server does not accept the name and the password"),
        401 => error("the server wants a name and a password").with_advice(Advice::GiveCredentials),
        403 => error("the server gives no access").with_advice(Advice::GiveCredentials),
        404 => error("there is no such folder").with_advice(Advice::CheckUrl),
        405 | 501 => error("the server does not speak WebDAV here").with_advice(Advice::CheckUrl),
        200..=299 => error("the server's answer is not that of WebDAV").with_advice(Advice::CheckUrl),
        _ => error(&format!("the server answered {status}")),
    }
}

/// The strongest digest that can be computed here.
fn strongest(checksums: &Checksums) -> Option<Checksum> {
    let words = checksums.checksum.iter().flat_map(|text| text.split_whitespace());
    let known = words.filter_map(|word| {
        let (name, digest) = word.split_once(':')?;
        format!("{name}={digest}").parse::<Checksum>().ok()
    });
    known.max_by_key(|checksum| checksum.algorithm().strength())
}

/// A date of HTTP as RFC 3339 writes it.
fn as_rfc_3339(date: &str) -> Option<String> {
    let time = httpdate::parse_http_date(date).ok()?;
    jiff::Timestamp::try_from(time).ok().map(|time| time.to_string())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::tree::Answering;
    use super::*;

    fn meant(link: &str) -> Option<String> {
        folder(&link.parse().unwrap()).map(|url| url.to_string())
    }

    #[test]
    fn links_are_those_of_folders() {
        for (link, folder) in [
            ("davs://h/dav/a b", "https://h/dav/a%20b/"),
            ("dav://u:p@h:8080/x/", "http://u:p@h:8080/x/"),
            ("https://cloud.example/s/AbCdEfGhIjKlMnO", "https://AbCdEfGhIjKlMnO@cloud.example/public.php/webdav/"),
            ("https://h/index.php/s/AbCdEfGhIjKlMnO?x=1#y", "https://AbCdEfGhIjKlMnO@h/public.php/webdav/"),
            ("https://:pw@h/nc/s/AbCdEfGhIjKlMnO", "https://AbCdEfGhIjKlMnO:pw@h/nc/public.php/webdav/"),
        ] {
            assert_eq!(meant(link).as_deref(), Some(folder), "{link}");
        }
        for other in
            ["https://h/s/short", "https://h/s/AbCdEfGhIjKlMnO/download", "https://h/x/AbCdEfGhIjKlMnO", "ftp://h/"]
        {
            assert_eq!(meant(other), None, "{other}");
        }
    }

    #[test]
    fn dates_are_written_as_lists_write_them() {
        for (date, written) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
            ("Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59Z"),
            ("Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(as_rfc_3339(date).as_deref(), Some(written));
        }
    }

    #[test]
    fn answers_are_read_whatever_their_prefixes_are() {
        for prefix in ["d:", "D:", ""] {
            let xmlns = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{}", &prefix[..1]) };
            let text = format!(
                "<{prefix}multistatus {xmlns}=\"DAV:\"><{prefix}response><{prefix}href>/a/b.txt</{prefix}href>\
                 <{prefix}propstat><{prefix}prop><{prefix}getcontentlength>5</{prefix}getcontentlength>\
                 <{prefix}resourcetype/></{prefix}prop><{prefix}status>HTTP/1.1 200 OK</{prefix}status></{prefix}propstat>\
                 </{prefix}response><{prefix}response><{prefix}href>/a/c/</{prefix}href><{prefix}propstat><{prefix}prop>\
                 <{prefix}resourcetype><{prefix}collection/></{prefix}resourcetype></{prefix}prop></{prefix}propstat>\
                 </{prefix}response></{prefix}multistatus>"
            );
            let read: Multistatus = quick_xml::de::from_str(&text).unwrap();
            assert_eq!(read.responses.len(), 2, "{prefix}");
            assert_eq!(read.responses[0].propstat[0].prop.getcontentlength.as_deref(), Some("5"));
            let kind =
                |at: usize| read.responses[at].propstat[0].prop.resourcetype.as_ref().unwrap().collection.is_some();
            assert!(!kind(0) && kind(1), "{prefix}");
        }
    }

    /// What is listed of a folder with this answer, each as its path or its error.
    fn listed(responses: &str) -> Result<Vec<String>> {
        let text = format!("<d:multistatus xmlns:d=\"DAV:\">{responses}</d:multistatus>");
        let answer: Multistatus = quick_xml::de::from_str(&text).unwrap();
        let answers = RefCell::new(Some(answer.responses.into_iter().flat_map(Response::apart)));
        let folders = Answering(|tree: &mut Tree, folder: &Url, _| {
            let answers = answers.borrow_mut().take();
            take_all(tree, folder, 0, answers.into_iter().flatten().collect())
        });
        let walk = Walk::new("http://h/dav/".parse().unwrap(), folders)?;
        Ok(walk
            .map(|entry| match entry {
                Ok(entry) => entry.path.display().to_string(),
                Err(error) => error.message().to_owned(),
            })
            .collect())
    }

    #[test]
    fn folders_that_contain_themselves_come_to_an_end() {
        let folders = Answering(|tree: &mut Tree, folder: &Url, depth| {
            tree.enter(folder.join("again/").unwrap(), depth + 1);
            Ok(())
        });
        let found: Vec<_> = Walk::new("http://h/dav/".parse().unwrap(), folders).unwrap().collect();
        let is_end = |found: &Result<Entry>| found.as_ref().is_err_and(|error| error.message().contains("200 folders"));
        assert!(found.len() == 1 && is_end(&found[0]), "{found:?}");
    }

    #[test]
    fn a_status_within_an_answer_counts() {
        let response = |href: &str, rest: &str| format!("<d:response><d:href>{href}</d:href>{rest}</d:response>");
        let status = |code: u16| format!("<d:status>HTTP/1.1 {code} X</d:status>");
        let prop = |kind: &str, code: u16| {
            let prop = format!("<d:prop><d:resourcetype>{kind}</d:resourcetype></d:prop>");
            format!("<d:propstat>{prop}{}</d:propstat>", status(code))
        };
        let itself = response("/dav/", &prop("<d:collection/>", 200));
        let no_access = ["the server gives no access"];
        for refused in [status(403), prop("", 403)] {
            assert_eq!(listed(&(itself.clone() + &response("/dav/secret/", &refused))).unwrap(), no_access);
        }
        assert_eq!(listed(&(itself.clone() + &response("/dav/a.txt", &prop("", 200)))).unwrap(), ["a.txt"]);
        let both = format!("<d:response><d:href>/dav/x/</d:href><d:href>/dav/y</d:href>{}</d:response>", status(403));
        let beside = itself.clone() + &both + &response("/dav/a.txt", &prop("", 200));
        assert_eq!(listed(&beside).unwrap(), [no_access[0], no_access[0], "a.txt"]);
        let no_url = listed(&(itself + &response("http://[bad/dav/x", &prop("", 200)))).unwrap();
        assert_eq!(no_url, ["the server names something by what is no URL; it is left out"]);
        assert_eq!(listed(&response("/d%61v/", &status(507))).unwrap_err().kind(), ErrorKind::Status(507));
        // A list that is cut says so of the folder, first or last.
        let cut = response("/dav/", &status(507)) + &response("/dav/a.txt", &prop("", 200));
        assert_eq!(listed(&cut).unwrap().last().unwrap(), "the server answered 507");
        assert_eq!(listed(&cut).unwrap()[0], "a.txt");
        // A file, although it was asked for with a slash.
        let file = listed(&response("/dav", &prop("", 200))).unwrap_err();
        assert!(file.kind().rejection().is_some());
    }
}
