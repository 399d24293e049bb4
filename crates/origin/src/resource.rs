//! What the origin serves: one path with its content, validators and faults, and patterns that
//! stand for many. Plain values built by the script.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use crate::header::{header_name, header_value, status_code};
use crate::rule::{Rule, checked};

/// 2023-11-14 22:13:20 UTC: fixed, so that two runs send the same.
const LAST_MODIFIED: Duration = Duration::from_secs(1_700_000_000);

/// The entity tag of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ETag {
    /// A strong tag derived from seed and size.
    #[default]
    Strong,
    /// The same tag, marked as weak.
    Weak,
    /// No tag.
    None,
    /// This text, exactly as sent (with its quotes).
    Custom(String),
}

/// What a resource makes of range requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// `Accept-Ranges: bytes`, and 206 or 416 as RFC 9110 says.
    #[default]
    Honoured,
    /// Says nothing about ranges and answers 200 with the whole content.
    Ignored,
    /// `Accept-Ranges: none`, and 200 with the whole content.
    Refused,
}

/// How the length of a body is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// By `Content-Length`.
    #[default]
    Known,
    /// Not at all: chunked over HTTP/1.1.
    Chunked,
    /// Not at all: the body ends where the connection does, as HTTP/1.0 has it (and says that it is).
    /// Over HTTP/2 the same as [`Self::Chunked`].
    UntilClose,
}

/// One path of the origin.
///
/// ```
/// use towline_origin::{ETag, Ranges, Resource};
///
/// let resource = Resource::new("/a.bin", 7, 1_000_000)
///     .etag(ETag::Weak)
///     .ranges(Ranges::Refused)
///     .header("X-Mirror", "one");
/// assert_eq!(resource.size(), 1_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) path: String,
    pub(crate) seed: u64,
    pub(crate) size: u64,
    pub(crate) etag: ETag,
    pub(crate) last_modified: Option<SystemTime>,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) content_disposition: Option<HeaderValue>,
    pub(crate) ranges: Ranges,
    pub(crate) length: Length,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) redirect: Option<(u16, HeaderValue)>,
    pub(crate) status: Option<u16>,
}

impl Resource {
    /// `size` bytes of the content `seed` at `path` (which starts with `/` and is compared as sent:
    /// without the query, and without decoding `%`).
    #[must_use]
    pub fn new(path: impl Into<String>, seed: u64, size: u64) -> Self {
        Self {
            path: path.into(),
            seed,
            size,
            etag: ETag::Strong,
            last_modified: Some(UNIX_EPOCH + LAST_MODIFIED),
            content_type: Some(HeaderValue::from_static("application/octet-stream")),
            content_disposition: None,
            ranges: Ranges::Honoured,
            length: Length::Known,
            headers: Vec::new(),
            rules: Vec::new(),
            redirect: None,
            status: None,
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The seed of the content.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The size of the content in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The entity tag as it is sent, before any fault changes it.
    #[must_use]
    pub fn etag_text(&self) -> Option<String> {
        match &self.etag {
            ETag::Strong => Some(format!("\"{:x}-{:x}\"", self.seed, self.size)),
            ETag::Weak => Some(format!("W/\"{:x}-{:x}\"", self.seed, self.size)),
            ETag::None => None,
            ETag::Custom(text) => Some(text.clone()),
        }
    }

    /// Sets the entity tag; [`ETag::Strong`] by default.
    ///
    /// # Panics
    /// If a custom tag cannot be a header value.
    #[must_use]
    pub fn etag(mut self, etag: ETag) -> Self {
        if let ETag::Custom(text) = &etag {
            header_value(text);
        }
        self.etag = etag;
        self
    }

    /// Sets the date of last modification, sent in whole seconds; a fixed one by default.
    #[must_use]
    pub fn last_modified(mut self, time: Option<SystemTime>) -> Self {
        self.last_modified = time;
        self
    }

    /// Sets the content type; `application/octet-stream` by default.
    ///
    /// # Panics
    /// If the text cannot be a header value.
    #[must_use]
    pub fn content_type(mut self, text: Option<&str>) -> Self {
        self.content_type = text.map(header_value);
        self
    }

    /// Sends this `Content-Disposition`.
    ///
    /// # Panics
    /// If the text cannot be a header value.
    #[must_use]
    pub fn content_disposition(mut self, text: &str) -> Self {
        self.content_disposition = Some(header_value(text));
        self
    }

    /// Sets what range requests get; [`Ranges::Honoured`] by default.
    #[must_use]
    pub fn ranges(mut self, ranges: Ranges) -> Self {
        self.ranges = ranges;
        self
    }

    /// Sets how the length is told; [`Length::Known`] by default.
    #[must_use]
    pub fn length(mut self, length: Length) -> Self {
        self.length = length;
        self
    }

    /// Adds a header to every response of this resource.
    ///
    /// # Panics
    /// If name or value cannot be sent as a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((header_name(name), header_value(value)));
        self
    }

    /// Adds a fault, alone or with its scope.
    ///
    /// # Panics
    /// If the fault holds a status or a header value that cannot be sent.
    #[must_use]
    pub fn fault(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(checked(rule.into()));
        self
    }

    /// Answers with this status and `Location` instead of the content.
    ///
    /// # Panics
    /// If the status is not 100 to 999 or the location cannot be a header value.
    #[must_use]
    pub fn redirect(mut self, status: u16, location: &str) -> Self {
        status_code(status);
        self.redirect = Some((status, header_value(location)));
        self
    }

    /// Answers with this status: instead of 200 or 206 if it is 2xx, else with a line of text in
    /// place of the content.
    ///
    /// # Panics
    /// If the status is not 100 to 999.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        status_code(status);
        self.status = Some(status);
        self
    }
}

