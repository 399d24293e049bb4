//! A look-alike of Nextcloud, as far as a public share needs it: `PROPFIND` below `/public.php/webdav/` for who knows
//! the share's token and its password, files with ranges, digests that somebody has computed, and maintenance.
//!
//! After Nextcloud's developer manual (WebDAV, public shares) and RFC 4918.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Serving;
use super::talk::{Request, Sent, Talk, base64, decoded};

/// The token of the share.
const TOKEN: &str = "AbCdEfGhIjKlMnO";
const ROOT: &str = "/public.php/webdav/";
const XML: &str = "Content-Type: application/xml; charset=utf-8\r\n";

/// A running look-alike. Dropping it stops it.
#[derive(Debug)]
pub struct Nextcloud {
    serving: Serving,
    shared: Arc<Shared>,
}

/// Scripts a [`Nextcloud`]. Made by [`Nextcloud::builder`].
#[derive(Clone, Debug, Default)]
pub struct NextcloudBuilder {
    files: Vec<File>,
    password: String,
    busy: u32,
    rate_bps: Option<u64>,
}

/// The counters of a [`Nextcloud`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextcloudStats {
    /// Folders that were listed.
    pub listed: u32,
    /// Requests without the right name or password.
    pub strangers: u32,
    /// Requests that were refused for maintenance.
    pub busy: u32,
    /// Bytes of files that were sent.
    pub sent_bytes: u64,
}

#[derive(Clone, Debug)]
struct File {
    path: String,
    seed: u64,
    size: u64,
    checksum: Option<String>,
    /// It is sent with this size, whatever is listed.
    sent_bytes: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<NextcloudBuilder>,
    stats: Mutex<NextcloudStats>,
}

impl Nextcloud {
    /// A builder for a share with an empty folder and no password.
    pub fn builder() -> NextcloudBuilder {
        NextcloudBuilder::default()
    }

    /// The link that is shared.
    pub fn link(&self) -> String {
        format!("http://{}/s/{TOKEN}", self.serving.addr)
    }

    /// The same with a password.
    pub fn link_with(&self, password: &str) -> String {
        format!("http://:{password}@{}/s/{TOKEN}", self.serving.addr)
    }

    /// The current counters.
    pub fn stats(&self) -> NextcloudStats {
        *self.shared.stats.lock()
    }

    /// Changes what is shared: the service goes on with another script.
    pub fn change(&self, change: impl FnOnce(NextcloudBuilder) -> NextcloudBuilder) {
        let mut script = self.shared.script.lock();
        *script = change(script.clone());
    }
}

impl NextcloudBuilder {
    /// Adds a file with the content `seed` at `path` below the shared folder, or replaces it.
    #[must_use]
    pub fn file(mut self, path: &str, seed: u64, size: u64) -> Self {
        let file = File { path: path.to_owned(), seed, size, checksum: None, sent_bytes: None };
        match self.files.iter_mut().find(|held| held.path == path) {
            Some(held) => *held = file,
            None => self.files.push(file),
        }
        self
    }

    /// Lists these digests of the file that was added last, as `SHA1:… MD5:…`.
    #[must_use]
    pub fn checksum(mut self, digests: &str) -> Self {
        if let Some(file) = self.files.last_mut() {
            file.checksum = Some(digests.to_owned());
        }
        self
    }

    /// Sends the file that was added last with another size than it is listed with.
    #[must_use]
    pub fn sent_as(mut self, size: u64) -> Self {
        if let Some(file) = self.files.last_mut() {
            file.sent_bytes = Some(size);
        }
        self
    }

    /// Wants this password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = password.to_owned();
        self
    }

    /// Answers the first `requests` requests as in maintenance: 503, and an error in XML.
    #[must_use]
    pub fn busy(mut self, requests: u32) -> Self {
        self.busy = requests;
        self
    }

    /// Limits each connection to this many bytes per second.
    #[must_use]
    pub fn rate(mut self, bps: u64) -> Self {
        self.rate_bps = Some(bps);
        self
    }

    /// Starts the service on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port is available.
    pub fn start(self) -> io::Result<Nextcloud> {
        let shared = Arc::new(Shared { script: Mutex::new(self), stats: Mutex::default() });
        let answering = Arc::clone(&shared);
        let serving = Serving::start(None, move |talk, request| answering.answer(talk, request))?;
        Ok(Nextcloud { serving, shared })
    }
}

impl Shared {
    fn count<T>(&self, count: impl FnOnce(&mut NextcloudStats) -> T) -> T {
        count(&mut self.stats.lock())
    }

