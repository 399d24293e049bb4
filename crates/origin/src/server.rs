//! The public API of the origin: a builder that scripts it, and a handle that changes, observes,
//! stops and restarts it. Any thread may use the handle; the origin's own threads serve.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::resource::{Pattern, Resource};
use crate::rule::{Rule, checked};
use crate::secure::{self, Generate};
use crate::state::Shared;
use crate::stats::{RequestLog, Stats};
use crate::tls::Certificate;
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
    tls: Option<Generate>,
    certificate: Certificate,
    http2: bool,
    http2_only: bool,
    threads: usize,
    resources: Vec<Resource>,
    patterns: Vec<Pattern>,
    rules: Vec<Rule>,
}

impl Origin {
    /// A builder for an origin on a free port of 127.0.0.1, with plain HTTP/1.1, one thread and no
    /// resources.
    #[must_use]
    pub fn builder() -> OriginBuilder {
        OriginBuilder {
            bind: "127.0.0.1:0".to_owned(),
            tls: None,
            certificate: Certificate::default(),
            http2: false,
            http2_only: false,
            threads: 1,
            resources: Vec::new(),
            patterns: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// The URL of `path`, which must start with `/`.
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

    /// The address it listens on. A restart keeps it.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The certificate of the authority that clients must trust, as PEM; `None` without TLS. Each origin
    /// creates its own.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.tls.as_ref().map(|tls| tls.ca_pem())
    }

    /// Closes the listener and all connections immediately, and waits until they are closed. Does
    /// nothing if the origin has already stopped.
    pub fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.stop();
        }
    }

    /// Stops if running, then listens again on the same port with the same resources, certificate and
    /// counters.
    ///
    /// # Errors
    /// If another process has taken the port, or a thread cannot be started.
    pub fn restart(&self) -> io::Result<()> {
        let mut running = self.running.lock();
        if let Some(running) = running.take() {
            running.stop();
        }
        let (started, _) = Running::start(&self.shared, self.addr, self.threads)?;
        *running = Some(started);
        Ok(())
    }

    /// Adds a resource, or replaces the one at its path. Responses in flight finish with the old one,
    /// and the request counts for its faults start over.
    pub fn set_resource(&self, resource: Resource) {
        self.shared.set(resource);
    }

    /// Adds a resource; the same as [`Self::set_resource`].
    pub fn add(&self, resource: Resource) {
        self.set_resource(resource);
    }

    /// Removes the resource at `path`; returns whether it existed. Later requests get 404, unless a
    /// pattern matches the path.
    pub fn remove(&self, path: &str) -> bool {
        self.shared.remove(path)
    }

    /// Replaces the faults of the server; their request counts start over.
    ///
    /// # Panics
    /// If a fault holds an invalid status code, header name or header value.
    pub fn set_faults(&self, rules: impl IntoIterator<Item = Rule>) {
        self.shared.set_rules(rules.into_iter().collect());
    }

    /// The current counters. A restart keeps them.
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
    /// Serves over TLS, with a certificate created at startup.
    #[must_use]
    pub fn tls(mut self, on: bool) -> Self {
        self.tls = on.then_some(secure::generate as Generate);
        self
    }

    /// Sets the kind of certificate; [`Certificate::Good`] by default. No effect without TLS.
    #[must_use]
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }

    /// Offers HTTP/2 in the TLS handshake. No effect without TLS.
    #[must_use]
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// Offers only HTTP/2. A client that offers only HTTP/1.1 gets the TLS alert
    /// `no_application_protocol`.
    #[must_use]
    pub fn http2_only(mut self, on: bool) -> Self {
        self.http2_only = on;
        self
    }

    /// Sets the address to listen on, such as `127.0.0.1:8080`. Port 0 picks a free one.
    #[must_use]
    pub fn bind(mut self, addr: impl Into<String>) -> Self {
        self.bind = addr.into();
        self
    }

    /// Serves on this many threads, at least one. Connections are distributed round-robin.
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

    /// Serves `count` files of `size` bytes. `{}` in `pattern` stands for the number of the file, from 0.
    /// Its seed is `base_seed` plus that number.
    ///
    /// # Panics
    /// If the pattern has no `{}`.
    #[must_use]
    pub fn files(self, pattern: &str, count: u64, size: u64, base_seed: u64) -> Self {
        self.files_sized(pattern, count, move |_| size, base_seed)
    }

    /// Like [`Self::files`], with a size for each number.
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

    /// Like [`Self::files`], with a resource for each number. `make` runs on the first request for it; the
    /// path that it sets is ignored.
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

    /// Adds a fault of the server. It applies to every path, known or not, before the faults of the
    /// resource.
    ///
    /// # Panics
    /// If the fault holds an invalid status code, header name or header value.
    #[must_use]
    pub fn fault(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(checked(rule.into()));
        self
    }

    /// The protocols that the TLS handshake offers.
    fn protocols(&self) -> &'static [&'static [u8]] {
        match (self.http2_only, self.http2) {
            (true, _) => &[b"h2"],
            (false, true) => &[b"h2", b"http/1.1"],
            (false, false) => &[b"http/1.1"],
        }
    }

    /// Starts listening and serving.
    ///
    /// # Errors
    /// If the address cannot be resolved or bound, the certificate cannot be created, or a thread cannot
    /// be started.
    pub fn start(self) -> io::Result<Origin> {
        let addr = self
            .bind
            .to_socket_addrs()?
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the listen address does not resolve"))?;
        let tls = self.tls.map(|generate| generate(self.protocols(), self.certificate)).transpose()?;
        let shared = Shared::new(self.resources, self.patterns, self.rules, tls);
        let shared = Arc::new(shared);
        let (running, addr) = Running::start(&shared, addr, self.threads)?;
        Ok(Origin { shared, running: Mutex::new(Some(running)), addr, threads: self.threads })
    }
}
