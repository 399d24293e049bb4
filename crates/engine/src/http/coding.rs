//! What a body is encoded with, by `Content-Encoding` (RFC 9110, section 8.4).

use http::{HeaderMap, header};

use crate::secret;

/// Labels that servers put in the field although they change nothing: charsets, transfer encodings of mail, and that of
/// an upload to S3.
const NO_CODINGS: [&str; 9] =
    ["identity", "none", "binary", "7bit", "8bit", "utf-8", "utf8", "iso-8859-1", "aws-chunked"];
/// Nobody applies more.
const CODINGS_MAX: usize = 4;

/// The codings in all fields of this name, in their order, without what only looks like one; `None` if there are none. One
/// that is not known is called `unknown`.
pub(crate) fn of_content(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(header::CONTENT_ENCODING).iter();
    let parts = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let is_none = |part: &[u8]| NO_CODINGS.iter().any(|none| part.eq_ignore_ascii_case(none.as_bytes()));
    let codings = parts.filter(|part| !part.is_empty() && !is_none(part)).take(CODINGS_MAX);
    let codings: Vec<_> = codings.map(|part| secret::shown_coding(&String::from_utf8_lossy(part))).collect();
    (!codings.is_empty()).then(|| codings.join(", "))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn all_fields_count_and_what_changes_nothing_does_not() {
        let table: &[(&[&[u8]], Option<&str>)] = &[
            (&[], None),
            (&[b"identity"], None),
            (&[b"gzip"], Some("gzip")),
            (&[b"aws-chunked", b"gzip"], Some("gzip")),
            (&[b"aws-chunked, ,", b"UTF-8"], None),
            (&[b"br,gzip"], Some("br, gzip")),
            (&[b"\xff\xfe"], Some("unknown")),
            (&[b"a secret"], Some("unknown")),
        ];
        for (fields, expected) in table {
            let mut headers = HeaderMap::new();
            for field in *fields {
                headers.append(header::CONTENT_ENCODING, HeaderValue::from_bytes(field).unwrap());
            }
            assert_eq!(of_content(&headers).as_deref(), *expected, "{fields:?}");
        }
    }
}
