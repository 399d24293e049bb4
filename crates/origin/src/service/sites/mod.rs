//! A look-alike of the sites whose links lead to one file, for everybody: Dropbox, Google Drive, SharePoint. One server
//! over TLS has the names of them all, so that a client reaches it under those names through a proxy.
//!
//! After what each service documents of its links, and how its pages and answers look from outside.

mod dropbox;
mod google_drive;
mod sharepoint;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Serving;
use super::talk::{Request, Sent, Talk};
use crate::tls::{Certificate, Identity};

const HTML: &str = "Content-Type: text/html; charset=utf-8\r\n";
/// The names of the services.
const NAMES: [&str; 8] = [
    dropbox::HOST,
    dropbox::BYTES_HOST,
    google_drive::HOST,
    google_drive::BYTES_HOST,
    google_drive::ACCOUNTS_HOST,
    sharepoint::HOST,
    sharepoint::LOGIN_HOST,
    "localhost",
];

/// The running look-alikes. Dropping them stops them.
#[derive(Debug)]
pub struct Sites {
    serving: Serving,
    ca_pem: String,
    shared: Arc<Shared>,
}

/// Scripts [`Sites`]. Made by [`Sites::builder`].
#[derive(Clone, Debug, Default)]
pub struct SitesBuilder {
    files: Vec<File>,
    rate_bps: Option<u64>,
}

/// The counters of [`Sites`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SitesStats {
    /// Links to bytes that were given.
    pub links: u32,
    /// Requests for bytes over a link that had expired.
    pub expired: u32,
    /// Bytes of files that were sent.
    pub sent_bytes: u64,
}

/// Who gets a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// Everybody; it is made when it is asked for, as the archive of a folder is: without ranges and length.
    Made,
    /// Who signs in.
    SignIn,
    /// Who knows a password.
    Password,
    /// Nobody today: too many have fetched it.
    OverQuota,
    /// Nobody any more.
    Gone,
}

#[derive(Clone, Debug)]
struct File {
    id: String,
    name: String,
    seed: u64,
    size: u64,
    access: Access,
    /// `x-goog-hash`.
    hash: Option<String>,
}

#[derive(Debug)]
struct Shared {
    script: SitesBuilder,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stats: SitesStats,
    /// This many of the links to bytes have expired.
    expired_links: u32,
}

impl Sites {
    /// A builder for services without files.
    pub fn builder() -> SitesBuilder {
        SitesBuilder::default()
    }

    /// Where the services are.
    pub fn addr(&self) -> SocketAddr {
        self.serving.addr
    }

    /// The authority that clients have to trust, in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The current counters.
    pub fn stats(&self) -> SitesStats {
        self.shared.state().stats
    }

    /// Lets all links to bytes expire that were given until now, and breaks off what comes over them.
    pub fn expire_links(&self) {
        let mut state = self.shared.state();
        state.expired_links = state.stats.links;
    }

    /// The link to a file of Dropbox.
    pub fn dropbox(&self, id: &str) -> String {
        format!("https://{}/scl/fi/{id}/shown.bin?rlkey=SECRET-key&dl=0", dropbox::HOST)
    }

    /// The link to a file of Google Drive.
    pub fn google_drive(&self, id: &str) -> String {
        format!("https://{}/file/d/{id}/view?usp=sharing", google_drive::HOST)
    }

    /// The link to a file of SharePoint that is shared with everybody.
    pub fn sharepoint(&self, id: &str) -> String {
        format!("https://{}/:u:/g/personal/me/{id}?e=SECRET-e", sharepoint::HOST)
    }
}

impl SitesBuilder {
    /// Adds a file with the content `seed`.
    #[must_use]
    pub fn file(mut self, id: &str, name: &str, seed: u64, size: u64) -> Self {
        let (id, name) = (id.to_owned(), name.to_owned());
        self.files.push(File { id, name, seed, size, access: Access::Open, hash: None });
        self
    }

    /// Who gets the file that was added last.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        if let Some(file) = self.files.last_mut() {
            file.access = access;
        }
        self
    }

    /// Sends this `x-goog-hash` with the file that was added last.
    #[must_use]
    pub fn hash(mut self, hash: &str) -> Self {
        if let Some(file) = self.files.last_mut() {
            file.hash = Some(hash.to_owned());
        }
        self
    }

    /// Limits each connection to this many bytes per second.
    #[must_use]
    pub fn rate(mut self, bps: u64) -> Self {
        self.rate_bps = Some(bps);
        self
    }

    /// Starts the services on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port is available, or no certificate can be made.
    pub fn start(self) -> io::Result<Sites> {
        let identity = Identity::generate_for(&NAMES, &[b"http/1.1"], Certificate::Good)?;
        let shared = Arc::new(Shared { script: self, state: Mutex::default() });
        let answering = Arc::clone(&shared);
        let config = Arc::clone(identity.acceptor.config());
        let serving = Serving::start(Some(config), move |talk, request| answering.answer(talk, request))?;
        Ok(Sites { serving, ca_pem: identity.ca_pem, shared })
    }

    fn find(&self, id: &str) -> Option<&File> {
        self.files.iter().find(|file| file.id == id)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn answer(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        match request.header("host").unwrap_or_default() {
            dropbox::HOST => self.dropbox(talk, request),
            dropbox::BYTES_HOST => self.dropbox_bytes(talk, request),
            google_drive::HOST | google_drive::BYTES_HOST => self.google_drive(talk, request),
            sharepoint::HOST => self.sharepoint(talk, request),
            google_drive::ACCOUNTS_HOST | sharepoint::LOGIN_HOST => page(talk, "200 OK", "Sign in to your account"),
            _ => talk.answer("421 Misdirected Request", "", b""),
        }
    }

    /// Sends the bytes of a file under its name, with these fields too.
    fn send(&self, talk: &mut Talk, request: &Request, file: &File, fields: &str) -> io::Result<()> {
        let name = format!("Content-Disposition: attachment; filename=\"{}\"\r\n", file.name);
        let fields = format!("Content-Type: application/octet-stream\r\n{name}{fields}");
        let sent =
            Sent { seed: file.seed, size: file.size, archive: None, fields: &fields, rate_bps: self.script.rate_bps };
        let expired_links = self.state().expired_links;
        let tell = |count| {
            let mut state = self.state();
            state.stats.sent_bytes += count;
            // Links that expire take their streams with them.
            match state.expired_links == expired_links {
                true => Ok(()),
                false => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        };
        match file.access {
            Access::Made => talk.send_chunked(&sent, tell),
            _ => talk.send(request, &sent, tell),
        }
    }
}

/// A page with this title.
fn page(talk: &mut Talk, status: &str, title: &str) -> io::Result<()> {
    let body = format!("<!DOCTYPE html><html><head><title>{title}</title></head><body>{title}</body></html>");
    talk.answer(status, HTML, body.as_bytes())
}

fn redirect(talk: &mut Talk, to: &str) -> io::Result<()> {
    talk.answer("302 Found", &format!("Location: {to}\r\n"), b"")
}