/// A path with a number in it, which stands for many resources.
pub(crate) struct Pattern {
    prefix: String,
    suffix: String,
    count: u64,
    make: Box<dyn Fn(u64) -> Resource + Send + Sync>,
}

impl Pattern {
    /// `pattern` has one `{}`, the place of the number, which runs from 0 to `count` - 1.
    pub(crate) fn new(pattern: &str, count: u64, make: impl Fn(u64) -> Resource + Send + Sync + 'static) -> Self {
        let (prefix, suffix) = pattern.split_once("{}").unwrap_or_else(|| panic!("{pattern:?} has no {{}}"));
        Self { prefix: prefix.to_owned(), suffix: suffix.to_owned(), count, make: Box::new(make) }
    }

    /// The resource at `path`, if the pattern covers it.
    pub(crate) fn resource(&self, path: &str) -> Option<Resource> {
        let digits = path.strip_prefix(self.prefix.as_str())?.strip_suffix(self.suffix.as_str())?;
        let plain = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()));
        let index: u64 = digits.parse().ok().filter(|_| plain)?;
        if index >= self.count {
            return None;
        }
        let mut resource = (self.make)(index);
        resource.path = path.to_owned();
        Some(resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_its_numbers_only() {
        let pattern = Pattern::new("/many/{}.bin", 12, |index| Resource::new("", index, 10));
        let seeds: Vec<_> =
            ["/many/0.bin", "/many/11.bin"].map(|path| pattern.resource(path).map(|resource| resource.seed())).into();
        assert_eq!(seeds, [Some(0), Some(11)]);
        for path in ["/many/12.bin", "/many/01.bin", "/many/.bin", "/many/+1.bin", "/1.bin"] {
            assert!(pattern.resource(path).is_none(), "{path}");
        }
    }

    #[test]
    fn tags_follow_seed_and_size() {
        let resource = Resource::new("/a", 255, 16);
        assert_eq!(resource.etag_text().as_deref(), Some("\"ff-10\""));
        let weak = resource.clone().etag(ETag::Weak);
        assert_eq!(weak.etag_text().as_deref(), Some("W/\"ff-10\""));
        assert_eq!(resource.etag(ETag::None).etag_text(), None);
    }
}
