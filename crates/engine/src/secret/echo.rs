//! What a server repeats of the secrets that it was sent. Pure.

use std::borrow::Cow;
use std::iter;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD};
use http::header::{self, AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, REFERER};
use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use url::{Url, form_urlencoded};

use super::hidden::{self, Echo};
use super::parameters::{Parameter, parameters};
use super::path;
use crate::evidence::page;
use crate::http::credentials;

/// Texts are cut out of others.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Shorter ones are in many texts by chance.
const CHARS_MIN: usize = 6;
/// A URL within a URL within a URL is encoded so often.
const DECODED_MAX: usize = 4;
/// JSON is within JSON, and URLs are within URLs, so often.
const NESTED_MAX: u32 = 4;
/// Fields whose values are nobody's secrets.
const OPEN: [HeaderName; 12] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::ORIGIN,
    header::RANGE,
    header::USER_AGENT,
];
/// What stands for a password where the name is the token.
const NO_PASSWORDS: [&str; 4] = ["", "x", "x-oauth-basic", "x-oauth-token"];

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
        let values =
            |text: &[u8]| form_urlencoded::parse(text).map(|(_, value)| value.into_owned()).collect::<Vec<_>>();
        let mut asked = values(url.query().unwrap_or_default().as_bytes());
        asked.extend(values(form));
        let mut given = in_url(url);
        if given_url != url {
            given.extend(in_url(given_url));
        }
        if !form.is_empty() {
            given.extend(in_form(&String::from_utf8_lossy(form)));
        }
        for (name, field) in headers.iter().filter(|(name, _)| !OPEN.contains(name)) {
            given.extend(in_field(name, field));
        }
        if hidden::is_hidden(url) {
            // A redirect led here that repeated a secret of the request before.
            let parts = url.path_segments().into_iter().flatten();
            given.extend(parts.map(decoded));
            given.append(&mut asked);
        }
        for values in [&mut given, &mut asked] {
            values.retain(|value| value.chars().count() >= CHARS_MIN);
        }
        // Blanks of a form, which a server may repeat otherwise.
        given.extend(
            given.iter().filter(|value| value.contains('+')).map(|value| value.replace('+', " ")).collect::<Vec<_>>(),
        );
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
        // A name with the extension of a file is one.
        let is_in_name = is_echo && !page::names_no_page(Path::new(name)) && repeats(name, self.given.iter());
        is_echo.then_some(Echo { url, is_in_name })
    }
}

fn in_field(name: &HeaderName, field: &HeaderValue) -> Vec<String> {
    let text = String::from_utf8_lossy(field.as_bytes());
    match *name {
        AUTHORIZATION | PROXY_AUTHORIZATION => match credentials::pair_of(field) {
            Some((name, password)) => {
                let is_token = NO_PASSWORDS.contains(&&*password);
                let sent = text.split_whitespace().skip(1).map(ToOwned::to_owned);
                sent.chain(is_token.then_some(name)).chain([password]).collect()
            }
            None => {
                let sent = text.split_whitespace().skip(1).map(ToOwned::to_owned);
                sent.chain(in_text(text.split_once(' ').map_or("", |(_, rest)| rest))).collect()
            }
        },
        COOKIE => {
            let values = text.split(';').filter_map(|cookie| cookie.split_once('=')).map(|(_, value)| value.trim());
            values.flat_map(|value| iter::once(value.to_owned()).chain(in_text(value))).collect()
        }
        REFERER => Url::parse(&text).as_ref().map(in_url).unwrap_or_default(),
        _ => iter::once(text.clone().into_owned()).chain(in_text(&text)).collect(),
    }
}

/// What is secret in a URL: a password, and what is masked where the URL is shown.
fn in_url(url: &Url) -> Vec<String> {
    let mut secrets = path::secrets_in(url.path());
    // Whatever stands before it: messages mask it too.
    let userinfos = url.path().split('/').filter_map(|segment| segment.rsplit_once('@'));
    let passwords = userinfos.filter_map(|(userinfo, _)| userinfo.split_once(':'));
    secrets.extend(passwords.map(|(_, password)| decoded(password)));
    let password = url.password().map(decoded);
    if password.as_deref().is_none_or(|password| NO_PASSWORDS.contains(&password)) {
        secrets.push(decoded(url.username()));
    }
    secrets.extend(password);
    secrets.extend(masked_in(url.query().unwrap_or_default()));
    secrets
}

/// What is secret in a form: the values whose names say so; in JSON, say, all of them.
fn in_form(text: &str) -> Vec<String> {
    let is_name = |name: &str| !name.contains(|char: char| char.is_whitespace() || "{<\":".contains(char));
    let is_pair = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| is_name(name));
    // What ends like Base64 is no pair.
    match text.split('&').all(is_pair) && !text.ends_with('=') {
        true => masked_in(text),
        false => masked_in(text).into_iter().chain(in_text(text)).chain([text.to_owned()]).collect(),
    }
}

/// The values of a query or a form that are masked where they are shown, and what is secret in them.
fn masked_in(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let masked = parameters(text).into_iter().filter(Parameter::is_masked);
    let values = masked.filter_map(|parameter| parameter.value.map(Cow::into_owned));
    values.flat_map(|value| in_text(&value).into_iter().chain([value])).collect()
}

/// What may be secret in a text: in a URL what is so there, in JSON its strings, else what is in quotes, what has a name
/// (`token=…`, `user:…`), and each word.
fn in_text(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    in_nested(text, NESTED_MAX, &mut values);
    values
}

fn in_nested(text: &str, depth: u32, values: &mut Vec<String>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    if text.contains('%') {
        in_nested(&decoded(text), depth, values);
    }
    if let Ok(url) = Url::parse(text)
        && url.has_host()
    {
        return values.extend(in_url(&url));
    }
    if let Ok(json) = serde_json::from_str(text) {
        return in_json(&json, depth, values);
    }
    // The names between them are no values, and are most often short.
    for quote in ['"', '\''] {
        values.extend(text.split(quote).skip(1).step_by(2).map(ToOwned::to_owned));
    }
    let ends = |char: char| char.is_whitespace() || ",;&<>(){}[]".contains(char);
    for (at, word) in
        text.split(ends).scan(0, |next, word| Some((std::mem::replace(next, *next + word.len() + 1), word)))
    {
        let is_tag = text.get(..at).is_some_and(|before| before.ends_with('<'));
        let plain = |word: &str| word.trim_matches(['"', '\'', '/', '\\']).to_owned();
        if let Some((_, value)) = word.split_once(['=', ':']) {
            values.push(plain(value));
        }
        if !is_tag && !word.ends_with(':') {
            values.push(plain(word));
        }
    }
}

fn in_json(json: &serde_json::Value, depth: u32, values: &mut Vec<String>) {
    use serde_json::Value;

    match json {
        Value::String(text) => {
            in_nested(text, depth, values);
            values.push(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| in_json(item, depth, values)),
        Value::Object(fields) => fields.values().for_each(|item| in_json(item, depth, values)),
        Value::Number(number) => values.push(number.to_string()),
        Value::Null | Value::Bool(_) => {}
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
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
    use super::*;

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
