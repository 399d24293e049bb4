//! One transfer: a request, the check of its answer, and its bytes on their way to the disk. Runs
//! as a task on a worker's runtime; dropping it breaks the transfer off.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;
use tokio::time::{Instant as TokioInstant, timeout, timeout_at};

use super::connection::{Connection, broken};
use super::network::seconds;
use super::request::{self, Answer};
use super::run::Shared;
use crate::dispatch::message::{End, Ended, Fetch, FetchKind, Message};
use crate::error::{Error, ErrorKind, Result};
use crate::http::validator::{Agreement, Validator};
use crate::ranges::ByteRange;
use crate::storage::PartFile;

/// A file no larger than this is handed on whole.
const WHOLE_BYTES_MAX: usize = 64 << 10;
/// A small file that takes longer than this to come is fetched like a large one.
const WHOLE_WITHIN: Duration = Duration::from_millis(300);
/// So much of an error page, or of a body that was cut, is read to keep its connection.
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// Where a probe learns which file its body goes to.
pub(crate) type Granted = oneshot::Receiver<Arc<dyn PartFile>>;

/// Runs a transfer to its end and reports that.
pub(crate) async fn run(shared: Rc<Shared>, fetch: Box<Fetch>, sink: Option<Arc<dyn PartFile>>, granted: Granted) {
    let _guard = PanicGuard { shared: &shared, fetch: &fetch };
    let mut transfer = Transfer { shared: &shared, fetch: &fetch, stall: shared.network.options.stall_timeout };
    let end = match transfer.run(sink, granted).await {
        Ok(end) => end,
        Err(failure) => {
            if failure.error.kind() == ErrorKind::Stalled {
                // What replaces it must not sit on the same dead connection.
                shared.forget_connection(fetch.slot);
            }
            End::Failed { error: failure.error, retry_after: failure.retry_after }
        }
    };
    shared.transfers.borrow_mut().remove(&fetch.transfer);
    // An HTTP/1.1 connection was put back only if it can be used again. If not, its own task has
    // to run once to close it before the slot is free for another.
    let is_reusable = shared.has_connection(fetch.slot);
    if !is_reusable {
        tokio::task::yield_now().await;
    }
    shared.report(Message::Ended(Ended { transfer: fetch.transfer, end, is_reusable }));
}

/// A task that panics is caught by the runtime, which tells nobody; its job must not wait for it.
struct PanicGuard<'a> {
    shared: &'a Shared,
    fetch: &'a Fetch,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.transfers.borrow_mut().remove(&self.fetch.transfer);
            let error = Error::new(ErrorKind::Internal, "a transfer panicked; please report it");
            let end = End::Failed { error, retry_after: None };
            self.shared.report(Message::Ended(Ended { transfer: self.fetch.transfer, end, is_reusable: false }));
        }
    }
}

struct Transfer<'a> {
    shared: &'a Rc<Shared>,
    fetch: &'a Fetch,
    stall: Duration,
}

