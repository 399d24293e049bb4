//! Secrets and signatures in a path: its segments may have parameters or be tokens.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::looks::{holds_marked_token, is_like_secret, is_like_token};
use super::parameters::{parameters, without_signing};

/// Directories that are followed by a secret: `/token/1a2b3c4d/a.iso`.
#[rustfmt::skip]
const ANNOUNCES: [&str; 11] = [
    "token", "tokens", "apikey", "api-key", "api_key", "secret", "password", "access_token", "key", "auth", "passkey",
];
/// Anything shorter after them is a word.
const ANNOUNCED_CHARS_MIN: usize = 8;
/// Nothing shorter looks like a token.
const TOKEN_CHARS_MIN: usize = 20;

/// A path for display and storage, with the values of secret parameters and directories that look like secrets
/// masked. If the path `ends_in_name`, its last segment is a file name, in which only a JWT and known
/// parameters are secrets.
pub(super) fn shown_path(path: &str, ends_in_name: bool) -> Cow<'_, str> {
    if !may_hold_secret(path) {
        return Cow::Borrowed(path);
    }
    let last = path.matches('/').count();
    let mut shown = String::with_capacity(path.len());
    let mut before = "";
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            shown.push('/');
        }
        let is_told = ANNOUNCES.iter().any(|name| before.eq_ignore_ascii_case(name));
        let (given, segment) = segment.split_at(userinfo_len(before, segment));
        if !segment.is_empty() {
            before = segment;
        }
        if !given.is_empty() {
            shown.push_str("***@");
        }
        if is_told && segment.len() >= ANNOUNCED_CHARS_MIN && at < last {
            shown.push_str("***");
            continue;
        }
        let looks_secret: fn(&str) -> bool =
            if ends_in_name && at == last { holds_marked_token } else { is_like_token };
        for (position, parameter) in parameters(segment).iter().enumerate() {
            parameter.push_shown(&mut shown, if position == 0 { looks_secret } else { is_like_secret });
        }
    }
    Cow::Owned(shown)
}

/// What [`shown_path`] masks in a path, decoded.
pub(super) fn secrets_in(path: &str) -> Vec<String> {
    let Cow::Owned(shown) = shown_path(path, true) else { return Vec::new() };
    let masked = path.split('/').zip(shown.split('/')).flat_map(|(segment, shown)| masked_parts(segment, shown));
    masked.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect()
}

/// The parts of a segment for which `***` is shown.
fn masked_parts<'a>(segment: &'a str, shown: &str) -> Vec<&'a str> {
    let mut open = shown.split("***");
    let Some(mut left) = open.next().and_then(|first| segment.strip_prefix(first)) else { return vec![segment] };
    let mut masked = Vec::new();
    for next in open {
        // The last one is masked to its end.
        let found = if next.is_empty() { Some(left.len()) } else { left.find(next) };
        let Some(at) = found else { return vec![segment] };
        masked.push(&left[..at]);
        left = &left[at + next.len()..];
    }
    masked
}

/// The length of the credentials at the start of a segment, where the path contains a URL
/// (`/web/2020/http://user:password@host/`); 0 if there are none.
pub(crate) fn userinfo_len(before: &str, segment: &str) -> usize {
    let is_scheme = ["http:", "https:", "ftp:"].iter().any(|scheme| before.eq_ignore_ascii_case(scheme));
    segment.rfind('@').filter(|_| is_scheme).map_or(0, |at| at + 1)
}

/// Quick check, in one pass: most paths have neither a parameter nor a long segment.
fn may_hold_secret(path: &str) -> bool {
    let mut chars = 0;
    path.bytes().enumerate().any(|(at, byte)| {
        chars = if byte == b'/' { 0 } else { chars + 1 };
        let rest = &path.as_bytes()[at..];
        let is_telling = match byte {
            b'=' | b'%' | b'@' => true,
            b't' => rest.starts_with(b"token"),
            b'k' => rest.starts_with(b"key"),
            b'a' => rest.starts_with(b"auth"),
            b's' => rest.starts_with(b"secret"),
            b'p' => rest.starts_with(b"password"),
            _ => false,
        };
        is_telling || chars >= TOKEN_CHARS_MIN
    })
}

