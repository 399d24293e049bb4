//! What a server repeats of the secrets that it was sent. Pure.

use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use url::{Url, form_urlencoded};

use super::hidden::{self, Echo};
use super::sent::{CHARS_MIN, Secrets, VALUES_MAX};
use crate::evidence::page;

/// Texts are cut out of others.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// A URL within a URL within a URL is encoded so often.
const DECODED_MAX: usize = 4;
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
    /// Those of a request for this URL, which redirects of the given one have led to, or which is that.
    pub(crate) fn of([given_url, url]: [&Url; 2], headers: &HeaderMap, form: &[u8]) -> Self {
        let mut secrets = Secrets::default();
        secrets.url(url);
        if given_url != url {
            secrets.url(given_url);
        }
        headers.iter().for_each(|(name, field)| secrets.field(name, field));
        secrets.form(form);
        let query = form_urlencoded::parse(url.query().unwrap_or_default().as_bytes());
        let values = query.chain(form_urlencoded::parse(form)).map(|(_, value)| value.into_owned());
        let mut asked: Vec<String> = values.take(VALUES_MAX).collect();
        if hidden::is_hidden(url) {
            // A redirect led here that repeated a secret of the request before.
            secrets.path(url.path());
            asked.drain(..).for_each(|value| secrets.push(value));
        }
        asked.retain(|value| value.chars().count() >= CHARS_MIN);
        Self { given: in_each_form(secrets.values()), asked: asked.iter().map(|value| standard(value)).collect() }
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
        // A name with the extension of a file is one.
        let is_in_name = is_echo && !page::names_no_page(Path::new(name)) && repeats(name, self.given.iter());
        is_echo.then_some(Echo { url, is_in_name })
    }
}

/// Values as they are, with the blanks of a form, in base64 and in hex.
fn in_each_form(mut values: Vec<String>) -> Vec<String> {
    let with_blanks = values.iter().filter(|value| value.contains('+')).map(|value| value.replace('+', " "));
    values.extend(with_blanks.collect::<Vec<_>>());
    let encoded = values.iter().flat_map(|value| [STANDARD_NO_PAD.encode(value), hex(value.trim_end_matches('='))]);
    values.extend(encoded.collect::<Vec<_>>());
    values.iter().map(|value| standard(value)).collect()
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
    forms.extend(in_base64(text).iter().map(|text| standard(text)));
    values.any(|value| forms.iter().any(|text| text.contains(&**value)))
}