struct Failure {
    error: Error,
    retry_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

impl Transfer<'_> {
    async fn run(&mut self, sink: Option<Arc<dyn PartFile>>, granted: Granted) -> Result<End, Failure> {
        let (connection, response) = self.answer().await?;
        let believes_digests = self.shared.network.options.server_digests;
        let answer = Answer::read(&response, connection.protocol(), believes_digests, SystemTime::now());
        let body = response.into_body();
        let (end, is_reusable) = match (&self.fetch.kind, answer.head.status) {
            (_, 301 | 302 | 303 | 307 | 308) => {
                let location = answer.location.clone();
                let status = answer.head.status;
                (End::Redirect { status, location }, drain(body, self.stall).await)
            }
            (FetchKind::Probe, 200 | 203) => return self.whole(connection, answer, body, granted).await,
            (FetchKind::Piece { range, expect, .. }, 206) => {
                return self.piece(connection, &answer, body, *range, expect, sink).await;
            }
            (FetchKind::Sample { range, expect }, 206) => {
                return self.sample(connection, &answer, body, *range, expect, sink).await;
            }
            (FetchKind::Piece { .. } | FetchKind::Sample { .. }, 200 | 203) => {
                (End::NotRange(Box::new(answer.head)), false)
            }
            (FetchKind::Piece { .. } | FetchKind::Sample { .. }, 416) => {
                let is_reusable = drain(body, self.stall).await;
                (End::NotRange(Box::new(answer.head)), is_reusable)
            }
            (_, status) => {
                let error = match status {
                    200..=299 => Error::new(
                        ErrorKind::Protocol,
                        format!("the server answered {status} {}, which does not fit the request", answer.reason),
                    ),
                    _ => answer.status_error(),
                };
                let is_reusable = drain(body, self.stall).await;
                self.keep(connection, is_reusable);
                return Err(Failure { error, retry_after: answer.retry_after });
            }
        };
        self.keep(connection, is_reusable);
        Ok(end)
    }

    /// Sends the request, over the slot's connection or a new one, and waits for the head.
    async fn answer(&mut self) -> Result<(Connection, Response<Incoming>), Failure> {
        let (mut connection, is_fresh) = self.connection().await?;
        match self.request(&mut connection).await {
            // The server closed an idle connection; that is no failure of the request.
            Err(error) if !is_fresh && matches!(error.kind(), ErrorKind::Broken | ErrorKind::Protocol) => {}
            Err(error) => return Err(error.into()),
            Ok(response) => return Ok((connection, response)),
        }
        self.shared.forget_closed(self.fetch.slot);
        let (mut connection, _) = self.connection().await?;
        let response = self.request(&mut connection).await?;
        Ok((connection, response))
    }

    /// The slot's connection, and whether it was made for this transfer. Transfers that share a slot
    /// wait for each other here: a slot is the right to one connection.
    async fn connection(&self) -> Result<(Connection, bool)> {
        let slot = self.fetch.slot;
        let gate = self.shared.gate(slot);
        let _turn = gate.lock().await;
        if let Some(connection) = self.shared.take_connection(slot) {
            return Ok((connection, false));
        }
        let connected = self.shared.network.connect(&self.fetch.origin, self.fetch.alpn).await?;
        let connection = Connection::open(connected).await?;
        self.shared.report(Message::Connected(slot, connection.protocol()));
        if let Some(shared) = connection.share() {
            self.shared.put_connection(slot, shared);
        }
        Ok((connection, true))
    }

    async fn request(&self, connection: &mut Connection) -> Result<Response<Incoming>> {
        let request =
            request::build(&self.shared.network, self.fetch, connection.protocol(), connection.plain_proxy())?;
        match timeout(self.stall, connection.send(request)).await {
            Ok(response) => response,
            Err(_) => Err(Error::new(ErrorKind::Stalled, format!("no answer came for {}", seconds(self.stall)))),
        }
    }

    /// Keeps an HTTP/1.1 connection for the next transfer; HTTP/2 ones are kept anyway.
    fn keep(&self, connection: Connection, is_reusable: bool) {
        if is_reusable && !connection.is_closed() {
            self.shared.put_connection(self.fetch.slot, connection);
        }
    }

