//! A look-alike of Microsoft Graph, as far as OneDrive uses it: share links, folders in pages, download links that
//! expire, sign-in by code, tokens that expire, and throttling. For tests of its provider. Each connection has its own
//! thread.
//!
//! After Microsoft's public documentation of the resources `driveItem`, `shares`, and the OAuth 2.0 device grant.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::content::fill;
use crate::service::{Request, answer, parse_range, read_request};

const BUFFER_BYTES: usize = 64 << 10;
const JSON: &str = "Content-Type: application/json\r\n";
/// The id of the drive.
const DRIVE: &str = "b!drive";
/// The link that is shared, as the API wants it: `https://1drv.ms/f/s!share`.
const SHARE: &str = "u!aHR0cHM6Ly8xZHJ2Lm1zL2YvcyFzaGFyZQ";
const QUICK_XOR_BITS: usize = 160;

/// A running look-alike. Dropping it stops it.
#[derive(Debug)]
pub struct Graph {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// Scripts a [`Graph`]. Made by [`Graph::builder`].
#[derive(Clone, Debug)]
pub struct GraphBuilder {
    items: Vec<Item>,
    page_len: usize,
    link_lives: Option<Duration>,
    token_lives: Option<Duration>,
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// It is listed with another size and digest than it is sent with.
    Rewritten,
    /// Its digest is wrong.
    Wrong,
    /// Held back for malware.
    Malware,
    /// Nobody may read it.
    Forbidden,
}

/// A file or a folder, with what is in it.
#[derive(Clone, Debug)]
struct Node {
    /// It stays the same as long as the path does.
    id: String,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    File(usize),
    Folder(BTreeMap<String, usize>),
}

impl Node {
    fn new(path: &str, what: What) -> Self {
        let hash = path
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        Self { id: format!("i{hash:016x}"), what }
    }
}

#[derive(Debug)]
struct Shared {
    script: Mutex<GraphBuilder>,
    state: Mutex<State>,
    is_stopped: AtomicBool,
}

#[derive(Debug)]
struct State {
    stats: GraphStats,
    /// When each link was given.
    links: Vec<Instant>,
    /// When the current token was given, and its number.
    token: (Instant, u32),
    requests: u32,
    polls: u32,
}

impl Graph {
    /// A builder for a service with an empty folder.
    pub fn builder() -> GraphBuilder {
        GraphBuilder {
            items: Vec::new(),
            page_len: 100,
            link_lives: None,
            token_lives: None,
            token: "SECRET-token".to_owned(),
            busy_every: None,
            rate_bps: None,
            polls: 1,
        }
    }

    /// The address of the API and of the sign-in.
    pub fn base(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// The link that is shared.
    pub fn link(&self) -> &'static str {
        "https://1drv.ms/f/s!share"
    }

    /// The current counters.
    pub fn stats(&self) -> GraphStats {
        self.shared.state().stats
    }

    /// Changes what is shared: the service goes on with another script.
    pub fn change(&self, change: impl FnOnce(GraphBuilder) -> GraphBuilder) {
        let mut script = self.shared.script.lock().unwrap_or_else(PoisonError::into_inner);
        *script = change(script.clone());
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl GraphBuilder {
    /// Adds a file with the content `seed` at `path` below the shared folder, or replaces it.
    #[must_use]
    pub fn file(self, path: &str, seed: u64, size: u64) -> Self {
        self.item(path, seed, size, Kind::Plain)
    }

    /// Adds a file that is sent with other content than it is listed with, as Office files are.
    #[must_use]
    pub fn rewritten(self, path: &str, seed: u64, size: u64) -> Self {
        self.item(path, seed, size, Kind::Rewritten)
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

    /// Removes a file.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.items.retain(|item| item.path != path);
        self
    }

    fn item(mut self, path: &str, seed: u64, size: u64, kind: Kind) -> Self {
        let item = Item { path: path.to_owned(), seed, size, kind };
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

    /// Refuses tokens that are older than this; they can be renewed after a sign-in.
    #[must_use]
    pub fn token_lives(mut self, lives: Duration) -> Self {
        self.token_lives = Some(lives);
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
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let state = State {
            stats: GraphStats::default(),
            links: Vec::new(),
            token: (Instant::now(), 0),
            requests: 0,
            polls: 0,
        };
        let shared =
            Arc::new(Shared { script: Mutex::new(self), state: Mutex::new(state), is_stopped: AtomicBool::new(false) });
        let serving = Arc::clone(&shared);
        let accepting = thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.is_stopped.load(Ordering::Acquire) {
                    break;
                }
                let (Ok(stream), serving) = (stream, Arc::clone(&serving)) else { continue };
                // An error means that the client has gone.
                thread::spawn(move || drop(serving.serve(&stream, addr)));
            }
        });
        Ok(Graph { addr, shared, accepting: Some(accepting) })
    }

