//! The combined effects of all faults on one response. The rule sets fill them in; the code that builds
//! and sends the response reads them. They belong to one request. One field per fault, so there are many.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue};

use crate::date::moved;
use crate::fault::{Above, BadChunk, RangeLie, StreamEnd, Validators};
use crate::page::Page;

/// How the script ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Close,
    Reset,
}

/// Where a redirect leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    To(String),
    /// Back to the same path, this many times.
    Hops(u32),
}

/// The combined effects of all rules on one response.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) cut: Option<(u64, Ending)>,
    /// Cuts at this number modulo the length of the body.
    pub(crate) cut_dice: Option<u64>,
    pub(crate) stall: Option<(u64, Option<Duration>)>,
    pub(crate) trickle: Option<u64>,
    pub(crate) ignore_range: bool,
    pub(crate) ignore_if_range: bool,
    pub(crate) ignore_conditions: bool,
    pub(crate) refuse_range: bool,
    pub(crate) range_lies: Vec<RangeLie>,
    pub(crate) shift: Option<i64>,
    pub(crate) end_by: i64,
    pub(crate) range_at_most: Option<u64>,
    pub(crate) range_short: u64,
    pub(crate) multipart: bool,
    /// First byte of the resource that differs, and the seed from there on.
    pub(crate) other_content: Option<(u64, u64)>,
    pub(crate) replaced: Option<(String, u64)>,
    pub(crate) validators: Vec<Validators>,
    pub(crate) no_date: bool,
    pub(crate) clock_off: i64,
    pub(crate) backend: Option<u64>,
    pub(crate) status: Option<(u16, Option<String>)>,
    pub(crate) page: Option<Page>,
    pub(crate) redirect: Option<(u16, Detour)>,
    pub(crate) length_by: i64,
    pub(crate) surplus: u64,
    pub(crate) bad_chunk: Option<(u64, BadChunk)>,
    /// The fields, and whether to send `Content-Length` too.
    pub(crate) transfer_encoding: Option<(Vec<String>, bool)>,
    /// If set, the body ends when the connection closes; true sends `close_notify` first.
    pub(crate) close_delimited: Option<bool>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) raw_headers: Vec<Vec<u8>>,
    pub(crate) large_header: Option<usize>,
    pub(crate) many_headers: usize,
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) close: bool,
    pub(crate) http10: bool,
    pub(crate) stream_end: Option<(u64, StreamEnd)>,
    pub(crate) refuse_stream: Option<u32>,
    pub(crate) streams_max: Option<u32>,
    pub(crate) refused: Option<Above>,
    pub(crate) latency: Duration,
    pub(crate) rate_per_connection: Option<u64>,
    pub(crate) rate_per_server: Option<u64>,
}

impl Effects {
    pub(crate) fn cut(&mut self, at: u64, ending: Ending) {
        if self.cut.is_none_or(|(other, _)| at < other) {
            self.cut = Some((at, ending));
        }
    }

    /// The time on the server's clock at `now`.
    pub(crate) fn clock(&self, now: SystemTime) -> SystemTime {
        moved(now, self.clock_off)
    }

    /// Removes the effects that need a body.
    pub(crate) fn without_body(&mut self) {
        (self.cut, self.cut_dice, self.stream_end) = (None, None, None);
        self.trailers.clear();
    }

    /// Resolves the effects that depend on the length of the body.
    pub(crate) fn settle(&mut self, len: u64) {
        if let Some(dice) = self.cut_dice.take()
            && len > 0
        {
            self.cut(dice % len, Ending::Close);
        }
    }
}
