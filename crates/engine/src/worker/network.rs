//! How a connection is made: name lookup, happy eyeballs, proxies, TLS. Shared by all workers.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::limit::RateLimit;
use super::resolve::{Resolve, ResolveError, ResolveService};
use super::tls::Tls;
use crate::dispatch::message::{Alpn, Protocol};
use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::{Origin, Scheme};
use crate::options::{HttpOptions, ProxyChoice};

/// A connection's bytes, whatever is below.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type BoxStream = Box<dyn Stream>;

/// Everything that connections of a session have in common.
pub(crate) struct Network {
    pub(crate) options: HttpOptions,
    pub(crate) limit: RateLimit,
    tls: Tls,
    proxies: Matcher,
    resolver: ResolveService,
}

/// A connection before HTTP begins.
pub(crate) struct Connected {
    pub(crate) stream: BoxStream,
    pub(crate) protocol: Protocol,
    /// Requests go to a plain HTTP proxy, which wants whole URLs (and maybe credentials).
    pub(crate) plain_proxy: Option<PlainProxy>,
}

/// A proxy that forwards plain requests.
#[derive(Clone, Debug)]
pub(crate) struct PlainProxy {
    pub(crate) authorization: Option<http::HeaderValue>,
}

impl Network {
    pub(crate) fn new(options: HttpOptions, limit: RateLimit, resolver: Arc<dyn Resolve>) -> Result<Self> {
        let tls = Tls::new(&options)?;
        let proxies = match &options.proxy {
            ProxyChoice::Environment => Matcher::from_env(),
            ProxyChoice::Use { url, except } => Matcher::builder().all(url.to_string()).no(except.clone()).build(),
            ProxyChoice::Direct => Matcher::builder().build(),
        };
        Ok(Self { options, limit, tls, proxies, resolver: ResolveService(resolver) })
    }

    /// Connects, within the connection timeout.
    pub(crate) async fn connect(&self, origin: &Origin, alpn: Alpn) -> Result<Connected> {
        let limit = self.options.connect_timeout;
        match tokio::time::timeout(limit, self.connect_unbounded(origin, alpn)).await {
            Ok(result) => result,
            Err(_) => {
                let text = format!("no connection to {origin} within {}", seconds(limit));
                Err(Error::new(ErrorKind::Connect, text))
            }
        }
    }

    async fn connect_unbounded(&self, origin: &Origin, alpn: Alpn) -> Result<Connected> {
        let target: Uri = origin.to_string().parse().map_err(|source: http::uri::InvalidUri| {
            Error::new(ErrorKind::Usage, "the host of the URL cannot be used").with_source(source)
        })?;
        let (stream, plain_proxy) = match self.proxies.intercept(&target) {
            Some(proxy) => self.through(&proxy, origin, target).await?,
            None => (self.tcp(target, origin).await?, None),
        };
        if origin.scheme == Scheme::Http {
            return Ok(Connected { stream, protocol: Protocol::Http1, plain_proxy });
        }
        let (stream, protocol) = self.secure(stream, &origin.host, alpn).await?;
        Ok(Connected { stream, protocol, plain_proxy: None })
    }

    async fn tcp(&self, target: Uri, origin: &Origin) -> Result<BoxStream> {
        let stream = self.connector().call(target).await.map_err(|source| connect_error(origin, source))?;
        Ok(Box::new(stream.into_inner()))
    }

    fn connector(&self) -> HttpConnector<ResolveService> {
        let mut connector = HttpConnector::new_with_resolver(self.resolver.clone());
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.options.connect_timeout));
        connector
    }

    /// Connects through a proxy. A plain request to a plain HTTP proxy is forwarded, everything else
    /// goes through a tunnel.
    async fn through(
        &self,
        proxy: &Intercept,
        origin: &Origin,
        target: Uri,
    ) -> Result<(BoxStream, Option<PlainProxy>)> {
        let at = proxy.uri().clone();
        let shown = format!("{}://{}", at.scheme_str().unwrap_or("http"), at.authority().map_or("", |a| a.as_str()));
        let failed = |source: Box<dyn StdError + Send + Sync>| proxy_error(&shown, origin, &*source);
        match at.scheme_str() {
            Some("socks5" | "socks5h") => {
                let mut socks = SocksV5::new(at.clone(), self.connector());
                if at.scheme_str() == Some("socks5") {
                    socks = socks.local_dns(true);
                }
                if let Some((user, password)) = proxy.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                let stream = socks.call(with_port(target, origin)).await.map_err(|source| failed(source.into()))?;
                Ok((Box::new(stream.into_inner()), None))
            }
            Some("http" | "https") | None => {
                let proxy_stream = ProxyStream { network: self, at: at.clone() };
                let stream = proxy_stream.open().await.map_err(failed)?;
                if origin.scheme == Scheme::Http {
                    let authorization = proxy.basic_auth().cloned();
                    return Ok((stream, Some(PlainProxy { authorization })));
                }
                let opened = Opened(Some(TokioIo::new(stream)));
                let mut tunnel = Tunnel::new(at, opened);
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                let stream = tunnel.call(with_port(target, origin)).await.map_err(|source| failed(source.into()))?;
                Ok((Box::new(stream.into_inner()), None))
            }
            Some(other) => {
                let text =
                    format!("proxies of the kind {other} are not supported; http, https, socks5 and socks5h are");
                Err(Error::new(ErrorKind::Usage, text))
            }
        }
    }

    async fn secure(&self, stream: BoxStream, host: &str, alpn: Alpn) -> Result<(BoxStream, Protocol)> {
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(bare).map_err(|source| {
            Error::new(ErrorKind::Tls, "the host has no name that TLS could verify").with_source(source)
        })?;
        let stream = TlsConnector::from(self.tls.config(alpn)).connect(name, stream).await.map_err(tls_error)?;
        let protocol = match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => Protocol::Http2,
            _ => Protocol::Http1,
        };
        Ok((Box::new(stream), protocol))
    }
}

