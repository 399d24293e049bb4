//! The body of a response: bytes that are generated on demand, then cut, stalled and paced by the
//! script. Owns its position in the content; polled on the connection's serving thread.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep, sleep_until};

use crate::conn::Conn;
use crate::effects::{Effects, Ending};
use crate::entry::InFlight;
use crate::fault::StreamEnd;
use crate::header::{header_name, header_value};
use crate::pace::{Pace, chunk_bytes};
use crate::span::{CHUNK_BYTES, Span};
use crate::state::Shared;
use crate::stats::PathCounters;

/// Smaller than over HTTP/1, because each stream of a connection keeps a chunk in memory.
const HTTP2_CHUNK_BYTES: usize = 64 * 1024;
/// Time for the HTTP/2 stack to write pending data, which a scripted end would discard.
const HTTP2_DRAIN: Duration = Duration::from_millis(10);

/// An error that ends a body early.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The server, connection and path whose counters and rate limits a body uses.
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) conn: Arc<Conn>,
    pub(crate) path: Arc<PathCounters>,
    pub(crate) http2: bool,
    /// Number of the request on its HTTP/2 connection, from 1; 0 over HTTP/1.
    pub(crate) stream: u32,
    /// Held until the body is dropped.
    pub(crate) _in_flight: Option<InFlight>,
}

