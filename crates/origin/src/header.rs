//! Header names, header values and status codes from the text of a script. Pure; the builders check a
//! script with these, so that nothing fails on a serving thread.

use http::{HeaderName, HeaderValue, StatusCode};

/// `text` as a header value.
///
/// # Panics
/// If it holds a control character. Builders call this first, so that the server never does.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    header_bytes(text.as_bytes())
}

/// `bytes` as a header value; panics like [`header_value`].
pub(crate) fn header_bytes(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes)
        .unwrap_or_else(|_| panic!("{:?} cannot be a header value", String::from_utf8_lossy(bytes)))
}

/// `name` as a header name; panics like [`header_value`] if it cannot be one.
pub(crate) fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| panic!("{name:?} cannot be a header name"))
}

/// `code` as a status; panics like [`header_value`] if it is outside 100 to 999.
pub(crate) fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or_else(|_| panic!("{code} cannot be a status code"))
}