/// The way to a proxy itself, with TLS if its URL says https.
struct ProxyStream<'a> {
    network: &'a Network,
    at: Uri,
}

impl ProxyStream<'_> {
    async fn open(&self) -> Result<BoxStream, Box<dyn StdError + Send + Sync>> {
        let is_tls = self.at.scheme_str() == Some("https");
        let stream = self.network.connector().call(self.at.clone()).await?;
        let stream: BoxStream = Box::new(stream.into_inner());
        if !is_tls {
            return Ok(stream);
        }
        let host = self.at.host().unwrap_or_default();
        let (stream, _) = self.network.secure(stream, host, Alpn::Http1).await?;
        Ok(stream)
    }
}

/// A stream that is open already, as the connector that a tunnel wants.
struct Opened(Option<TokioIo<BoxStream>>);

impl Service<Uri> for Opened {
    type Response = TokioIo<BoxStream>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<BoxStream>>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::Error::other("the stream was used already")))
    }
}

/// `https://host` → `https://host:443`, which tunnels need.
fn with_port(target: Uri, origin: &Origin) -> Uri {
    let mut parts = target.into_parts();
    parts.authority = format!("{}:{}", origin.host, origin.port).parse().ok();
    parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    Uri::from_parts(parts).unwrap_or_default()
}

fn connect_error(origin: &Origin, source: impl StdError + Send + Sync + 'static) -> Error {
    if let Some(resolve) = find::<ResolveError>(&source) {
        let text = format!("the host name {} cannot be resolved ({})", origin.host, lookup_words(&resolve.0));
        return Error::new(ErrorKind::Resolve, text).with_source(source);
    }
    let why = match find::<io::Error>(&source) {
        Some(error) => crate::error::plain_io(error),
        None => source.to_string(),
    };
    Error::new(ErrorKind::Connect, format!("cannot connect to {}:{} ({why})", origin.host, origin.port))
        .with_source(source)
}

/// The system says "failed to lookup address information: Name or service not known".
fn lookup_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.rsplit(": ").next().unwrap_or(&text).to_lowercase()
}

fn proxy_error(proxy: &str, origin: &Origin, source: &(dyn StdError + 'static)) -> Error {
    // The innermost cause says it best: refused, timed out, no such host, wrong password.
    let mut innermost: &(dyn StdError + 'static) = source;
    while let Some(inner) = innermost.source() {
        innermost = inner;
    }
    let why = innermost.downcast_ref::<io::Error>().map_or_else(|| innermost.to_string(), crate::error::plain_io);
    Error::new(
        ErrorKind::Proxy,
        format!("the proxy {proxy} did not connect us to {}:{} ({why})", origin.host, origin.port),
    )
}

fn tls_error(source: io::Error) -> Error {
    let is_tls = source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    let text = match source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("the server's certificate was refused: {}", certificate_words(why))
        }
        Some(other) => format!("the TLS handshake failed ({other})"),
        None => format!("the connection broke during the TLS handshake ({})", crate::error::plain_io(&source)),
    };
    let kind = if is_tls { ErrorKind::Tls } else { ErrorKind::Broken };
    Error::new(kind, text).with_source(source)
}

fn certificate_words(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => "nobody who is trusted here has signed it".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host name".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this machine's clock right?".to_owned()
        }
        CertificateError::Revoked => "it was revoked".to_owned(),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "it is that of an authority (CA:TRUE), which no server may use as its own".to_owned()
        }
        other => other.to_string(),
    }
}

/// The first cause of this type.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// A duration for people.
pub(crate) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds.fract() == 0.0 { format!("{seconds} s") } else { format!("{seconds:.1} s") }
}
