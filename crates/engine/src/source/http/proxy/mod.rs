//! Which proxy a connection goes through: what the variables or the options say, read once when a
//! session is built. Pure; the variables are handed in.
//!
//! Whatever is set and cannot be used is an error. A proxy may hide an address, or be the only way
//! that is allowed; a direct connection in its place is what its user did not want.

mod choice;
mod no_proxy;
pub(crate) mod refusal;
pub(crate) mod socks;
pub(crate) mod tunnel;

use std::ffi::OsString;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use self::no_proxy::NoProxy;
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::http::origin::{Origin, Scheme};
use crate::options::ProxyChoice;

const POSSIBLE: &str = "http://, https://, socks5:// and socks5h:// are";
const SCHEME_SHOWN_CHARS_MAX: usize = 20;
/// What SOCKS5 can say (RFC 1929).
const SOCKS_CREDENTIAL_BYTES_MAX: usize = 255;
/// The lower case comes first, as with curl.
const FOR_HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const FOR_HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// In a CGI program whoever sends a request with a field `Proxy` sets `HTTP_PROXY` ("httpoxy"). curl never
/// looks at it; we do where `REQUEST_METHOD` does not say that this is CGI. The others are
/// nobody's but the user's, and hold there too.
const FOR_HTTP_IN_CGI: [&str; 3] = ["http_proxy", "all_proxy", "ALL_PROXY"];

/// The proxies of a session.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: NoProxy,
}

