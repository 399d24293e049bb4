//! A mock cloud storage service: a folder listed in pages, and files whose download links come from an
//! API, need a ticket and expire. For tests of providers. Each connection has its own thread.
//!
//! `GET /folder?page=N` returns `{"entries": [{"id", "path", "bytes"}], "next": N + 1 or null}`.
//! `GET /entry/ID/link` returns `{"url", "ticket", "expires_seconds"}`. The URL serves the bytes, with
//! ranges, to requests that send the ticket in `X-Ticket`.

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::content::fill;
use crate::service::{Request, answer, parse_range, read_request};

const BUFFER_BYTES: usize = 16 << 10;

/// A running mock service. Dropping it stops it.
#[derive(Debug)]
pub struct Cloud {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
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
    is_stopped: AtomicBool,
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
        format!("http://{}/folder", self.addr)
    }

    /// The base URL of the API.
    pub fn base(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// The current counters.
    pub fn stats(&self) -> CloudStats {
        self.shared.state().stats
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::Release);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
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
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared { script: self, state: Mutex::default(), is_stopped: AtomicBool::new(false) });
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
        Ok(Cloud { addr, shared, accepting: Some(accepting) })
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream, addr: SocketAddr) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            let segments: Vec<&str> = request.path.split('/').filter(|segment| !segment.is_empty()).collect();
            match segments[..] {
                ["folder"] => self.folder(stream, &request)?,
                ["entry", id, "link"] => self.link(stream, addr, id)?,
                ["bytes", id] => self.bytes(stream, &request, id)?,
                _ => answer(stream, "404 Not Found", "", b"{}")?,
            }
        }
        Ok(())
    }

    fn is_busy(&self, stream: &TcpStream) -> io::Result<bool> {
        let is_busy = {
            let mut state = self.state();
            let is_busy = state.stats.busy < self.script.busy;
            state.stats.busy += u32::from(is_busy);
            is_busy
        };
        if is_busy {
            answer(stream, "429 Too Many Requests", "Retry-After: 0\r\n", b"{}")?;
        }
        Ok(is_busy)
    }

    fn folder(&self, stream: &TcpStream, request: &Request) -> io::Result<()> {
        if self.is_busy(stream)? {
            return Ok(());
        }
        self.state().stats.pages += 1;
        let page: usize = request.query.strip_prefix("page=").and_then(|page| page.parse().ok()).unwrap_or(0);
        let first = page * self.script.page_len;
        let entries = self.script.files.iter().enumerate().skip(first).take(self.script.page_len);
        let entries: Vec<String> =
            entries.map(|(id, (path, _, size))| format!(r#"{{"id":"{id}","path":"{path}","bytes":{size}}}"#)).collect();
        let is_last = first + self.script.page_len >= self.script.files.len();
        let next = if is_last { "null".to_owned() } else { (page + 1).to_string() };
        let body = format!(r#"{{"entries":[{}],"next":{next}}}"#, entries.join(","));
        answer(stream, "200 OK", "Content-Type: application/json\r\n", body.as_bytes())
    }

    fn link(&self, stream: &TcpStream, addr: SocketAddr, id: &str) -> io::Result<()> {
        if self.is_busy(stream)? {
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
        let body = format!(
            r#"{{"url":"http://{addr}/bytes/{id}?sig={number}","ticket":"t{number}","expires_seconds":{expires}}}"#
        );
        answer(stream, "200 OK", "Content-Type: application/json\r\n", body.as_bytes())
    }

    fn bytes(&self, stream: &TcpStream, request: &Request, id: &str) -> io::Result<()> {
        let number: u32 = request.query.strip_prefix("sig=").and_then(|number| number.parse().ok()).unwrap_or(0);
        let has_ticket = request.headers.get("x-ticket") == Some(&format!("t{number}"));
        let is_good = {
            let mut state = self.state();
            let left = state.uses.get_mut(&number).filter(|left| **left > 0 && has_ticket);
            let is_good = left.map(|left| *left -= 1).is_some();
            state.stats.refused += u32::from(!is_good);
            is_good
        };
        if !is_good {
            return answer(stream, &format!("{} No", self.script.refusal), "", b"");
        }
        let file = id.parse().ok().and_then(|id: usize| self.script.files.get(id));
        let Some((_, seed, size)) = file else { return answer(stream, "404 Not Found", "", b"") };
        let range = request.headers.get("range").and_then(|range| parse_range(range, *size));
        let (start, end) = range.unwrap_or((0, *size));
        let (status, field) = match range {
            Some(_) => ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1)),
            None => ("200 OK", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\n{field}ETag: \"seed-{seed}\"\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n\r\n",
            end - start
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes())?;
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = start;
        while at < end && !self.is_stopped.load(Ordering::Acquire) {
            let count = (end - at).min(BUFFER_BYTES as u64) as usize;
            fill(*seed, at, &mut buffer[..count]);
            stream.write_all(&buffer[..count])?;
            at += count as u64;
            self.state().stats.sent_bytes += count as u64;
            if let Some(bps) = self.script.rate_bps {
                thread::sleep(Duration::from_secs_f64(count as f64 / bps as f64));
            }
        }
        Ok(())
    }
}
