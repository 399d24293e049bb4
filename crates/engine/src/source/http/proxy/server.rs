//! One proxy: what its URL says, and what of that may be shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

const POSSIBLE: &str = "http://, https://, socks5:// and socks5h:// are";
const SCHEME_SHOWN_CHARS_MAX: usize = 20;
/// The limit of SOCKS5 (RFC 1929).
const SOCKS_CREDENTIAL_BYTES_MAX: usize = 255;

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    /// HTTP over TLS.
    Https,
    /// Names are looked up here.
    Socks5,
    /// Names are looked up by the proxy.
    Socks5h,
}

/// A usable proxy. Displayed without its credentials.
#[derive(Clone)]
pub(crate) struct Proxy {
    kind: Kind,
    /// As in a URL: IPv6 addresses in brackets.
    host: String,
    port: u16,
    at: Uri,
    credentials: Option<Credentials>,
}

/// Decoded credentials.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Proxy {
    /// Parses a proxy's URL as people write it: without a scheme it is `http`.
    ///
    /// # Errors
    ///
    /// Why it is unusable, without anything that may be secret.
    pub(crate) fn url(text: &str) -> Result<Url, String> {
        let text = text.trim();
        let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let has_scheme = text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
        let parsed = if has_scheme { Url::parse(text) } else { Url::parse(&format!("http://{text}")) };
        let url = parsed.map_err(|why| format!("it is not the URL of a proxy ({why})"))?;
        Self::new(&url)?;
        Ok(url)
    }

    /// The proxy at this URL.
    ///
    /// # Errors
    ///
    /// Why it is unusable, without anything that may be secret.
    pub(crate) fn new(url: &Url) -> Result<Self, String> {
        let kind = match url.scheme() {
            "http" => Kind::Http,
            "https" => Kind::Https,
            "socks5" => Kind::Socks5,
            "socks5h" => Kind::Socks5h,
            // curl treats `socks` as SOCKS4 too.
            scheme @ ("socks" | "socks4" | "socks4a") => {
                return Err(format!("SOCKS4 ({scheme}://) is not supported; {POSSIBLE}"));
            }
            other => {
                let shown: String = other.chars().take(SCHEME_SHOWN_CHARS_MAX).collect();
                return Err(format!("proxies of the kind {shown}:// are not supported; {POSSIBLE}"));
            }
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
        let host = Host::parse(host).map_err(|why| format!("its host cannot be used ({why})"))?.to_string();
        let port = match url.port() {
            Some(0) => return Err("0 is not a port".to_owned()),
            Some(port) => port,
            None => kind.default_port(),
        };
        // A path means nothing and is ignored, as in curl; but it may be half of a password.
        let is_torn = |part: &str| part.contains('@');
        if is_torn(url.path()) || url.query().is_some_and(is_torn) || url.fragment().is_some_and(is_torn) {
            return Err("there is an @ behind its host; / ? # in a user name or a password are %2F %3F %23".to_owned());
        }
        let at = format!("http://{host}:{port}/")
            .parse::<Uri>()
            .map_err(|why| format!("its host cannot be used ({why})"))?;
        let decoded = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        let credentials = has_credentials.then(|| Credentials {
            user: decoded(url.username()),
            password: decoded(url.password().unwrap_or_default()),
        });
        let is_too_long = |part: &Vec<u8>| part.len() > SOCKS_CREDENTIAL_BYTES_MAX;
        if kind.is_socks()
            && credentials.as_ref().is_some_and(|both| is_too_long(&both.user) || is_too_long(&both.password))
        {
            return Err("SOCKS5 takes user names and passwords of up to 255 bytes".to_owned());
        }
        Ok(Self { kind, host, port, at, credentials })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The address for the TCP connection.
    pub(crate) fn at(&self) -> Uri {
        self.at.clone()
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Basic {}", self.credentials.as_ref()?.base64()))
            .expect("Base64 is ASCII that can be seen");
        value.set_sensitive(true);
        Some(value)
    }

    /// Whether a text from the proxy contains part of the credentials.
    pub(crate) fn is_given_away_by(&self, text: &str) -> bool {
        let Some(credentials) = &self.credentials else { return false };
        let parts = [&credentials.user, &credentials.password].map(|part| String::from_utf8_lossy(part).into_owned());
        let mut parts = parts.into_iter().chain([credentials.base64()]).filter(|part| !part.is_empty());
        parts.any(|part| text.contains(&part))
    }
}

impl Credentials {
    fn base64(&self) -> String {
        STANDARD.encode([&self.user[..], b":", &self.password[..]].concat())
    }
}

impl Kind {
    pub(crate) fn is_socks(self) -> bool {
        matches!(self, Self::Socks5 | Self::Socks5h)
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Socks5 => "socks5",
            Self::Socks5h => "socks5h",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Socks5 | Self::Socks5h => 1080,
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.kind.scheme(), self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}
