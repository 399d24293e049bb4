//! How a URL is shown, stored, or recognised again.

use std::borrow::Cow;
use std::fmt;

use url::Url;

use super::hidden::is_hidden;
use super::looks::is_like_secret;
use super::names;
use super::parameters::{parameters, without_signing};
use super::path::{path_without_signing, shown_path};
use super::text::printable;
use crate::http::asker;

/// Hosts of SharePoint and OneDrive for business, by cloud.
pub(crate) const BUSINESS_SHARES: [&str; 4] =
    [".sharepoint.com", ".sharepoint.us", ".sharepoint.cn", ".sharepoint-mil.us"];

/// Stands for a query that is empty, which is sent and makes another URL than none: no query is like this.
const EMPTY_QUERY: &str = "\0";

/// The length of the token of a public share of Nextcloud.
const SHARE_TOKEN_CHARS: usize = 15;

/// A URL for display: no credentials, no fragment, and `***` for everything that signs or unlocks it, or looks
/// as if it did. Idempotent.
///
/// ```
/// let url = "https://u:p@h/a;token=t/b?id=3&X-Amz-Signature=abc#x".parse().unwrap();
/// assert_eq!(towline_engine::secret::shown_url(&url), "https://h/a;token=***/b?id=3&X-Amz-Signature=***");
/// ```
pub fn shown_url(url: &Url) -> String {
    if url.cannot_be_a_base() {
        // Nobody knows what it holds; it may be another URL with credentials, as in `feed:https://u:p@h/`.
        return format!("{}:***", shown_scheme(url));
    }
    if is_hidden(url) {
        return format!("{}/***", url.origin().ascii_serialization());
    }
    let mut text = identity_url(url);
    let query = url.query().unwrap_or_default();
    if is_direct_share(url) {
        text.push_str("?share=***");
    } else if !query.is_empty() {
        text.push('?');
        for parameter in parameters(query) {
            parameter.push_shown(&mut text, is_like_secret);
        }
    }
    printable(&text).into_owned()
}

/// A scheme, which may be any text that a server repeats.
pub(crate) fn shown_scheme(url: &Url) -> &str {
    if is_hidden(url) { "***" } else { url.scheme() }
}

/// Displays a URL without its secrets; does no work until it is displayed.
pub(crate) struct Shown<'a>(pub(crate) &'a Url);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown_url(self.0))
    }
}

/// A URL without credentials, query and fragment, and with `***` for secrets in its path, as a journal may
/// store it. The same URL gives the same text in each run.
pub(crate) fn identity_url(url: &Url) -> String {
    let shown = match shown_share(url) {
        None => shown_path(url.path(), true),
        Some(shown) => Cow::Owned(shown),
    };
    let is_shown_as_it_is = url.cannot_be_a_base() || shown == url.path();
    if is_shown_as_it_is && is_bare(url) {
        return url.as_str().to_owned();
    }
    let mut bare = bare(url);
    bare.set_query(None);
    if !is_shown_as_it_is {
        bare.set_path(&shown);
    }
    bare.to_string()
}

/// Identifies an entry of a list in the next run, even with a renewed signature. Only the signature's
/// parameters are dropped; other secrets stay, because `?key=a` and `?key=b` may be two files. Only its hash is
/// ever stored.
pub(crate) fn key_url(url: &Url) -> String {
    if is_bare(url) && !url.path().contains('=') {
        return url.as_str().to_owned();
    }
    let mut key = bare(url);
    if let Some(path) = path_without_signing(url.path()).filter(|_| !url.cannot_be_a_base()) {
        key.set_path(&path);
    }
    if let Some(query) = url.query().and_then(without_signing) {
        key.set_query((!query.is_empty()).then_some(query.as_str()));
    }
    key.set_fragment(asker::marks(url));
    key.to_string()
}

/// The part of a query that tells files apart: everything except its signature. For a URL from a redirect,
/// tokens and expiry times are dropped as well, because the server creates new ones each time; `None` if
/// nothing is left. A form that is sent there, and who asks, count too.
pub(crate) fn query_of_file(url: &Url, is_given: bool) -> Option<String> {
    let query = query_without_signing(url, is_given);
    match asker::marks(url) {
        Some(mark) => Some(format!("{}#{mark}", query.unwrap_or_default())),
        None => query,
    }
}