/// What a text holds in base64, of either alphabet.
fn in_base64(text: &str) -> Vec<String> {
    let is_digit = |char: char| char.is_ascii_alphanumeric() || "+-_".contains(char);
    let runs = text.split(|char| !is_digit(char)).chain(text.split(|char| !is_digit(char) && char != '/'));
    let runs = runs.filter(|run| run.len() > CHARS_MIN).map(|run| run.replace('-', "+").replace('_', "/"));
    runs.filter_map(|run| LENIENT.decode(run).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

/// A text in lower case and in the first of base64's alphabets (RFC 4648), without padding at its end.
fn standard(text: &str) -> String {
    text.trim_end_matches('=').replace('-', "+").replace('_', "/").to_lowercase()
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{self, AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, REFERER};

    use super::*;
    use crate::http::credentials;

    #[test]
    fn what_repeats_a_secret_is_found() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, credentials::basic_of(b"alice", b"hunter2Secret"));
        headers.insert(COOKIE, HeaderValue::from_static("id=1; session=abcdef123"));
        headers.insert("x-api-key", HeaderValue::from_static("my-api-key"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static("browser"));
        let url: Url = "http://h/a?token=to%6Ben-of-mine&part=2".parse().unwrap();
        let held = Credentials::of([&url; 2], &headers, b"user=u&password=of+the+form");
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
        let held = Credentials::of([&url; 2], &headers, b"user=u&password=of+the+form");
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
        assert_eq!(shown("token-of-mine:x"), "***:***");
        assert_eq!(shown("/2/token-of-mine/a"), "http://h/***", "its name says that it is secret");
        let behind: Url = "https://other/x/abc%20def!/f.bin?k=value-of-it".parse().unwrap();
        let repeats = |text: &str| Credentials::of([&behind; 2], &HeaderMap::new(), b"").are_in(text);
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
            let held = Credentials::of([&"http://h/".parse().unwrap(); 2], &sent, b"");
            for echo in ["a2V5LW9mLW1pbmU", "6b65792d6f662d6d696e65"] {
                assert!(
                    held.are_in(echo) && held.echoed_in(&url, Some(&format!("/e?m={echo}"))).is_some(),
                    "{name}: {echo}"
                );
            }
        }
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer token-of-mine"));
        assert!(Credentials::of([&"http://h/".parse().unwrap(); 2], &headers, b"").are_in("token-of-mine"));
    }

    /// A server gives the URLs that redirects lead to.
    #[test]
    fn what_is_nested_or_long_is_looked_at_so_far_and_no_further() {
        for text in ["http://h/?token=", "%257B", "{\"a\":[", "/token/aaaaaaaa", "&token=bbbbbbbb"] {
            let url: Url = format!("http://h/?token={}", text.repeat(50_000 / text.len())).parse().unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_str(&format!("a={}", text.repeat(50_000 / text.len()))).unwrap());
            let held = Credentials::of([&url; 2], &headers, url.query().unwrap().as_bytes());
            assert!(held.given.len() <= 6 * VALUES_MAX && !held.are_in("another"), "{text}");
        }
    }

    #[test]
    fn what_is_secret_in_what_was_sent_is_found_alone() {
        const SECRET: &str = "Zquaph5p7";
        let url = |text: &str| text.parse::<Url>().unwrap();
        let here = || url("http://h/f.bin");
        let field = |name: &str, text: &str| {
            let value = HeaderValue::from_str(&text.replace('S', SECRET)).unwrap();
            HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), value)])
        };
        let of_form =
            |text: &str| Credentials::of([&here(); 2], &HeaderMap::new(), text.replace('S', SECRET).as_bytes());
        let of_field = |name: &str, text: &str| Credentials::of([&here(); 2], &field(name, text), b"");
        let of_url = |text: &str| Credentials::of([&url(&text.replace('S', SECRET)); 2], &HeaderMap::new(), b"");
        let cases = [
            of_form(r#"{"user":"al","password":"S"}"#),
            of_form("<login><password>S</password></login>"),
            of_form("S"),
            of_form("user=al&password=S"),
            of_field("authorization", r#"Token token="S""#),
            of_field("authorization", r#"MediaBrowser Client="x", Token="S""#),
            of_field("x-auth", "al:S"),
            of_field("x-auth", r#"{"k": "S"}"#),
            of_field("x-url", "http://h/?token=S"),
            of_field("cookie", r#"a=id=7&tok=S; b=1"#),
            of_field("cookie", r#"u="S""#),
            of_field("referer", "http://al:S@h/p"),
            of_field("referer", "http://h/token/S/x"),
            of_url("http://h/x?next=http://al:S@h/x"),
            of_url("http://h/x?next=http%3A%2F%2Fh%2F%3Ftoken%3DS"),
            of_url(r#"http://h/x?a={"token":"S"}"#),
            of_url("http://S@h/x"),
            of_form(r#"{"token":"S=="}"#),
            of_form(r#"{"query":"mutation{login(user:\"al\",password:\"S==\"){id}}"}"#),
            of_form(r#"{"a":"{\"t\":\"S\\u003d\"}"}"#),
            of_form("<l pw=\"S==\"/>"),
            of_form("password: S=="),
            of_form("S=="),
            of_field("authorization", "SharedKey acct:S=="),
            of_field("authorization", r#"Token token="S==""#),
            of_field("x-auth", "al:S=="),
            of_field("cookie", "u=%7B%22token%22%3A%22S%3D%3D%22%7D"),
            Credentials::of(
                [&here(); 2],
                &HeaderMap::from_iter([(AUTHORIZATION, credentials::basic_of(SECRET.as_bytes(), b""))]),
                b"",
            ),
        ];
        for (number, held) in cases.iter().enumerate() {
            assert!(held.are_in(&format!("W/\"{SECRET}\"")), "{number}");
            assert!(held.echoed_in(&here(), Some(&format!("/zz/{SECRET}/f.bin"))).is_some(), "{number}");
            let within = STANDARD_NO_PAD.encode(format!("/f.bin?token={SECRET}"));
            assert!(
                held.are_in(&within) && held.echoed_in(&here(), Some(&format!("/sso/{within}/f.bin"))).is_some(),
                "{number}"
            );
        }
        let [given, clean] = [url("http://h/f?api_key=Zquaph5p7"), url("http://h/dl/2.bin")];
        assert!(Credentials::of([&given, &clean], &HeaderMap::new(), b"").are_in("Zquaph5p7"), "behind a redirect");
        assert!(of_form(r#"["al","S:x7"]"#).are_in("Zquaph5p7:x7"));
        let blanks = of_form("pw=horse+S+battery");
        assert!(of_form("password=S==").are_in("5a7175617068357037"), "in hex, without its padding");
        assert!(blanks.echoed_in(&here(), Some("/zz/horse%20Zquaph5p7%20battery/f.bin")).is_some());
        // The names of values, and of files, are in many redirects.
        let key = of_url("http://h/get?key=dl/app-1.2.3-linux.tar.gz");
        let echo = key.echoed_in(&here(), Some("http://cdn/dl/app-1.2.3-linux.tar.gz"));
        assert!(!echo.is_some_and(|echo| echo.is_in_name));
        let nested = of_url("http://h/x?next=http%3A%2F%2Fother%2Fpub%2Fdebian.iso%3Ftoken%3DS");
        assert!(nested.echoed_in(&here(), Some("http://other/pub/debian.iso?page=token")).is_none());
        assert!(!of_form(r#"{"password":"S"}"#).are_in("Forgot your password?"));
    }
}
