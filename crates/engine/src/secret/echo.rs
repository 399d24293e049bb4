//! What a server repeats of the credentials that it was sent. Pure.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};

use crate::http::credentials;

/// Shorter ones are in many texts by chance.
const CREDENTIAL_CHARS_MIN: usize = 6;

/// The credentials of one request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials(Vec<String>);

impl Credentials {
    /// Those in these fields: passwords, tokens and the values of cookies.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut all = Vec::new();
        for field in headers.get_all(AUTHORIZATION) {
            let text = String::from_utf8_lossy(field.as_bytes());
            all.extend(text.split_whitespace().skip(1).map(ToOwned::to_owned));
            all.extend(credentials::pair_of(field).map(|(_, password)| password));
        }
        for field in headers.get_all(COOKIE) {
            let text = String::from_utf8_lossy(field.as_bytes());
            let values = text.split(';').filter_map(|cookie| cookie.split_once('=')).map(|(_, value)| value.trim());
            all.extend(values.map(ToOwned::to_owned));
        }
        all.retain(|credential| credential.chars().count() >= CREDENTIAL_CHARS_MIN);
        Self(all)
    }

    /// Whether a text repeats one of them.
    pub(crate) fn are_in(&self, text: &str) -> bool {
        self.0.iter().any(|credential| text.contains(&**credential))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_repeats_a_credential_is_found() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, credentials::basic_of(b"alice", b"hunter2Secret"));
        headers.insert(COOKIE, HeaderValue::from_static("id=1; session=abcdef123"));
        let held = Credentials::of(&headers);
        for echo in ["\"hunter2Secret\"", "W/\"x?token=hunter2Secret\"", "\"abcdef123\""] {
            assert!(held.are_in(echo), "{echo}");
        }
        for text in ["\"5f5e1000-30d40\"", "\"alice\"", "\"1\""] {
            assert!(!held.are_in(text), "{text}");
        }
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer token-of-mine"));
        assert!(Credentials::of(&headers).are_in("\"token-of-mine\""));
    }
}
