//! Sources other than plain URLs: a share, a folder, a file of a service whose links expire. A provider lists
//! their entries and turns an entry into a request that works now; the bytes come over the engine's own
//! connections, with its ranges, checks and retries.
//!
//! The core calls [`Provider::locate`] again when a link is about to expire, or is refused with any status but 407.
//! Everything fetched so far is kept.
//!
//! A service of your own, against a look-alike that lists a folder in pages and gives links with a ticket:
//!
//! ```
//! use serde_json::Value;
//! use towline_engine::feed::{Batch, ListSource};
//! use towline_engine::provider::{Entries, Entry, Located, Provider, Providers, Web};
//! use towline_engine::{Error, ErrorKind, Options, Result, Session};
//! use url::Url;
//!
//! #[derive(Debug)]
//! struct Shelf {
//!     base: Url,
//! }
//!
//! impl Shelf {
//!     fn ask(&self, path: &str, web: &Web) -> Result<Value> {
//!         let url = self.base.join(path).map_err(|_| Error::new(ErrorKind::Usage, "no such path"))?;
//!         let answer = web.get(&url, &[])?;
//!         serde_json::from_slice(&answer.body).map_err(|_| Error::new(ErrorKind::Protocol, "the shelf sends no JSON"))
//!     }
//! }
//!
//! impl Provider for Shelf {
//!     fn name(&self) -> &'static str {
//!         "the shelf"
//!     }
//!
//!     /// The folder and its entries; the links to their bytes are plain URLs.
//!     fn knows(&self, url: &Url) -> bool {
//!         url.origin() == self.base.origin() && !url.path().starts_with("/bytes/")
//!     }
//!
//!     /// Page by page, as somebody wants more.
//!     fn list<'a>(&'a self, _link: &Url, web: &'a Web) -> Result<Entries<'a>> {
//!         let mut next = Some(0);
//!         let pages = std::iter::from_fn(move || {
//!             let page = self.ask(&format!("folder?page={}", next?), web);
//!             next = page.as_ref().ok().and_then(|page| page["next"].as_u64());
//!             Some(page)
//!         });
//!         let entries = |page: Value| page["entries"].as_array().cloned().unwrap_or_default();
//!         Ok(Box::new(pages.flat_map(move |page| match page {
//!             Ok(page) => entries(page).iter().map(|entry| self.entry(entry)).collect(),
//!             Err(error) => vec![Err(error)],
//!         })))
//!     }
//!
//!     /// Asked before the first request, and again when the link expires.
//!     fn locate(&self, entry: &Url, web: &Web) -> Result<Located> {
//!         let link = self.ask(&format!("{}/link", entry.path().trim_start_matches('/')), web)?;
//!         let url = link["url"].as_str().and_then(|url| url.parse().ok());
//!         let mut located = Located::new(url.ok_or_else(|| Error::new(ErrorKind::Protocol, "the shelf gives no link"))?);
//!         if let Some(ticket) = link["ticket"].as_str().and_then(|ticket| ticket.parse().ok()) {
//!             located.headers.push((http::HeaderName::from_static("x-ticket"), ticket));
//!         }
//!         Ok(located)
//!     }
//! }
//!
//! impl Shelf {
//!     fn entry(&self, entry: &Value) -> Result<Entry> {
//!         let odd = || Error::new(ErrorKind::Protocol, "the shelf lists something odd");
//!         let (id, path) = entry["id"].as_str().zip(entry["path"].as_str()).ok_or_else(odd)?;
//!         let mut listed = Entry::new(self.base.join(&format!("entry/{id}")).map_err(|_| odd())?, path);
//!         listed.total_bytes = entry["bytes"].as_u64();
//!         Ok(listed)
//!     }
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let cloud = towline_origin::Cloud::builder().page_len(2);
//! let cloud = cloud.file("a.bin", 1, 3000).file("b/c.bin", 2, 100_000).file("b/d.bin", 3, 500).start()?;
//! let mut providers = Providers::default();
//! providers.add(Shelf { base: cloud.base().parse()? });
//!
//! let place = tempfile::tempdir()?;
//! let mut options = Options::default();
//! options.dir = place.path().to_owned();
//! let builder = Session::builder(options).providers(providers.clone());
//! let listing = providers.listing(vec![cloud.folder().parse()?], builder.web(), |_| true);
//! let listing = listing.known_as(cloud.folder());
//! let batch = Batch::open(ListSource::Listing(listing), place.path(), false, false)?;
//! let session = builder.feed(batch).build()?;
//! session.handle().close();
//! let ended = session.run()?;
//! assert_eq!((ended.summary.done_files, ended.summary.failed_files), (3, 0));
//! assert_eq!(std::fs::read(place.path().join("b/c.bin"))?.len(), 100_000);
//! # Ok(())
//! # }
//! ```

pub(crate) mod accounts;
mod index_page;
mod lenient;
mod links;
pub mod onedrive;
mod plain;
mod providers;
mod seam;
mod tree;
mod web;
mod webdav;

pub use self::accounts::Accounts;
pub use self::index_page::IndexPages;
pub use self::links::{Dropbox, GoogleDrive};
pub use self::onedrive::OneDrive;
pub use self::plain::Plain;
pub use self::providers::Providers;
pub use self::seam::{Entries, Entry, Provider};
pub use self::web::{Web, WebAnswer, WebRequest};
pub use self::webdav::WebDav;
pub use crate::job::Located;
