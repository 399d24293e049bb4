//! Converts the text of a script to header names, header values and status codes. Pure functions that
//! panic on invalid input; the builders call them first, so that no serving thread panics.

use http::{HeaderName, HeaderValue, StatusCode};

/// Converts `text` to a header value.
///
/// # Panics
/// If it contains a control character.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    header_bytes(text.as_bytes())
}

/// Converts `bytes` to a header value.
///
/// # Panics
/// If they contain a control character.
pub(crate) fn header_bytes(bytes: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(bytes)
        .unwrap_or_else(|_| panic!("{:?} cannot be a header value", String::from_utf8_lossy(bytes)))
}

/// Converts `name` to a header name.
///
/// # Panics
/// If it is not a valid name.
pub(crate) fn header_name(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| panic!("{name:?} cannot be a header name"))
}

/// Converts `code` to a status code.
///
/// # Panics
/// If it is not in 100 to 999.
pub(crate) fn status_code(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or_else(|_| panic!("{code} cannot be a status code"))
}
