//! What a provider does, and what it lists. The seam: `Plain` is one side of it, services are the others.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::web::Web;
use crate::checksum::Checksum;
use crate::error::Result;
use crate::job::{JobSpec, Located};

/// A service whose files can be fetched.
pub trait Provider: fmt::Debug + Send + Sync {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Whether this URL is one of its own: a link that users have, or an entry that it has listed.
    fn knows(&self, url: &Url) -> bool;

    /// What there is under a link: its files one after the other, those of folders too, page by page as they
    /// are taken.
    ///
    /// # Errors
    /// What kept the service from answering, or its refusal; so do the items of the iterator.
    fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<Entries<'a>>;

    /// A request that works now for an entry, by the URL that [`Provider::list`] gave it.
    ///
    /// # Errors
    /// What kept the service from answering, or its refusal. [`Error::is_transient`](crate::Error::is_transient)
    /// says whether it is asked again.
    fn locate(&self, entry: &Url, web: &Web) -> Result<Located>;
}

/// Entries as they come.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// One file of a service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// What it is asked for by, `http` or `https`; the same as long as it is the same file.
    pub url: Url,
    /// Where it stands below the link, with its folders; the engine makes it safe.
    pub path: PathBuf,
    /// Its length, if the service tells.
    pub total_bytes: Option<u64>,
    /// Its digest, if the service tells one.
    pub checksum: Option<Checksum>,
}

impl Entry {
    /// An entry of which no more is known.
    pub fn new(url: Url, path: impl Into<PathBuf>) -> Self {
        Self { url, path: path.into(), total_bytes: None, checksum: None }
    }

    /// What fetches it: under its path, with its digest.
    pub fn into_spec(self) -> JobSpec {
        let mut spec = JobSpec::new(self.url).output(self.path);
        spec.checksum = self.checksum;
        spec
    }
}