    /// The tree of items: the root first, then by number.
    fn nodes(&self) -> Vec<Node> {
        let mut nodes = vec![Node::new("", What::Folder(BTreeMap::new()))];
        for (number, item) in self.items.iter().enumerate() {
            let mut at = 0;
            let mut path = String::new();
            let (folders, name) = item.path.rsplit_once('/').map_or(("", item.path.as_str()), |both| both);
            for part in folders.split('/').filter(|part| !part.is_empty()) {
                path = format!("{path}/{part}");
                at = child(&mut nodes, at, part, Node::new(&path, What::Folder(BTreeMap::new())));
            }
            child(&mut nodes, at, name, Node::new(&item.path, What::File(number)));
        }
        nodes
    }
}

/// The number of a node's child; the node itself if it is new.
fn child(nodes: &mut Vec<Node>, at: usize, name: &str, node: Node) -> usize {
    let next = nodes.len();
    let What::Folder(children) = &mut nodes[at].what else { return at };
    if let Some(held) = children.get(name) {
        return *held;
    }
    children.insert(name.to_owned(), next);
    nodes.push(node);
    next
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> GraphBuilder {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn serve(&self, stream: &TcpStream, addr: SocketAddr) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
            match segments[..] {
                [_, "oauth2", "v2.0", what] => self.sign_in(stream, addr, what, &request)?,
                ["bytes", id] => self.bytes(stream, &request, id)?,
                ["v1.0", ..] => self.api(stream, addr, &segments[1..], &request)?,
                _ => refuse(stream, "404 Not Found", "itemNotFound")?,
            }
        }
        Ok(())
    }

