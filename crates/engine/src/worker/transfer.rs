//! One transfer: a request, the check of its answer, and its bytes on their way to the disk. Runs
//! as a task on a worker's runtime; dropping it breaks the transfer off.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::oneshot;
use tokio::time::{Instant as TokioInstant, timeout, timeout_at};

use super::patience::{Elapsed, patient};
use super::shared::{Grant, Shared};
use crate::error::{Error, ErrorKind, Result};
use crate::evidence::{Evidence, Verdict, page, samples};
use crate::http::origin::Scheme;
use crate::message::{Demand, End, Ended, Fetch, FetchKind, Message, Protocol};
use crate::plan::piece::OPEN_END;
use crate::ranges::ByteRange;
use crate::source::http::connection::{self, Connection, broken};
use crate::source::http::network::seconds;
use crate::source::http::request::{self, Answer, Framing};
use crate::storage::PartFile;

/// A file no larger than this is handed on whole.
const WHOLE_BYTES_MAX: usize = 64 << 10;
/// A small file that takes longer than this to come is fetched like a large one.
const WHOLE_WITHIN: Duration = Duration::from_millis(300);
/// What a body begins with is waited for so long before anything is planned.
const FIRST_WITHIN: Duration = Duration::from_millis(100);
/// So much of an error page, or of a body that was cut, is read to keep its connection.
const DRAIN_BYTES_MAX: usize = 64 << 10;

