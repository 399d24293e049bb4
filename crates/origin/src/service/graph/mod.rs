//! A look-alike of Microsoft Graph, as far as OneDrive uses it: share links, folders in pages, download links that
//! expire, sign-in by code, tokens that expire, and throttling. For tests of its provider.
//!
//! After Microsoft's public documentation of the resources `driveItem`, `shares`, and the OAuth 2.0 device grant.

mod api;
mod quick_xor;
mod sign_in;
mod tree;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::Serving;
use super::talk::{JSON, Request, Sent, Talk};

/// A running look-alike. Dropping it stops it.
#[derive(Debug)]
pub struct Graph {
    serving: Serving,
    shared: Arc<Shared>,
}

/// Scripts a [`Graph`]. Made by [`Graph::builder`].
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    items: Vec<Item>,
    /// What is listed in the root besides, as JSON.
    odd: Vec<String>,
    has_endless_pages: bool,
    page_len: usize,
    link_lives: Option<Duration>,
    /// Expired links lead to a page to sign in, which refuses.
    has_sign_in_page: bool,
    /// Responses with bytes break off after so many.
    cut_at: Option<u64>,
    token: String,
    busy_every: Option<(u32, bool)>,
    rate_bps: Option<u64>,
    polls: u32,
}

/// The counters of a [`Graph`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GraphStats {
    /// Requests to the API that were answered.
    pub asked: u32,
    /// Of those, requests for one item, which give a new link.
    pub located: u32,
    /// Requests to the API that were refused with 429.
    pub busy: u32,
    /// Requests to the API without a good token.
    pub strangers: u32,
    /// Requests for bytes over a link that had expired.
    pub expired: u32,
    /// Requests for bytes that had a token with them, which never must be sent there.
    pub tokens_sent: u32,
    /// Tokens that were renewed.
    pub renewed: u32,
    /// Bytes of files that were sent.
    pub sent_bytes: u64,
}

#[derive(Clone, Debug)]
struct Item {
    path: String,
    seed: u64,
    size: u64,
    kind: Kind,
    /// How often it was uploaded before.
    uploads: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// It is listed with another size and digest than it is sent with.
    Rewritten,
    /// As `Rewritten`, and only half of it is sent.
    Halved,
    /// Its digest is wrong.
    Wrong,
    /// Held back for malware.
    Malware,
    /// Nobody may read it.
    Forbidden,
    /// It is listed, and not there.
    Lost,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<GraphBuilder>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stats: GraphStats,
    /// When each link was given.
    links: Vec<Instant>,
    /// The number of the current token.
    token: u32,
    requests: u32,
    polls: u32,
}

impl Graph {
    /// A builder for a service with an empty folder.
    pub fn builder() -> GraphBuilder {
        GraphBuilder {
            items: Vec::new(),
            odd: Vec::new(),
            has_endless_pages: false,
            page_len: 100,
            link_lives: None,
            has_sign_in_page: false,
            cut_at: None,
            token: "SECRET-token".to_owned(),
            busy_every: None,
            rate_bps: None,
            polls: 1,
        }
    }

    /// The address of the API and of the sign-in.
    pub fn base(&self) -> String {
        format!("http://{}/", self.serving.addr)
    }

    /// The link that is shared.
    pub fn link(&self) -> &'static str {
        "https://1drv.ms/f/s!share"
    }

    /// The current counters.
    pub fn stats(&self) -> GraphStats {
        self.shared.state().stats
    }

    /// How many connections are open. While the last ones of a client that was killed are, the counters may still grow.
    pub fn connections(&self) -> usize {
        self.serving.open.load(Ordering::Acquire)
    }

    /// Lets the current token expire; after a sign-in it can be renewed.
    pub fn expire_token(&self) {
        self.shared.state().token += 1;
    }

    /// Changes what is shared: the service goes on with another script.
    pub fn change(&self, change: impl FnOnce(GraphBuilder) -> GraphBuilder) {
        let mut script = self.shared.script.lock();
        *script = change(script.clone());
    }
}

impl GraphBuilder {
    /// Adds a file with the content `seed` at `path` below the shared folder, or replaces it.
    #[must_use]
    pub fn file(self, path: &str, seed: u64, size: u64) -> Self {
        self.item(path, seed, size, Kind::Plain)
    }

    /// Adds a file that is sent with other content than it is listed with, as Office files are: the content `seed`
    /// between the beginning and the end of a zip archive (see [`fill_archive`](crate::fill_archive)).
    #[must_use]
    pub fn rewritten(self, path: &str, seed: u64, size: u64) -> Self {
        self.item(path, seed, size, Kind::Rewritten)
    }

    /// Adds such a file of which only the first half is sent.
    #[must_use]
    pub fn halved(self, path: &str, seed: u64, size: u64) -> Self {
        self.item(path, seed, size, Kind::Halved)
    }

    /// Adds a file whose digest is wrong.
    #[must_use]
    pub fn wrong(self, path: &str, seed: u64, size: u64) -> Self {
        self.item(path, seed, size, Kind::Wrong)
    }

    /// Adds a file in which malware was found.
    #[must_use]
    pub fn malware(self, path: &str) -> Self {
        self.item(path, 0, 1000, Kind::Malware)
    }

    /// Adds a file that may not be read.
    #[must_use]
    pub fn forbidden(self, path: &str) -> Self {
        self.item(path, 0, 1000, Kind::Forbidden)
    }

    /// Adds a file that is listed and cannot be found.
    #[must_use]
    pub fn lost(self, path: &str) -> Self {
        self.item(path, 0, 1000, Kind::Lost)
    }

