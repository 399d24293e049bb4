//! The providers of a session, and which of them knows a URL.

use std::sync::Arc;

use url::Url;

use super::plain::Plain;
use super::seam::{Entries, Entry, Provider};
use super::web::Web;
use crate::error::{ErrorKind, Result};
use crate::feed::{ListItem, Listing};
use crate::job::JobSpec;
use crate::secret;

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

    /// The entries behind a link. A plain URL is one entry.
    ///
    /// # Errors
    /// As [`Provider::list`].
    pub fn entries<'a>(&'a self, link: &Url, web: &'a Web) -> Result<Entries<'a>> {
        match self.of(link) {
            Some(provider) => provider.list(link, web),
            None => Plain.list(link, web),
        }
    }

    /// The entries behind a link, as jobs. A plain URL is one job.
    ///
    /// # Errors
    /// As [`Provider::list`].
    pub fn list<'a>(&'a self, link: &Url, web: &'a Web) -> Result<impl Iterator<Item = Result<JobSpec>> + 'a> {
        let by = self.of(link).map(Provider::name);
        Ok(self.entries(link, web)?.map(move |entry| match by {
            // Its server may name it differently.
            None => entry.map(|entry| JobSpec::new(entry.url)),
            Some(by) => entry.map(|entry| entry.into_spec(by)),
        }))
    }

    /// What is behind these links, as a list: entries that are kept, and what cannot be listed.
    pub fn listing(&self, links: Vec<Url>, web: Web, keeps: impl Fn(&Entry) -> bool + Send + 'static) -> Listing {
        let providers = self.clone();
        Listing::new(move |send| {
            for link in links {
                if !providers.list_one(&link, &web, &keeps, send) {
                    return;
                }
            }
        })
    }

    /// Lists one link; false if nobody wants any more.
    fn list_one(
        &self,
        link: &Url,
        web: &Web,
        keeps: &dyn Fn(&Entry) -> bool,
        send: &mut dyn FnMut(ListItem) -> bool,
    ) -> bool {
        let by = self.of(link).map_or(Plain.name(), Provider::name);
        let entries = match self.entries(link, web) {
            Ok(entries) => entries,
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        for entry in entries {
            let item = match entry {
                Ok(entry) if !keeps(&entry) => continue,
                Ok(entry) => ListItem::File(Box::new(entry.into_spec(by))),
                // The session ends.
                Err(error) if error.kind() == ErrorKind::Interrupted => return false,
                Err(error) => {
                    let url = error.url().map_or_else(|| secret::shown_url(link), ToOwned::to_owned);
                    ListItem::NotListed { url, error }
                }
            };
            if !send(item) {
                return false;
            }
        }
        true
    }

    /// Whether there are only plain URLs.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
