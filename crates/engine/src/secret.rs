//! What may be shown and stored: URLs without secrets, text without terminal escapes.

use std::borrow::Cow;

use url::Url;

/// Parameters whose values are secrets, compared without case, `-` and `_`.
#[rustfmt::skip]
const SECRET: &[&str] = &[
    "signature", "sig", "sign", "hmac", "jwt", "bearer",
    "token", "accesstoken", "idtoken", "refreshtoken", "authtoken", "privatetoken", "jobtoken", "sessiontoken",
    "securitytoken", "key", "apikey", "accesskey", "secretkey", "auth", "authorization", "tempauth",
    "pass", "password", "passwd", "passphrase", "pwd", "secret", "clientsecret", "credential", "credentials",
    "session", "sessionid",
    "xamzsignature", "xamzcredential", "xamzsecuritytoken", "xgoogsignature", "xgoogcredential",
    "xosssignature", "xosscredential", "xosssecuritytoken", "ossaccesskeyid",
];

/// Parameters that only belong to a signature, and change with it: those of Azure, of CloudFront and
/// the old ones of Amazon, Google and Alibaba, and the new ones of these.
static SIGNINGS: [Signing; 5] = [
    Signing {
        signature: "sig",
        names: &["se", "st", "sp", "sv", "sr", "spr", "sip", "skt", "ske", "sks", "skv", "skoid", "sktid"],
        prefix: None,
    },
    Signing {
        signature: "signature",
        names: &[
            "expires",
            "policy",
            "keypairid",
            "awsaccesskeyid",
            "googleaccessid",
            "ossaccesskeyid",
            "securitytoken",
        ],
        prefix: None,
    },
    Signing { signature: "xamzsignature", names: &[], prefix: Some("xamz") },
    Signing { signature: "xgoogsignature", names: &[], prefix: Some("xgoog") },
    Signing { signature: "xosssignature", names: &[], prefix: Some("xoss") },
];

/// A text that is no URL is shown up to this length.
const SHOWN_CHARS_MAX: usize = 100;

/// A URL as it may be shown: no credentials, no fragment, and `***` for what signs or opens it.
///
/// ```
/// let url = "https://u:p@h/a?id=3&X-Amz-Signature=abc#x".parse().unwrap();
/// assert_eq!(towline_engine::secret::shown_url(&url), "https://h/a?id=3&X-Amz-Signature=***");
/// ```
pub fn shown_url(url: &Url) -> String {
    if is_bare(url) {
        return printable(url.as_str()).into_owned();
    }
    let mut shown = bare(url);
    shown.set_query(None);
    let mut query = String::new();
    for parameter in parameters(url) {
        match parameter.pair.split_once('=') {
            Some((name, _)) if parameter.is_hidden => {
                query.push_str(name);
                query.push_str("=***");
            }
            _ => query.push_str(parameter.pair),
        }
        query.push_str(parameter.separator);
    }
    let mut text = shown.to_string();
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    printable(&text).into_owned()
}

/// A URL without credentials, query and fragment: what a journal may hold.
pub(crate) fn identity_url(url: &Url) -> String {
    if is_bare(url) {
        return url.as_str().to_owned();
    }
    let mut url = bare(url);
    url.set_query(None);
    url.to_string()
}

/// What recognises an entry of a list in the next run, when its signature is another one. Other
/// secrets stay in: `?key=a` and `?key=b` may well be two files. Only a hash of it is ever stored.
pub(crate) fn key_url(url: &Url) -> String {
    if is_bare(url) {
        return url.as_str().to_owned();
    }
    let mut key = bare(url);
    key.set_query(None);
    let mut kept = String::new();
    let mut separator = "";
    for parameter in parameters(url).iter().filter(|parameter| !parameter.is_signing && !parameter.pair.is_empty()) {
        kept.push_str(separator);
        kept.push_str(parameter.pair);
        separator = parameter.separator;
    }
    if !kept.is_empty() {
        key.set_query(Some(&kept));
    }
    key.to_string()
}