/// Where a probe learns what becomes of its body.
pub(crate) type Granted = oneshot::Receiver<Grant>;

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
            match connection::wants_other_protocol(&failure.error) {
                true => End::OtherProtocol(failure.error),
                false => End::Failed { error: failure.error, retry_after: failure.retry_after },
            }
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
        let (url, now) = (&self.fetch.url, SystemTime::now());
        let is_given = self.fetch.is_given;
        let answer = Answer::read(&response, connection.protocol(), url, is_given, believes_digests, now)?;
        answer.check()?;
        let answer = answer.of_place(self.fetch.place);
        let body = response.into_body();
        if let Some(redirect) = answer.redirect() {
            let is_reusable = drain(body, self.stall).await;
            self.keep(connection, is_reusable);
            return Ok(End::Redirect(redirect));
        }
        let (end, is_reusable) = match (&self.fetch.kind, answer.head.status) {
            (FetchKind::Probe, 200 | 203 | 206) => return self.whole(connection, answer, body, granted).await,
            (FetchKind::Piece { .. }, 206) => return self.piece(connection, &answer, body, sink).await,
            (FetchKind::Check { .. }, 304) => (End::Checked(None), drain(body, self.stall).await),
            (FetchKind::Check { .. }, 200 | 203 | 206) => {
                (End::Checked(Some(answer.head)), drain(body, self.stall).await)
            }
            (FetchKind::Sample { range, expect }, 206) => {
                return self.sample(connection, &answer, body, *range, expect, sink).await;
            }
            (FetchKind::Piece { .. } | FetchKind::Sample { .. }, 200 | 203) => (End::NotRange(answer.head), false),
            (FetchKind::Piece { .. } | FetchKind::Sample { .. }, 416) => {
                let is_reusable = drain(body, self.stall).await;
                (End::NotRange(answer.head), is_reusable)
            }
            // RFC 9110, section 15.5.20: this connection does not serve it, another may.
            (_, 421) if connection.protocol() == Protocol::Http2 => {
                return Ok(End::OtherProtocol(answer.refusal(connection.plain_proxy())));
            }
            (_, status) => {
                let error = match status {
                    200..=299 => Error::new(
                        ErrorKind::Protocol,
                        format!("the server answered {status} {}, which does not fit the request", answer.reason),
                    ),
                    _ => answer.refusal(connection.plain_proxy()),
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
            Ok(response) => return Ok((connection, response)),
            Err(error) if !matches!(error.kind(), ErrorKind::Broken | ErrorKind::Protocol) => return Err(error.into()),
            Err(error) => {
                // The task of an HTTP/2 connection notes that it is closed.
                tokio::task::yield_now().await;
                if !connection.may_have_been_closing(is_fresh) {
                    return Err(error.into());
                }
            }
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
        // Boxed, for it is rare and large: each transfer would be moved about with room for it.
        let connection = Box::pin(self.open()).await?;
        self.shared.report(Message::Connected(slot, connection.protocol()));
        if let Some(shared) = connection.share() {
            self.shared.put_connection(slot, shared);
        }
        Ok((connection, true))
    }

    async fn open(&self) -> Result<Connection> {
        let connected = self.shared.network.connect(&self.fetch.origin, self.fetch.alpn).await?;
        Connection::open(connected).await
    }

    async fn request(&self, connection: &mut Connection) -> Result<Response<Incoming>> {
        let request =
            request::build(&self.shared.network, self.fetch, connection.protocol(), connection.plain_proxy())?;
        let limit = self.shared.network.options.response_timeout;
        match patient(limit, connection.send(request)).await {
            Ok(response) => response,
            Err(Elapsed) => Err(no_answer(limit)),
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
        let framing = answer.framing;
        let part = first_part(&answer)?;
        let mut head = answer.head;
        head.is_part = part.is_some();
        let mut early = Vec::new();
        // What may have been cut is proven by its digest, or by a range that tells the length.
        let is_small = head.total_bytes.is_none_or(|total| total <= WHOLE_BYTES_MAX as u64)
            && !self.may_be_cut(framing)
            && part.is_none()
            && self.fetch.piece.end() > WHOLE_BYTES_MAX as u64;
        let is_complete = is_small && self.read_small(&mut body, framing, &mut early).await?;
        let is_html = head.evidence.is_html;
        if !is_complete && is_html {
            self.read_beginning(&mut body, &mut early).await?;
        } else if early.is_empty() {
            self.read_first(&mut body, &mut early).await?;
        }
        let beginning = page::beginning(&early);
        let begins_like_html = page::begins_like_html(&beginning);
        head.is_page =
            is_html && (beginning.is_empty() || head.evidence.content_encoding.is_some() || begins_like_html);
        head.may_be_page = head.is_page || begins_like_html || is_html && page::is_text(&beginning);
        head.is_message = answer.content_type.as_deref().is_some_and(|kind| page::is_message(kind, &beginning));
        if framing == Framing::Close && head.total_bytes.is_none() {
            head.remarks.push("the server does not tell the length: the file is as long as what came".to_owned());
        }
        if is_complete {
            let bytes: usize = early.iter().map(Bytes::len).sum();
            has_length(bytes as u64, head.total_bytes)?;
            head.total_bytes = Some(bytes as u64);
            head.evidence.total_bytes = head.total_bytes;
            self.keep(connection, framing != Framing::Close);
            self.shared.report(Message::Answered(self.fetch.transfer, head, Some(early)));
            return Ok(End::Complete);
        }
        let told = part.map(|part| part.end).or(head.total_bytes);
        if let Some(end) = told {
            self.fetch.piece.shorten(end);
        }
        self.shared.report(Message::Answered(self.fetch.transfer, head, None));
        match granted.await {
            Ok(Grant::Write(sink)) => self.write_whole(connection, body, framing, told, early, &*sink).await,
            Ok(Grant::Gather) => self.gather(connection, body, framing, told, early).await,
            Err(_) => Ok(End::Dropped),
        }
    }

    /// Whether the end of the connection is all that tells the end of the body, over TLS, where
    /// somebody may have cut it.
    fn may_be_cut(&self, framing: Framing) -> bool {
        framing == Framing::Close && self.fetch.origin.scheme == Scheme::Https
    }

    async fn write_whole(
        &mut self,
        connection: Connection,
        mut body: Incoming,
        framing: Framing,
        told: Option<u64>,
        early: Vec<Bytes>,
        sink: &dyn PartFile,
    ) -> Result<End, Failure> {
        for bytes in early {
            self.write(sink, &bytes)?;
        }
        match self.stream(&mut body, sink, framing, told).await {
            Ok(is_reusable) => {
                self.keep(connection, is_reusable);
                Ok(End::Complete)
            }
            Err(error) if self.may_be_cut(framing) && is_cut(&error) => Ok(End::Unproven(error)),
            // The whole file in one answer is what there is; the next one may be longer.
            Err(error) if error.kind() == ErrorKind::Protocol => Err(error.with_transient(true).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands a whole body on.
    async fn gather(
        &mut self,
        connection: Connection,
        mut body: Incoming,
        framing: Framing,
        told: Option<u64>,
        mut content: Vec<Bytes>,
    ) -> Result<End, Failure> {
        let mut bytes: u64 = content.iter().map(|bytes| bytes.len() as u64).sum();
        while let Some(data) = self.next(&mut body).await? {
            bytes += data.len() as u64;
            if bytes > samples::GATHERED_BYTES_MAX {
                return Err(Error::new(ErrorKind::Protocol, "the server sends more than it said").into());
            }
            content.push(data);
        }
        proven(&body, framing, bytes)?;
        has_length(bytes, told)?;
        self.keep(connection, framing != Framing::Close);
        Ok(End::Gathered(content))
    }

    /// Reads a body that is probably small; false if it is not, or slow.
    async fn read_small(&self, body: &mut Incoming, framing: Framing, early: &mut Vec<Bytes>) -> Result<bool> {
        let deadline = TokioInstant::now() + WHOLE_WITHIN.min(self.stall);
        let mut bytes = 0;
        while bytes <= WHOLE_BYTES_MAX {
            if framing == Framing::Length(bytes as u64) {
                return Ok(true);
            }
            let Ok(frame) = timeout_at(deadline, body.frame()).await else { return Ok(false) };
            match frame {
                None => return proven(body, framing, bytes as u64).map(|()| true),
                Some(Err(source)) => return Err(broken(&source)),
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else { continue };
                    if let Framing::Length(length) = framing {
                        data.truncate((length - bytes as u64) as usize);
                    }
                    self.pay(data.len()).await;
                    bytes += data.len();
                    early.push(data);
                }
            }
        }
        Ok(false)
    }

    /// Reads enough of a body to see what it is.
    async fn read_beginning(&self, body: &mut Incoming, early: &mut Vec<Bytes>) -> Result<()> {
        let mut bytes: usize = early.iter().map(Bytes::len).sum();
        while bytes < page::SNIFF_BYTES {
            let Some(data) = self.next(body).await? else { break };
            bytes += data.len();
            early.push(data);
        }
        Ok(())
    }

    /// Reads what comes first of a body, which mostly comes with its head: it may be a page although its type
    /// says otherwise.
    async fn read_first(&self, body: &mut Incoming, early: &mut Vec<Bytes>) -> Result<()> {
        let Ok(frame) = timeout(FIRST_WITHIN.min(self.stall), body.frame()).await else { return Ok(()) };
        match frame {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { return Ok(()) };
                self.pay(data.len()).await;
                early.push(data);
                Ok(())
            }
            Some(Err(source)) => Err(broken(&source)),
            None => Ok(()),
        }
    }

    async fn piece(
        &mut self,
        connection: Connection,
        answer: &Answer,
        mut body: Incoming,
        sink: Option<Arc<dyn PartFile>>,
    ) -> Result<End, Failure> {
        let FetchKind::Piece { range, overlap_bytes, expect, demand, .. } = &self.fetch.kind else {
            return Err(Error::new(ErrorKind::Internal, "an answer to a range that was not asked for").into());
        };
        let asked = ByteRange::new(range.start - overlap_bytes, range.end);
        let got = match check_range(answer, asked, expect, *demand) {
            Ok(got) => got,
            Err(end) => return Ok(self.not_used(end)),
        };
        let Some(sink) = sink else {
            return Err(Error::new(ErrorKind::Internal, "a piece was asked for without a file").into());
        };
        // It may hold less than what was asked for.
        self.fetch.piece.shorten(got.end.max(range.start));
        let mut rest = Bytes::new();
        if *overlap_bytes > 0 {
            let overlap = ByteRange::new(asked.start, range.start);
            match self.compare(&mut body, &*sink, overlap).await? {
                Some(after) => rest = after,
                None => return Ok(self.not_used(End::OtherOverlap(answer.head.clone()))),
            }
        }
        // A head alone proves nothing: some break off behind it each time.
        if rest.is_empty() {
            rest = self.next(&mut body).await?.unwrap_or_default();
        }
        if !rest.is_empty() {
            self.shared.report(Message::Proven(self.fetch.transfer, answer.head.clone()));
            self.write(&*sink, &rest)?;
        }
        let framing = answer.framing;
        match self.stream(&mut body, &*sink, framing, Some(got.end)).await {
            Ok(is_reusable) => {
                self.keep(connection, is_reusable);
                Ok(End::Complete)
            }
            Err(error) if error.kind() == ErrorKind::Protocol => {
                Ok(End::WrongRange { head: answer.head.clone(), error })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An answer that is not used says something only if the next one comes over another connection.
    fn not_used(&self, end: End) -> End {
        self.shared.forget_connection(self.fetch.slot);
        end
    }

    /// Compares the next bytes of a body with those on the disk: what follows them, or nothing if they
    /// are others.
    async fn compare(&self, body: &mut Incoming, sink: &dyn PartFile, range: ByteRange) -> Result<Option<Bytes>> {
        let mut position = range.start;
        while position < range.end {
            let Some(mut data) = self.next(body).await? else { return Err(ended_early()) };
            let rest = data.split_off(data.len().min((range.end - position) as usize));
            let mut there = vec![0; data.len()];
            sink.read_at(&mut there, position).map_err(|source| self.cannot("read", source))?;
            if there != data {
                return Ok(None);
            }
            position += data.len() as u64;
            if position == range.end {
                return Ok(Some(rest));
            }
        }
        Ok(Some(Bytes::new()))
    }

    /// Fetches a range that is there already and compares it with the disk.
    async fn sample(
        &mut self,
        connection: Connection,
        answer: &Answer,
        mut body: Incoming,
        range: ByteRange,
        expect: &Evidence,
        sink: Option<Arc<dyn PartFile>>,
    ) -> Result<End, Failure> {
        match check_range(answer, range, expect, Demand::NotDifferent) {
            Ok(got) if got == range => {}
            Ok(_) => return Ok(self.not_used(shorter_range(answer))),
            Err(end) => return Ok(self.not_used(end)),
        }
        self.shared.report(Message::Identified(self.fetch.transfer, answer.head.clone()));
        let mut fresh = Vec::with_capacity(range.len() as usize);
        while fresh.len() < range.len() as usize {
            let Some(data) = self.next(&mut body).await? else { return Err(ended_early().into()) };
            if fresh.len() + data.len() > range.len() as usize {
                return Err(Error::new(ErrorKind::Protocol, "the server sent more than the range asked for").into());
            }
            fresh.extend_from_slice(&data);
        }
        // Where the range is told to end there, nothing more can come.
        self.keep(connection, answer.framing == Framing::Length(range.len()));
        let Some(sink) = sink else { return Ok(End::Gathered(vec![fresh.into()])) };
        let mut there = vec![0; range.len() as usize];
        sink.read_at(&mut there, range.start).map_err(|source| self.cannot("read", source))?;
        Ok(End::Sampled { same: fresh == there })
    }

    /// Writes the body at the piece's position until the piece or the body ends, which the head has
    /// told to be here, if it has. Returns whether the connection can be used again.
    async fn stream(
        &self,
        body: &mut Incoming,
        sink: &dyn PartFile,
        framing: Framing,
        told: Option<u64>,
    ) -> Result<bool> {
        let piece = &self.fetch.piece;
        while piece.position() < piece.end() {
            match self.next(body).await? {
                Some(data) => {
                    self.write(sink, &data)?;
                }
                // Nothing but the body says where the file ends.
                None if told.is_none()
                    && (piece.end() == OPEN_END || !matches!(framing, Framing::Length(_)) && piece.start() == 0) =>
                {
                    return proven(body, framing, piece.position()).map(|()| framing != Framing::Close);
                }
                // It ended where its framing says, and not where its Content-Range does.
                None if framing == Framing::Chunked || body.is_end_stream() => return Err(ended_short()),
                None => return Err(ended_early()),
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
            let frame = match patient(self.stall, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(source))) => return Err(broken(&source)),
                Ok(None) => return Ok(None),
                Err(Elapsed) => {
                    let text = format!("no byte came for {} (--stall-timeout)", seconds(self.stall));
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
        for limit in self.fetch.limit.as_deref().into_iter().chain([&self.shared.network.limit]) {
            if limit.is_limited() {
                let wait = limit.take(bytes, Instant::now());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }
}

/// Which part of what was asked for a 206 holds, or why it cannot be used. RFC 9110, section 15.3.7:
/// it must say which range it holds, and may hold less than what was asked for.
fn check_range(answer: &Answer, asked: ByteRange, expect: &Evidence, demand: Demand) -> Result<ByteRange, End> {
    let head = || answer.head.clone();
    let wrong = |what: String| End::WrongRange { head: head(), error: Error::new(ErrorKind::Protocol, what) };
    let evidence = &answer.head.evidence;
    if evidence.content_encoding.is_some() {
        return Err(wrong("the server encoded a range, which cannot be put together".to_owned()));
    }
    let Some(content_range) = &answer.content_range else {
        return Err(wrong("the server answered a range without saying which (no usable Content-Range)".to_owned()));
    };
    // A total that is not told is that of the file, as far as anybody knows.
    let told = Evidence { total_bytes: evidence.total_bytes.or(expect.total_bytes), ..evidence.clone() };
    let verdict = expect.compare(&told);
    let is_page = evidence.is_html && !expect.is_html && expect.tells_version();
    if verdict == Verdict::Unknown && !evidence.is_html && expect.has_other_length(evidence) {
        return Err(wrong(
            "the server answered a range of a file of another length, and does not say of which".to_owned(),
        ));
    }
    let suffices = match demand {
        Demand::Same => verdict.joins(),
        Demand::SameWeakly => verdict.is_same(),
        Demand::NotDifferent => !verdict.is_different(),
    };
    if !suffices || is_page {
        return Err(End::NotJoined { head: head(), verdict });
    }
    match content_range.range {
        Some(got) if got.start == asked.start => Ok(ByteRange::new(got.start, got.end.min(asked.end))),
        got => {
            let got = got.map_or("none".to_owned(), |got| format!("{}-{}", got.start, got.end - 1));
            let asked = format!("{}-{}", asked.start, asked.end - 1);
            Err(wrong(format!("the server answered another range than the one asked for ({got} instead of {asked})")))
        }
    }
}

fn shorter_range(answer: &Answer) -> End {
    let error = Error::new(ErrorKind::Protocol, "the server answered a shorter range than the one asked for");
    End::WrongRange { head: answer.head.clone(), error }
}

/// Whether a body that brings nothing more has ended as its framing says. For HTTP/2 hyper also ends
/// a body at a reset without error and when the connection goes away.
fn proven(body: &Incoming, framing: Framing, bytes: u64) -> Result<()> {
    let is_proven = match framing {
        Framing::Length(length) => bytes == length,
        Framing::Stream => body.is_end_stream(),
        Framing::Chunked | Framing::Close => true,
    };
    if is_proven { Ok(()) } else { Err(ended_early()) }
}

/// Whether a body that ended well is as long as a field of its head (Content-Range) said.
fn has_length(bytes: u64, told: Option<u64>) -> Result<()> {
    match told {
        Some(told) if bytes < told => Err(ended_early()),
        Some(told) if bytes > told => Err(Error::new(ErrorKind::Protocol, "the server sends more than it said")),
        _ => Ok(()),
    }
}

fn ended_early() -> Error {
    Error::new(ErrorKind::Broken, "the connection broke: the body ended early")
}

fn ended_short() -> Error {
    Error::new(ErrorKind::Protocol, "the server sent less than it said")
}

/// The first part of the file, where a server sends a part although the whole was asked for; `None` if
/// it is the whole.
fn first_part(answer: &Answer) -> Result<Option<ByteRange>> {
    let is_part_answer = answer.head.status == 206;
    let told = answer.content_range;
    let Some(range) = told.and_then(|told| told.range) else {
        let text = "the server sends a part of the file and does not say which, where the whole was asked for";
        return if is_part_answer { Err(Error::new(ErrorKind::Protocol, text)) } else { Ok(None) };
    };
    let is_whole = range.start == 0 && told.and_then(|told| told.total) == Some(range.end);
    let fits = match answer.framing {
        Framing::Length(length) => length == range.len(),
        _ => true,
    };
    match (is_whole, is_part_answer && range.start == 0) {
        _ if !fits => Err(Error::new(ErrorKind::Protocol, "the server's answer has another length than its range")),
        (true, _) => Ok(None),
        (false, true) => Ok(Some(range)),
        (false, false) => {
            let text = "the server sends a part of the file where the whole was asked for";
            Err(Error::new(ErrorKind::Protocol, text))
        }
    }
}

/// The head of an answer did not come within this time.
pub(crate) fn no_answer(limit: Duration) -> Error {
    let text = format!("no answer came for {} (--response-timeout)", seconds(limit));
    Error::new(ErrorKind::Stalled, text)
}

/// Whether a connection was closed without TLS saying so.
fn is_cut(error: &Error) -> bool {
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
