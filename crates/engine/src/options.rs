//! The settings of a session, fixed before it runs. Parsed values only: nobody checks them again.

mod of_host;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use url::Url;

pub use self::of_host::{HostOptions, OfHosts};
use crate::checksum::Sums;
use crate::http::cookie_file::CookieFile;
use crate::http::cookie_jar::CookieJar;
use crate::http::form::Form;
use crate::http::netrc::Netrc;

/// How a session works. Start from [`Options::default`] and change what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The output directory; relative outputs are below it. Created if missing.
    pub dir: PathBuf,
    /// Up to this many connections for one file, once ranges are proven; `None` adapts, up to 8.
    pub connections: Option<usize>,
    /// Keep the directories of a URL's path below `dir`, without the first so many; `None` keeps none. Does not apply to
    /// files with an output or a directory of their own.
    pub keep_dirs: Option<usize>,
    /// Maximum number of files at once.
    pub jobs: usize,
    /// Maximum number of connections to one host.
    pub max_per_host: usize,
    /// Maximum number of connections in total.
    pub max_connections: usize,
    /// Maximum number of worker threads; starts with one and adds more while they are busy.
    pub threads: usize,
    /// Smallest piece worth a connection, in bytes.
    pub piece_size_bytes: u64,
    /// How often progress is synced and saved to the journal (the step).
    pub save_interval: Duration,
    /// Resume existing data; `false` discards it and starts over.
    pub resume: bool,
    /// What to do if another file has the final name.
    pub existing: Existing,
    /// Accept a file of the same size under the final name as the file, without any other evidence.
    pub trust_size: bool,
    /// Go on with a shorter file under the final name, which another program has begun, if samples of it agree with the
    /// server's. It is renamed for that, and gets its name back once it is complete.
    pub adopt: bool,
    /// Digests for files that have none of their own, by the names that they get, relative to `dir`.
    pub sums: Option<Arc<Sums>>,
    /// Accept an HTML page even if the name says otherwise (`a.iso`).
    pub accept_html: bool,
    /// Fetch a file only if its server says that it has changed since this moment, or does not say when it changed. Does
    /// not apply to the files of services, nor to what an earlier run has begun.
    pub newer_than: Option<SystemTime>,
    /// Refuse files larger than this many bytes; `None` is unlimited.
    pub max_size_bytes: Option<u64>,
    /// Total rate limit in bytes per second; `None` is unlimited.
    pub limit_rate_bps: Option<u64>,
    /// Rate limit per host in bytes per second, within the total; `None` is unlimited.
    pub limit_rate_per_host_bps: Option<u64>,
    /// What publishing and saving a journal wait for.
    pub durability: Durability,
    /// Give finished files the time of the server's `Last-Modified`, where it sends one. Those of a list get a fraction of
    /// a second besides, by which the ledger tells them apart.
    pub remote_time: bool,
    /// The least time between two requests to one host.
    pub delay_per_host: Option<Duration>,
    /// Retry what failed permanently in an earlier run of the same batch.
    pub retry_failed: bool,
    /// How requests are made.
    pub http: HttpOptions,
    /// Seed for jitter; `None` uses a seed from the system.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            dir: PathBuf::from("."),
            connections: None,
            keep_dirs: None,
            jobs: 16,
            max_per_host: 16,
            max_connections: 64,
            threads: cores.min(8),
            piece_size_bytes: 1 << 20,
            save_interval: Duration::from_millis(500),
            resume: true,
            existing: Existing::Fail,
            trust_size: false,
            adopt: false,
            sums: None,
            accept_html: false,
            newer_than: None,
            max_size_bytes: None,
            limit_rate_bps: None,
            limit_rate_per_host_bps: None,
            durability: Durability::Full,
            remote_time: false,
            delay_per_host: None,
            retry_failed: false,
            http: HttpOptions::default(),
            seed: None,
        }
    }
}

/// What to do if another file has the final name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    /// Fail and name the choices.
    #[default]
    Fail,
    /// Replace the existing file once the new content is complete.
    Overwrite,
    /// Use the next free numbered name.
    AutoRename,
    /// Leave the existing file and count the entry as done.
    Skip,
}

/// What publishing a file and saving a journal wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Sync data before a journal claims it and before a file gets its final name.
    #[default]
    Full,
    /// Sync nothing: survives a crash of the program, but not of the machine.
    Process,
}

