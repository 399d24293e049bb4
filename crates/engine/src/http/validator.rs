//! Which version of a file some bytes belong to: entity tag, modification time and length
//! (RFC 9110, section 8.8), and the digest of its content where the server gives one.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::digest::{self, ServerDigest};

/// Longer values of a server are not kept.
const VALUE_BYTES_MAX: usize = 1024;

/// What a server says about the version of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Validator {
    /// The entity tag.
    pub etag: Option<EntityTag>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
    /// The whole length in bytes.
    pub total_bytes: Option<u64>,
    /// The digest of the whole content; of several the strongest.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "digest::deserialize_known")]
    pub digest: Option<ServerDigest>,
}

/// Whether two validators speak of the same version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// They do.
    Same,
    /// They do not.
    Different,
    /// They have nothing in common that could be compared, but maybe the length.
    Unknown,
}

/// An entity tag, strong or weak.
///
/// ```
/// use towline_engine::http::validator::EntityTag;
///
/// let tag: EntityTag = "W/\"v1\"".parse().unwrap();
/// assert!(tag.is_weak());
/// assert_eq!(tag.to_string(), "W/\"v1\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityTag {
    weak: bool,
    tag: String,
}

/// Not an entity tag.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an entity tag")]
pub struct EntityTagError;

impl Validator {
    /// Reads `ETag` and `Last-Modified`; what is malformed or too long is left out, and so is a tag
    /// beside another, for nobody knows which of them is meant. What digests count depends on the
    /// answer's status, so they are read elsewhere.
    pub fn from_headers(headers: &HeaderMap, total_bytes: Option<u64>) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
        let last_modified = text(header::LAST_MODIFIED).filter(|date| httpdate::parse_http_date(date).is_ok());
        let is_one_tag = headers.get_all(header::ETAG).iter().nth(1).is_none();
        Self {
            etag: text(header::ETAG).filter(|_| is_one_tag).and_then(|tag| tag.parse().ok()),
            last_modified: last_modified.map(ToOwned::to_owned),
            total_bytes,
            digest: None,
        }
    }

    /// Whether a file that was replaced by another of the same length would be noticed.
    pub fn can_tell_versions(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some() || self.digest.is_some()
    }

    /// The `If-Range` field for it: a strong tag or nothing (RFC 9110, section 13.1.5).
    pub fn if_range(&self) -> Option<HeaderValue> {
        let tag = self.etag.as_ref().filter(|tag| !tag.weak)?;
        HeaderValue::try_from(tag.to_string()).ok()
    }

    /// Compares with what another answer says.
    pub fn compare(&self, other: &Self) -> Agreement {
        let lengths = self.total_bytes.zip(other.total_bytes);
        if let Some((ours, theirs)) = lengths
            && ours != theirs
        {
            return Agreement::Different;
        }
        let digests = self.digest.as_ref().zip(other.digest.as_ref());
        match digests.and_then(|(ours, theirs)| ours.agrees(theirs)) {
            Some(true) => return Agreement::Same,
            Some(false) => return Agreement::Different,
            None => {}
        }
        let dates = match (&self.last_modified, &other.last_modified) {
            (Some(ours), Some(theirs)) => Some(ours == theirs),
            _ => None,
        };
        let same = match (&self.etag, &other.etag) {
            (Some(ours), Some(theirs)) if ours.tag != theirs.tag => Some(false),
            // Strong tags promise byte for byte.
            (Some(ours), Some(theirs)) if !(ours.weak || theirs.weak) => Some(true),
            // Weak ones that it is as good as the same: enough when all else that was said agrees too.
            (Some(_), Some(_)) if lengths.is_some() => Some(dates != Some(false)),
            _ => dates,
        };
        match same {
            Some(true) => Agreement::Same,
            Some(false) => Agreement::Different,
            None => Agreement::Unknown,
        }
    }

    /// `Last-Modified` as a time.
    pub fn last_modified_time(&self) -> Option<SystemTime> {
        httpdate::parse_http_date(self.last_modified.as_deref()?).ok()
    }
}

impl EntityTag {
    /// Whether it only promises that the content is as good as the same.
    pub fn is_weak(&self) -> bool {
        self.weak
    }
}

impl FromStr for EntityTag {
    type Err = EntityTagError;

    fn from_str(value: &str) -> Result<Self, EntityTagError> {
        let (weak, quoted) = match value.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let tag = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(EntityTagError)?;
        let is_visible = tag.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte));
        // An empty tag is what servers send that have none: it says the same of every version.
        if tag.is_empty() || !is_visible || tag.len() > VALUE_BYTES_MAX {
            return Err(EntityTagError);
        }
        Ok(Self { weak, tag: tag.to_owned() })
    }
}

impl TryFrom<String> for EntityTag {
    type Error = EntityTagError;

    fn try_from(value: String) -> Result<Self, EntityTagError> {
        value.parse()
    }
}

