//! What a server repeats of the secrets that it was sent. Pure.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::HeaderMap;
use http::header::{self, AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, REFERER};
use percent_encoding::percent_decode_str;
use url::{Url, form_urlencoded};

use super::hidden::{self, Echo};
use super::parameters::{Parameter, parameters};
use super::{names, path};
use crate::http::credentials;

/// Shorter ones are in many texts by chance.
const CHARS_MIN: usize = 6;
/// A URL within a URL within a URL is encoded so often.
const DECODED_MAX: usize = 4;
/// Fields whose values are nobody's secrets.
const OPEN: [HeaderName; 11] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::RANGE,
    header::USER_AGENT,
];

/// What may be secret in one request: passwords, tokens, cookies, the values of its other fields, of its query and of its
/// form, and what an earlier response repeated of those in its path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// Passwords, tokens, cookies and fields, as they are, in base64 and in hex.
    given: Vec<String>,
    /// The values of the query and of the form, of which many are no secrets.
    asked: Vec<String>,
}

impl Credentials {
    pub(crate) fn of(url: &Url, headers: &HeaderMap, form: &[u8]) -> Self {
        let values =
            |text: &[u8]| form_urlencoded::parse(text).map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
        let query = url.query().unwrap_or_default();
        let mut asked = values(query.as_bytes());
        asked.extend(values(form));
        let mut given = masked_in(query);
        given.extend(masked_in(&String::from_utf8_lossy(form)));
        given.extend(path::secrets_in(url.path()));
        // Whatever stands before it: messages mask it too.
        let userinfos = url.path().split('/').filter_map(|segment| segment.rsplit_once('@'));
        let passwords = userinfos.filter_map(|(userinfo, _)| userinfo.split_once(':'));
        given.extend(passwords.map(|(_, password)| percent_decode_str(password).decode_utf8_lossy().into_owned()));
        given.extend(url.password().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned()));
        for (name, field) in headers.iter().filter(|(name, _)| !OPEN.contains(name)) {
            let text = String::from_utf8_lossy(field.as_bytes());
            match *name {
                AUTHORIZATION | PROXY_AUTHORIZATION => {
                    given.extend(text.split_whitespace().skip(1).map(ToOwned::to_owned));
                    given.extend(credentials::pair_of(field).map(|(_, password)| password));
                }
                COOKIE => given.extend(cookies_in(&text)),
                REFERER => given.extend(text.split_once('?').into_iter().flat_map(|(_, query)| masked_in(query))),
                _ => given.push(text.into_owned()),
            }
        }
        if hidden::is_hidden(url) {
            // A redirect led here that repeated a secret of the request before.
            let parts = url.path_segments().into_iter().flatten();
            given.extend(parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()));
            given.append(&mut asked);
        }
        for values in [&mut given, &mut asked] {
            values.retain(|value| value.chars().count() >= CHARS_MIN);
        }
        let encoded = |value: &String| [STANDARD_NO_PAD.encode(value), hex(value)];
        given.extend(given.iter().flat_map(encoded).collect::<Vec<_>>());
        for values in [&mut given, &mut asked] {
            *values = values.iter().map(|value| standard(value)).collect();
        }
        Self { given, asked }
    }

    /// Whether a text repeats one of them, as it was sent or encoded otherwise.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        repeats(text, self.given.iter().chain(&self.asked))
    }

    /// The target of a redirect that repeats one of them, encoded or not, or that is reached from such a one. Names of files
    /// in a query are in many redirects, and what is secret in a query is known by its name.
    pub(crate) fn echoed_in(&self, at: &Url, location: Option<&str>) -> Option<Echo> {
        let location = location?;
        let url = at.join(location).ok()?;
        let is_echo =
            hidden::is_hidden(at) || repeats(location, self.given.iter()) || repeats(url.path(), self.given.iter());
        let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let is_in_name = is_echo && repeats(name, self.given.iter());
        is_echo.then_some(Echo { url, is_in_name })
    }
}

/// The values of a query or a form whose names say that they are secret.
fn masked_in(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let is_masked = |pair: &Parameter<'_>| pair.is_signing || names::is_secret(&pair.name);
    parameters(text).into_iter().filter(is_masked).filter_map(|pair| pair.value.map(Cow::into_owned)).collect()
}

