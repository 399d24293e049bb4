//! What may be shown and stored: URLs without secrets, text without terminal escapes.

use std::borrow::Cow;

use url::Url;

/// Parameters whose values are secrets, compared without case, `-` and `_`.
const SECRET: [&str; 26] = [
    "signature", "sig", "token", "accesstoken", "idtoken", "refreshtoken", "authtoken", "key", "apikey", "auth",
    "authorization", "password", "passwd", "pwd", "secret", "clientsecret", "credential", "credentials", "session",
    "sessionid", "xamzsignature", "xamzcredential", "xamzsecuritytoken", "xgoogsignature", "xgoogcredential", "tempauth",
];

/// Parameters that only belong to a signature, and change with it.
const SIGNED: [&str; 16] = [
    "expires", "policy", "keypairid", "awsaccesskeyid", "googleaccessid", "xamzdate", "xamzexpires", "xamzalgorithm",
    "xamzsignedheaders", "xgoogdate", "xgoogexpires", "xgoogalgorithm", "xgoogsignedheaders", "se", "st", "sp",
];

/// A URL as it may be shown: no credentials, no fragment, and `***` for what signs or opens it.
///
/// ```
/// let url = "https://u:p@h/a?id=3&X-Amz-Signature=abc#x".parse().unwrap();
/// assert_eq!(towline_engine::secret::shown_url(&url), "https://h/a?id=3&X-Amz-Signature=***");
/// ```
pub fn shown_url(url: &Url) -> String {
    let mut shown = bare(url);
    shown.set_query(None);
    let mut text = shown.to_string();
    let parameters: Vec<String> = parameters(url)
        .map(|(name, pair, kind)| match kind {
            Kind::Secret => format!("{name}=***"),
            _ => pair.to_owned(),
        })
        .collect();
    if !parameters.is_empty() {
        text.push('?');
        text.push_str(&parameters.join("&"));
    }
    printable(&text).into_owned()
}

/// A URL without credentials, query and fragment: what a journal may hold.
pub(crate) fn identity_url(url: &Url) -> String {
    let mut url = bare(url);
    url.set_query(None);
    url.to_string()
}

/// What recognises an entry of a list in the next run, when its signature is another one.
pub(crate) fn key_url(url: &Url) -> String {
    let mut key = bare(url);
    key.set_query(None);
    let is_signed = parameters(url).any(|(_, _, kind)| kind == Kind::Secret);
    let kept: Vec<&str> = parameters(url)
        .filter(|(_, _, kind)| *kind == Kind::Plain || (*kind == Kind::Signed && !is_signed))
        .map(|(_, pair, _)| pair)
        .collect();
    if !kept.is_empty() {
        key.set_query(Some(&kept.join("&")));
    }
    key.to_string()
}

/// Text of a server or a list as it may be printed: what controls a terminal or the direction of
/// writing is escaped.
///
/// ```
/// assert_eq!(towline_engine::secret::printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unprintable(char) {
            safe.extend(char.escape_unicode());
        } else {
            safe.push(char);
        }
    }
    Cow::Owned(safe)
}

/// Controls (C0, DEL, C1), line and paragraph separators, and what changes the writing's direction.
pub(crate) fn is_unprintable(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Secret,
    Signed,
}

fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    // Fails only for URLs without a host, which have no credentials either.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_fragment(None);
    bare
}

fn parameters(url: &Url) -> impl Iterator<Item = (&str, &str, Kind)> {
    url.query().into_iter().flat_map(|query| query.split('&')).filter(|pair| !pair.is_empty()).map(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        let plain: String =
            decoded.chars().filter(|char| !matches!(char, '-' | '_')).map(|char| char.to_ascii_lowercase()).collect();
        let kind = if SECRET.contains(&plain.as_str()) {
            Kind::Secret
        } else if SIGNED.contains(&plain.as_str()) {
            Kind::Signed
        } else {
            Kind::Plain
        };
        (name, pair, kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_nowhere() {
        let url: Url = "https://u:p%40ss@h/a?id=3&api_key=k1&X-Amz-Signature=s1&Expires=9#frag".parse().unwrap();
        let shown = [shown_url(&url), identity_url(&url), key_url(&url)];
        for text in &shown {
            for secret in ["p%40ss", "k1", "s1", "frag", "u:"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert_eq!(shown[2], "https://h/a?id=3");
    }

    #[test]
    fn an_entry_is_recognised_when_its_signature_is_another() {
        let one: Url = "https://h/a?id=3&sig=aaa&se=2026".parse().unwrap();
        let two: Url = "https://h/a?id=3&sig=bbb&se=2027".parse().unwrap();
        let other: Url = "https://h/a?id=4&sig=bbb&se=2027".parse().unwrap();
        assert_eq!(key_url(&one), key_url(&two));
        assert_ne!(key_url(&one), key_url(&other));
    }

    #[test]
    fn expires_alone_is_no_signature() {
        let one: Url = "https://h/a?expires=1".parse().unwrap();
        assert_eq!(key_url(&one), "https://h/a?expires=1");
    }

    #[test]
    fn a_terminal_is_not_controlled_by_what_a_server_says() {
        assert_eq!(printable("caf\u{e9} \u{4e2d}"), "caf\u{e9} \u{4e2d}");
        assert_eq!(printable("\u{202e}gpj.exe\r\n"), "\\u{202e}gpj.exe\\u{d}\\u{a}");
    }
}
