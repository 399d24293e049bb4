//! What a piece of evidence is worth: whether two answers speak of the same content, and how surely.
//!
//! [`Evidence`] is what one answer (or a journal, a note, the ledger) claims of a whole file.
//! [`Evidence::compare`] is the only place that compares tags, dates, lengths and digests; all that
//! joins, discards, skips or publishes asks it. The absence of evidence is no evidence: what was not
//! said is [`Verdict::Unknown`], and `Unknown` neither joins nor destroys anything. Pure values.

mod claim;
mod compare;
pub(crate) mod page;
pub(crate) mod samples;
mod tag;

pub(crate) use self::claim::Given;
pub use self::claim::{Evidence, Place};
pub use self::compare::{Strength, Verdict};
pub use self::tag::{EntityTag, EntityTagError};

#[cfg(test)]
mod tests;
