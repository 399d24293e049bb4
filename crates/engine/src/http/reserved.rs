//! Request fields that Towline sets itself. Pure.

use http::header::{self, HeaderName};

/// Conditions and ranges are about the version and the bytes that the engine has, framing and connections are
/// the engine's, and a coding in transit would break offsets, lengths and digests.
const RESERVED: [HeaderName; 14] = [
    header::ACCEPT_ENCODING,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether Towline sets this request field itself, so that a value from [`HttpOptions::headers`] or
/// [`JobOptions::headers`] is not sent.
///
/// [`HttpOptions::headers`]: crate::options::HttpOptions::headers
/// [`JobOptions::headers`]: crate::JobOptions::headers
///
/// ```
/// use http::header::{COOKIE, RANGE};
/// use towline_engine::http::is_reserved;
///
/// assert!(is_reserved(&RANGE) && !is_reserved(&COOKIE));
/// ```
pub fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}
