//! Sources other than plain URLs: a share, a folder, a file of a service whose links expire. A provider lists
//! their entries and turns an entry into a request that works now; the bytes come over the engine's own
//! connections, with its ranges, checks and retries.
//!
//! The core calls [`Provider::locate`] again when a link is about to expire or is refused (401, 403, 404, 410).
//! Everything fetched so far is kept.

pub(crate) mod accounts;
mod index_page;
mod links;
pub mod onedrive;
mod plain;
mod providers;
mod seam;
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
