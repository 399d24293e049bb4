//! What a session is told once, before it runs. Parsed values only: nobody checks them again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use url::Url;

/// How a session works. Start from [`Options::default`] and change what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where files go; relative outputs are below it. Created if missing.
    pub dir: PathBuf,
    /// Connections for one file: exactly up to this many once ranges are proven; `None` adapts, up to 8.
    pub connections: Option<usize>,
    /// Files at once.
    pub jobs: usize,
    /// Connections to one host at once.
    pub max_per_host: usize,
    /// Connections at once.
    pub max_connections: usize,
    /// Most worker threads; one is started and more are added while they are busy.
    pub threads: usize,
    /// Smallest piece worth a connection, bytes.
    pub piece_size_bytes: u64,
    /// How often progress is synced and journalled (the step).
    pub save_interval: Duration,
    /// Go on with what is there; `false` forgets it and starts again.
    pub resume: bool,
    /// What to do when another file has the final name.
    pub existing: Existing,
    /// A file of the same size under the final name counts as the file, without any other evidence.
    pub trust_size: bool,
    /// Take an HTML page under a name that is none (`a.iso`) for the file.
    pub accept_html: bool,
    /// A file that is larger is refused; `None` is unlimited.
    pub max_size_bytes: Option<u64>,
    /// Bytes a second over everything; `None` is unlimited.
    pub limit_rate_bps: Option<u64>,
    /// Bytes a second from one host, within that; `None` is unlimited.
    pub limit_rate_per_host_bps: Option<u64>,
    /// What publishing and the journal wait for.
    pub durability: Durability,
    /// Try again what failed for good in an earlier run of the same batch.
    pub retry_failed: bool,
    /// How requests are made.
    pub http: HttpOptions,
    /// Seed of jitter; `None` takes one from the system.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            dir: PathBuf::from("."),
            connections: None,
            jobs: 16,
            max_per_host: 16,
            max_connections: 64,
            threads: cores.min(8),
            piece_size_bytes: 1 << 20,
            save_interval: Duration::from_millis(500),
            resume: true,
            existing: Existing::Fail,
            trust_size: false,
            accept_html: false,
            max_size_bytes: None,
            limit_rate_bps: None,
            limit_rate_per_host_bps: None,
            durability: Durability::Full,
            retry_failed: false,
            http: HttpOptions::default(),
            seed: None,
        }
    }
}

/// What to do when another file has the final name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Fail and say which options there are.
    #[default]
    Fail,
    /// Replace it once the new content is complete.
    Overwrite,
    /// Take the next free numbered name.
    AutoRename,
    /// Leave it and count the entry as done.
    Skip,
}

/// What publishing a file and saving a journal wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Data is synced before a journal claims it and before a file gets its final name.
    #[default]
    Full,
    /// Survives a crash of the program, not of the machine: nothing is synced.
    Process,
}

/// How requests are made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Sent with each request to the origin that the user named, and to no other.
    pub headers: HeaderMap,
    /// The `User-Agent`, unless `headers` has one.
    pub user_agent: HeaderValue,
    /// Where proxies come from.
    pub proxy: ProxyChoice,
    /// Accept any certificate.
    pub insecure: bool,
    /// Trust the authorities in this PEM file as well.
    pub ca_file: Option<PathBuf>,
    /// Let `https` be redirected to `http`.
    pub allow_downgrade: bool,
    /// For name lookup, connection and TLS handshake together.
    pub connect_timeout: Duration,
    /// A connection without a byte for so long is replaced.
    pub stall_timeout: Duration,
    /// How long the head of an answer is waited for, once the request is sent.
    pub response_timeout: Duration,
    /// How often a piece that brings nothing new is tried again.
    pub retries: u32,
    /// Which HTTP versions may be used.
    pub version: HttpVersion,
    /// Compare the content with the digest that the server gives, unless the job has its own.
    pub server_digests: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            user_agent: HeaderValue::from_static(concat!("towline/", env!("CARGO_PKG_VERSION"))),
            proxy: ProxyChoice::Environment,
            insecure: false,
            ca_file: None,
            allow_downgrade: false,
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(120),
            retries: 5,
            version: HttpVersion::Auto,
            server_digests: true,
        }
    }
}

/// Where proxies come from.
///
/// What is set and cannot be used keeps a session from being built; it never means a direct
/// connection.
#[derive(Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyChoice {
    /// `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` and their upper-case forms, as curl reads
    /// them. `HTTP_PROXY` counts too, except in a CGI program.
    #[default]
    Environment,
    /// This one for everything (`http`, `https`, `socks5`, `socks5h`), but for the hosts in the list.
    Use {
        /// The proxy, with credentials if it wants some.
        url: Url,
        /// Hosts that are reached directly, as in `no_proxy`.
        except: String,
    },
    /// None at all.
    Direct,
}

/// Without the proxy's credentials.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Use { url, except } => {
                let url = crate::secret::shown_url(url);
                f.debug_struct("Use").field("url", &url).field("except", except).finish()
            }
            Self::Direct => f.write_str("Direct"),
        }
    }
}

/// Which HTTP versions may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 for pieces of large files, HTTP/2 where it is offered for whole small ones.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 for everything over TLS, where it is offered.
    Http2,
}