    /// The answer to a probe: a small file is read and handed on, a large one waits for its file.
    async fn whole(
        &mut self,
        connection: Connection,
        answer: Answer,
        mut body: Incoming,
        granted: Granted,
    ) -> Result<End, Failure> {
        let mut early = Vec::new();
        let is_small = answer.head.total_bytes.is_none_or(|total| total <= WHOLE_BYTES_MAX as u64);
        let is_complete = is_small && self.read_small(&mut body, &mut early).await?;
        let head = Box::new(answer.head);
        let is_open = head.total_bytes.is_none();
        if is_complete {
            let mut head = head;
            let bytes: usize = early.iter().map(Bytes::len).sum();
            head.total_bytes = Some(bytes as u64);
            head.validator.total_bytes = head.total_bytes;
            self.keep(connection, true);
            self.shared.report(Message::Answered(self.fetch.transfer, head, Some(early)));
            return Ok(End::Complete);
        }
        if let Some(total) = head.total_bytes.filter(|total| *total < self.fetch.piece.end()) {
            self.fetch.piece.set_end(total);
        }
        self.shared.report(Message::Answered(self.fetch.transfer, head, None));
        let Ok(sink) = granted.await else { return Ok(End::Dropped) };
        for bytes in early {
            self.write(&*sink, &bytes)?;
        }
        let is_reusable = self.stream(&mut body, &*sink, is_open).await?;
        self.keep(connection, is_reusable);
        Ok(End::Complete)
    }

