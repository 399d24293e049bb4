//! Writes a body to the disk, and checks that it ended properly.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION, TRANSFER_ENCODING,
};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, Incoming};
use tokio::time::timeout;

use super::Transfer;
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::message::FetchKind;
use crate::plan::piece::OPEN_END;
use crate::source::http::answer::Framing;
use crate::source::http::connection::{breaks_rules, broken};
use crate::source::http::network::seconds;
use crate::storage::PartFile;
use crate::worker::timeout::{Elapsed, LATE, patient};

/// Up to this much of an error page, or of a body that was cut, is read to keep its connection.
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// Fields that only a head has.
const HEAD_FIELDS: [HeaderName; 6] =
    [CONTENT_LENGTH, CONTENT_TYPE, CONTENT_ENCODING, CONTENT_RANGE, TRANSFER_ENCODING, LOCATION];

/// How long to wait for the end of a body of which everything has come.
const END_WITHIN: Duration = Duration::from_millis(250);

/// How often to look whether a response comes fast enough.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often to look whether a rate limit has been changed.
const LIMIT_CHECKED_EVERY: Duration = Duration::from_millis(200);

impl Transfer<'_> {
    /// Reads the rest of a short body, so that its connection can be reused; false if it is long.
    pub(super) async fn drain(&self, mut body: Incoming) -> bool {
        let mut bytes = 0;
        if body.size_hint().exact().is_some_and(|length| length > DRAIN_BYTES_MAX as u64) {
            return false;
        }
        let reading = async {
            while let Some(frame) = self.frame(&mut body).await {
                let Ok(frame) = frame else { return false };
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > DRAIN_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        timeout(self.stall.min(Duration::from_secs(1)), reading).await.unwrap_or(false)
    }

    /// Writes the body at the piece's position until the piece or the body ends; `early` is what was read of it before.
    /// `told` is the end that the head announced, if it did. Returns whether the connection is reusable.
    ///
    /// The bytes that reach the announced end are held back until the body ends, or for `END_WITHIN`, so that a body that
    /// goes on is rejected first: all of it may be something else.
    pub(super) async fn stream(
        &self,
        body: &mut Incoming,
        early: Vec<Bytes>,
        sink: &dyn PartFile,
        framing: Framing,
        told: Option<u64>,
    ) -> Result<bool> {
        let piece = &self.fetch.piece;
        let mut early = early.into_iter();
        if told == Some(piece.position()) {
            return self.ends_after(early, body, framing).await;
        }
        loop {
            // The dispatcher may shorten it at any time.
            let end = piece.end();
            if piece.position() >= end {
                break;
            }
            let next = match early.next() {
                Some(data) => Some(data),
                None => self.next(body).await?,
            };
            let reached = piece.position() + next.as_ref().map_or(0, |data| data.len() as u64);
            match next {
                Some(data) if told == Some(end) && reached >= end => {
                    if reached > end {
                        return Err(too_much());
                    }
                    let is_reusable = self.ends_after(early, body, framing).await?;
                    self.store(sink, &data).await?;
                    return Ok(is_reusable);
                }
                Some(data) => self.store(sink, &data).await?,
                // Only the body says where the file ends.
                None if told.is_none()
                    && (end == OPEN_END || !matches!(framing, Framing::Length(_)) && piece.start() == 0) =>
                {
                    return self.proven(body, framing, piece.position()).map(|()| framing != Framing::Close);
                }
                // It ended as its framing says, but not where its Content-Range does.
                None if framing == Framing::Chunked || body.is_end_stream() => return Err(ended_short()),
                None => return Err(ended_early()),
            }
        }
        // After a piece that was cut, the rest of its body is still unread.
        Ok(body.is_end_stream() || matches!(timeout(Duration::from_millis(1), body.frame()).await, Ok(None)))
    }

    /// The same as `ends`, where some of the body may have been read before.
    async fn ends_after(
        &self,
        mut early: impl Iterator<Item = Bytes>,
        body: &mut Incoming,
        framing: Framing,
    ) -> Result<bool> {
        match early.any(|data| !data.is_empty()) {
            true => Err(too_much()),
            false => self.ends(body, framing).await,
        }
    }

    /// Whether a body ends of which everything has come that its head announced; if not, its connection is not reusable.
    /// Over HTTP/2 it may go on all the same, and then it is not what was announced. Where the framing of a whole file
    /// gives no length, its end is all that counts (RFC 9112, section 6.3): it has to come.
    pub(super) async fn ends(&self, body: &mut Incoming, framing: Framing) -> Result<bool> {
        if body.is_end_stream() {
            return Ok(true);
        }
        let has_length = match framing {
            Framing::Length(_) => true,
            Framing::Stream => body.size_hint().exact().is_some(),
            Framing::Chunked | Framing::Close => false,
        };
        let must_end = !has_length && matches!(self.fetch.kind, FetchKind::Probe);
        if must_end {
            return match self.next(body).await? {
                Some(data) if !data.is_empty() => Err(too_much()),
                _ => Ok(true),
            };
        }
        match timeout(END_WITHIN, self.frame(body)).await {
            Ok(None) => Ok(true),
            Ok(Some(Ok(frame))) if frame.data_ref().is_some_and(|data| !data.is_empty()) => Err(too_much()),
            Ok(Some(Err(source))) if breaks_rules(&source) => Err(broken(&source)),
            _ => Ok(body.is_end_stream()),
        }
    }

    /// Writes data, and then waits as the rate limits require: what is paid for is there.
    async fn store(&self, sink: &dyn PartFile, data: &Bytes) -> Result<()> {
        self.write(sink, data)?;
        self.pay(data.len()).await;
        Ok(())
    }

    /// Writes the part of `data` that belongs to the piece.
    fn write(&self, sink: &dyn PartFile, data: &Bytes) -> Result<()> {
        let piece = &self.fetch.piece;
        let position = piece.position();
        let room = piece.end().saturating_sub(position);
        let length = (data.len() as u64).min(room) as usize;
        sink.write_at(&data[..length], position).map_err(|source| self.cannot("write", source))?;
        piece.advance(position + length as u64);
        Ok(())
    }

    pub(super) fn cannot(&self, action: &str, source: std::io::Error) -> Error {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
            // It is not the disk that cannot take it.
            std::io::ErrorKind::InvalidData => return Error::new(ErrorKind::Changed, source.to_string()),
            _ => ErrorKind::Storage,
        };
        let is_too_large = source.kind() == std::io::ErrorKind::FileTooLarge;
        let error = Error::new(kind, format!("cannot {action} the partial file: {}", crate::error::plain_io(&source)))
            .with_source(source);
        if is_too_large { error.with_advice(Advice::SaveOnOtherDisk) } else { error }
    }

    /// The next frame of a body.
    pub(super) async fn frame(&self, body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
        let frame = body.frame().await;
        if let Some(expected) = &self.expected {
            expected.data_came();
        }
        if let Some(Ok(frame)) = &frame
            && frame.trailers_ref().is_some_and(is_second_head)
        {
            self.has_second_head.set(true);
        }
        frame
    }

    /// Checks that an exhausted body has ended as its framing says. For HTTP/2, hyper also ends a body on a reset
    /// without an error and when the connection goes away, and takes any head for trailers.
    pub(super) fn proven(&self, body: &Incoming, framing: Framing, bytes: u64) -> Result<()> {
        let is_proven = match framing {
            Framing::Length(length) => bytes == length,
            Framing::Stream => body.is_end_stream() && !self.has_second_head.get(),
            Framing::Chunked | Framing::Close => true,
        };
        if is_proven { Ok(()) } else { Err(ended_early()) }
    }

    /// The next bytes of a body, within the stall timeout. Whoever has stored them pays for them.
    pub(super) async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>> {
        loop {
            let frame = match self.watched(body).await? {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(source))) => return Err(broken(&source)),
                Ok(None) => return Ok(None),
                Err(Elapsed) => {
                    let text = format!("no data for {}", seconds(self.stall));
                    let error = Error::new(ErrorKind::Stalled, text);
                    return Err(error.with_advice(Advice::RunAgainOrRaiseStallTimeout));
                }
            };
            if let Ok(data) = frame.into_data() {
                self.check_pace(data.len())?;
                return Ok(Some(data));
            }
        }
    }

    /// The same, of what is only kept in memory.
    pub(super) async fn next_paid(&self, body: &mut Incoming) -> Result<Option<Bytes>> {
        let data = self.next(body).await?;
        self.pay(data.as_ref().map_or(0, Bytes::len)).await;
        Ok(data)
    }

    /// The next frame within the stall timeout. Where a least speed is asked for, looks at it meanwhile; a pause of this
    /// process, and not of the server, does not count.
    async fn watched(&self, body: &mut Incoming) -> Result<Result<Option<hyper::Result<Frame<Bytes>>>, Elapsed>> {
        let mut frame = pin!(patient(self.stall, self.frame(body)));
        if self.network.options.min_speed_bps.is_none() {
            return Ok(frame.await);
        }
        loop {
            let since = Instant::now();
            let came = timeout(LOOK_EVERY, &mut frame).await;
            if since.elapsed() > LOOK_EVERY + LATE {
                self.pace.restart(Instant::now());
            } else if came.is_err() {
                self.check_pace(0)?;
            }
            if let Ok(frame) = came {
                return Ok(frame);
            }
        }
    }

    /// Fails if the response is slower than the user allows. Where we limit the rate ourselves, it may be.
    fn check_pace(&self, bytes: usize) -> Result<()> {
        let Some(min_bps) = self.network.options.min_speed_bps else { return Ok(()) };
        let mut limits = self.fetch.limits.iter().chain([&*self.network.limit]);
        if limits.any(|limit| limit.is_limited()) {
            return Ok(());
        }
        let Some(bps) = self.pace.too_slow(bytes, min_bps, Instant::now()) else { return Ok(()) };
        let (came, least) = (crate::size::bytes(bps), crate::size::bytes(min_bps));
        Err(Error::new(ErrorKind::Stalled, format!("only {came}/s came for 10 s, and {least}/s are asked for")))
    }

    /// Waits as long as the rate limits require for this many bytes.
    pub(super) async fn pay(&self, bytes: usize) {
        for limit in self.fetch.limits.iter().chain([&*self.network.limit]) {
            if !limit.is_limited() {
                continue;
            }
            let changes = limit.changes();
            let until = Instant::now() + limit.take(bytes, Instant::now());
            // A rate that was set by mistake may ask for hours; another takes effect at once.
            while limit.changes() == changes && Instant::now() < until {
                let left = until.saturating_duration_since(Instant::now());
                tokio::time::sleep(left.min(LIMIT_CHECKED_EVERY)).await;
            }
        }
    }
}

