//! The response to the first request.

use bytes::Bytes;

use crate::message::{Head, Protocol};
use crate::plan::TransferId;

/// A response that has arrived, until its body has a destination: the phases in between own it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Box<Head>,
    /// Its body, if that arrived whole.
    pub(crate) whole: Option<Vec<Bytes>>,
}

/// What stays after that.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The transfer that fetches the rest of its body, or the first stream.
    pub(crate) probe: Option<TransferId>,
    /// The protocol of the last response; `None` before the first one.
    pub(crate) protocol: Option<Protocol>,
}