fn query_without_signing(url: &Url, is_given: bool) -> Option<String> {
    let whole = url.query()?;
    if whole.is_empty() {
        return Some(EMPTY_QUERY.to_owned());
    }
    let query = without_signing(whole).unwrap_or_else(|| whole.to_owned());
    if is_given {
        return (!query.is_empty()).then_some(query);
    }
    let kept = parameters(&query).into_iter().filter(|parameter| !names::is_of_link(&parameter.name));
    let pairs: Vec<&str> = kept.map(|parameter| parameter.pair()).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

/// The path of a link that lets everybody in who has it, without what does so.
fn shown_share(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    if !may_unlock(host, url.path()) {
        return None;
    }
    let mut parts: Vec<&str> = url.path().split('/').collect();
    let unlocking = unlocking(host, &parts).filter(|part| !parts[*part].is_empty());
    let masked: Vec<usize> = unlocking.collect();
    masked.iter().for_each(|part| parts[*part] = "***");
    (!masked.is_empty()).then(|| parts.join("/"))
}

/// Quick check: most URLs belong to no service that Towline knows.
fn may_unlock(host: &str, path: &str) -> bool {
    path.contains("/s/")
        || path.starts_with("/:")
        || ["1drv.ms", "dropbox.com", "drive.google.com"].iter().any(|end| host.ends_with(end))
}

/// Which parts of a path let everybody in, by what the services that Towline knows put there.
fn unlocking(host: &str, parts: &[&str]) -> std::ops::Range<usize> {
    let last = parts.len() - 1;
    let from = |first: usize, count: usize| first..(first + count).min(parts.len());
    let behind = |name: &str| parts.iter().position(|part| *part == name).map_or(0..0, |at| from(at + 1, 1));
    let is_business = || BUSINESS_SHARES.iter().any(|end| host.ends_with(end));
    match (host, parts) {
        ("1drv.ms", _) => from(last, 1),
        (_, ["", kind, ..]) if kind.starts_with(':') && is_business() => from(last, 1),
        ("dropbox.com" | "www.dropbox.com", ["", "s", ..]) => from(2, 1),
        ("dropbox.com" | "www.dropbox.com", ["", "sh", ..]) => from(2, 2),
        ("drive.google.com", ["", "drive", ..]) => behind("folders"),
        // A public share of Nextcloud, on whatever host.
        (_, [.., "s", token]) if is_share_token(token) => from(last, 1),
        (_, [.., "s", token, "download"]) if is_share_token(token) => from(last - 1, 1),
        _ => 0..0,
    }
}

/// Whether a text is like the token of a public share of Nextcloud.
pub(crate) fn is_share_token(text: &str) -> bool {
    text.len() == SHARE_TOKEN_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether a link of SharePoint leads to the bytes of a file that is shared with everybody: its query names the share.
fn is_direct_share(url: &Url) -> bool {
    let has_share = || url.query().is_some_and(|query| query.contains("share="));
    url.path().ends_with("/download.aspx")
        && has_share()
        && url.host_str().is_some_and(|host| BUSINESS_SHARES.iter().any(|end| host.ends_with(end)))
}

/// Whether the URL has only a host and a path, as most do.
fn is_bare(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
}

fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    // Fails only for URLs without a host, and those have no credentials.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.set_fragment(None);
    bare
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn links_that_let_everybody_in_are_not_shown_whole() {
        for (link, shown) in [
            ("https://1drv.ms/f/s!AbCdEf", "https://1drv.ms/f/***"),
            ("https://www.dropbox.com/s/2kqmy3kxn6/a.zip?dl=0", "https://www.dropbox.com/s/***/a.zip?dl=0"),
            ("https://dropbox.com/sh/2kqmy3kxn6/AACQp2x?dl=0", "https://dropbox.com/sh/***/***?dl=0"),
            ("https://drive.google.com/drive/u/0/folders/1dyUEe", "https://drive.google.com/drive/u/0/folders/***"),
            ("https://h/nc/s/x7KpQ2mZr9TnWbe", "https://h/nc/s/***"),
            ("https://h/index.php/s/x7KpQ2mZr9TnWbe/download", "https://h/index.php/s/***/download"),
            ("https://h/s/short/a.iso", "https://h/s/short/a.iso"),
            (
                "https://c-my.sharepoint.com/:f:/g/personal/me/EaBc?e=x1",
                "https://c-my.sharepoint.com/:f:/g/personal/me/***?e=x1",
            ),
            (
                "https://c.sharepoint.com/sites/a/_layouts/15/download.aspx?share=EaBc",
                "https://c.sharepoint.com/sites/a/_layouts/15/download.aspx?share=***",
            ),
            ("https://c.sharepoint.com/sites/a/b.txt", "https://c.sharepoint.com/sites/a/b.txt"),
        ] {
            assert_eq!(shown_url(&url(link)), shown);
        }
    }

    #[test]
    fn secrets_are_shown_nowhere() {
        let url = url("https://u:p%40ss@h/a;sid=s2?id=3&api_key=k1&X-Amz-Signature=s1&X-Amz-Expires=9#frag");
        for text in [shown_url(&url), identity_url(&url)] {
            for secret in ["p%40ss", "k1", "s1", "s2", "frag", "u:"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        assert_eq!(key_url(&url), "https://h/a;sid=s2?id=3&api_key=k1");
    }

    #[test]
    fn what_is_unknown_but_looks_like_a_secret_is_masked_and_still_tells_files_apart() {
        let cases = [
            ("x=9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE&v=2", "x=***&v=2"),
            ("9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE", "***"),
            ("9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE==&v=2", "***=***&v=2"),
            ("x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.Zm9v", "x=***"),
            ("u=https%3A%2F%2Fh%2Fa%3Ftoken%3Dt&v=2", "u=***&v=2"),
            ("https://u:p@h/a?b=1", "***=***"),
            ("x=token=hidden", "x=***"),
            ("x=//u:hidden@h/b", "x=***"),
            ("x=u:hidden@h", "x=***"),
            ("x=1@2:3", "x=1@2:3"),
            ("hash=short&expires=9", "hash=***&expires=9"),
            ("md5=short&expires=9", "md5=***&expires=9"),
            ("md5=short", "md5=short"),
            ("id=550e8400-e29b-41d4-a716-446655440000", "id=550e8400-e29b-41d4-a716-446655440000"),
            (
                "sha256=2481f30dd67f503f54d020ae3b5533b9987fae4e55f2b4e3926e08a3fa3ee24f",
                "sha256=2481f30dd67f503f54d020ae3b5533b9987fae4e55f2b4e3926e08a3fa3ee24f",
            ),
            ("file=ubuntu-24.04.1-desktop-amd64.iso", "file=ubuntu-24.04.1-desktop-amd64.iso"),
        ];
        for (query, shown) in cases {
            let text = format!("https://h/a?{query}");
            assert_eq!(shown_url(&url(&text)), format!("https://h/a?{shown}"));
            assert_eq!(key_url(&url(&text)), text);
        }
    }

    #[test]
    fn a_token_in_a_path_is_neither_shown_nor_stored_and_tells_files_apart() {
        let text = "https://h/s/9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE/a.iso;token=x";
        assert_eq!(shown_url(&url(text)), "https://h/s/***/a.iso;token=***");
        assert_eq!(identity_url(&url(text)), "https://h/s/***/a.iso;token=***");
        assert_eq!(key_url(&url(text)), text);
        let plain = "https://h/pub/9e107d9d372bb6826bd81d3542a419d6/ubuntu-24.04.1-desktop-amd64.iso";
        assert_eq!(identity_url(&url(plain)), plain);
    }

    #[test]
    fn of_a_url_without_a_host_only_the_scheme_is_shown() {
        for text in ["feed:http://u:hidden@h/a", "view-source:https://u:hidden@h/", "jdbc:mysql://u:hidden@h/b"] {
            assert_eq!(shown_url(&url(text)), format!("{}:***", text.split_once(':').unwrap().0));
            assert_eq!(shown_url(&url(&shown_url(&url(text)))), shown_url(&url(text)));
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
            "ticket",
            "sid",
            "code",
            "token[]",
            "auth%5Bkey%5D",
            "Access.Token",
            "resourcekey",
            "rlkey",
            "authkey",
            "licence",
            "tokenid",
            "userpass",
            "user_credentials",
            "vkey",
        ];
        for name in names {
            assert_eq!(shown_url(&url(&format!("https://h/a?{name}=hidden"))), format!("https://h/a?{name}=***"));
        }
        assert_eq!(shown_url(&url("https://h/a?codec=3&passage=4")), "https://h/a?codec=3&passage=4");
    }

    #[test]
    fn parameters_are_split_at_semicolons_and_shown_with_the_separators_that_were_sent() {
        let cases = [
            ("a=1;token=t;b=2&c=3", "a=1;token=***;b=2&c=3", "a=1;token=t;b=2&c=3"),
            ("a=1&&sig=s;se=1&", "a=1&&sig=***;se=***&", "a=1"),
            ("a=1;sig=s&se=1;b=2&c", "a=1;sig=***&se=***;b=2&c", "a=1;b=2&c"),
            ("token=t;rest&a=1", "token=***&a=1", "token=t;rest&a=1"),
            ("a=1;flag;b=2&", "a=1;flag;b=2&", "a=1;flag;b=2&"),
            ("token=&token", "token=&token", "token=&token"),
        ];
        for (query, shown, key) in cases {
            let url = url(&format!("https://h/a?{query}"));
            assert_eq!(shown_url(&url), format!("https://h/a?{shown}"));
            assert_eq!(key_url(&url), format!("https://h/a?{key}"));
        }
        assert_eq!(shown_url(&url("https://h/a?")), "https://h/a");
    }
}