/// A scripted body.
pub(crate) struct OriginBody {
    /// The spans still to send. The first `begun` bytes of the first span have been sent.
    spans: VecDeque<Span>,
    begun: u64,
    len: u64,
    sent: u64,
    length_known: bool,
    script: Effects,
    owner: Owner,
    pace: Pace,
    /// Size of the next chunk, after the rate limits have granted it.
    granted: usize,
    drained: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl OriginBody {
    pub(crate) fn new(spans: Vec<Span>, length_known: bool, mut script: Effects, owner: Owner) -> Self {
        let spans: VecDeque<Span> = spans.into_iter().filter(|span| span.len() > 0).collect();
        let len: u64 = spans.iter().map(Span::len).sum();
        script.settle(len);
        if !owner.http2 {
            script.stream_end = None;
        }
        Self {
            spans,
            begun: 0,
            len,
            sent: 0,
            length_known,
            script,
            owner,
            pace: Pace::default(),
            granted: 0,
            drained: false,
            sleep: None,
        }
    }

    /// Bytes that can be sent before the span ends or the script acts.
    fn before_event(&self) -> u64 {
        let cut = self.script.cut.map_or(u64::MAX, |(at, _)| at);
        let stall = self.script.stall.map_or(u64::MAX, |(at, _)| at);
        let end = self.script.stream_end.map_or(u64::MAX, |(at, _)| at);
        let span = self.spans.front().map_or(0, |span| span.len() - self.begun);
        (self.len.min(cut).min(stall).min(end) - self.sent).min(span)
    }

    fn most(&self) -> usize {
        if self.owner.http2 { HTTP2_CHUNK_BYTES } else { CHUNK_BYTES }
    }

    fn lowest_rate(&self) -> Option<u64> {
        let script = &self.script;
        [script.trickle, script.rate_per_connection, script.rate_per_server].into_iter().flatten().min()
    }

    /// Reserves `bytes` at every rate limit; returns when all of them allow the bytes.
    fn reserve(&mut self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut at = now;
        if let Some(rate) = self.script.trickle {
            at = at.max(self.pace.reserve(now, bytes, rate));
        }
        if let Some(rate) = self.script.rate_per_connection {
            at = at.max(self.owner.conn.pace.lock().reserve(now, bytes, rate));
        }
        if let Some(rate) = self.script.rate_per_server {
            at = at.max(self.owner.shared.pace.lock().reserve(now, bytes, rate));
        }
        at
    }

    /// Takes the next `count` bytes and counts them.
    fn take(&mut self, count: usize) -> Bytes {
        let bytes = self.spans.front().map_or_else(Bytes::new, |span| span.bytes(self.begun, count));
        self.begun += count as u64;
        if self.spans.front().is_some_and(|span| span.len() == self.begun) {
            self.spans.pop_front();
            self.begun = 0;
        }
        self.sent += count as u64;
        self.owner.shared.counters.sent(&self.owner.path, count as u64);
        bytes
    }

    /// Ends the connection (HTTP/1) or the stream (HTTP/2); `None` if it has to wait first.
    fn end(&mut self, ending: Ending) -> Option<Poll<BoxError>> {
        if !self.owner.http2 {
            self.owner.conn.end_when_flushed(ending);
            return Some(Poll::Pending);
        }
        if !self.drains() {
            return None;
        }
        match ending {
            Ending::Close => Some(Poll::Ready("the script ends the body here".into())),
            Ending::Reset => {
                self.owner.conn.end_now(ending);
                Some(Poll::Pending)
            }
        }
    }

    /// Ends the HTTP/2 stream; `None` if it has to wait first or the body continues.
    fn end_stream(&mut self, how: StreamEnd) -> Option<Poll<Option<BoxError>>> {
        let Owner { conn, stream, .. } = &self.owner;
        match how {
            StreamEnd::Early => return Some(Poll::Ready(None)),
            StreamEnd::Reset(code) => {
                if !self.drains() {
                    return None;
                }
                return Some(Poll::Ready(Some(h2::Error::from(h2::Reason::from(code)).into())));
            }
            StreamEnd::GoAway(code) => {
                conn.go_away(*stream, code);
                self.script.stream_end = None;
                return None;
            }
            StreamEnd::GoAwayBefore(code) => conn.go_away(stream.saturating_sub(1), code),
            StreamEnd::GoAwayAndClose(code) => {
                conn.end_when_flushed(Ending::Close);
                conn.go_away(*stream, code);
            }
            StreamEnd::Close => {
                conn.end_when_flushed(Ending::Close);
                conn.nudge();
            }
        }
        // Nothing wakes this body again: it is dropped with its connection or when the client gives up.
        self.script.stream_end = None;
        self.script.stall = Some((0, None));
        Some(Poll::Pending)
    }

    /// Whether the HTTP/2 stack has had time to write pending data; starts the wait if not.
    fn drains(&mut self) -> bool {
        if !self.drained {
            self.drained = true;
            self.sleep = Some(Box::pin(sleep(HTTP2_DRAIN)));
            return false;
        }
        true
    }

    /// The trailers of an HTTP/2 body, returned once.
    fn trailers(&mut self) -> Option<HeaderMap> {
        if !self.owner.http2 || self.script.trailers.is_empty() {
            return None;
        }
        let fields = std::mem::take(&mut self.script.trailers);
        let mut trailers = HeaderMap::new();
        for (name, value) in fields {
            trailers.append(header_name(&name), header_value(&value));
        }
        Some(trailers)
    }
}

impl hyper::body::Body for OriginBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        loop {
            if let Some(sleep) = this.sleep.as_mut() {
                ready!(sleep.as_mut().poll(cx));
                this.sleep = None;
            }
            if let Some((at, ending)) = this.script.cut
                && this.sent >= at
            {
                match this.end(ending) {
                    Some(end) => return end.map(|error| Some(Err(error))),
                    None => continue,
                }
            }
            if let Some((at, how)) = this.script.stream_end
                && this.sent >= at
            {
                if how == StreamEnd::Early
                    && let Some(trailers) = this.trailers()
                {
                    this.script.stream_end = None;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                match this.end_stream(how) {
                    Some(end) => return end.map(|error| error.map(Err)),
                    None => continue,
                }
            }
            if let Some((at, pause)) = this.script.stall
                && this.sent >= at
            {
                // An endless stall never wakes this body: it waits until the client gives up.
                let Some(pause) = pause else {
                    return Poll::Pending;
                };
                this.script.stall = None;
                this.sleep = Some(Box::pin(sleep(pause)));
                continue;
            }
            let left = this.before_event();
            if left == 0 {
                return Poll::Ready(this.trailers().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            if this.granted == 0 {
                let Some(rate) = this.lowest_rate() else {
                    this.granted = left.min(this.most() as u64) as usize;
                    continue;
                };
                this.granted = left.min(chunk_bytes(rate, this.most()) as u64) as usize;
                let at = this.reserve(this.granted);
                if at > Instant::now() {
                    this.sleep = Some(Box::pin(sleep_until(at.into())));
                }
                continue;
            }
            let count = std::mem::take(&mut this.granted);
            let bytes = this.take(count);
            if let Some((at, ending)) = this.script.cut
                && this.sent == at
                && !this.owner.http2
            {
                // Do it now: a body of known length is not polled again after its last byte.
                this.owner.conn.end_when_flushed(ending);
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
    }

    fn is_end_stream(&self) -> bool {
        // Over HTTP/2, a cut, a scripted end or trailers after the last byte come before END_STREAM.
        let cut_is_due = self.script.cut.is_some_and(|(at, _)| at == self.len);
        let end_is_due = self.script.stream_end.is_some_and(|(at, _)| at == self.len);
        let is_more_due = self.owner.http2 && (cut_is_due || end_is_due || !self.script.trailers.is_empty());
        self.length_known && self.sent == self.len && !is_more_due
    }

    fn size_hint(&self) -> SizeHint {
        if self.length_known { SizeHint::with_exact(self.len - self.sent) } else { SizeHint::default() }
    }
}
