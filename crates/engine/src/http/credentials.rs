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

/// The name in the URL's userinfo, if there is no password.
pub(crate) fn login_alone(url: &Url) -> Option<String> {
    let login = percent_encoding::percent_decode_str(url.username()).decode_utf8().ok()?;
    (!login.is_empty() && url.password().is_none()).then(|| login.into_owned())
}

/// The name and the password of a field with Basic credentials; `None` if it has others.
pub(crate) fn pair_of(field: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = field.to_str().ok()?.split_once(' ')?;
    let pair = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(name, password)| (name.to_owned(), password.to_owned()))
}

/// The same for a name and a password as they are.
pub(crate) fn basic_of(user: &[u8], password: &[u8]) -> HeaderValue {
    let pair = [user, b":", password].concat();
    let value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
    let mut value = value.unwrap_or_else(|_| unreachable!("Base64 has no character that a header cannot have"));
    value.set_sensitive(true);
    value
}
