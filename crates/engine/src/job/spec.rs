//! One file to fetch, with its own settings. Can be serialised (serde) and read back.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Url;

use super::{Left, Listed, PieceDigests};
use crate::checksum::Checksum;
use crate::name::{NameRules, safe};
use crate::options::{Existing, ProxyChoice};

/// One file to fetch.
///
/// ```
/// use towline_engine::JobSpec;
///
/// let spec = JobSpec::new("https://example.com/a.iso".parse().unwrap()).output("b.iso");
/// let text = serde_json::to_string(&spec).unwrap();
/// assert_eq!(text, r#"{"url":"https://example.com/a.iso","output":"b.iso"}"#);
/// let again: JobSpec = serde_json::from_str(&text).unwrap();
/// assert_eq!(again.output, spec.output);
/// ```
///
/// A serialised spec contains everything in the URL and the headers, secrets included.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct JobSpec {
    /// The source URL; `http` or `https`. Credentials in it are sent to its origin only.
    pub url: Url,
    /// Other URLs of the same file; their credentials are likewise sent to their own origins only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Url>,
    /// The output path, relative to the directory; without it, the server and the URL decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<PathBuf>,
    /// The digest that the content must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// The length that the file must have, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The digests that its pieces must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pieces: Option<Box<PieceDigests>>,
    /// What the service that lists the file says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Box<Listed>>,
    /// The file that an earlier run left under the name, set by the batch. As long as it is there unchanged, it may be
    /// replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
    /// Resume existing data whatever version the server reports, if samples match.
    #[serde(default, skip_serializing_if = "is_false")]
    pub same_content: bool,
    /// Settings of this file that override the session's options.
    #[serde(default, skip_serializing_if = "JobOptions::is_empty")]
    pub options: JobOptions,
}

/// Settings of one file that override the session's options. `None` means the session's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct JobOptions {
    /// The output directory: absolute, or relative to the session's directory. Created if missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// Headers sent with each request to the URL's own origin; they override the session's headers of the same
    /// name.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "headers")]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Up to this many connections for this file, once ranges are proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Rate limit for this file in bytes per second, within the session's limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_rate_bps: Option<u64>,
    /// Refuse the file if it is larger than this many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size_bytes: Option<u64>,
    /// What to do if another file has the final name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// The proxies of its connections, which it shares with jobs that use the same ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyChoice>,
    /// Accept any certificate; connections are shared likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure: Option<bool>,
    /// Also trust the authorities in this PEM file; connections are shared likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Retries for a piece that makes no progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Jobs with a higher priority start first; 0 by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
}

impl JobOptions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl JobSpec {
    /// Fetches `url`, named by the server or the URL.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            mirrors: Vec::new(),
            output: None,
            checksum: None,
            size_bytes: None,
            pieces: None,
            listed: None,
            left: None,
            same_content: false,
            options: JobOptions::default(),
        }
    }

    /// Whether only the URL is set.
    pub(crate) fn is_url_alone(&self) -> bool {
        let Self { url: _, mirrors, output, checksum, size_bytes, pieces, listed, left, same_content, options } = self;
        mirrors.is_empty()
            && output.is_none()
            && checksum.is_none()
            && size_bytes.is_none()
            && pieces.is_none()
            && listed.is_none()
            && left.is_none()
            && !same_content
            && options.is_empty()
    }

    /// The name that its URL suggests; the server may give another.
    ///
    /// ```
    /// use towline_engine::JobSpec;
    ///
    /// let spec = JobSpec::new("https://example.com/pub/a%20b.iso?x=1".parse().unwrap());
    /// assert_eq!(spec.name_in_url().to_str(), Some("a b.iso"));
    /// ```
    pub fn name_in_url(&self) -> PathBuf {
        safe::make_safe(&safe::from_url(&self.url)).into()
    }

    /// The directory that it is saved in, relative to the session's unless it is absolute: its own, or with
    /// [`Options::keep_dirs`](crate::Options::keep_dirs) those of its URL. `None` for the session's.
    pub fn directory(&self, keep_dirs: Option<usize>) -> Option<PathBuf> {
        self.directory_by(keep_dirs, &NameRules::default())
    }

    /// The same where names have to be like this.
    pub(crate) fn directory_by(&self, keep_dirs: Option<usize>, rules: &NameRules) -> Option<PathBuf> {
        match (&self.options.dir, keep_dirs, &self.output) {
            (Some(dir), _, _) => Some(dir.clone()),
            (None, Some(cut), None) => Some(rules.dirs(&self.url, cut)),
            _ => None,
        }
    }

    /// About how many bytes it takes in memory beside those that each takes.
    pub(crate) fn held_bytes(&self) -> usize {
        let Self {
            url,
            mirrors,
            output,
            checksum: _,
            size_bytes: _,
            pieces,
            listed,
            left: _,
            same_content: _,
            options,
        } = self;
        let mirrors: usize = mirrors.iter().map(|mirror| size_of::<Url>() + mirror.as_str().len()).sum();
        let header = |(name, value): &(HeaderName, HeaderValue)| {
            size_of::<(HeaderName, HeaderValue)>() + name.as_str().len() + value.len()
        };
        let headers: usize = options.headers.iter().map(header).sum();
        let paths = [output, &options.dir, &options.ca_file].into_iter().flatten();
        let paths: usize = paths.map(|path| path.as_os_str().len()).sum();
        let pieces = pieces.as_ref().map_or(0, |pieces| pieces.held_bytes());
        let listed = listed.as_ref().map_or(0, |listed| listed.held_bytes());
        url.as_str().len() + mirrors + headers + paths + pieces + listed
    }

    /// Adds a mirror: bytes come from there too once they agree with existing data.
    #[must_use]
    pub fn mirror(mut self, url: Url) -> Self {
        self.mirrors.push(url);
        self
    }

    /// Sets the output path.
    #[must_use]
    pub fn output(mut self, output: impl Into<PathBuf>) -> Self {
        self.output = Some(output.into());
        self
    }

    /// Resumes existing data even if the server reports another version, once samples match.
    #[must_use]
    pub fn same_content(mut self) -> Self {
        self.same_content = true;
        self
    }

    /// Sets the digest that the content must have.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// Sets the length that the file must have, in bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size_bytes = Some(bytes);
        self
    }

    /// Sets the digests that the pieces of the file must have.
    #[must_use]
    pub fn pieces(mut self, pieces: PieceDigests) -> Self {
        self.pieces = Some(Box::new(pieces));
        self
    }

    /// Sets the output directory: absolute, or relative to the session's.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.options.dir = Some(dir.into());
        self
    }

    /// Adds a header to each request to the URL's own origin.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.options.headers.push((name, value));
        self
    }

    /// Uses up to this many connections.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.options.connections = Some(connections.max(1));
        self
    }

    /// Limits the rate, in bytes per second.
    #[must_use]
    pub fn limit_rate(mut self, bps: u64) -> Self {
        self.options.limit_rate_bps = Some(bps);
        self
    }

    /// Refuses the file if it is larger than this many bytes.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.options.max_size_bytes = Some(bytes);
        self
    }

    /// Sets what to do if another file has the final name.
    #[must_use]
    pub fn existing(mut self, existing: Existing) -> Self {
        self.options.existing = Some(existing);
        self
    }

    /// Uses this proxy, or none, instead of the session's.
    #[must_use]
    pub fn proxy(mut self, proxy: ProxyChoice) -> Self {
        self.options.proxy = Some(proxy);
        self
    }

    /// Sets whether to accept any certificate.
    #[must_use]
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.options.insecure = Some(insecure);
        self
    }

    /// Also trusts the authorities in this PEM file.
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.ca_file = Some(path.into());
        self
    }

    /// Sets how often a piece that makes no progress is retried.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.options.retries = Some(retries);
        self
    }

    /// Sets the priority; higher ones start first.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.options.priority = priority;
        self
    }
}

