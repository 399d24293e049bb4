//! What may be shown and stored: URLs without secrets, text without terminal escapes.
//!
//! Two questions are kept apart. *What is shown* errs on the side of hiding: known secrets, and anything that
//! looks like one. *Which file a link names* (`key_url`) errs on the side of telling files apart: it drops only
//! the parameters of a recognised signature. No I/O; any thread. Its only state is in `hidden`: the hashes of the URLs that
//! must not be shown.

mod echo;
mod hidden;
mod looks;
mod names;
mod parameters;
mod path;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod provider_tests;
mod schemes;
mod sent;
mod text;
mod urls;

pub(crate) use echo::Credentials;
pub(crate) use hidden::{hide, is_name_hidden};
pub(crate) use looks::shown_coding;
pub(crate) use path::userinfo_len;
pub(crate) use text::is_unprintable;
pub use text::{printable, shown_line, shown_text};
pub use urls::shown_url;
pub(crate) use urls::{BUSINESS_SHARES, Shown, identity_url, is_share_token, key_url, query_of_file, shown_scheme};
