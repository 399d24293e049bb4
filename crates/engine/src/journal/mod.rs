//! What one run records about a partial file for the next: `NAME.towline.json`. Plain values, no state and no
//! I/O: the dispatcher creates a journal, the committer writes it after syncing the bytes that it claims, and a
//! resume reads it.

mod content;
mod crc;
mod format;

pub(crate) use self::content::{Identity, Journal, JournalError, Verified};
#[cfg(feature = "fuzz")]
pub(crate) use self::format::with_body;
pub(crate) use self::format::{JOURNAL_BYTES_MAX, glance, shortened};
