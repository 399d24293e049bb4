//! How connections are made: name lookup, happy eyeballs, proxies, TLS. Shared by all workers.

use std::env;
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::error::{Advice, Error, ErrorKind, Result, find};
use crate::http::origin::{Origin, Scheme};
use crate::job::Profile;
use crate::message::{Alpn, Protocol};
use crate::options::{Family, HostAddress, HttpOptions, Interface};
use crate::rate_limit::RateLimit;
use crate::source::http::proxy::socks::{self, Destination};
use crate::source::http::proxy::{Kind, Proxies, Proxy};
use crate::source::http::proxy::{refusal, tunnel};
use crate::source::http::resolve::{Fixed, OfFamily, Resolve, ResolveError, ResolveService};
use crate::source::http::stream::BoxStream;
use crate::source::http::tls::{Tls, handshake_error};

/// What all connections of one profile share.
pub(crate) struct Network {
    pub(crate) options: HttpOptions,
    pub(crate) limit: Arc<RateLimit>,
    tls: Tls,
    proxies: Proxies,
    resolver: ResolveService,
}

/// A connection before HTTP starts.
pub(crate) struct Connected {
    pub(crate) stream: BoxStream,
    pub(crate) protocol: Protocol,
    /// Requests go to a plain HTTP proxy, which expects absolute URLs (and possibly credentials).
    pub(crate) plain_proxy: Option<PlainProxy>,
}

/// A proxy that forwards plain requests.
#[derive(Clone, Debug)]
pub(crate) struct PlainProxy(pub(crate) Proxy);

impl Network {
    pub(crate) fn new(options: HttpOptions, limit: Arc<RateLimit>, resolver: Arc<dyn Resolve>) -> Result<Self> {
        let tls = Tls::new(&options)?;
        let proxies = Proxies::new(&options.proxy, |name| env::var_os(name))?;
        let resolver = match options.family {
            Family::Any => resolver,
            family => Arc::new(OfFamily(resolver, family)),
        };
        Ok(Self { options, limit, tls, proxies, resolver: ResolveService(resolver) })
    }

    /// A network of the same session with another connection profile.
    pub(crate) fn of_profile(&self, profile: &Profile) -> Result<Self> {
        Self::new(profile.over(&self.options), Arc::clone(&self.limit), Arc::clone(&self.resolver.0))
    }

    /// Connects within the connection timeout. If a proxy is set, it is the only way.
    pub(crate) async fn connect(&self, origin: &Origin, alpn: Alpn) -> Result<Connected> {
        let limit = self.options.connect_timeout;
        let proxy = self.proxies.of(origin);
        match tokio::time::timeout(limit, self.connect_unbounded(origin, alpn, proxy)).await {
            Ok(result) => result,
            Err(_) => Err(match proxy {
                Some(proxy) => {
                    let why = format!("not within {}", seconds(limit));
                    refusal::not_connected(proxy, origin, why).with_transient(true)
                }
                None => {
                    let text = format!("no connection to {origin} within {}", seconds(limit));
                    Error::new(ErrorKind::Connect, text)
                }
            }),
        }
    }

    async fn connect_unbounded(&self, origin: &Origin, alpn: Alpn, proxy: Option<&Proxy>) -> Result<Connected> {
        if origin.scheme == Scheme::Http && !self.options.pinned_keys.is_empty() {
            let text = "keys are pinned, and a server of plain http shows none";
            return Err(Error::new(ErrorKind::Tls, text).with_transient(false).with_advice(Advice::CheckPinnedKey));
        }
        let stream = match proxy {
            Some(proxy) => self.through(proxy, origin).await?,
            None => self.tcp(origin).await?,
        };
        if origin.scheme == Scheme::Http {
            let plain_proxy = proxy.filter(|proxy| !proxy.kind().is_socks()).cloned().map(PlainProxy);
            return Ok(Connected { stream, protocol: Protocol::Http1, plain_proxy });
        }
        let (stream, protocol) = self.secure(stream, &origin.host, alpn).await?;
        Ok(Connected { stream, protocol, plain_proxy: None })
    }

    async fn tcp(&self, origin: &Origin) -> Result<BoxStream> {
        let target: Uri = origin.to_string().parse().map_err(|source: http::uri::InvalidUri| {
            Error::new(ErrorKind::Usage, "the host of the URL cannot be used").with_source(source)
        })?;
        self.check_family(&origin.host, Advice::CheckUrl)?;
        let mut connector = self.connector(self.resolver_of(origin));
        let stream = connector.call(target).await.map_err(|source| connect_error(origin, source))?;
        Ok(Box::new(stream.into_inner()))
    }

    /// Refuses a host that is an address of the other kind: no lookup leaves it out.
    fn check_family(&self, host: &str, advice: Advice) -> Result<()> {
        match bare(host).parse::<IpAddr>() {
            Ok(address) if !self.options.family.takes(address) => {
                let text = format!("{address} is an address of the kind that may not be connected to");
                Err(Error::new(ErrorKind::Connect, text).with_transient(false).with_advice(advice))
            }
            _ => Ok(()),
        }
    }

    /// What looks the host up: the address that the user gives, or the system's resolver.
    fn resolver_of(&self, origin: &Origin) -> ResolveService {
        let mut hosts = self.options.hosts.iter();
        let is_it =
            |given: &&HostAddress| given.port == origin.port && given.host.eq_ignore_ascii_case(bare(&origin.host));
        match hosts.find(is_it) {
            Some(given) => {
                let fixed = Arc::new(Fixed(given.address));
                ResolveService(Arc::new(OfFamily(fixed, self.options.family)))
            }
            None => self.resolver.clone(),
        }
    }

