//! Counters and the request log of an origin. The serving threads write them, the test reads them; the
//! log is bounded.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Number of requests that the log keeps.
const LOG_REQUESTS: usize = 100_000;

/// The counters of an origin at one moment.
///
/// Body bytes count when they are passed to the HTTP stack. The stack buffers about one chunk before it
/// writes to the socket: 128 KiB, or at most 16 KiB under a rate limit of up to 16 MB/s. The kernel's
/// send buffer adds to that.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Body bytes of all responses.
    pub body_bytes: u64,
    /// Requests answered or refused.
    pub requests: u64,
    /// Requests over HTTP/1.
    pub http1_requests: u64,
    /// Requests over HTTP/2.
    pub http2_requests: u64,
    /// Connections accepted since the origin was created.
    pub connections_opened: u64,
    /// Connections open now. A connection counts until the origin notices that the client closed it.
    pub connections_open: u64,
    /// The highest number of connections open at once.
    pub connections_peak: u64,
    /// Counters for each requested path.
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

/// One request as the origin received it.
#[derive(Clone, Debug)]
pub struct RequestLog {
    /// The method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// All headers, with lowercase names.
    pub headers: Vec<(String, String)>,
    /// When it arrived, relative to the creation of the origin.
    pub at: Duration,
    /// The `Range` field as sent.
    pub range: Option<String>,
    /// The `If-Range` field as sent.
    pub if_range: Option<String>,
    /// `If-Match`, `If-None-Match`, `If-Modified-Since` and `If-Unmodified-Since` as sent, with lowercase
    /// names.
    pub conditions: Vec<(String, String)>,
    /// The status of the response; 0 if the connection was closed or the stream reset instead.
    pub status: u16,
    /// Number of the connection; the first accepted is 1.
    pub connection: u64,
}

impl Stats {
    /// The counters of `path`; zeros if it was never requested.
    #[must_use]
    pub fn path(&self, path: &str) -> PathStats {
        self.paths.get(path).copied().unwrap_or_default()
    }
}

impl RequestLog {
    /// The value of the first header called `name` (in lowercase).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it has a `Range` field.
    #[must_use]
    pub fn is_range(&self) -> bool {
        self.range.is_some()
    }

    /// Whether it has conditions other than `If-Range`.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Whether it requests the whole content: a GET without a range or a condition.
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
    /// Counters at zero; log times are relative to now.
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

    /// Time since the counters were created.
    pub(crate) fn since_start(&self) -> Duration {
        self.began.elapsed()
    }

    /// Counts a new connection; returns its number and how many are open, including it.
    pub(crate) fn opened(&self) -> (u64, usize) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(open, Ordering::Relaxed);
        let id = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        (id, open as usize)
    }

    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts a request and returns the counters of its path.
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