    /// Removes a file and uploads it again with other content: it gets another id.
    #[must_use]
    pub fn uploaded_again(mut self, path: &str, seed: u64, size: u64) -> Self {
        for item in self.items.iter_mut().filter(|item| item.path == path) {
            (item.seed, item.size, item.uploads) = (seed, size, item.uploads + 1);
        }
        self
    }

    /// Lists this item in the shared folder too, whatever it is, as JSON. The id of the folder itself is
    /// `icbf29ce484222325`, that of the drive `b!drive`.
    #[must_use]
    pub fn listed(mut self, json: &str) -> Self {
        self.odd.push(json.to_owned());
        self
    }

    /// Names each page as the one after itself.
    #[must_use]
    pub fn endless_pages(mut self) -> Self {
        self.has_endless_pages = true;
        self
    }

    /// Removes a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.items.retain(|item| item.path != path);
        self
    }

    fn item(mut self, path: &str, seed: u64, size: u64, kind: Kind) -> Self {
        let item = Item { path: path.to_owned(), seed, size, kind, uploads: 0 };
        match self.items.iter_mut().find(|held| held.path == path) {
            Some(held) => *held = item,
            None => self.items.push(item),
        }
        self
    }

    /// Lists this many items per page, at least one.
    #[must_use]
    pub fn page_len(mut self, items: usize) -> Self {
        self.page_len = items.max(1);
        self
    }

    /// Refuses links that are older than this.
    #[must_use]
    pub fn link_lives(mut self, lives: Duration) -> Self {
        self.link_lives = Some(lives);
        self
    }

    /// Sends whoever uses an expired link to a page to sign in, which refuses, instead of refusing at once.
    #[must_use]
    pub fn sign_in_page(mut self) -> Self {
        self.has_sign_in_page = true;
        self
    }

    /// Breaks each response with bytes of a file off once about so many were sent.
    #[must_use]
    pub fn cut_at(mut self, bytes: u64) -> Self {
        self.cut_at = Some(bytes);
        self
    }

    /// Answers each `n`th request to the API with 429, with or without `Retry-After`.
    #[must_use]
    pub fn busy_every(mut self, n: u32, says_when: bool) -> Self {
        self.busy_every = Some((n.max(1), says_when));
        self
    }

    /// Limits each connection to this many bytes per second.
    #[must_use]
    pub fn rate(mut self, bps: u64) -> Self {
        self.rate_bps = Some(bps);
        self
    }

    /// Says this often that the user has not entered the code yet.
    #[must_use]
    pub fn polls(mut self, polls: u32) -> Self {
        self.polls = polls;
        self
    }

    /// The token that is good from the beginning.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Starts the service on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port is available.
    pub fn start(self) -> io::Result<Graph> {
        let state = State { stats: GraphStats::default(), links: Vec::new(), token: 0, requests: 0, polls: 0 };
        let shared = Arc::new(Shared { script: Mutex::new(self), state: Mutex::new(state) });
        let answering = Arc::clone(&shared);
        let serving = Serving::start(None, move |talk, request| answering.answer(talk, request))?;
        Ok(Graph { serving, shared })
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn script(&self) -> GraphBuilder {
        self.script.lock().clone()
    }

    fn answer(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        let segments = request.segments();
        match segments[..] {
            [_, "oauth2", "v2.0", what] => self.sign_in(talk, what, request),
            ["bytes", id] => self.bytes(talk, request, id),
            ["sign-in"] => refuse(talk, "401 Unauthorized", "unauthenticated"),
            ["v1.0", ..] => self.api(talk, &segments[1..], request),
            _ => refuse(talk, "404 Not Found", "itemNotFound"),
        }
    }

    fn bytes(&self, talk: &mut Talk, request: &Request, id: &str) -> io::Result<()> {
        let script = self.script();
        let link = request.query.strip_prefix("tempauth=SECRET-link-").and_then(|number| number.parse::<usize>().ok());
        {
            let mut state = self.state();
            let has_token = request.headers.contains_key("authorization");
            state.stats.tokens_sent += u32::from(has_token);
            let given = link.and_then(|link| state.links.get(link).copied());
            let is_good = given.is_some_and(|since| script.link_lives.is_none_or(|lives| since.elapsed() < lives));
            state.stats.expired += u32::from(!is_good);
            if !is_good || has_token {
                drop(state);
                if !has_token && script.has_sign_in_page {
                    return talk.answer("302 Found", "Location: /sign-in\r\n", b"");
                }
                return refuse(talk, "401 Unauthorized", "unauthenticated");
            }
        }
        let file = id.parse().ok().and_then(|id: usize| script.items.get(id)).filter(|item| item.kind != Kind::Lost);
        let Some(item) = file else { return refuse(talk, "404 Not Found", "itemNotFound") };
        let fields = format!("ETag: \"{{{id}}},{}\"\r\n", item.seed);
        let archive = matches!(item.kind, Kind::Rewritten | Kind::Halved).then_some(item.size);
        let size = if item.kind == Kind::Halved { item.size / 2 } else { item.size };
        let sent = Sent { seed: item.seed, size, archive, fields: &fields, rate_bps: script.rate_bps };
        let sent_before = std::cell::Cell::new(0);
        talk.send(request, &sent, |count| {
            self.state().stats.sent_bytes += count;
            sent_before.set(sent_before.get() + count);
            match script.cut_at {
                Some(cut_at) if sent_before.get() >= cut_at => Err(io::ErrorKind::ConnectionAborted.into()),
                _ => Ok(()),
            }
        })
    }
}

fn refuse(talk: &mut Talk, status: &str, code: &str) -> io::Result<()> {
    // Some of the service's messages repeat what was sent.
    let body = format!(r#"{{"error":{{"code":"{code}","message":"SECRET message"}}}}"#);
    talk.answer(status, JSON, body.as_bytes())
}
