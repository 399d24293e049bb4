//! Plain URLs: each one is a single file and its own link.

use url::Url;

use super::seam::{Entries, Entry, Provider};
use super::web::Web;
use crate::error::Result;
use crate::job::Located;
use crate::name::safe;

/// The provider of all `http` and `https` URLs that no other provider knows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl Provider for Plain {
    fn name(&self) -> &'static str {
        "plain URLs"
    }

    fn knows(&self, url: &Url) -> bool {
        matches!(url.scheme(), "http" | "https")
    }

    fn list<'a>(&'a self, link: &Url, _web: &'a Web) -> Result<Entries<'a>> {
        let entry = Entry::new(link.clone(), safe::make_safe(&safe::from_url(link)));
        Ok(Box::new(std::iter::once(Ok(entry))))
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}