impl From<EntityTag> for String {
    fn from(tag: EntityTag) -> Self {
        tag.to_string()
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\"{}\"", if self.weak { "W/" } else { "" }, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    fn validator(etag: &str, date: &str, total: u64) -> Validator {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Validator {
            etag: text(etag).map(|tag| tag.parse().unwrap()),
            last_modified: text(date),
            total_bytes: (total > 0).then_some(total),
            digest: None,
        }
    }

    fn with_digest(validator: Validator, digest: &str) -> Validator {
        Validator { digest: Some(digest.parse().unwrap()), ..validator }
    }

    #[test]
    fn versions_are_compared_by_what_both_sides_have() {
        use Agreement::{Different, Same, Unknown};
        let cases = [
            (("\"a\"", "", 5), ("\"a\"", "", 5), Same),
            (("\"a\"", "", 5), ("\"b\"", "", 5), Different),
            (("\"a\"", "", 5), ("\"a\"", "", 6), Different),
            (("\"a\"", DATE, 5), ("\"a\"", LATER, 5), Same),
            (("W/\"a\"", "", 5), ("W/\"a\"", "", 5), Same),
            (("W/\"a\"", DATE, 5), ("W/\"a\"", DATE, 5), Same),
            (("W/\"a\"", DATE, 5), ("W/\"a\"", LATER, 5), Different),
            (("W/\"a\"", "", 5), ("\"b\"", "", 5), Different),
            (("", DATE, 5), ("", DATE, 5), Same),
            (("", DATE, 5), ("", LATER, 5), Different),
            (("\"a\"", DATE, 5), ("", DATE, 5), Same),
            (("\"a\"", "", 5), ("", DATE, 5), Unknown),
            (("", "", 5), ("", "", 5), Unknown),
        ];
        for (ours, theirs, expected) in cases {
            let agreement = validator(ours.0, ours.1, ours.2).compare(&validator(theirs.0, theirs.1, theirs.2));
            assert_eq!(agreement, expected, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn weak_tags_prove_nothing_where_a_length_is_unknown() {
        use Agreement::{Different, Same, Unknown};
        let cases = [
            (("W/\"a\"", "", 5), ("W/\"a\"", "", 0), Unknown),
            (("W/\"a\"", "", 0), ("\"a\"", "", 0), Unknown),
            (("W/\"a\"", DATE, 0), ("W/\"a\"", DATE, 5), Same),
            (("W/\"a\"", DATE, 0), ("W/\"a\"", LATER, 0), Different),
            (("W/\"a\"", DATE, 0), ("W/\"b\"", DATE, 0), Different),
            (("W/\"a\"", "", 5), ("W/\"a\"", LATER, 5), Same),
            (("\"a\"", "", 0), ("\"a\"", "", 5), Same),
        ];
        for (ours, theirs, expected) in cases {
            let agreement = validator(ours.0, ours.1, ours.2).compare(&validator(theirs.0, theirs.1, theirs.2));
            assert_eq!(agreement, expected, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn digests_of_one_kind_say_it_whatever_the_tags_are() {
        let sha256 = |digit: &str| format!("Repr-Digest: sha-256={}", digit.repeat(64));
        let ours = with_digest(validator("\"a\"", DATE, 5), &sha256("0"));
        let moved = with_digest(validator("\"b\"", LATER, 5), &sha256("0"));
        let changed = with_digest(validator("\"a\"", DATE, 5), &sha256("1"));
        assert_eq!(ours.compare(&moved), Agreement::Same);
        assert_eq!(ours.compare(&changed), Agreement::Different);
        assert_eq!(ours.compare(&validator("\"a\"", DATE, 5)), Agreement::Same);
        let longer = Validator { total_bytes: Some(6), ..moved };
        assert_eq!(ours.compare(&longer), Agreement::Different);
        // One that is easily the same by chance only says what is not.
        let crc = with_digest(validator("", "", 5), "x-goog-hash: crc32c=00000001");
        assert_eq!(crc.compare(&crc), Agreement::Unknown);
    }

    #[test]
    fn a_digest_is_kept_with_the_version_and_one_of_a_later_kind_is_passed_over() {
        let digest = "Content-MD5: md5=d41d8cd98f00b204e9800998ecf8427e";
        let ours = with_digest(validator("\"a\"", DATE, 5), digest);
        let text = serde_json::to_string(&ours).unwrap();
        assert_eq!(serde_json::from_str::<Validator>(&text).unwrap(), ours);
        let later = text.replace("md5=d41d8cd9", "sha3=d41d8cd9");
        assert_ne!(later, text);
        assert_eq!(serde_json::from_str::<Validator>(&later).unwrap(), validator("\"a\"", DATE, 5));
        let without = serde_json::to_string(&validator("\"a\"", DATE, 5)).unwrap();
        assert!(!without.contains("digest"), "{without}");
        assert_eq!(serde_json::from_str::<Validator>(&without).unwrap(), validator("\"a\"", DATE, 5));
    }

    #[test]
    fn an_empty_tag_is_no_tag() {
        assert!("\"\"".parse::<EntityTag>().is_err());
        assert!("W/\"\"".parse::<EntityTag>().is_err());
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("\"\""));
        assert_eq!(Validator::from_headers(&headers, None), Validator::default());
    }

    #[test]
    fn a_repeated_tag_counts_as_absent() {
        let mut headers = HeaderMap::new();
        headers.append("etag", HeaderValue::from_static("\"a\""));
        assert!(Validator::from_headers(&headers, None).etag.is_some());
        headers.append("etag", HeaderValue::from_static("\"b\""));
        assert!(Validator::from_headers(&headers, None).etag.is_none());
    }

    #[test]
    fn only_a_strong_tag_goes_into_if_range() {
        assert_eq!(validator("\"a\"", DATE, 5).if_range().unwrap(), "\"a\"");
        assert!(validator("W/\"a\"", DATE, 5).if_range().is_none());
        assert!(validator("", DATE, 5).if_range().is_none());
    }

    #[test]
    fn malformed_tags_and_dates_are_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert("etag", HeaderValue::from_static("unquoted"));
        headers.insert("last-modified", HeaderValue::from_static("yesterday"));
        assert_eq!(Validator::from_headers(&headers, None), Validator::default());
    }
}
