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
    /// Where it goes, relative to the session's directory; the server and the URL decide without it.
    pub output: Option<PathBuf>,
    /// What it must hash to.
    pub checksum: Option<Checksum>,
}

impl JobSpec {
    /// Fetch `url` under the name that the server or the URL gives.
    pub fn new(url: Url) -> Self {
        Self { url, output: None, checksum: None }
    }

    /// Gives the name.
    #[must_use]
    pub fn output(mut self, output: impl Into<PathBuf>) -> Self {
        self.output = Some(output.into());
        self
    }

    /// Demands a digest.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }
}
