//! A mock cloud storage service: a folder listed in pages, and files whose download links come from an
//! API, need a ticket and expire. For tests of providers.
//!
//! `GET /folder?page=N` returns `{"entries": [{"id", "path", "bytes"}], "next": N + 1 or null}`.
//! `GET /entry/ID/link` returns `{"url", "ticket", "expires_seconds"}`. The URL serves the bytes, with
//! ranges, to requests that send the ticket in `X-Ticket`.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::Serving;
use super::talk::{JSON, Request, Sent, Talk};

/// A running mock service. Dropping it stops it.
#[derive(Debug)]
pub struct Cloud {
    serving: Serving,
    shared: Arc<Shared>,
}

/// Scripts a [`Cloud`]. Made by [`Cloud::builder`].
#[derive(Clone, Debug)]
pub struct CloudBuilder {
    files: Vec<(String, u64, u64)>,
    page_len: usize,
    link_uses: u32,
    refusal: u16,
    expires_seconds: Option<u64>,
    busy: u32,
    rate_bps: Option<u64>,
}

/// The counters of a [`Cloud`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloudStats {
    /// Folder pages served.
    pub pages: u32,
    /// Links issued.
    pub links: u32,
    /// Requests for bytes refused because the link had expired or the ticket was missing.
    pub refused: u32,
    /// API requests answered with 429.
    pub busy: u32,
    /// File bytes sent.
    pub sent_bytes: u64,
}

#[derive(Debug)]
struct Shared {
    script: CloudBuilder,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stats: CloudStats,
    /// Remaining uses of each link.
    uses: HashMap<u32, u32>,
}

impl Cloud {
    /// A builder for a service without files, whose links do not expire.
    pub fn builder() -> CloudBuilder {
        CloudBuilder {
            files: Vec::new(),
            page_len: 100,
            link_uses: u32::MAX,
            refusal: 401,
            expires_seconds: None,
            busy: 0,
            rate_bps: None,
        }
    }

    /// The link to the folder.
    pub fn folder(&self) -> String {
        format!("http://{}/folder", self.serving.addr)
    }

    /// The base URL of the API.
    pub fn base(&self) -> String {
        format!("http://{}/", self.serving.addr)
    }

    /// The current counters.
    pub fn stats(&self) -> CloudStats {
        self.shared.state().stats
    }
}

impl CloudBuilder {
    /// Adds a file with the content `seed` at `path` below the folder.
    #[must_use]
    pub fn file(mut self, path: &str, seed: u64, size: u64) -> Self {
        self.files.push((path.to_owned(), seed, size));
        self
    }

    /// Lists this many entries per page, at least one.
    #[must_use]
    pub fn page_len(mut self, entries: usize) -> Self {
        self.page_len = entries.max(1);
        self
    }

    /// Answers the first `uses` requests for a link and refuses later ones with `status`.
    #[must_use]
    pub fn link_uses(mut self, uses: u32, status: u16) -> Self {
        (self.link_uses, self.refusal) = (uses, status);
        self
    }

    /// Sets the expiry time that the API reports for links.
    #[must_use]
    pub fn expires_seconds(mut self, seconds: u64) -> Self {
        self.expires_seconds = Some(seconds);
        self
    }

    /// Answers the first `requests` API requests with 429.
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
    pub fn start(self) -> io::Result<Cloud> {
        let shared = Arc::new(Shared { script: self, state: Mutex::default() });
        let answering = Arc::clone(&shared);
        let serving = Serving::start(None, move |talk, request| answering.answer(talk, request))?;
        Ok(Cloud { serving, shared })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn answer(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        match request.segments()[..] {
            ["folder"] => self.folder(talk, request),
            ["entry", id, "link"] => self.link(talk, id),
            ["bytes", id] => self.bytes(talk, request, id),
            _ => talk.answer("404 Not Found", "", b"{}"),
        }
    }

    fn is_busy(&self, talk: &mut Talk) -> io::Result<bool> {
        let is_busy = {
            let mut state = self.state();
            let is_busy = state.stats.busy < self.script.busy;
            state.stats.busy += u32::from(is_busy);
            is_busy
        };
        if is_busy {
            talk.answer("429 Too Many Requests", "Retry-After: 0\r\n", b"{}")?;
        }
        Ok(is_busy)
    }

    fn folder(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        if self.is_busy(talk)? {
            return Ok(());
        }
        self.state().stats.pages += 1;
        let page: usize = request.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(0);
        let first = page * self.script.page_len;
        let entries = self.script.files.iter().enumerate().skip(first).take(self.script.page_len);
        let entries: Vec<String> =
            entries.map(|(id, (path, _, size))| format!(r#"{{"id":"{id}","path":"{path}","bytes":{size}}}"#)).collect();
        let is_last = first + self.script.page_len >= self.script.files.len();
        let next = if is_last { "null".to_owned() } else { (page + 1).to_string() };
        let body = format!(r#"{{"entries":[{}],"next":{next}}}"#, entries.join(","));
        talk.answer("200 OK", JSON, body.as_bytes())
    }

    fn link(&self, talk: &mut Talk, id: &str) -> io::Result<()> {
        if self.is_busy(talk)? {
            return Ok(());
        }
        let number = {
            let mut state = self.state();
            state.stats.links += 1;
            let number = state.stats.links;
            state.uses.insert(number, self.script.link_uses);
            number
        };
        let expires = self.script.expires_seconds.map_or("null".to_owned(), |seconds| seconds.to_string());
        let addr = talk.addr;
        let body = format!(
            r#"{{"url":"http://{addr}/bytes/{id}?sig={number}","ticket":"t{number}","expires_seconds":{expires}}}"#
        );
        talk.answer("200 OK", JSON, body.as_bytes())
    }

    fn bytes(&self, talk: &mut Talk, request: &Request, id: &str) -> io::Result<()> {
        let number: u32 = request.parameter("sig").and_then(|number| number.parse().ok()).unwrap_or(0);
        let has_ticket = request.headers.get("x-ticket") == Some(&format!("t{number}"));
        let is_good = {
            let mut state = self.state();
            let left = state.uses.get_mut(&number).filter(|left| **left > 0 && has_ticket);
            let is_good = left.map(|left| *left -= 1).is_some();
            state.stats.refused += u32::from(!is_good);
            is_good
        };
        if !is_good {
            return talk.answer(&format!("{} No", self.script.refusal), "", b"");
        }
        let file = id.parse().ok().and_then(|id: usize| self.script.files.get(id));
        let Some(&(_, seed, size)) = file else { return talk.answer("404 Not Found", "", b"") };
        let fields = format!("ETag: \"seed-{seed}\"\r\n");
        let sent = Sent { seed, size, archive: None, fields: &fields, rate_bps: self.script.rate_bps };
        talk.send(request, &sent, |count| {
            self.state().stats.sent_bytes += count;
            Ok(())
        })
    }
}
