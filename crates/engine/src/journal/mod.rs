//! What is known of a partial file between two runs: `NAME.towline.json`. Values only, no state and
//! no I/O: the dispatcher makes a journal, the committer writes its text after syncing the bytes
//! that it claims, and whoever resumes reads it.

mod content;
mod crc;
mod format;

pub(crate) use self::content::{Identity, Journal, JournalError, Verified};
#[cfg(feature = "fuzz")]
pub(crate) use self::format::with_body;
pub(crate) use self::format::{JOURNAL_BYTES_MAX, glance, shortened};