    fn answer(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        let script = self.script.lock().clone();
        let is_busy = self.count(|stats| {
            let is_busy = stats.busy < script.busy;
            stats.busy += u32::from(is_busy);
            is_busy
        });
        if is_busy {
            let body = error("ServiceUnavailable", "System is in maintenance mode.");
            return talk.answer("503 Service Unavailable", XML, body.as_bytes());
        }
        let known = format!("Basic {}", base64(format!("{TOKEN}:{}", script.password).as_bytes()));
        if request.header("authorization") != Some(&known) {
            self.count(|stats| stats.strangers += 1);
            let fields = format!("{XML}WWW-Authenticate: Basic realm=\"Nextcloud\"\r\n");
            let body = error("NotAuthenticated", "Cannot authenticate over ajax calls");
            return talk.answer("401 Unauthorized", &fields, body.as_bytes());
        }
        let path = decoded(&request.path);
        let Some(path) = path.strip_prefix(ROOT).map(|path| path.trim_end_matches('/').to_owned()) else {
            return talk.answer("404 Not Found", XML, error("NotFound", "").as_bytes());
        };
        match request.method.as_str() {
            "PROPFIND" => self.list(talk, &script, &path),
            "GET" => self.send(talk, request, &script, &path),
            _ => talk.answer("405 Method Not Allowed", XML, error("MethodNotAllowed", "").as_bytes()),
        }
    }

    fn list(&self, talk: &mut Talk, script: &NextcloudBuilder, folder: &str) -> io::Result<()> {
        self.count(|stats| stats.listed += 1);
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let mut folders = BTreeSet::from([String::new()]);
        let mut answers = String::new();
        for file in &script.files {
            match file.path.strip_prefix(&prefix).map(|rest| rest.split_once('/')) {
                Some(Some((name, _))) => drop(folders.insert(format!("{name}/"))),
                Some(None) => answers += &described(file),
                None => {}
            }
        }
        for name in folders {
            let href = escaped(&format!("{ROOT}{prefix}{name}"));
            let _ = write!(
                answers,
                "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>\
                 <d:getetag>&quot;f&quot;</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat>\
                 <d:propstat><d:prop><d:getcontentlength/></d:prop><d:status>HTTP/1.1 404 Not Found</d:status>\
                 </d:propstat></d:response>"
            );
        }
        let body = format!(
            "<?xml version=\"1.0\"?>\n<d:multistatus xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\" \
             xmlns:oc=\"http://owncloud.org/ns\" xmlns:nc=\"http://nextcloud.org/ns\">{answers}</d:multistatus>"
        );
        talk.answer("207 Multi-Status", XML, body.as_bytes())
    }

    fn send(&self, talk: &mut Talk, request: &Request, script: &NextcloudBuilder, path: &str) -> io::Result<()> {
        let Some(file) = script.files.iter().find(|file| file.path == path) else {
            return talk.answer("404 Not Found", XML, error("NotFound", "").as_bytes());
        };
        let fields = format!("Content-Type: application/octet-stream\r\nETag: \"{:x}\"\r\n", file.seed);
        let sent = Sent {
            seed: file.seed,
            archive: None,
            size: file.sent_bytes.unwrap_or(file.size),
            fields: &fields,
            rate_bps: script.rate_bps,
        };
        talk.send(request, &sent, |count| {
            self.count(|stats| stats.sent_bytes += count);
            Ok(())
        })
    }
}

fn described(file: &File) -> String {
    let checksums = file.checksum.as_ref().map_or_else(String::new, |digests| {
        format!("<oc:checksums><oc:checksum>{digests}</oc:checksum></oc:checksums>")
    });
    format!(
        "<d:response><d:href>{}</d:href><d:propstat><d:prop><d:resourcetype/>\
         <d:getlastmodified>Fri, 0{} Jan 2026 10:00:00 GMT</d:getlastmodified>\
         <d:getcontentlength>{}</d:getcontentlength><d:getetag>&quot;{:x}&quot;</d:getetag>{checksums}</d:prop>\
         <d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>",
        escaped(&format!("{ROOT}{}", file.path)),
        1 + file.seed % 9,
        file.size,
        file.seed
    )
}

fn error(exception: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">\n  \
         <s:exception>Sabre\\DAV\\Exception\\{exception}</s:exception>\n  <s:message>{message}</s:message>\n</d:error>"
    )
}

/// A path as the service writes it.
fn escaped(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => text.push(char::from(byte)),
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}