/// Whether trailers are the head of another response, such as that of a proxy that has lost its server. Its pseudo-header
/// fields (RFC 9113, section 8.1, forbids them there) are gone, and nothing may be left. Fields about framing and content
/// do not belong into trailers (RFC 9110, section 6.5.1).
fn is_second_head(trailers: &HeaderMap) -> bool {
    trailers.is_empty() || HEAD_FIELDS.iter().any(|field| trailers.contains_key(field))
}

/// Checks that a body that ended well has the length that its head (`Content-Range`) announced.
pub(super) fn has_length(bytes: u64, told: Option<u64>) -> Result<()> {
    match told {
        Some(told) if bytes < told => Err(ended_early()),
        Some(told) if bytes > told => Err(too_much()),
        _ => Ok(()),
    }
}

pub(super) fn too_much() -> Error {
    Error::new(ErrorKind::Protocol, "the server sends more than it said")
}

pub(super) fn ended_early() -> Error {
    Error::new(ErrorKind::Broken, "the connection broke: the body ended early")
}

pub(super) fn ended_short() -> Error {
    // The next response may be longer.
    Error::new(ErrorKind::Protocol, "the server sent less than it said").with_transient(true)
}

/// Whether a connection was closed without a TLS close_notify.
pub(super) fn is_cut(error: &Error) -> bool {
    use std::error::Error as _;

    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_head_leaves_behind_is_no_trailer() {
        let with = |names: &[HeaderName]| {
            let mut trailers = HeaderMap::new();
            names.iter().for_each(|name| drop(trailers.insert(name, http::HeaderValue::from_static("0"))));
            trailers
        };
        let digest = HeaderName::from_static("repr-digest");
        assert!(is_second_head(&HeaderMap::new()), "its status alone is gone");
        assert!(is_second_head(&with(&[digest.clone(), CONTENT_LENGTH])));
        assert!(!is_second_head(&with(&[digest])));
    }
}