impl Proxies {
    /// Reads what was chosen; `variable` looks variables of the environment up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for a proxy that is set, could be needed and cannot be used.
    pub(crate) fn new(choice: &ProxyChoice, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let (except, http, https) = match choice {
            ProxyChoice::Direct => return Ok(Self::default()),
            ProxyChoice::Environment => {
                let list = first(&variable, &["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
                let except = NoProxy::parse(&list.to_string_lossy());
                if except.is_everything() {
                    return Ok(Self::default());
                }
                let is_cgi = variable("REQUEST_METHOD").is_some();
                let for_http: &[&str] = if is_cgi { &FOR_HTTP_IN_CGI } else { &FOR_HTTP };
                (except, from_variables(&variable, for_http)?, from_variables(&variable, &FOR_HTTPS)?)
            }
            ProxyChoice::Use { url, except } => {
                let proxy = Proxy::new(url).map_err(|why| {
                    Error::new(ErrorKind::Usage, format!("the proxy that was given cannot be used: {why}"))
                })?;
                (NoProxy::parse(except), Some(proxy.clone()), Some(proxy))
            }
        };
        Ok(Self { http, https, except })
    }

    /// The proxy for connections to this origin; without one they are direct.
    pub(crate) fn of(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        proxy.filter(|_| !self.except.contains(&origin.host, origin.port))
    }
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Http,
    /// HTTP within TLS.
    Https,
    /// Names are looked up here.
    Socks5,
    /// Names are looked up by the proxy.
    Socks5h,
}

/// A proxy that can be used. Displayed without its credentials.
#[derive(Clone)]
pub(crate) struct Proxy {
    kind: Kind,
    /// As in a URL: IPv6 addresses in brackets.
    host: String,
    port: u16,
    at: Uri,
    credentials: Option<Credentials>,
}

/// Decoded.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Proxy {
    /// The URL of a proxy as people write it: without a scheme it is `http`.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, without anything of it that could be secret.
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
    /// Why it cannot be used, without anything of it that could be secret.
    pub(crate) fn new(url: &Url) -> Result<Self, String> {
        let kind = match url.scheme() {
            "http" => Kind::Http,
            "https" => Kind::Https,
            "socks5" => Kind::Socks5,
            "socks5h" => Kind::Socks5h,
            // curl takes the first for SOCKS4 as well.
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
        // A path means nothing and is passed over, as curl does; but it may be half of a password.
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

    /// Where TCP connects to.
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

    /// Whether a text that the proxy sent has something of the credentials in it.
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

/// The proxy of the first of these variables that is set.
fn from_variables(variable: &impl Fn(&str) -> Option<OsString>, names: &[&'static str]) -> Result<Option<Proxy>> {
    let Some((name, value)) = first(variable, names) else { return Ok(None) };
    let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
    let proxy = text.and_then(Proxy::url).and_then(|url| Proxy::new(&url));
    match proxy {
        Ok(proxy) => Ok(Some(proxy)),
        Err(why) => {
            let text = format!("the environment variable {name} does not name a proxy that can be used: {why}");
            Err(Error::new(ErrorKind::Usage, text).with_advice(Advice::SetOrUnsetProxyVariable))
        }
    }
}

/// The first of these variables that is set; an empty one is not.
fn first(variable: &impl Fn(&str) -> Option<OsString>, names: &[&'static str]) -> Option<(&'static str, OsString)> {
    names.iter().find_map(|&name| Some((name, variable(name).filter(|value| !value.is_empty())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Set<'a> = &'a [(&'a str, &'a str)];

    fn proxies(set: Set<'_>) -> Result<Proxies> {
        Proxies::new(&ProxyChoice::Environment, |name| {
            set.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn origin(url: &str) -> Origin {
        Origin::of(&url.parse().unwrap()).unwrap()
    }

    fn shown(set: Set<'_>, url: &str) -> Option<String> {
        proxies(set).unwrap().of(&origin(url)).map(ToString::to_string)
    }

    #[test]
    fn variables_say_which_proxy_is_used() {
        let (http, https) = ("http://h.example/a", "https://h.example/a");
        // What is set, for which URL, and through which proxy it goes.
        #[rustfmt::skip]
        let table: &[(Set<'_>, &str, Option<&str>)] = &[
            (&[], http, None),
            (&[("http_proxy", "http://p:3128")], http, Some("http://p:3128")),
            (&[("http_proxy", "http://p:3128")], https, None),
            (&[("https_proxy", "http://p:3128")], http, None),
            (&[("https_proxy", "http://p:3128")], https, Some("http://p:3128")),
            (&[("all_proxy", "http://p:3128")], http, Some("http://p:3128")),
            (&[("ALL_PROXY", "http://p:3128")], https, Some("http://p:3128")),
            (&[("HTTPS_PROXY", "p:3128")], https, Some("http://p:3128")),
            (&[("HTTP_PROXY", "p:3128")], http, Some("http://p:3128")),
            (&[("HTTP_PROXY", "p:1"), ("http_proxy", "q:1")], http, Some("http://q:1")),
            (&[("HTTP_PROXY", "p:1"), ("http_proxy", "")], http, Some("http://p:1")),
            (&[("http_proxy", "p:1"), ("all_proxy", "q:1")], http, Some("http://p:1")),
            (&[("http_proxy", "p:1"), ("all_proxy", "q:1")], https, Some("http://q:1")),
            (&[("http_proxy", ""), ("all_proxy", "")], http, None),
            (&[("http_proxy", ""), ("all_proxy", "q:1")], http, Some("http://q:1")),
            // CGI: a request may have set this one, and only this one.
            (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1")], http, None),
            (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1"), ("all_proxy", "q:1")], http, Some("http://q:1")),
            (&[("REQUEST_METHOD", "GET"), ("http_proxy", "p:1")], http, Some("http://p:1")),
            (&[("REQUEST_METHOD", "GET"), ("HTTPS_PROXY", "p:1")], https, Some("http://p:1")),
            (&[("all_proxy", "p:1"), ("no_proxy", "h.example")], http, None),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "h.example:443")], http, Some("http://p:1")),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "h.example:443")], https, None),
            (&[("all_proxy", "p:1"), ("no_proxy", ""), ("NO_PROXY", "*")], https, None),
            // One that cannot be used does not matter where it is never asked.
            (&[("all_proxy", "socks4://p"), ("no_proxy", "*")], https, None),
            (&[("all_proxy", "ftp://p"), ("http_proxy", "p:1"), ("https_proxy", "q:1")], https, Some("http://q:1")),
        ];
        for (set, url, expected) in table {
            assert_eq!(shown(set, url).as_deref(), *expected, "{set:?} for {url}");
        }
    }

    #[test]
    fn a_proxy_is_written_in_many_ways() {
        #[rustfmt::skip]
        let table = [
            ("p", "http://p:80"),
            ("p:80", "http://p:80"),
            (" p:3128 ", "http://p:3128"),
            ("HTTP://P.example:3128/", "http://p.example:3128"),
            ("http://p:3128/path?query#fragment", "http://p:3128"),
            ("http://p:", "http://p:80"),
            ("https://p", "https://p:443"),
            ("https://p:80", "https://p:80"),
            ("socks5://p", "socks5://p:1080"),
            ("socks5h://p:80", "socks5h://p:80"),
            ("SOCKS5H://P:9050", "socks5h://p:9050"),
            ("socks5://[::1]:9050", "socks5://[::1]:9050"),
            ("[::1]:3128", "http://[::1]:3128"),
            ("user:pw@p:3128", "http://p:3128"),
            ("http://user:pw@p:3128", "http://p:3128"),
            ("http://user:p@w@p:3128", "http://p:3128"),
            ("socks5h://b%C3%BCcher.example", "socks5h://xn--bcher-kva.example:1080"),
        ];
        for (text, expected) in table {
            let url = Proxy::url(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(Proxy::new(&url).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named_and_its_value_is_not() {
        #[rustfmt::skip]
        let table = [
            ("socks://NOBODY:SECRET@p:1", "SOCKS4 (socks://)"),
            ("socks4://NOBODY:SECRET@p:1", "SOCKS4"),
            ("socks4a://NOBODY:SECRET@p:1", "SOCKS4"),
            ("ftp://NOBODY:SECRET@p:1", "ftp:// are not supported"),
            ("htp://NOBODY:SECRET@p:1", "htp:// are not supported"),
            ("https5://NOBODY:SECRET@p:1", "https5:// are not supported"),
            ("http://NOBODY:SECRET@[bad", "not the URL"),
            ("http://NOBODY:SECRET@p:99999", "port"),
            ("http://NOBODY:SECRET@p:port", "port"),
            ("http://NOBODY:SECRET@p:0", "port"),
            ("socks5://NOBODY:SECRET@p:0", "port"),
            ("http://NOBODY:SECRET@:3128", "host"),
            ("http://", "host"),
            ("socks5h://", "host"),
            ("socks5h:///SECRET", "host"),
            ("://SECRET", "not the URL"),
            (" ", "host"),
            ("http://SECRET p:3128", "not the URL"),
            ("NOBODY:80/SECRET@p:3128", "%2F"),
            ("http://NOBODY:80#SECRET@p:3128", "%23"),
            ("socks5://NOBODY:80?SECRET@p:3128", "%3F"),
            ("NOBODY:SECRET://x@p:1", "port"),
        ];
        for (value, why) in table {
            for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                let error = proxies(&[(name, value)]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Usage);
                let text = error.to_string();
                assert!(text.contains(&format!("variable {name} ")), "{value}: {text}");
                assert!(text.contains(why), "{value}: {text}");
                assert!(!text.contains("SECRET") && !text.contains("NOBODY"), "{value}: {text}");
            }
        }
        let long = format!("socks5://NOBODY:{}@p", "x".repeat(256));
        assert!(proxies(&[("all_proxy", &long)]).unwrap_err().to_string().contains("255"));
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_no_text_is_an_error_too() {
        use std::os::unix::ffi::OsStringExt as _;
        let proxies = Proxies::new(&ProxyChoice::Environment, |name| {
            (name == "all_proxy").then(|| OsString::from_vec(b"http://p\xff:1".to_vec()))
        });
        assert!(proxies.unwrap_err().to_string().contains("all_proxy"));
    }

    #[test]
    fn the_proxy_of_the_options_is_checked_as_well() {
        let choice = |url: &str, except: &str| {
            let choice = ProxyChoice::Use { url: url.parse().unwrap(), except: except.to_owned() };
            Proxies::new(&choice, |_| panic!("the variables do not count"))
        };
        let proxies = choice("socks5h://p", "10.0.0.0/8").unwrap();
        assert_eq!(proxies.of(&origin("http://h/")).map(ToString::to_string).as_deref(), Some("socks5h://p:1080"));
        assert!(proxies.of(&origin("http://10.1.1.1/")).is_none());
        assert_eq!(choice("ftp://p", "").unwrap_err().kind(), ErrorKind::Usage);
    }

    #[test]
    fn credentials_are_decoded_and_shown_nowhere() {
        let proxy = Proxy::new(&Proxy::url("http://us%40er:p%3Aw@p:1").unwrap()).unwrap();
        let credentials = proxy.credentials().unwrap();
        assert_eq!((&credentials.user[..], &credentials.password[..]), (&b"us@er"[..], &b"p:w"[..]));
        let authorization = proxy.authorization().unwrap();
        assert_eq!(authorization.to_str().unwrap(), "Basic dXNAZXI6cDp3");
        assert!(authorization.is_sensitive());
        assert_eq!(format!("{proxy} {proxy:?}"), "http://p:1 Proxy(http://p:1)");
        assert!(proxy.is_given_away_by("no such user: us@er"));
        assert!(proxy.is_given_away_by("bad token dXNAZXI6cDp3"));
        assert!(!proxy.is_given_away_by("Forbidden"));
    }
}
