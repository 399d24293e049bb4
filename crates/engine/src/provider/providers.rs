//! The providers of a session, and which of them knows a URL.

use std::sync::Arc;

use url::Url;

use super::plain::Plain;
use super::seam::Provider;
use super::web::Web;
use crate::error::Result;
use crate::job::JobSpec;

/// The providers of a session, queried in this order; plain URLs come last.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Arc<dyn Provider>>);

impl Providers {
    /// Adds a provider.
    pub fn add(&mut self, provider: impl Provider + 'static) {
        self.0.push(Arc::new(provider));
    }

    /// The provider that knows this URL; `None` if it is a plain URL.
    pub fn of(&self, url: &Url) -> Option<&dyn Provider> {
        self.0.iter().find(|provider| provider.knows(url)).map(|provider| &**provider)
    }

    /// The entries behind a link, as jobs. A plain URL is one job.
    ///
    /// # Errors
    /// As [`Provider::list`].
    pub fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<impl Iterator<Item = Result<JobSpec>> + 'a> {
        let entries = match self.of(link) {
            Some(provider) => provider.list(link, web)?,
            None => Plain.list(link, web)?,
        };
        let by = self.of(link).map(Provider::name);
        Ok(entries.map(move |entry| match by {
            // Its server may name it differently.
            None => entry.map(|entry| JobSpec::new(entry.url)),
            Some(by) => entry.map(|entry| entry.into_spec(by)),
        }))
    }

    /// Whether there are only plain URLs.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
