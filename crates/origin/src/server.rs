//! The origin as its user sees it: a builder that scripts it, and a handle that runs, changes,
//! watches and stops it. The handle may be used from any thread; serving happens on the origin's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::resource::{Pattern, Resource};
use crate::rule::{Rule, checked};
use crate::state::Shared;
use crate::stats::{RequestLog, Stats};
use crate::tls::{Certificate, Identity};
use crate::worker::Running;

/// A running origin server. Dropping it stops it.
///
/// ```
/// use std::io::{Read, Write};
/// use towline_origin::{Origin, Resource};
///
/// # fn main() -> std::io::Result<()> {
/// let origin = Origin::builder()
///     .resource(Resource::new("/a.bin", 1, 5))
///     .start()?;
/// let mut client = std::net::TcpStream::connect(origin.addr())?;
/// client.write_all(b"GET /a.bin HTTP/1.0\r\n\r\n")?;
/// let mut answer = Vec::new();
/// client.read_to_end(&mut answer)?;
/// let mut expected = [0; 5];
/// towline_origin::fill(1, 0, &mut expected);
/// assert!(answer.ends_with(&expected));
/// assert_eq!(origin.stats().path("/a.bin").body_bytes, 5);
/// # Ok(())
/// # }
/// ```
pub struct Origin {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    addr: SocketAddr,
    threads: usize,
}

/// Scripts an [`Origin`]. Made by [`Origin::builder`].
pub struct OriginBuilder {
    bind: String,
    tls: bool,
    certificate: Certificate,
    http2: bool,
    http2_only: bool,
    threads: usize,
    resources: Vec<Resource>,
    patterns: Vec<Pattern>,
    rules: Vec<Rule>,
}

impl Origin {
    /// A builder for an origin on a free port of 127.0.0.1: plain HTTP/1.1, one thread, nothing to
    /// serve.
    #[must_use]
    pub fn builder() -> OriginBuilder {
        OriginBuilder {
            bind: "127.0.0.1:0".to_owned(),
            tls: false,
            certificate: Certificate::default(),
            http2: false,
            http2_only: false,
            threads: 1,
            resources: Vec::new(),
            patterns: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// The URL of `path` (which starts with `/`).
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(match addr.ip() {
                IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        format!("{scheme}://{addr}{path}")
    }

    /// The address it listens on; the same after a restart.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate of the authority that clients must trust, as PEM; `None` without TLS. It was
    /// made at the start, and signs for `localhost`, `127.0.0.1` and `::1` unless the builder was told
    /// otherwise.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(|tls| tls.ca_pem.as_str())
    }

    /// Closes the listener and all connections at once, and returns when that is done. Does
    /// nothing if the origin has stopped already.
    pub fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.stop();
        }
    }

    /// Stops if need be and listens again on the same port, with the same resources, certificate
    /// and counters.
    ///
    /// # Errors
    /// If the port was taken by somebody else, or no thread can be started.
    pub fn restart(&self) -> io::Result<()> {
        let mut running = self.running.lock();
        if let Some(running) = running.take() {
            running.stop();
        }
        let (started, _) = Running::start(&self.shared, self.addr, self.threads)?;
        *running = Some(started);
        Ok(())
    }

    /// Adds a resource, or replaces the one at its path: responses under way finish with the old
    /// one, and the counts that faults go by start anew.
    pub fn set_resource(&self, resource: Resource) {
        self.shared.set(resource);
    }

    /// Adds a resource; the same as [`Self::set_resource`].
    pub fn add(&self, resource: Resource) {
        self.set_resource(resource);
    }

    /// Removes the resource at `path`, which is 404 from now on unless a pattern covers it; whether
    /// there was one.
    pub fn remove(&self, path: &str) -> bool {
        self.shared.remove(path)
    }

    /// Replaces the faults of the server; their counts start anew.
    ///
    /// # Panics
    /// If a fault holds a status or a header value that cannot be sent.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = Rule>) {
        self.shared.set_rules(rules.into_iter().collect());
    }

    /// The counters as they are now; a restart keeps them.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.stats()
    }

    /// The last 100,000 requests, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestLog> {
        self.shared.counters.requests()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

impl OriginBuilder {
    /// Serves over TLS, with a certificate made at the start.
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on;
        self
    }

    /// What the certificate is like; [`Certificate::Good`] by default. Without TLS there is none.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Offers HTTP/2 in the TLS handshake; without TLS it changes nothing.
    #[must_use]
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// Offers HTTP/2 and nothing else: a client that offers only HTTP/1.1 gets a TLS alert
    /// (`no_application_protocol`).
    #[must_use]
    pub fn http2_only(mut self, on: bool) -> Self {
        self.http2_only = on;
        self
    }

    /// The address to listen on, such as `127.0.0.1:8080`; port 0 takes a free one.
    #[must_use]
    pub fn bind(mut self, addr: impl Into<String>) -> Self {
        self.bind = addr.into();
        self
    }

    /// Serves on this many threads, at least one; connections go to them in turn.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Serves a resource.
    #[must_use]
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resources.push(resource);
        self
    }

    /// Serves `count` files of `size` bytes. `{}` in `pattern` is the number of the file, from 0;
    /// its seed is `base_seed` plus that number.
    ///
    /// # Panics
    /// If the pattern has no `{}`.
    #[must_use]
    pub fn files(self, pattern: &str, count: u64, size: u64, base_seed: u64) -> Self {
        self.files_sized(pattern, count, move |_| size, base_seed)
    }

    /// The same with a size for each number.
    ///
    /// # Panics
    /// If the pattern has no `{}`.
    #[must_use]
    pub fn files_sized(
        self,
        pattern: &str,
        count: u64,
        size: impl Fn(u64) -> u64 + Send + Sync + 'static,
        base_seed: u64,
    ) -> Self {
        self.files_with(pattern, count, move |index| Resource::new("/", base_seed.wrapping_add(index), size(index)))
    }

    /// The same with a resource for each number, made when it is first asked for; its own path does
    /// not count.
    ///
    /// # Panics
    /// If the pattern has no `{}`.
    #[must_use]
    pub fn files_with(
        mut self,
        pattern: &str,
        count: u64,
        make: impl Fn(u64) -> Resource + Send + Sync + 'static,
    ) -> Self {
        self.patterns.push(Pattern::new(pattern, count, make));
        self
    }

    /// Adds a fault of the server: it applies to every path, known or not, before the resource's.
    ///
    /// # Panics
    /// If the fault holds a status or a header value that cannot be sent.
    #[must_use]
    pub fn fault(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(checked(rule.into()));
        self
    }

    /// What the TLS handshake offers.
    fn protocols(&self) -> &'static [&'static [u8]] {
        match (self.http2_only, self.http2) {
            (true, _) => &[b"h2"],
            (false, true) => &[b"h2", b"http/1.1"],
            (false, false) => &[b"http/1.1"],
        }
    }

    /// Starts to listen and to serve.
    ///
    /// # Errors
    /// If the address cannot be resolved or bound, the certificate not be made, or no thread be
    /// started.
    pub fn start(self) -> io::Result<Origin> {
        let addr = self
            .bind
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"))?;
        let tls = if self.tls { Some(Identity::generate(self.protocols(), self.certificate)?) } else { None };
        let shared = Shared::new(self.resources, self.patterns, self.rules, tls);
        let shared = Arc::new(shared);
        let (running, addr) = Running::start(&shared, addr, self.threads)?;
        Ok(Origin { shared, running: Mutex::new(Some(running)), addr, threads: self.threads })
    }
}