/// A text that should have been a URL, for a message: short, printable, and without what may be a
/// secret even so (what stands before an `@`, a query, a fragment).
///
/// ```
/// let shown = towline_engine::secret::shown_text("http://u:p@h:99999/a?token=t");
/// assert_eq!(shown, "http://\u{2026}@h:99999/a?\u{2026}");
/// ```
pub fn shown_text(text: &str) -> String {
    let mut safe = String::new();
    let rest = match text.rfind('@') {
        Some(at) => {
            if let Some(scheme) = text[..at].find("://") {
                safe.push_str(&text[..scheme + 3]);
            }
            safe.push('…');
            &text[at..]
        }
        None => text,
    };
    match rest.find(['?', '#']) {
        Some(at) => {
            safe.push_str(&rest[..=at]);
            safe.push('…');
        }
        None => safe.push_str(rest),
    }
    let mut short: String = safe.chars().take(SHOWN_CHARS_MAX).collect();
    if short.len() < safe.len() {
        short.push('…');
    }
    printable(&short).into_owned()
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

/// What belongs to a signature.
struct Signing {
    /// The parameter without which the others mean something else.
    signature: &'static str,
    names: &'static [&'static str],
    prefix: Option<&'static str>,
}

impl Signing {
    fn has(&self, name: &str) -> bool {
        self.names.contains(&name) || self.prefix.is_some_and(|prefix| name.starts_with(prefix))
    }
}

/// A parameter of a query.
struct Parameter<'a> {
    /// As sent: `name=value`, or anything without `=`.
    pair: &'a str,
    /// What follows it; nothing after the last.
    separator: &'a str,
    /// Whether it is a secret, or belongs to a signature that is there.
    is_hidden: bool,
    /// Whether it belongs to a signature that is there, and so changes with it.
    is_signing: bool,
}

/// Whether there is nothing in it that could be a secret: most URLs.
fn is_bare(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
}

fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    // Fails only for URLs without a host, which have no credentials either.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_fragment(None);
    bare
}

fn parameters(url: &Url) -> Vec<Parameter<'_>> {
    let pairs = pairs(url.query().unwrap_or_default());
    let names: Vec<String> = pairs.iter().map(|(pair, _)| plain_name(pair)).collect();
    let is_there = |signing: &&Signing| names.iter().any(|name| *name == signing.signature);
    let signings: Vec<&Signing> = SIGNINGS.iter().filter(is_there).collect();
    let known = pairs.into_iter().zip(&names);
    known
        .map(|((pair, separator), name)| {
            let is_signing = signings.iter().any(|signing| signing.signature == name || signing.has(name));
            let is_hidden = is_signing || SECRET.contains(&name.as_str());
            Parameter { pair, separator, is_hidden, is_signing }
        })
        .collect()
}

/// A query cut at each `&`, and at each `;` that a `name=` follows; each part with its separator.
/// Any other `;` is within a value, which may be a secret.
fn pairs(query: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut start = 0;
    for (at, separator) in query.match_indices(['&', ';']) {
        let next = query[at + 1..].split(['&', ';']).next().unwrap_or_default();
        if separator == "&" || next.contains('=') {
            pairs.push((&query[start..at], separator));
            start = at + 1;
        }
    }
    pairs.push((&query[start..], ""));
    pairs
}