/// Whether a text holds one of these values, encoded for a URL or a form or not, in any case.
fn repeats<'a>(text: &str, values: impl Iterator<Item = &'a String>) -> bool {
    let mut values = values.peekable();
    // Most requests have none.
    if values.peek().is_none() {
        return false;
    }
    let mut forms = vec![standard(text)];
    let mut decoded = text.replace('+', " ");
    for _ in 0..DECODED_MAX {
        forms.push(standard(&decoded));
        decoded = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
    }
    forms.push(standard(&percent_decode_str(text).decode_utf8_lossy()));
    values.any(|value| forms.iter().any(|text| text.contains(&**value)))
}

/// A text in lower case and in the first of base64's alphabets (RFC 4648), without padding at its end.
fn standard(text: &str) -> String {
    text.trim_end_matches('=').replace('-', "+").replace('_', "/").to_lowercase()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn cookies_in(field: &str) -> Vec<String> {
    let values = field.split(';').filter_map(|cookie| cookie.split_once('=')).map(|(_, value)| value.trim());
    values.map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_repeats_a_secret_is_found() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, credentials::basic_of(b"alice", b"hunter2Secret"));
        headers.insert(COOKIE, HeaderValue::from_static("id=1; session=abcdef123"));
        headers.insert("x-api-key", HeaderValue::from_static("my-api-key"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("browser"));
        let url: Url = "http://h/a?token=to%6Ben-of-mine&part=2".parse().unwrap();
        let held = Credentials::of(&url, &headers, b"user=u&password=of+the+form");
        for echo in
            ["hunter2Secret", "W/\"x?token=hunter2Secret\"", "abcdef123", "my-api-key", "token-of-mine", "of the form"]
        {
            assert!(held.are_in(echo), "{echo}");
        }
        let basic = "YWxpY2U6aHVudGVyMlNlY3JldA==";
        assert!(held.are_in(basic) && held.are_in(basic.trim_end_matches('=')), "whoever leaves the padding out");
        assert!(held.are_in("aHVudGVyMlNlY3JldA") && held.are_in("%68unter2%53ecret"));
        assert!(held.are_in("HUNTER2SECRET") && held.are_in("68756e7465723253656372657421"));
        assert!(held.are_in("next=%252Fgo%253Fhunter2%2553ecret"), "a URL within a URL");
        assert!(held.are_in("said=of+the+form") && held.are_in("my+api+key"), "as a form, and in the other alphabet");
        headers.insert(PROXY_AUTHORIZATION, credentials::basic_of(b"al", b"proxy-secret"));
        headers.insert(REFERER, HeaderValue::from_static("http://r/page?token=of-the-page&part=chapter"));
        let held = Credentials::of(&url, &headers, b"user=u&password=of+the+form");
        assert!(held.are_in("proxy-secret") && held.are_in("http://r/page?token=of-the-page"));
        for text in ["5f5e1000-30d40", "alice", "1", "browser", "chapter"] {
            assert!(!held.are_in(text), "{text}");
        }
        let shown = |target: &str| {
            held.echoed_in(&url, Some(target)).iter().for_each(hidden::hide);
            crate::secret::shown_url(&url.join(target).unwrap())
        };
        assert_eq!(shown("/err?m=hunter2Secret"), "http://h/***");
        assert_eq!(shown("https://other/e?m=%68unter2Secret"), "https://other/***");
        assert_eq!(shown("/err?m=part"), "http://h/err?m=part");
        assert_eq!(shown("/2/token-of-mine/a"), "http://h/***", "its name says that it is secret");
        let behind: Url = "https://other/x/abc%20def!/f.bin?k=value-of-it".parse().unwrap();
        let repeats = |text: &str| Credentials::of(&behind, &HeaderMap::new(), b"").are_in(text);
        assert!(!repeats("abc def!"), "any path");
        hidden::hide(&Echo { url: behind.clone(), is_in_name: false });
        assert!(
            repeats("abc def!") && repeats("abc%20def!") && repeats("value-of-it"),
            "what led there repeated a secret"
        );
        for (name, value) in
            [("x-api-key", "key-of-mine"), ("authorization", "Bearer key-of-mine"), ("cookie", "s=key-of-mine")]
        {
            let sent = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
            let held = Credentials::of(&"http://h/".parse().unwrap(), &sent, b"");
            for echo in ["a2V5LW9mLW1pbmU", "6b65792d6f662d6d696e65"] {
                assert!(
                    held.are_in(echo) && held.echoed_in(&url, Some(&format!("/e?m={echo}"))).is_some(),
                    "{name}: {echo}"
                );
            }
        }
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer token-of-mine"));
        assert!(Credentials::of(&"http://h/".parse().unwrap(), &headers, b"").are_in("token-of-mine"));
    }
}