/// How requests are made.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpOptions {
    /// Headers sent with each request, to the origin that the user named and no other.
    pub headers: HeaderMap,
    /// What is sent to URLs that are marked with it ([`Form::at`]), instead of a plain GET.
    pub form: Option<Form>,
    /// Credentials of hosts, for URLs that have none and where `headers` has none.
    pub netrc: Option<Arc<Netrc>>,
    /// Settings of single hosts.
    pub of_hosts: OfHosts,
    /// Cookies, for the URLs that they belong to.
    pub cookies: Option<Arc<CookieFile>>,
    /// The cookies of the session, which servers may add to; used instead of `cookies`.
    pub cookie_jar: Option<Arc<CookieJar>>,
    /// The `User-Agent`, unless `headers` has one.
    pub user_agent: HeaderValue,
    /// Where proxies come from.
    pub proxy: ProxyChoice,
    /// Accept any certificate.
    pub insecure: bool,
    /// Also trust the authorities in this PEM file.
    pub ca_file: Option<PathBuf>,
    /// The certificate with which to authenticate to servers that ask for one.
    pub identity: Option<ClientIdentity>,
    /// SHA-256 of public keys (SubjectPublicKeyInfo, DER). If there are any, a server must have one of them.
    pub pinned_keys: Vec<[u8; 32]>,
    /// Allow redirects from `https` to `http`.
    pub allow_downgrade: bool,
    /// Which addresses may be connected to.
    pub family: Family,
    /// Where connections come from.
    pub interface: Option<Interface>,
    /// Addresses of hosts, instead of a lookup.
    pub hosts: Vec<HostAddress>,
    /// Timeout for name lookup, connection and TLS handshake together.
    pub connect_timeout: Duration,
    /// Replace a connection after this long without data.
    pub stall_timeout: Duration,
    /// How long to wait for the head of the response, once the request is sent.
    pub response_timeout: Duration,
    /// Replace a connection that brings less than this many bytes per second for ten seconds.
    pub min_speed_bps: Option<u64>,
    /// Statuses that are retried although they are final by themselves.
    pub retry_on: Vec<u16>,
    /// Retries for a piece that makes no progress.
    pub retries: u32,
    /// Which HTTP versions may be used.
    pub version: HttpVersion,
    /// Check the content against the server's digest, unless the job has its own.
    pub server_digests: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            headers: HeaderMap::new(),
            form: None,
            netrc: None,
            of_hosts: OfHosts::default(),
            cookies: None,
            cookie_jar: None,
            user_agent: HeaderValue::from_static(concat!("towline/", env!("CARGO_PKG_VERSION"))),
            proxy: ProxyChoice::Environment,
            insecure: false,
            ca_file: None,
            identity: None,
            pinned_keys: Vec::new(),
            allow_downgrade: false,
            family: Family::Any,
            interface: None,
            hosts: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(120),
            min_speed_bps: None,
            retry_on: Vec::new(),
            retries: 5,
            version: HttpVersion::Auto,
            server_digests: true,
        }
    }
}

/// A certificate of our own, with its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientIdentity {
    /// The certificate, and those that sign it.
    pub certificate: PathBuf,
    /// Its key; may be the same file.
    pub key: PathBuf,
}

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// Both kinds.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Where connections come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// The network interface of this name; Linux only, elsewhere connections fail.
    Name(String),
    /// This address of the machine.
    Address(IpAddr),
}

/// The address of a host, instead of a lookup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostAddress {
    /// The host name.
    pub host: String,
    /// The port to which this applies.
    pub port: u16,
    /// The address.
    pub address: IpAddr,
}

/// Where proxies come from.
///
/// A session with an unusable setting fails to build; it never falls back to a direct connection.
#[derive(Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProxyChoice {
    /// `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` and their upper-case forms, read the way curl does.
    /// `HTTP_PROXY` counts too, except in a CGI program.
    #[default]
    Environment,
    /// The same, with another list in the place of `no_proxy`.
    EnvironmentExcept {
        /// Hosts to connect to directly, as in `no_proxy`; none if it is empty.
        except: String,
    },
    /// This one for everything (`http`, `https`, `socks5`, `socks5h`), except the listed hosts.
    Use {
        /// The proxy, with credentials if it needs them.
        url: Url,
        /// Hosts to connect to directly, as in `no_proxy`.
        except: String,
    },
    /// No proxy.
    Direct,
}

/// Without the proxy's credentials.
impl fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::EnvironmentExcept { except } => f.debug_struct("EnvironmentExcept").field("except", except).finish(),
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
    /// HTTP/1.1 for pieces of large files; HTTP/2, where offered, for small files fetched whole.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 for everything over TLS, where offered.
    Http2,
}
