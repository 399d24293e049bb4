//! The parts of HTTP that decide whether bytes may be joined. Pure parsers, no I/O.

pub(crate) mod asker;
pub(crate) mod challenge;
pub(crate) mod coding;
pub(crate) mod content_range;
pub mod cookie_file;
pub mod cookie_jar;
pub(crate) mod cookies;
pub(crate) mod credentials;
pub(crate) mod date;
pub mod digest;
pub(crate) mod disposition;
pub mod form;
pub(crate) mod head;
pub mod netrc;
pub(crate) mod origin;
pub(crate) mod reserved;
pub(crate) mod retry_after;

pub use self::reserved::is_reserved;
