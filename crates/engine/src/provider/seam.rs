//! The provider interface and its entries: the seam between the engine and a service. `Plain` implements it for
//! plain URLs.

use std::fmt;
use std::path::{Component, PathBuf};

use url::Url;

use super::web::Web;
use crate::checksum::Checksum;
use crate::error::Result;
use crate::job::{JobSpec, Listed, Located};
use crate::name::{BATCH_DIRECTORY, safe};

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
    /// Its length in bytes, if the service reports it. A file of another length is refused, unless `may_differ`.
    pub total_bytes: Option<u64>,
    /// Its digest, if the service reports one.
    pub checksum: Option<Checksum>,
    /// A text that changes with the content, if the service reports one: a later run fetches the file again then.
    pub version: Option<String>,
    /// Whether the version is only a time, exact to the second or the minute. A file that was modified shortly before
    /// it was fetched is then checked again in the next run.
    pub is_coarse: bool,
    /// When it was last changed, as RFC 3339 writes it.
    pub modified: Option<String>,
    /// Whether the service may send it otherwise than it reports it, so that another digest or length is no damage.
    pub may_differ: bool,
    /// What an HTML page means that comes instead of the file: signs, each with a text for people. The first sign that
    /// occurs in the page's title or URL applies; an empty sign occurs in every page. If there are none, an HTML page
    /// may be the file itself.
    pub page_means: &'static [(&'static str, &'static str)],
}

impl Entry {
    /// An entry with nothing else known.
    pub fn new(url: Url, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            url,
            path,
            total_bytes: None,
            checksum: None,
            version: None,
            is_coarse: false,
            modified: None,
            may_differ: false,
            page_means: &[],
        }
    }

    /// Its path, which stays below the directory whatever the service says; empty if its server names it.
    pub fn safe_path(&self) -> PathBuf {
        let parts = self.path.components().filter_map(|part| match part {
            Component::Normal(name) => Some(safe::make_safe(&name.to_string_lossy())),
            _ => None,
        });
        // The directory of the ledger is ours.
        parts.map(|part| if part.eq_ignore_ascii_case(BATCH_DIRECTORY) { format!("_{part}") } else { part }).collect()
    }

    /// The job that fetches it, under its path, with what the service `by` this name says of it.
    pub fn into_spec(self, by: &str) -> JobSpec {
        let path = self.safe_path();
        let mut listed = Listed::new(by);
        (listed.checksum, listed.version, listed.may_differ) = (self.checksum, self.version, self.may_differ);
        (listed.total_bytes, listed.is_coarse) = (self.total_bytes, self.is_coarse);
        let owned = |(sign, means): &(&str, &str)| ((*sign).to_owned(), (*means).to_owned());
        listed.page_means = self.page_means.iter().map(owned).collect();
        let mut spec = JobSpec::new(self.url);
        spec.output = (!path.as_os_str().is_empty()).then_some(path);
        spec.listed = Some(Box::new(listed));
        spec
    }
}
