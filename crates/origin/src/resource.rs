//! What the origin serves: a path with its content, validators and faults, or a pattern that stands
//! for many paths. Plain values that a script builds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use crate::header::{header_name, header_value, status_code};
use crate::rule::{Rule, checked};

/// 2023-11-14 22:13:20 UTC; fixed, so that every run sends the same date.
const LAST_MODIFIED: Duration = Duration::from_secs(1_700_000_000);

/// The entity tag of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ETag {
    /// A strong tag derived from seed and size.
    #[default]
    Strong,
    /// The weak form of [`Self::Strong`].
    Weak,
    /// No tag.
    None,
    /// This text, exactly as sent (with its quotes).
    Custom(String),
}

/// How a resource answers range requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// `Accept-Ranges: bytes`, and 206 or 416 as in RFC 9110.
    #[default]
    Honoured,
    /// No `Accept-Ranges`, and 200 with the whole content.
    Ignored,
    /// `Accept-Ranges: none`, and 200 with the whole content.
    Refused,
}

/// How a response indicates the length of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// With `Content-Length`.
    #[default]
    Known,
    /// Without `Content-Length`: chunked over HTTP/1.1.
    Chunked,
    /// The body ends when the connection closes, in an HTTP/1.0 response. Over HTTP/2, the same as
    /// [`Self::Chunked`].
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
    /// `size` bytes of the content `seed` at `path`. The path starts with `/` and is matched as sent,
    /// without the query and without percent-decoding.
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

    /// The entity tag as sent, before any fault changes it.
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
    /// If a custom tag is not a valid header value.
    #[must_use]
    pub fn etag(mut self, etag: ETag) -> Self {
        if let ETag::Custom(text) = &etag {
            header_value(text);
        }
        self.etag = etag;
        self
    }

    /// Sets `Last-Modified`, sent in whole seconds; a fixed date by default.
    #[must_use]
    pub fn last_modified(mut self, time: Option<SystemTime>) -> Self {
        self.last_modified = time;
        self
    }

    /// Sets `Content-Type`; `application/octet-stream` by default.
    ///
    /// # Panics
    /// If the text is not a valid header value.
    #[must_use]
    pub fn content_type(mut self, text: Option<&str>) -> Self {
        self.content_type = text.map(header_value);
        self
    }

    /// Sets `Content-Disposition`; none by default.
    ///
    /// # Panics
    /// If the text is not a valid header value.
    #[must_use]
    pub fn content_disposition(mut self, text: &str) -> Self {
        self.content_disposition = Some(header_value(text));
        self
    }

    /// Sets how range requests are answered; [`Ranges::Honoured`] by default.
    #[must_use]
    pub fn ranges(mut self, ranges: Ranges) -> Self {
        self.ranges = ranges;
        self
    }

    /// Sets how the length is indicated; [`Length::Known`] by default.
    #[must_use]
    pub fn length(mut self, length: Length) -> Self {
        self.length = length;
        self
    }

    /// Adds a header to every response of this resource.
    ///
    /// # Panics
    /// If the name or the value is not valid in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((header_name(name), header_value(value)));
        self
    }

    /// Adds a fault, with or without a scope.
    ///
    /// # Panics
    /// If the fault holds an invalid status code, header name or header value.
    #[must_use]
    pub fn fault(mut self, rule: impl Into<Rule>) -> Self {
        self.rules.push(checked(rule.into()));
        self
    }

    /// Redirects with this status and `Location` instead of serving the content.
    ///
    /// # Panics
    /// If the status is not in 100 to 999, or the location is not a valid header value.
    #[must_use]
    pub fn redirect(mut self, status: u16, location: &str) -> Self {
        status_code(status);
        self.redirect = Some((status, header_value(location)));
        self
    }

    /// Answers with this status. A 2xx replaces 200 and 206; any other comes with a line of text instead
    /// of the content.
    ///
    /// # Panics
    /// If the status is not in 100 to 999.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        status_code(status);
        self.status = Some(status);
        self
    }
}

/// A path pattern with a number in it that stands for many resources.
pub(crate) struct Pattern {
    prefix: String,
    suffix: String,
    count: u64,
    make: Box<dyn Fn(u64) -> Resource + Send + Sync>,
}

impl Pattern {
    /// The `{}` in `pattern` stands for a number from 0 to `count` - 1.
    ///
    /// # Panics
    /// If the pattern has no `{}`.
    pub(crate) fn new(pattern: &str, count: u64, make: impl Fn(u64) -> Resource + Send + Sync + 'static) -> Self {
        let (prefix, suffix) = pattern.split_once("{}").unwrap_or_else(|| panic!("{pattern:?} has no {{}}"));
        Self { prefix: prefix.to_owned(), suffix: suffix.to_owned(), count, make: Box::new(make) }
    }

    /// The resource at `path`, if the pattern matches it.
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