/// The name as it is compared: decoded, small, without `-` and `_`.
fn plain_name(pair: &str) -> String {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    decoded.chars().filter(|char| !matches!(char, '-' | '_')).map(|char| char.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_shown_nowhere() {
        let url: Url = "https://u:p%40ss@h/a?id=3&api_key=k1&X-Amz-Signature=s1&X-Amz-Expires=9#frag".parse().unwrap();
        let shown = [shown_url(&url), identity_url(&url)];
        for text in &shown {
            for secret in ["p%40ss", "k1", "s1", "frag", "u:"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert_eq!(key_url(&url), "https://h/a?id=3&api_key=k1");
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
    fn what_belongs_to_a_signature_counts_without_it() {
        let plain = [
            "expires=1",
            "token=t&se=1&sp=2&st=3",
            "sig=s&expires=1&policy=p",
            "signature=s&se=1&X-Amz-Date=2",
            "X-Goog-Signature=s&X-Amz-Date=2",
        ];
        let kept = ["expires=1", "token=t&se=1&sp=2&st=3", "expires=1&policy=p", "se=1&X-Amz-Date=2", "X-Amz-Date=2"];
        for (query, kept) in plain.into_iter().zip(kept) {
            let url: Url = format!("https://h/a?{query}").parse().unwrap();
            assert_eq!(key_url(&url), format!("https://h/a?{kept}"), "{query}");
        }
    }

    #[test]
    fn what_belongs_to_a_signature_goes_with_it() {
        let signed = [
            "sv=1&sr=b&spr=https&sip=1&st=1&se=1&sp=r&skt=1&ske=1&sks=b&skv=1&skoid=1&sktid=1&sig=1",
            "Expires=1&Policy=1&Key-Pair-Id=1&Signature=1",
            "AWSAccessKeyId=1&Expires=1&Signature=1",
            "OSSAccessKeyId=1&Expires=1&Signature=1&security-token=1",
            "X-Amz-Algorithm=1&X-Amz-Credential=1&X-Amz-Date=1&X-Amz-SignedHeaders=host&X-Amz-Signature=1",
            "X-Goog-Algorithm=1&X-Goog-Date=1&X-Goog-Signature=1",
            "x-oss-signature-version=1&x-oss-credential=1&x-oss-date=1&x-oss-signature=1",
        ];
        for query in signed {
            let url: Url = format!("https://h/a?id=3&{query}&v=4").parse().unwrap();
            assert_eq!(key_url(&url), "https://h/a?id=3&v=4", "{query}");
            let masked: Vec<String> =
                query.split('&').map(|pair| format!("{}=***", pair.split_once('=').unwrap().0)).collect();
            assert_eq!(shown_url(&url), format!("https://h/a?id=3&{}&v=4", masked.join("&")));
        }
    }

    #[test]
    fn secrets_of_all_names_are_masked() {
        let names = [
            "private_token",
            "job_token",
            "session_token",
            "security_token",
            "jwt",
            "sign",
            "hmac",
            "pass",
            "passphrase",
            "bearer",
            "secret_key",
            "access_key",
            "X-Oss-Signature",
            "X-Oss-Credential",
            "X-Oss-Security-Token",
            "OSSAccessKeyId",
            "%6awt",
        ];
        for name in names {
            let url: Url = format!("https://h/a?{name}=hidden").parse().unwrap();
            assert_eq!(shown_url(&url), format!("https://h/a?{name}=***"));
        }
        let url: Url = "https://h/a?code=3&passage=4".parse().unwrap();
        assert_eq!(shown_url(&url), "https://h/a?code=3&passage=4");
    }

    #[test]
    fn parameters_are_split_at_semicolons_and_shown_with_the_separators_that_were_sent() {
        let cases = [
            ("a=1;token=t;b=2&c=3", "a=1;token=***;b=2&c=3", "a=1;token=t;b=2&c=3"),
            ("a=1&&sig=s;se=1&", "a=1&&sig=***;se=***&", "a=1"),
            ("token=t;rest&a=1", "token=***&a=1", "token=t;rest&a=1"),
            ("a=1;flag;b=2", "a=1;flag;b=2", "a=1;flag;b=2"),
        ];
        for (query, shown, key) in cases {
            let url: Url = format!("https://h/a?{query}").parse().unwrap();
            assert_eq!(shown_url(&url), format!("https://h/a?{shown}"));
            assert_eq!(key_url(&url), format!("https://h/a?{key}"));
        }
        let url: Url = "https://h/a?".parse().unwrap();
        assert_eq!(shown_url(&url), "https://h/a");
    }

    #[test]
    fn a_terminal_is_not_controlled_by_what_a_server_says() {
        assert_eq!(printable("caf\u{e9} \u{4e2d}"), "caf\u{e9} \u{4e2d}");
        assert_eq!(printable("\u{202e}gpj.exe\r\n"), "\\u{202e}gpj.exe\\u{d}\\u{a}");
    }
}