    /// Reads a body that is probably small; false if it is not, or slow.
    async fn read_small(&self, body: &mut Incoming, early: &mut Vec<Bytes>) -> Result<bool> {
        let deadline = TokioInstant::now() + WHOLE_WITHIN.min(self.stall);
        let mut bytes = 0;
        while bytes <= WHOLE_BYTES_MAX {
            let Ok(frame) = timeout_at(deadline, body.frame()).await else { return Ok(false) };
            match frame {
                None => return Ok(true),
                Some(Err(source)) => return Err(broken(&source)),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.pay(data.len()).await;
                    bytes += data.len();
                    early.push(data);
                }
            }
        }
        Ok(false)
    }

    async fn piece(
        &mut self,
        connection: Connection,
        answer: &Answer,
        mut body: Incoming,
        range: ByteRange,
        expect: &Validator,
        sink: Option<Arc<dyn PartFile>>,
    ) -> Result<End, Failure> {
        if let Some(end) = check_range(answer, range, expect) {
            return Ok(end);
        }
        let Some(sink) = sink else {
            return Err(Error::new(ErrorKind::Internal, "a piece was asked for without a file").into());
        };
        self.shared.report(Message::Proven(self.fetch.transfer));
        let is_reusable = self.stream(&mut body, &*sink, false).await?;
        self.keep(connection, is_reusable);
        Ok(End::Complete)
    }

    /// Fetches a range that is there already and compares it with the disk.
    async fn sample(
        &mut self,
        connection: Connection,
        answer: &Answer,
        mut body: Incoming,
        range: ByteRange,
        expect: &Validator,
        sink: Option<Arc<dyn PartFile>>,
    ) -> Result<End, Failure> {
        if let Some(end) = check_range(answer, range, expect) {
            return Ok(end);
        }
        self.shared.report(Message::Identified(self.fetch.transfer, Box::new(answer.head.clone())));
        let mut fresh = Vec::with_capacity(range.len() as usize);
        while let Some(data) = self.next(&mut body).await? {
            if fresh.len() + data.len() > range.len() as usize {
                return Err(Error::new(ErrorKind::Protocol, "the server sent more than the range asked for").into());
            }
            fresh.extend_from_slice(&data);
        }
        if fresh.len() < range.len() as usize {
            return Err(Error::new(ErrorKind::Broken, "the connection broke: the body ended early").into());
        }
        let mut there = vec![0; range.len() as usize];
        if let Some(sink) = sink {
            sink.read_at(&mut there, range.start).map_err(|source| self.cannot("read", source))?;
        }
        self.keep(connection, true);
        Ok(End::Sampled { same: fresh == there })
    }

    /// Writes the body at the piece's position until the piece or the body ends. Returns whether
    /// the connection can be used again.
    async fn stream(&self, body: &mut Incoming, sink: &dyn PartFile, is_open: bool) -> Result<bool> {
        let piece = &self.fetch.piece;
        while piece.position() < piece.end() {
            match self.next(body).await? {
                Some(data) => self.write(sink, &data)?,
                None if is_open => return Ok(true),
                None => return Err(Error::new(ErrorKind::Broken, "the connection broke: the body ended early")),
            }
        }
        // A piece that was cut short leaves the rest of its body behind.
        Ok(body.is_end_stream() || matches!(timeout(Duration::from_millis(1), body.frame()).await, Ok(None)))
    }

    /// Writes what of `data` belongs to the piece.
    fn write(&self, sink: &dyn PartFile, data: &Bytes) -> Result<()> {
        let piece = &self.fetch.piece;
        let position = piece.position();
        let room = piece.end().saturating_sub(position);
        let length = (data.len() as u64).min(room) as usize;
        sink.write_at(&data[..length], position).map_err(|source| self.cannot("write", source))?;
        piece.advance(position + length as u64);
        Ok(())
    }

    fn cannot(&self, action: &str, source: std::io::Error) -> Error {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
            _ => ErrorKind::Storage,
        };
        Error::new(kind, format!("cannot {action} the partial file: {}", crate::error::plain_io(&source)))
            .with_source(source)
    }

    /// The next bytes of a body, within the stall timeout; the rate limit's wait is not counted.
    async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>> {
        loop {
            let frame = match timeout(self.stall, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(source))) => return Err(broken(&source)),
                Ok(None) => return Ok(None),
                Err(_) => {
                    let text = format!("no byte came for {}", seconds(self.stall));
                    return Err(Error::new(ErrorKind::Stalled, text));
                }
            };
            if let Ok(data) = frame.into_data() {
                self.pay(data.len()).await;
                return Ok(Some(data));
            }
        }
    }

    /// Waits as long as the rate limit wants for so many bytes.
    async fn pay(&self, bytes: usize) {
        let limit = &self.shared.network.limit;
        if limit.is_limited() {
            let wait = limit.take(bytes, Instant::now());
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// What is wrong with a 206, if anything is. RFC 9110, section 15.3.7: it must say which range it
/// holds; only exactly ours will do.
fn check_range(answer: &Answer, range: ByteRange, expect: &Validator) -> Option<End> {
    let head = || Box::new(answer.head.clone());
    let wrong = |what: String| Some(End::WrongRange { head: head(), error: Error::new(ErrorKind::Protocol, what) });
    if answer.head.content_encoding.is_some() {
        return wrong("the server encoded a range, which cannot be put together".to_owned());
    }
    let Some(content_range) = &answer.content_range else {
        return wrong("the server answered a range without saying which (no usable Content-Range)".to_owned());
    };
    if expect.compare(&answer.head.validator) == Agreement::Different {
        return Some(End::OtherVersion(head()));
    }
    if content_range.range == Some(range) {
        return None;
    }
    let got = content_range.range.map_or("none".to_owned(), |got| format!("{}-{}", got.start, got.end - 1));
    let asked = format!("{}-{}", range.start, range.end - 1);
    wrong(format!("the server answered another range than the one asked for ({got} instead of {asked})"))
}

/// Reads the rest of a short body, so that its connection can be used again; false if it is long.
async fn drain(mut body: Incoming, patience: Duration) -> bool {
    let mut bytes = 0;
    if body.size_hint().exact().is_some_and(|length| length > DRAIN_BYTES_MAX as u64) {
        return false;
    }
    let reading = async {
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAIN_BYTES_MAX {
                return false;
            }
        }
        true
    };
    timeout(patience.min(Duration::from_secs(1)), reading).await.unwrap_or(false)
}

/// Kept for the worker's table: how a running transfer is reached.
pub(crate) struct Running {
    pub(crate) slot: crate::dispatch::message::SlotId,
    pub(crate) task: tokio::task::JoinHandle<()>,
    pub(crate) grant: Option<oneshot::Sender<Arc<dyn PartFile>>>,
}

/// The running transfers of a worker.
pub(crate) type RunningTable = RefCell<std::collections::HashMap<crate::plan::TransferId, Running>>;
