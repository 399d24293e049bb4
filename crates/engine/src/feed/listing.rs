//! A listing as a list: what a service says of its files, entry by entry, while it is asked. Its thread writes each
//! entry as a line of JSON, which is read like a line of any other list.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};
use crate::feed::list::{Line, Parsed};
use crate::job::JobSpec;

/// Something that a listing has brought: a file to fetch, or a part of it that cannot be listed.
#[derive(Debug)]
pub enum ListItem {
    /// A file.
    File(Box<JobSpec>),
    /// A folder or a file that its service does not give away, and why; the rest goes on.
    NotListed {
        /// What was asked for, without secrets.
        url: String,
        /// Why it cannot be listed.
        error: Error,
    },
}

type List = dyn FnOnce(&mut dyn FnMut(ListItem) -> bool) + Send;

/// Lists files, on a thread of its own.
pub struct Listing {
    list: Box<List>,
    name: Option<String>,
}

impl Listing {
    /// A listing that hands each item on as it comes; what it is handed to returns false when nobody wants any more.
    ///
    /// ```
    /// use towline_engine::JobSpec;
    /// use towline_engine::feed::{ListItem, Listing};
    ///
    /// let listing = Listing::new(|send| {
    ///     let spec = JobSpec::new("https://example.com/a.iso".parse().unwrap());
    ///     send(ListItem::File(Box::new(spec)));
    /// });
    /// # drop(listing);
    /// ```
    pub fn new(list: impl FnOnce(&mut dyn FnMut(ListItem) -> bool) + Send + 'static) -> Self {
        Self { list: Box::new(list), name: None }
    }

    /// Names this listing, so that a later run under the same name can report which files are gone. The name must
    /// contain all that decides what is listed: links and filters. The ledger keeps only its hash.
    #[must_use]
    pub fn known_as(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(crate) fn run(self, send: &mut dyn FnMut(ListItem) -> bool) {
        (self.list)(send);
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

/// The line of an entry.
pub(crate) fn line_of(spec: &JobSpec) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(spec).map_err(|source| {
        Error::new(ErrorKind::Internal, "an entry of a listing cannot be kept").with_source(source)
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Reads such a line.
pub(crate) fn parse_line(number: u64, bytes: &[u8]) -> Line {
    if bytes.trim_ascii().is_empty() {
        return Line::Nothing;
    }
    match serde_json::from_slice(bytes) {
        Ok(spec) => Line::Entry(Parsed { spec }),
        // Only a damaged disk does this; the line may hold secrets.
        Err(_) => {
            Line::Bad(Error::new(ErrorKind::ListLine, format!("line {number}: it was damaged while it was kept")))
        }
    }
}