    fn sign_in(&self, stream: &TcpStream, addr: SocketAddr, what: &str, request: &Request) -> io::Result<()> {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        if request.method != "POST" || !form.contains("client_id=") {
            return answer(stream, "400 Bad Request", JSON, br#"{"error":"invalid_request"}"#);
        }
        if what == "devicecode" {
            let body = format!(
                r#"{{"device_code":"SECRET-device","user_code":"ABCD-EFGH","verification_uri":"http://{addr}/device","expires_in":900,"interval":1}}"#
            );
            return answer(stream, "200 OK", JSON, body.as_bytes());
        }
        let is_renewal = form.contains("grant_type=refresh_token");
        let is_good = match is_renewal {
            true => form.contains("refresh_token=SECRET-refresh"),
            false => form.contains("device_code=SECRET-device"),
        };
        if !is_good {
            return answer(
                stream,
                "400 Bad Request",
                JSON,
                br#"{"error":"invalid_grant","error_description":"SECRET"}"#,
            );
        }
        let script = self.script();
        let number = {
            let mut state = self.state();
            if !is_renewal && state.polls < script.polls {
                state.polls += 1;
                drop(state);
                return answer(stream, "400 Bad Request", JSON, br#"{"error":"authorization_pending"}"#);
            }
            state.stats.renewed += u32::from(is_renewal);
            state.token = (Instant::now(), state.token.1 + 1);
            state.token.1
        };
        let seconds = script.token_lives.map_or(3600, |lives| lives.as_secs() + 60);
        let body = format!(
            r#"{{"access_token":"SECRET-token-{number}","refresh_token":"SECRET-refresh","expires_in":{seconds},"token_type":"Bearer"}}"#
        );
        answer(stream, "200 OK", JSON, body.as_bytes())
    }

    /// Whether the request has a good token.
    fn is_known(&self, script: &GraphBuilder, request: &Request) -> bool {
        let mut state = self.state();
        let (since, number) = state.token;
        let expected = match number {
            0 => script.token.clone(),
            number => format!("SECRET-token-{number}"),
        };
        let is_fresh = script.token_lives.is_none_or(|lives| since.elapsed() < lives);
        let is_good = is_fresh && request.headers.get("authorization") == Some(&format!("Bearer {expected}"));
        state.stats.strangers += u32::from(!is_good);
        is_good
    }

    fn api(&self, stream: &TcpStream, addr: SocketAddr, path: &[&str], request: &Request) -> io::Result<()> {
        let script = self.script();
        if !self.is_known(&script, request) {
            return refuse(stream, "401 Unauthorized", "InvalidAuthenticationToken");
        }
        let is_busy = {
            let mut state = self.state();
            state.requests += 1;
            let is_busy = script.busy_every.is_some_and(|(n, _)| state.requests.is_multiple_of(n));
            state.stats.busy += u32::from(is_busy);
            state.stats.asked += u32::from(!is_busy);
            is_busy
        };
        if is_busy {
            let when =
                if script.busy_every.is_some_and(|(_, says_when)| says_when) { "Retry-After: 1\r\n" } else { "" };
            let fields = format!("{JSON}{when}");
            return answer(stream, "429 Too Many Requests", &fields, br#"{"error":{"code":"activityLimitReached"}}"#);
        }
        let nodes = script.nodes();
        match path {
            ["shares", share, "driveItem"] => match (*share, request.headers.get("prefer").map(String::as_str)) {
                (SHARE, Some("redeemSharingLink")) => self.item(stream, addr, &script, &nodes, 0, "shared"),
                (SHARE, _) => refuse(stream, "403 Forbidden", "accessDenied"),
                _ => refuse(stream, "404 Not Found", "itemNotFound"),
            },
            ["me", "drive", "root"] => self.item(stream, addr, &script, &nodes, 0, "root"),
            ["me", "drive", rest @ ..] => match own_path(&nodes, &rest.join("/")) {
                Some((number, name)) => self.item(stream, addr, &script, &nodes, number, &name),
                None => refuse(stream, "404 Not Found", "itemNotFound"),
            },
            ["drives", drive, "items", id] if decoded(drive) == DRIVE => match number_of(id, &nodes) {
                Some(number) => {
                    self.state().stats.located += 1;
                    self.item(stream, addr, &script, &nodes, number, "item")
                }
                None => refuse(stream, "404 Not Found", "itemNotFound"),
            },
            ["drives", drive, "items", id, "children"] if decoded(drive) == DRIVE => match number_of(id, &nodes) {
                Some(number) => self.children(stream, addr, &script, &nodes, number, request),
                None => refuse(stream, "404 Not Found", "itemNotFound"),
            },
            _ => refuse(stream, "400 Bad Request", "invalidRequest"),
        }
    }

    fn item(
        &self,
        stream: &TcpStream,
        addr: SocketAddr,
        script: &GraphBuilder,
        nodes: &[Node],
        number: usize,
        name: &str,
    ) -> io::Result<()> {
        if let What::File(file) = &nodes[number].what
            && script.items[*file].kind == Kind::Forbidden
        {
            return refuse(stream, "403 Forbidden", "accessDenied");
        }
        let body = self.described(addr, script, nodes, number, name);
        answer(stream, "200 OK", JSON, body.as_bytes())
    }

    fn children(
        &self,
        stream: &TcpStream,
        addr: SocketAddr,
        script: &GraphBuilder,
        nodes: &[Node],
        number: usize,
        request: &Request,
    ) -> io::Result<()> {
        let What::Folder(children) = &nodes[number].what else {
            return refuse(stream, "400 Bad Request", "invalidRequest");
        };
        let from =
            request.query.split('&').find_map(|pair| pair.strip_prefix("skip=")?.parse().ok()).unwrap_or(0_usize);
        let page = children.iter().skip(from).take(script.page_len);
        let items: Vec<_> = page.map(|(name, child)| self.described(addr, script, nodes, *child, name)).collect();
        let mut body = format!(r#"{{"value":[{}]"#, items.join(","));
        if from + items.len() < children.len() {
            let (next, id) = (from + items.len(), &nodes[number].id);
            let _ = write!(
                body,
                r#","@odata.nextLink":"http://{addr}/v1.0/drives/{DRIVE}/items/{id}/children?skip={next}""#
            );
        }
        body.push('}');
        answer(stream, "200 OK", JSON, body.as_bytes())
    }

    fn described(&self, addr: SocketAddr, script: &GraphBuilder, nodes: &[Node], number: usize, name: &str) -> String {
        let name = escaped(name);
        let common =
            format!(r#""id":"{}","name":"{name}","parentReference":{{"driveId":"{DRIVE}"}}"#, nodes[number].id);
        let file = match &nodes[number].what {
            What::Folder(children) => {
                return format!(r#"{{{common},"folder":{{"childCount":{}}}}}"#, children.len());
            }
            What::File(file) => *file,
        };
        let item = &script.items[file];
        let (seed, size) = match item.kind {
            Kind::Rewritten => (item.seed + 1, item.size + 7),
            _ => (item.seed, item.size),
        };
        let hash = match item.kind {
            Kind::Malware | Kind::Forbidden => String::new(),
            Kind::Wrong => quick_xor(seed + 1, size),
            _ => quick_xor(seed, size),
        };
        let mut text = format!(
            r#"{{{common},"size":{size},"eTag":"\"{{{number}}},{}\"","cTag":"c{}","lastModifiedDateTime":"2026-01-0{}T00:00:00Z","file":{{"mimeType":"application/octet-stream","hashes":{{"quickXorHash":"{hash}"}}}}"#,
            item.seed,
            item.seed,
            1 + item.seed % 9
        );
        match item.kind {
            Kind::Malware => text.push_str(r#","malware":{"description":"EICAR"}"#),
            _ => {
                let link = {
                    let mut state = self.state();
                    state.links.push(Instant::now());
                    state.links.len() - 1
                };
                let _ = write!(
                    text,
                    r#","@microsoft.graph.downloadUrl":"http://{addr}/bytes/{file}?tempauth=SECRET-link-{link}""#
                );
            }
        }
        text.push('}');
        text
    }

    fn bytes(&self, stream: &TcpStream, request: &Request, id: &str) -> io::Result<()> {
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
                return refuse(stream, "401 Unauthorized", "unauthenticated");
            }
        }
        let file = id.parse().ok().and_then(|id: usize| script.items.get(id));
        let Some(item) = file else { return refuse(stream, "404 Not Found", "itemNotFound") };
        let (seed, size) = (item.seed, item.size);
        let range = request.headers.get("range").and_then(|range| parse_range(range, size));
        let (start, end) = range.unwrap_or((0, size));
        let (status, field) = match range {
            Some(_) => ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1)),
            None => ("200 OK", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\n{field}ETag: \"{{{id}}},{seed}\"\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n\r\n",
            end - start
        );
        self.send(stream, &head, (seed, start, end), script.rate_bps)
    }

    fn send(
        &self,
        mut stream: &TcpStream,
        head: &str,
        (seed, start, end): (u64, u64, u64),
        rate_bps: Option<u64>,
    ) -> io::Result<()> {
        stream.write_all(head.as_bytes())?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = start;
        while at < end && !self.is_stopped.load(Ordering::Acquire) {
            let count = (end - at).min(BUFFER_BYTES as u64) as usize;
            fill(seed, at, &mut buffer[..count]);
            stream.write_all(&buffer[..count])?;
            at += count as u64;
            self.state().stats.sent_bytes += count as u64;
            if let Some(bps) = rate_bps {
                thread::sleep(Duration::from_secs_f64(count as f64 / bps as f64));
            }
        }
        Ok(())
    }
}

fn refuse(stream: &TcpStream, status: &str, code: &str) -> io::Result<()> {
    // Some of the service's messages repeat what was sent.
    let body = format!(r#"{{"error":{{"code":"{code}","message":"SECRET message"}}}}"#);
    answer(stream, status, JSON, body.as_bytes())
}

/// The number of an item, and the name it has.
fn own_path(nodes: &[Node], path: &str) -> Option<(usize, String)> {
    let path = path.strip_prefix("root:/")?.strip_suffix(':')?;
    let mut at = 0;
    let mut name = String::new();
    for part in path.split('/') {
        let What::Folder(children) = &nodes[at].what else { return None };
        name = decoded(part);
        at = *children.get(&name)?;
    }
    Some((at, name))
}

fn number_of(id: &str, nodes: &[Node]) -> Option<usize> {
    nodes.iter().position(|node| node.id == id)
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The QuickXorHash of generated content, in Base64.
fn quick_xor(seed: u64, size: u64) -> String {
    let mut columns = [0_u8; QUICK_XOR_BITS];
    let mut buffer = vec![0; QUICK_XOR_BITS * 400];
    let mut at = 0;
    while at < size {
        let count = (size - at).min(buffer.len() as u64) as usize;
        fill(seed, at, &mut buffer[..count]);
        for round in buffer[..count].chunks(QUICK_XOR_BITS) {
            columns.iter_mut().zip(round).for_each(|(column, byte)| *column ^= byte);
        }
        at += count as u64;
    }
    let mut bits = [false; QUICK_XOR_BITS];
    for (number, byte) in columns.into_iter().enumerate() {
        for bit in 0..8 {
            bits[(number * 11 + bit) % QUICK_XOR_BITS] ^= byte >> bit & 1 == 1;
        }
    }
    for bit in 0..64 {
        bits[QUICK_XOR_BITS - 64 + bit] ^= size >> bit & 1 == 1;
    }
    let digest: Vec<u8> = bits.chunks(8).map(|byte| (0..8).map(|bit| u8::from(byte[bit]) << bit).sum()).collect();
    base64(&digest)
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let word = part.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
