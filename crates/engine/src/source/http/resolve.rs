//! Name lookup, injected: the system's by default, a table in tests.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use crate::options::Family;

/// The future addresses of a host.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// Looks up host names. The ports of the addresses are ignored.
///
/// A lookup may take any time: the connection timeout and an interrupt bound the wait.
pub trait Resolve: Send + Sync + 'static {
    /// Starts a lookup.
    fn resolve(&self, host: &str) -> Resolving;
}

/// The operating system's lookup (`getaddrinfo`). Names below `localhost` are this machine, whatever a name server says
/// (RFC 6761, section 6.3).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Resolving {
        if is_below_localhost(host) {
            let here: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()];
            return Box::pin(async move { Ok(here.map(|address| SocketAddr::new(address, 0)).to_vec()) });
        }
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.collect()) })
    }
}

/// Whether a name such as `app.localhost` is meant; what `localhost` itself is, the system knows.
fn is_below_localhost(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).as_bytes();
    name.len().checked_sub(10).is_some_and(|at| at > 0 && name[at..].eq_ignore_ascii_case(b".localhost"))
}

/// Lets only addresses of one kind through.
pub(crate) struct OfFamily(pub(crate) Arc<dyn Resolve>, pub(crate) Family);

impl Resolve for OfFamily {
    fn resolve(&self, host: &str) -> Resolving {
        let (resolving, family) = (self.0.resolve(host), self.1);
        Box::pin(async move {
            let mut addresses = resolving.await?;
            addresses.retain(|address| family.takes(address.ip()));
            let name = if family == Family::V4 { "IPv4" } else { "IPv6" };
            match addresses.is_empty() {
                true => Err(io::Error::new(io::ErrorKind::NotFound, format!("it has no {name} address"))),
                false => Ok(addresses),
            }
        })
    }
}

impl Family {
    /// Whether an address may be connected to.
    pub(crate) fn takes(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// One address, whatever the name.
pub(crate) struct Fixed(pub(crate) IpAddr);

impl Resolve for Fixed {
    fn resolve(&self, _host: &str) -> Resolving {
        let address = SocketAddr::new(self.0, 0);
        Box::pin(async move { Ok(vec![address]) })
    }
}

/// Adapts our trait to the service that hyper-util's connector expects.
#[derive(Clone)]
pub(crate) struct ResolveService(pub(crate) Arc<dyn Resolve>);

/// A failed lookup, distinct from a failed connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ResolveError(#[source] pub(crate) io::Error);

impl Service<Name> for ResolveService {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolving = self.0.resolve(name.as_str());
        Box::pin(async move {
            let addresses = resolving.await.map_err(ResolveError)?;
            if addresses.is_empty() {
                return Err(ResolveError(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
            }
            Ok(addresses.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_localhost_are_this_machine() {
        for name in ["a.localhost", "b.a.LocalHost", "a.localhost."] {
            assert!(is_below_localhost(name), "{name}");
        }
        for name in ["localhost", ".localhost", "alocalhost", "localhost.example", "é.localhos"] {
            assert!(!is_below_localhost(name), "{name}");
        }
    }
}
