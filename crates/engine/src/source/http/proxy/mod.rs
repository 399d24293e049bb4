//! Which proxy a connection uses: taken from the variables or the options, once, when a session is built. Pure;
//! the variables are passed in.
//!
//! A proxy that is set but unusable is an error. It may hide an address or be the only permitted way out, and
//! its user does not want a direct connection instead.

mod environment;
mod given;
mod no_proxy;
pub(crate) mod refusal;
mod server;
pub(crate) mod socks;
pub(crate) mod tunnel;

use std::ffi::OsString;

use self::environment::Environment;
use self::no_proxy::NoProxy;
pub(crate) use self::server::{Kind, Proxy};
use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::{Origin, Scheme};
use crate::options::ProxyChoice;

/// The proxies of a session.
#[derive(Debug, Default)]
pub(crate) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: NoProxy,
}

impl Proxies {
    /// Reads the choice; `variable` looks up environment variables.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] for a proxy that is set, may be needed and is unusable.
    pub(crate) fn new(choice: &ProxyChoice, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let (except, http, https) = match choice {
            ProxyChoice::Direct => return Ok(Self::default()),
            ProxyChoice::Environment | ProxyChoice::EnvironmentExcept { .. } => {
                let except = match choice {
                    ProxyChoice::EnvironmentExcept { except } => NoProxy::parse(except),
                    _ => environment::except(&variable),
                };
                let Some(found) = Environment::read(variable, &except)? else { return Ok(Self::default()) };
                (except, found.http, found.https)
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

    /// The proxy for connections to this origin; `None` means a direct connection.
    pub(crate) fn of(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        };
        proxy.filter(|_| !self.except.contains(&origin.host, origin.port))
    }
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
        // The variables that are set, a URL, and the proxy that it uses.
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
            // CGI: a request may have set this variable, and only this one.
            (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1")], http, None),
            (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil:1"), ("all_proxy", "q:1")], http, Some("http://q:1")),
            (&[("REQUEST_METHOD", "GET"), ("http_proxy", "p:1")], http, Some("http://p:1")),
            (&[("REQUEST_METHOD", "GET"), ("HTTPS_PROXY", "p:1")], https, Some("http://p:1")),
            (&[("all_proxy", "p:1"), ("no_proxy", "h.example")], http, None),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "h.example:443")], http, Some("http://p:1")),
            (&[("all_proxy", "p:1"), ("NO_PROXY", "h.example:443")], https, None),
            (&[("all_proxy", "p:1"), ("no_proxy", ""), ("NO_PROXY", "*")], https, None),
            // An unusable proxy does not matter where it is never used.
            (&[("all_proxy", "socks4://p"), ("no_proxy", "*")], https, None),
            (&[("all_proxy", "ftp://p"), ("http_proxy", "p:1"), ("https_proxy", "q:1")], https, Some("http://q:1")),
        ];
        for (set, url, expected) in table {
            assert_eq!(shown(set, url).as_deref(), *expected, "{set:?} for {url}");
        }
    }

    #[test]
    fn a_list_that_was_given_takes_the_place_of_no_proxy() {
        let variables = |name: &str| match name {
            "all_proxy" => Some(OsString::from("p:3128")),
            "no_proxy" => Some(OsString::from("a.example")),
            _ => None,
        };
        let is_direct = |except: &str, url: &str| {
            let choice = ProxyChoice::EnvironmentExcept { except: except.to_owned() };
            Proxies::new(&choice, variables).unwrap().of(&Origin::of(&url.parse().unwrap()).unwrap()).is_none()
        };
        assert!(!is_direct("", "http://a.example/"));
        assert!(!is_direct("b.example", "http://a.example/"));
        assert!(is_direct("b.example", "http://b.example/"));
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