/// Serde passes a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

/// Serialises headers as strings.
mod headers {
    use super::*;

    type Headers = Vec<(HeaderName, HeaderValue)>;

    pub(super) fn serialize<S: Serializer>(headers: &Headers, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error as _, SerializeSeq as _};

        let mut pairs = serializer.serialize_seq(Some(headers.len()))?;
        for (name, value) in headers {
            // The value may be a secret, so it is not repeated.
            let text = std::str::from_utf8(value.as_bytes())
                .map_err(|_| S::Error::custom(format!("the value of the header {name} is not UTF-8 text")))?;
            pairs.serialize_element(&(name.as_str(), text))?;
        }
        pairs.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        use serde::de::Error as _;

        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        let mut headers = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            // The value may be a secret, so the error does not repeat it.
            let wrong = |what: &str| D::Error::custom(format!("the {what} of a header cannot be sent"));
            let name = HeaderName::try_from(name).map_err(|_| wrong("name"))?;
            let mut value = HeaderValue::try_from(value).map_err(|_| wrong("value"))?;
            value.set_sensitive(true);
            headers.push((name, value));
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_was_written_reads_as_the_same() {
        let checksum: Checksum = "sha-1=da39a3ee5e6b4b0d3255bfef95601890afd80709".parse().unwrap();
        let spec = JobSpec::new("http://u:p@h/a?b=c".parse().unwrap())
            .mirror("https://m/a".parse().unwrap())
            .output("x/y.bin")
            .checksum(checksum)
            .same_content()
            .dir("/d")
            .header(HeaderName::from_static("cookie"), HeaderValue::from_static("a=b"))
            .connections(3)
            .limit_rate(1000)
            .max_size(5000)
            .existing(Existing::AutoRename)
            .proxy(ProxyChoice::parse("http://u:p@proxy:3128", "localhost").unwrap())
            .insecure(true)
            .ca_file("/ca.pem")
            .priority(-2);
        let text = serde_json::to_string(&spec).unwrap();
        let again: JobSpec = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), text);
        assert_eq!((again.url, again.mirrors, again.checksum), (spec.url, spec.mirrors, spec.checksum));
        assert_eq!(again.options, spec.options);
    }

    #[test]
    fn what_a_spec_cannot_hold_is_said_without_its_value() {
        for text in [
            r#"{"url":"http://h/","options":{"headers":[["a b","SECRET"]]}}"#,
            r#"{"url":"http://h/","options":{"headers":[["a","SECRET\n"]]}}"#,
            r#"{"url":"http://h/","otuput":"x"}"#,
            r#"{"url":"http://h/","checksum":"sha-1=00"}"#,
        ] {
            let error = serde_json::from_str::<JobSpec>(text).unwrap_err().to_string();
            assert!(!error.contains("SECRET"), "{error}");
        }
    }
}
