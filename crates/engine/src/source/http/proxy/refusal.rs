//! Turns a proxy's failures into words: all errors of the kind `proxy` are created here. Pure.

use std::fmt;
use std::io;

use http::StatusCode;

use crate::error::{Advice, Error, ErrorKind};
use crate::http::challenge::challenges;
use crate::http::origin::Origin;
use crate::secret::printable;
use crate::source::http::proxy::Proxy;

const REASON_CHARS_MAX: usize = 100;
/// Authentication schemes (IANA's registry, and NTLM).
const SCHEMES: [&str; 15] = [
    "Basic",
    "Bearer",
    "Concealed",
    "Digest",
    "DPoP",
    "GNAP",
    "HOBA",
    "Mutual",
    "Negotiate",
    "NTLM",
    "OAuth",
    "PrivateToken",
    "SCRAM-SHA-1",
    "SCRAM-SHA-256",
    "vapid",
];
/// The most authentication schemes to list.
const SCHEMES_MAX: usize = 4;

/// The proxy did not connect us because of `why`; the caller adds whether that is transient.
pub(crate) fn not_connected(proxy: &Proxy, origin: &Origin, why: impl fmt::Display) -> Error {
    let text = format!("the proxy {proxy} did not connect us to {}:{} ({why})", origin.host, origin.port);
    Error::new(ErrorKind::Proxy, text)
}

/// The proxy itself is unreachable.
pub(crate) fn not_reached(proxy: &Proxy, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Proxy, format!("there is no connection to the proxy {proxy} ({why})"))
        .with_advice(Advice::CheckProxyAddress)
}

/// The proxy works but reports that it cannot reach the server.
pub(crate) fn not_beyond(proxy: &Proxy, origin: &Origin, why: impl fmt::Display) -> Error {
    let text = format!("the proxy {proxy} cannot reach {}:{} ({why})", origin.host, origin.port);
    Error::new(ErrorKind::Proxy, text).with_advice(Advice::CheckUrlOrAskProxyOwner)
}

/// The connection to the proxy broke before it led anywhere.
pub(crate) fn broke(proxy: &Proxy, origin: &Origin, source: io::Error) -> Error {
    let error = if source.kind() == io::ErrorKind::UnexpectedEof {
        not_connected(proxy, origin, "it closed the connection")
    } else {
        not_connected(proxy, origin, crate::error::plain_io(&source))
    };
    error.with_transient(true).with_source(source)
}

/// A proxy's error response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The proxy's own reason phrase; the standard one if empty.
    pub(crate) reason: String,
    /// The authentication schemes that it asks for.
    pub(crate) schemes: Vec<String>,
}

impl Refusal {
    /// The error for this response of `proxy` to `request`, with or without credentials.
    pub(crate) fn error(&self, proxy: &Proxy, request: &str) -> Error {
        let answer = format!("{} {}", self.status, self.reason(proxy));
        let answer = answer.trim_end();
        if self.status == 407 {
            return self.credentials_error(proxy, &format!("{answer} to {request}"));
        }
        let error = Error::new(ErrorKind::Proxy, format!("the proxy {proxy} answered {answer} to {request}"));
        if matches!(self.status, 408 | 429 | 500..=599) {
            return error.with_transient(true).with_advice(Advice::RunAgainOrCheckProxyAddress);
        }
        error.with_advice(match self.status {
            401 => Advice::CheckProxy,
            403 => Advice::AskProxyOwner,
            _ => Advice::CheckProxyAllowsThis,
        })
    }

    fn credentials_error(&self, proxy: &Proxy, answer: &str) -> Error {
        let takes_basic = self.schemes.is_empty() || self.schemes.iter().any(|it| it.eq_ignore_ascii_case("basic"));
        if !takes_basic {
            let mut schemes: Vec<_> = self.schemes.iter().take(SCHEMES_MAX).map(|scheme| known(scheme)).collect();
            schemes.dedup();
            let verb = if schemes.len() == 1 { "is" } else { "are" };
            let schemes = schemes.join(" or ");
            let text =
                format!("the proxy {proxy} wants {schemes}, which {verb} not supported; only Basic is ({answer})");
            return Error::new(ErrorKind::Proxy, text).with_advice(Advice::UseOtherProxy);
        }
        if proxy.credentials().is_some() {
            return Error::new(ErrorKind::Proxy, format!("the proxy {proxy} refused the credentials ({answer})"))
                .with_advice(Advice::CheckProxyCredentials);
        }
        Error::new(ErrorKind::Proxy, format!("the proxy {proxy} wants credentials ({answer})"))
            .with_advice(Advice::GiveProxyCredentials)
    }

