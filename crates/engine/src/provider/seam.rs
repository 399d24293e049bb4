//! The provider interface and its entries: the seam between the engine and a service. `Plain` implements it for
//! plain URLs.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::web::Web;
use crate::checksum::Checksum;
use crate::error::Result;
use crate::job::{JobSpec, Located};

/// A service that provides files.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Whether this URL belongs to the provider: a link that users have, or an entry that it has listed.
    fn knows(&self, url: &Url) -> bool;

    /// Lists the files behind a link one by one, including those in folders, fetching pages as they are
    /// consumed.
    ///
    /// # Errors
    /// Whatever kept the service from responding, or its refusal; the iterator's items fail likewise.
    fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<Entries<'a>>;

    /// Resolves an entry, by its URL from [`Provider::list`], to a request that works now.
    ///
    /// # Errors
    /// Whatever kept the service from responding, or its refusal.
    /// [`Error::is_transient`](crate::Error::is_transient) decides whether to retry.
    fn locate(&self, entry: &Url, web: &Web) -> Result<Located>;
}

/// Entries as they arrive.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// One file of a service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// The entry's URL, `http` or `https`; it stays the same as long as it is the same file.
    pub url: Url,
    /// The path below the link, including folders; the engine makes it safe.
    pub path: PathBuf,
    /// Its length in bytes, if the service reports it.
    pub total_bytes: Option<u64>,
    /// Its digest, if the service reports one.
    pub checksum: Option<Checksum>,
}

impl Entry {
    /// An entry with nothing else known.
    pub fn new(url: Url, path: impl Into<PathBuf>) -> Self {
        Self { url, path: path.into(), total_bytes: None, checksum: None }
    }

    /// The job that fetches it: under its path, with its digest.
    pub fn into_spec(self) -> JobSpec {
        let mut spec = JobSpec::new(self.url).output(self.path);
        spec.checksum = self.checksum;
        spec
    }
}