/// A path without its signatures (`/bcdn_token=…&expires=…/a.iso`); `None` if there are none.
pub(super) fn path_without_signing(path: &str) -> Option<String> {
    if !path.contains('=') {
        return None;
    }
    let last = path.matches('/').count();
    let mut is_signed = false;
    let mut kept = Vec::new();
    for (at, segment) in path.split('/').enumerate() {
        match without_signing(segment) {
            Some(rest) if !rest.is_empty() => {
                is_signed = true;
                kept.push(Cow::Owned(rest));
            }
            // The last segment is the file name, so it stays.
            Some(_) if at < last => is_signed = true,
            _ => kept.push(Cow::Borrowed(segment)),
        }
    }
    is_signed.then(|| kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_masked_is_known() {
        for (path, secrets) in [
            ("/a/b.iso", &[][..]),
            ("/token/Zquaph5p/a.iso", &["Zquaph5p"]),
            ("/a;token=Zqua%20ph5p/b.iso", &["Zqua ph5p"]),
            ("/a/b.iso;token=Zquaph5p;v=1", &["Zquaph5p"]),
            ("/a;token=one-secret;sig=another/b.iso", &["one-secret", "another"]),
            ("/web/2020/http://us:SECRET@host/a.iso", &["us:SECRET"]),
        ] {
            assert_eq!(secrets_in(path), secrets, "{path}");
        }
    }

    #[test]
    fn who_is_named_in_a_url_within_the_path_is_not_shown() {
        for (path, shown) in [
            ("/web/2020/http://us:SECRET@host/a.iso", "/web/2020/http://***@host/a.iso"),
            ("/web/https:/us:SECRET@host", "/web/https:/***@host"),
            ("/web/http://us:SEC@RET@host/", "/web/http://***@host/"),
            ("/pkg/@scope/a@1.2.tgz", "/pkg/@scope/a@1.2.tgz"),
        ] {
            assert_eq!(shown_path(path, true), shown);
        }
    }

    const TOKEN: &str = "9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE";
    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.Zm9vYmFyYmF6";

    #[test]
    fn tokens_and_secret_parameters_of_a_path_are_masked() {
        let cases = [
            ("/x/hdntl=exp=1~acl=/*~hmac=0a1b/a".to_owned(), "/x/hdntl=***/*~hmac=***/a"),
            ("/a.iso;token=x/b;jsessionid=y".to_owned(), "/a.iso;token=***/b;jsessionid=***"),
            ("/%74oken%3Dabc/a.iso".to_owned(), "/***/a.iso"),
            ("/token/1a2b3c4d/a.iso".to_owned(), "/token/***/a.iso"),
            ("/key/1a2b3c4d/a.iso".to_owned(), "/key/***/a.iso"),
            ("/auth/1a2b3c4d/a.iso".to_owned(), "/auth/***/a.iso"),
            ("/token/a/b.iso".to_owned(), "/token/a/b.iso"),
            (format!("/s/{TOKEN}/a.iso"), "/s/***/a.iso"),
            (format!("/s/{TOKEN}/"), "/s/***/"),
            (format!("/s/{TOKEN}=/a.iso"), "/s/***=***/a.iso"),
            (format!("/s/{JWT}"), "/s/***"),
            ("/bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getFile/a.bin".to_owned(), "/***/getFile/a.bin"),
            ("/http:/u:pass@h/a.bin".to_owned(), "/http:/***@h/a.bin"),
            ("/s/ghp_0123456789abcdefghij/a.bin".to_owned(), "/s/***/a.bin"),
            (format!("/s/{JWT}/a.iso"), "/s/***/a.iso"),
            (format!("/a.iso;x={TOKEN};v=2"), "/a.iso;x=***;v=2"),
            ("/to%6ben=abc/a".to_owned(), "/to%6ben=***/a"),
            ("/date=2024-01-01/a%20b.iso".to_owned(), "/date=2024-01-01/a%20b.iso"),
            ("/a&b;c/9e107d9d372bb6826bd81d3542a419d6/d".to_owned(), "/a&b;c/9e107d9d372bb6826bd81d3542a419d6/d"),
        ];
        for (path, shown) in &cases {
            assert_eq!(shown_path(path, true), *shown, "{path}");
        }
    }

    #[test]
    fn a_token_that_is_the_name_of_a_file_stays() {
        let path = format!("/s/{TOKEN}");
        assert_eq!(shown_path(&path, true), path.as_str());
        assert_eq!(shown_path(&path, false), "/s/***");
    }

    #[test]
    fn a_signature_in_a_path_goes_and_everything_else_stays() {
        let cases = [
            ("/bcdn_token=HS256-abc&expires=1767225600&token_path=%2Fv%2F/v/a.m3u8", Some("/v/a.m3u8")),
            ("/bcdn_token=abc&expires=1767225600&limit=9/v/a.m3u8", Some("/limit=9/v/a.m3u8")),
            ("/x/exp=1767225600~acl=%2Fx%2F*~hmac=0a1b/a.mp4", Some("/x/a.mp4")),
            // A signature that is split by a `/` is not recognised as a whole.
            ("/hdntl=exp=1767225600~acl=/*~hmac=0a1b/a.mp4", Some("/*~hmac=0a1b/a.mp4")),
            ("/hdntl=exp=1767225600~acl=%2f*~hmac=0a1b/a.mp4", Some("/a.mp4")),
            ("/edge-cache-token=Expires=1~KeyName=k~Signature=s/a.mp4", Some("/a.mp4")),
            ("/x/tempauth=abc", None),
            ("/a.iso;token=x/b;jsessionid=y", None),
            ("/date=2024/a", None),
        ];
        for (path, kept) in cases {
            assert_eq!(path_without_signing(path).as_deref(), kept, "{path}");
        }
    }
}
