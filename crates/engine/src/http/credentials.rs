//! Credentials that a URL brings along. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

/// Basic credentials from the URL's userinfo.
pub(crate) fn basic(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    Some(basic_of(&decode(url.username()), &decode(url.password().unwrap_or_default())))
}

/// The same for a name and a password as they are.
pub(crate) fn basic_of(user: &[u8], password: &[u8]) -> HeaderValue {
    let pair = [user, b":", password].concat();
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.unwrap_or_else(|_| unreachable!("Base64 has no character that a header cannot have"));
    value.set_sensitive(true);
    value
}
