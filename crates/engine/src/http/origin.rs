//! Scheme, host and port: what connections and credentials belong to (RFC 6454).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use url::Url;

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// An origin. Displayed as `https://host:port`, without the port if it is the scheme's default.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) scheme: Scheme,
    /// As in the URL: lower case, IPv6 addresses in brackets.
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
}

/// A map keyed by origins. Each decision looks some of them up, so its hasher is fast; servers may choose origins
/// by redirects, so it is seeded.
pub(crate) type OriginMap<V> = HashMap<Origin, V, foldhash::fast::RandomState>;

impl Origin {
    /// The origin of a URL; `None` for other schemes.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let host = url.host_str().filter(|host| !host.is_empty())?.into();
        Some(Self { scheme, host, port: url.port_or_known_default()? })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.scheme, self.port) {
            (Scheme::Http, 80) => write!(f, "http://{}", self.host),
            (Scheme::Https, 443) => write!(f, "https://{}", self.host),
            (Scheme::Http, port) => write!(f, "http://{}:{port}", self.host),
            (Scheme::Https, port) => write!(f, "https://{}:{port}", self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_ports_are_left_out_and_other_schemes_have_no_origin() {
        let shown = |url: &str| Origin::of(&url.parse().unwrap()).map(|origin| origin.to_string());
        assert_eq!(shown("https://u:p@H.example/a").as_deref(), Some("https://h.example"));
        assert_eq!(shown("http://[::1]:8080/").as_deref(), Some("http://[::1]:8080"));
        assert_eq!(shown("ftp://h/a"), None);
    }
}
