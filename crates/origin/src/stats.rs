//! What the origin counted and heard. Atomic counters and one bounded log, written by the serving
//! threads and read by whoever runs the test.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many requests the log keeps.
const LOG_REQUESTS: usize = 100_000;

/// The counters of an origin at one moment.
///
/// Body bytes are counted when they are handed to the HTTP stack, which holds at most about one
/// chunk (128 KiB; 16 KiB or 20 ms worth under a rate up to 16 MB/s) before they go to the socket;
/// the kernel's send buffer comes on top of that.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Body bytes of all responses.
    pub body_bytes: u64,
    /// Requests answered or refused.
    pub requests: u64,
    /// Those of them that came over HTTP/1.
    pub http1_requests: u64,
    /// Those of them that came over HTTP/2.
    pub http2_requests: u64,
    /// Connections accepted since the origin was made.
    pub connections_opened: u64,
    /// Connections open now. A client's close counts once the origin has noticed it.
    pub connections_open: u64,
    /// The most connections open at once.
    pub connections_peak: u64,
    /// The same for each path that was asked for.
    pub paths: HashMap<String, PathStats>,
}

/// The counters of one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathStats {
    /// Requests for it.
    pub requests: u64,
    /// Body bytes sent for it.
    pub body_bytes: u64,
}

/// One request as the origin heard it.
#[derive(Clone, Debug)]
pub struct RequestLog {
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// All headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When it came, counted from when the origin was made.
    pub at: Duration,
    /// The `Range` field as sent.
    pub range: Option<String>,
    /// The `If-Range` field as sent.
    pub if_range: Option<String>,
    /// `If-Match`, `If-None-Match`, `If-Modified-Since` and `If-Unmodified-Since` as sent, names in
    /// lower case.
    pub conditions: Vec<(String, String)>,
    /// The status of the answer; 0 if the connection was closed or the stream reset instead.
    pub status: u16,
    /// The connection: 1 is the first that was accepted. Two requests with different numbers came over
    /// separate connections.
    pub connection: u64,
}

impl Stats {
    /// The counters of `path`; zeros if nobody asked for it.
    #[must_use]
    pub fn path(&self, path: &str) -> PathStats {
        self.paths.get(path).copied().unwrap_or_default()
    }
}

impl RequestLog {
    /// The first header called `name` (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it asked for a range.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.range.is_some()
    }

    /// Whether it had conditions; `If-Range` is none of them.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Whether it asked for the whole content: GET without a range or a condition.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.method == "GET" && !self.is_range() && !self.is_conditional()
    }
}

/// The live counters of one path.
#[derive(Debug, Default)]
pub(crate) struct PathCounters {
    requests: AtomicU64,
    body_bytes: AtomicU64,
}

/// The live counters and the log.
#[derive(Debug)]
pub(crate) struct Counters {
    began: Instant,
    body_bytes: AtomicU64,
    http1_requests: AtomicU64,
    http2_requests: AtomicU64,
    opened: AtomicU64,
    open: AtomicU64,
    peak: AtomicU64,
    paths: Mutex<HashMap<String, Arc<PathCounters>>>,
    log: Mutex<VecDeque<RequestLog>>,
}

impl Counters {
    /// Zeros; time counts from now.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            body_bytes: AtomicU64::new(0),
            http1_requests: AtomicU64::new(0),
            http2_requests: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            open: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            paths: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// How long ago the counters were made.
    pub(crate) fn since_start(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts a new connection: its id, and how many are open with it.
    pub(crate) fn opened(&self) -> (u64, usize) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(open, Ordering::Relaxed);
        let id = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        (id, open as usize)
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a request; returns the counters of its path.
    pub(crate) fn request(&self, path: &str, http2: bool) -> Arc<PathCounters> {
        let requests = if http2 { &self.http2_requests } else { &self.http1_requests };
        requests.fetch_add(1, Ordering::Relaxed);
        let mut paths = self.paths.lock();
        let counters = match paths.get(path) {
            Some(counters) => Arc::clone(counters),
            None => Arc::clone(paths.entry(path.to_owned()).or_default()),
        };
        drop(paths);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters
    }

    pub(crate) fn sent(&self, path: &PathCounters, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
        path.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn log(&self, request: RequestLog) {
        let mut log = self.log.lock();
        if log.len() == LOG_REQUESTS {
            log.pop_front();
        }
        log.push_back(request);
    }

    pub(crate) fn requests(&self) -> Vec<RequestLog> {
        self.log.lock().iter().cloned().collect()
    }

    pub(crate) fn stats(&self) -> Stats {
        let http1_requests = self.http1_requests.load(Ordering::Relaxed);
        let http2_requests = self.http2_requests.load(Ordering::Relaxed);
        let paths = self.paths.lock();
        let paths = paths.iter().map(|(path, counters)| {
            let stats = PathStats {
                requests: counters.requests.load(Ordering::Relaxed),
                body_bytes: counters.body_bytes.load(Ordering::Relaxed),
            };
            (path.clone(), stats)
        });
        Stats {
            body_bytes: self.body_bytes.load(Ordering::Relaxed),
            requests: http1_requests + http2_requests,
            http1_requests,
            http2_requests,
            connections_opened: self.opened.load(Ordering::Relaxed),
            connections_open: self.open.load(Ordering::Relaxed),
            connections_peak: self.peak.load(Ordering::Relaxed),
            paths: paths.collect(),
        }
    }
}