    fn reason(&self, proxy: &Proxy) -> String {
        let own: String = self.reason.chars().take(REASON_CHARS_MAX).collect();
        if own.is_empty() || proxy.is_given_away_by(&self.reason) {
            let usual = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
            return usual.unwrap_or("").to_owned();
        }
        printable(&own).into_owned()
    }
}

/// The registered name of a scheme. A proxy may repeat a secret in its place, so others are not shown.
fn known(scheme: &str) -> &str {
    SCHEMES.into_iter().find(|known| known.eq_ignore_ascii_case(scheme)).unwrap_or("an unknown scheme")
}

/// The schemes in one `Proxy-Authenticate` field.
pub(crate) fn schemes(field: &str) -> Vec<String> {
    challenges(field).into_iter().map(|challenge| challenge.scheme.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str) -> Proxy {
        Proxy::new(&Proxy::url(url).unwrap()).unwrap()
    }

    fn refusal(status: u16, reason: &str, challenges: &[&str]) -> Refusal {
        let schemes = challenges.iter().flat_map(|field| schemes(field)).collect();
        Refusal { status, reason: reason.to_owned(), schemes }
    }

    #[test]
    fn schemes_are_told_from_their_parameters() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str])] = &[
            ("Basic realm=\"a\"", &["Basic"]),
            ("Basic realm=\"a, NTLM\", charset=\"UTF-8\"", &["Basic"]),
            ("Negotiate, NTLM", &["Negotiate", "NTLM"]),
            ("NTLM TlRMTVNTUAACAAAA==", &["NTLM"]),
            ("Digest realm=\"a\", qop=\"auth,auth-int\", nonce=\"x\", Basic realm=\"b\"", &["Digest", "Basic"]),
            ("", &[]),
            ("\"", &[]),
        ];
        for (field, expected) in table {
            assert_eq!(schemes(field), *expected, "{field}");
        }
    }

    #[test]
    fn a_refusal_says_what_the_proxy_wants() {
        let (with, without) = (proxy("http://NOBODY:SECRET@p:1"), proxy("http://p:1"));
        let to = "CONNECT h:443";
        #[rustfmt::skip]
        let table = [
            (refusal(403, "Forbidden", &[]), &without, "the proxy http://p:1 answered 403 Forbidden to CONNECT h:443"),
            (refusal(403, "", &[]), &without, "the proxy http://p:1 answered 403 Forbidden to CONNECT h:443"),
            (refusal(403, "no SECRET here", &[]), &with, "the proxy http://p:1 answered 403 Forbidden to CONNECT h:443"),
            (refusal(403, "a\u{1b}b", &[]), &with, "the proxy http://p:1 answered 403 a\\u{1b}b to CONNECT h:443"),
            (refusal(599, "", &[]), &with, "the proxy http://p:1 answered 599 to CONNECT h:443"),
            (refusal(407, "Auth", &["Basic realm=x"]), &without, "the proxy http://p:1 wants credentials (407 Auth to CONNECT h:443)"),
            (refusal(407, "Auth", &[]), &without, "the proxy http://p:1 wants credentials (407 Auth to CONNECT h:443)"),
            (refusal(407, "Auth", &["NTLM", "Basic realm=x"]), &with, "the proxy http://p:1 refused the credentials (407 Auth to CONNECT h:443)"),
            (refusal(407, "Auth", &["NTLM"]), &with, "the proxy http://p:1 wants NTLM, which is not supported; only Basic is (407 Auth to CONNECT h:443)"),
            (refusal(407, "Auth", &["Negotiate", "NTLM"]), &without, "the proxy http://p:1 wants Negotiate or NTLM, which are not supported; only Basic is (407 Auth to CONNECT h:443)"),
        ];
        for (refusal, proxy, expected) in table {
            let error = refusal.error(proxy, to);
            assert_eq!(error.message(), expected);
            assert_eq!(error.kind(), ErrorKind::Proxy);
        }
    }

    #[test]
    fn only_what_may_pass_is_worth_another_try() {
        let proxy = proxy("http://p:1");
        for status in [408, 429, 500, 502, 503, 504, 511] {
            assert!(refusal(status, "", &[]).error(&proxy, "CONNECT h:443").is_transient(), "{status}");
        }
        for status in [101, 301, 400, 401, 403, 404, 405, 407, 451] {
            assert!(!refusal(status, "", &[]).error(&proxy, "CONNECT h:443").is_transient(), "{status}");
        }
    }
}
