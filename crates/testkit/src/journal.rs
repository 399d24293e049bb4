//! Reads journals (the JSON file beside a partial file) independently of the engine, to check what they
//! claim.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// What a journal says of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// How long the file is, if that is known.
    pub total_bytes: Option<u64>,
    /// The ranges that are on disk, each with its start and its exclusive end.
    pub done: Vec<(u64, u64)>,
}

impl Journal {
    /// Parses a journal; `None` if it is not JSON, for example because a crash has torn it.
    ///
    /// ```
    /// use towline_testkit::Journal;
    ///
    /// let text = br#"{"body":{"identity":{"total_bytes":30},"done":[[0,10],[20,25]]}}"#;
    /// let journal = Journal::parse(text).unwrap();
    /// assert_eq!((journal.total_bytes, journal.done_bytes()), (Some(30), 15));
    /// assert_eq!(Journal::parse(&text[..40]), None);
    /// ```
    ///
    /// # Panics
    /// If it is JSON without ranges.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let journal: Value = serde_json::from_slice(text).ok()?;
        let body = &journal["body"];
        let done = serde_json::from_value(body["done"].clone())
            .unwrap_or_else(|error| panic!("a journal without ranges ({error}): {journal}"));
        Some(Self { total_bytes: body["identity"]["total_bytes"].as_u64(), done })
    }

    /// Reads the journal at `path`; `None` if there is none, or if it is not whole.
    ///
    /// # Panics
    /// If it is JSON without ranges.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        Self::parse(&fs::read(path).ok()?)
    }

    /// How many bytes it claims.
    #[must_use]
    pub fn done_bytes(&self) -> u64 {
        self.done.iter().map(|(start, end)| end - start).sum()
    }
}

/// How many bytes the journal at `path` claims; 0 while there is none.
///
/// # Panics
/// If it is JSON without ranges.
#[must_use]
pub fn journal_bytes(path: &Path) -> u64 {
    Journal::read(path).map_or(0, |journal| journal.done_bytes())
}
