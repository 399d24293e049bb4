//! What evidence is worth: whether two responses describe the same content, and with what certainty.
//!
//! [`Evidence`] is what one response (or a journal, a note, the ledger) claims about a whole file.
//! [`Evidence::compare`] is the only place that compares tags, dates, lengths and digests; everything that
//! joins, discards, skips or publishes relies on it. The absence of evidence is no evidence: what was not said
//! is [`Verdict::Unknown`], and `Unknown` neither joins nor destroys anything. Pure values.

mod claim;
mod compare;
pub(crate) mod container;
pub(crate) mod page;
pub(crate) mod samples;
mod tag;

pub(crate) use self::claim::Given;
pub use self::claim::{Evidence, Place};
pub use self::compare::{Strength, Verdict};
pub use self::tag::{EntityTag, EntityTagError};

#[cfg(test)]
mod tests;
