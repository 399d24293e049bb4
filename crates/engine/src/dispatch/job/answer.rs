//! The answer to the first request, until the partial file is open.

use bytes::Bytes;

use crate::message::{Head, Protocol};
use crate::plan::TransferId;

/// The first answer.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) head: Option<Box<Head>>,
    /// Its body, if that came whole.
    pub(crate) whole: Option<Vec<Bytes>>,
    /// The transfer that brings the rest of it.
    pub(crate) probe: Option<TransferId>,
    pub(crate) protocol: Protocol,
}

impl Answer {
    pub(super) fn forget(&mut self) {
        self.head = None;
        self.whole = None;
    }
}
