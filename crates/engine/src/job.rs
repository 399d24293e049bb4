//! What is to be fetched: one [`JobSpec`] a file.

use std::path::PathBuf;

use serde::Serialize;
use url::Url;

use crate::checksum::Checksum;

/// Names a job within its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct JobId(pub(crate) u64);

impl JobId {
    /// The number behind it, as events show it.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// One file to fetch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobSpec {
    /// Where it comes from; `http` or `https`. Credentials in it are sent to that origin only.
    pub url: Url,
    /// Where the same file is to be had as well; the same holds for their credentials.
    pub mirrors: Vec<Url>,
    /// Where it goes, relative to the session's directory; the server and the URL decide without it.
    pub output: Option<PathBuf>,
    /// What it must hash to.
    pub checksum: Option<Checksum>,
    /// What an earlier run left is of the same content whatever the server says of its version, if
    /// samples of both agree.
    pub same_content: bool,
}

impl JobSpec {
    /// Fetch `url` under the name that the server or the URL gives.
    pub fn new(url: Url) -> Self {
        Self { url, mirrors: Vec::new(), output: None, checksum: None, same_content: false }
    }

    /// Adds a mirror: bytes of the same file come from there too, once they agree with what is there.
    #[must_use]
    pub fn mirror(mut self, url: Url) -> Self {
        self.mirrors.push(url);
        self
    }

    /// Gives the name.
    #[must_use]
    pub fn output(mut self, output: impl Into<PathBuf>) -> Self {
        self.output = Some(output.into());
        self
    }

    /// Goes on with what an earlier run left although the server tells another version, once samples
    /// of it agree with what is there.
    #[must_use]
    pub fn same_content(mut self) -> Self {
        self.same_content = true;
        self
    }

    /// Demands a digest.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }
}
