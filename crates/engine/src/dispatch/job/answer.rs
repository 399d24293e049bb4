//! The answer to the first request.

use bytes::Bytes;

use crate::message::{Head, Protocol};
use crate::plan::TransferId;

/// An answer that has come, until its body has a place: the phases in between own it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Box<Head>,
    /// Its body, if that came whole.
    pub(crate) whole: Option<Vec<Bytes>>,
}

/// What outlives it.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The transfer that brings the rest of it, or the first stream.
    pub(crate) probe: Option<TransferId>,
    /// What the server spoke last; nothing until it has answered.
    pub(crate) protocol: Option<Protocol>,
}