    fn connector(&self, resolver: ResolveService) -> HttpConnector<ResolveService> {
        let mut connector = HttpConnector::new_with_resolver(resolver);
        match &self.options.interface {
            None => {}
            Some(Interface::Address(address)) => connector.set_local_address(Some(*address)),
            #[cfg(target_os = "linux")]
            Some(Interface::Name(name)) => {
                connector.set_interface(name);
            }
            // An address of this kind belongs to nobody, so that no connection goes out elsewhere.
            #[cfg(not(target_os = "linux"))]
            Some(Interface::Name(_)) => connector.set_local_address(Some(IpAddr::from([192, 0, 2, 1]))),
        }
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.options.connect_timeout));
        connector
    }

    /// Connects through a proxy. Plain requests go to an HTTP proxy as they are, everything else through a
    /// tunnel.
    async fn through(&self, proxy: &Proxy, origin: &Origin) -> Result<BoxStream> {
        let destination = match proxy.kind() {
            Kind::Http | Kind::Https => {
                let stream = self.reach(proxy, origin).await?;
                return match origin.scheme {
                    Scheme::Http => Ok(stream),
                    Scheme::Https => tunnel::open(stream, proxy, origin, &self.options.user_agent).await,
                };
            }
            Kind::Socks5 => self.destination(origin, true).await?,
            Kind::Socks5h => self.destination(origin, false).await?,
        };
        let stream = self.reach(proxy, origin).await?;
        socks::open(stream, proxy, origin, &destination).await
    }

    /// Connects to the proxy itself, with TLS if its URL is https.
    async fn reach(&self, proxy: &Proxy, origin: &Origin) -> Result<BoxStream> {
        self.check_family(proxy.host(), Advice::CheckProxyAddress)?;
        let stream = self.connector(self.resolver.clone()).call(proxy.at()).await.map_err(|source| {
            let why = match (find::<ResolveError>(&source), find::<io::Error>(&source)) {
                (Some(resolve), _) => format!("its host name cannot be resolved ({})", lookup_words(&resolve.0)),
                (None, Some(error)) => crate::error::plain_io(error),
                (None, None) => source.to_string(),
            };
            refusal::not_reached(proxy, why).with_transient(true).with_source(source)
        })?;
        let stream: BoxStream = Box::new(stream.into_inner());
        if proxy.kind() != Kind::Https {
            return Ok(stream);
        }
        let secured = self.secure(stream, proxy.host(), Alpn::Http1).await;
        let (stream, _) = secured.map_err(|error| {
            let refused = refusal::not_connected(proxy, origin, error.message()).with_transient(error.is_transient());
            let refused = match error.kind() {
                ErrorKind::Tls => refused.with_advice(Advice::GiveProxyAuthority),
                _ => refused,
            };
            refused.with_source(error)
        })?;
        Ok(stream)
    }

    /// The destination for a SOCKS proxy: the name as it is, or its address if names are looked up here.
    async fn destination(&self, origin: &Origin, is_looked_up_here: bool) -> Result<Destination> {
        let host = bare(&origin.host);
        if let Ok(address) = host.parse() {
            return Ok(Destination::Address(address));
        }
        if !is_looked_up_here {
            return Ok(Destination::Name(host.to_owned()));
        }
        let addresses = self.resolver_of(origin).0.resolve(host).await.and_then(|addresses| {
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            addresses.first().map(|address| address.ip()).ok_or_else(none)
        });
        addresses.map(Destination::Address).map_err(|source| unresolved(origin, &source).with_source(source))
    }

    async fn secure(&self, stream: BoxStream, host: &str, alpn: Alpn) -> Result<(BoxStream, Protocol)> {
        let name = ServerName::try_from(bare(host).to_owned()).map_err(|source| {
            Error::new(ErrorKind::Tls, "the host has no name that TLS could verify").with_source(source)
        })?;
        let stream = TlsConnector::from(self.tls.config(alpn)).connect(name, stream).await.map_err(handshake_error)?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok((Box::new(stream), protocol))
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn connect_error(origin: &Origin, source: impl StdError + Send + Sync + 'static) -> Error {
    if let Some(resolve) = find::<ResolveError>(&source) {
        return unresolved(origin, &resolve.0).with_source(source);
    }
    let why = match find::<io::Error>(&source) {
        Some(error) => crate::error::plain_io(error),
        None => source.to_string(),
    };
    Error::new(ErrorKind::Connect, format!("cannot connect to {}:{} ({why})", origin.host, origin.port))
        .with_source(source)
}

fn unresolved(origin: &Origin, why: &io::Error) -> Error {
    let text = format!("the host name {} cannot be resolved ({})", origin.host, lookup_words(why));
    Error::new(ErrorKind::Resolve, text)
}

/// Shortens the system's "failed to lookup address information: Name or service not known".
fn lookup_words(error: &io::Error) -> String {
    let text = error.to_string();
    let mut words = text.rsplit(": ").next().unwrap_or(&text).to_owned();
    // The system's messages begin as sentences do.
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    words
}

/// A human-readable duration.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds.fract() == 0.0 { format!("{seconds} s") } else { format!("{seconds:.1} s") }
}
