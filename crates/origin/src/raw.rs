//! Responses that no HTTP library would send: wrong lengths, malformed chunks, invalid header bytes. The
//! HTTP stack gives up the connection, the response is written directly, and the stack serves later
//! requests. Runs on the connection's serving thread.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::body::Body;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::body::{OriginBody, Owner};
use crate::effects::Effects;
use crate::fault::BadChunk;
use crate::gate::Gate;
use crate::header::header_value;
use crate::reply::Reply;
use crate::resource::Length;
use crate::span::Span;

/// Seed of the surplus bytes after the end of a body.
const SURPLUS_SEED: u64 = 0x5255_5053;

/// A response that is written without the HTTP stack.
pub(crate) struct RawAnswer {
    head: Vec<u8>,
    body: OriginBody,
    framing: Framing,
    /// Whether the connection closes after it.
    closes: bool,
    /// Whether the connection closes without TLS `close_notify`.
    silent: bool,
}

/// How the body is framed.
enum Framing {
    /// Sent as it is.
    Plain,
    Chunked {
        broken: Option<(u64, BadChunk)>,
        trailers: Vec<(String, String)>,
    },
}

/// Passes a raw answer from the request to the connection's driver, which writes it.
#[derive(Default)]
pub(crate) struct RawSlot {
    answer: Mutex<Option<RawAnswer>>,
}

impl RawSlot {
    /// Stores an answer. The caller must then make the HTTP stack give up the connection.
    pub(crate) fn leave(&self, answer: RawAnswer) {
        *self.answer.lock() = Some(answer);
    }

    /// Takes the stored answer, if any.
    pub(crate) fn take(&self) -> Option<RawAnswer> {
        self.answer.lock().take()
    }
}

/// Whether these faults need a raw answer. Faults of the body's framing affect only 2xx responses.
pub(crate) fn is_raw(reply: &Reply, effects: &Effects) -> bool {
    let is_framed_wrongly = effects.length_by != 0
        || effects.surplus > 0
        || effects.bad_chunk.is_some()
        || effects.transfer_encoding.is_some()
        || effects.close_delimited.is_some()
        || !effects.trailers.is_empty();
    effects.raw.is_some() || !effects.raw_headers.is_empty() || (is_framed_wrongly && reply.status.is_success())
}

impl RawAnswer {
    /// Applies the faults to `reply`; see [`is_raw`].
    pub(crate) fn new(mut reply: Reply, mut effects: Effects, owner: Owner) -> Self {
        if let Some(head) = effects.raw.take() {
            let body = OriginBody::new(Vec::new(), true, effects, owner);
            return Self { head, body, framing: Framing::Plain, closes: true, silent: false };
        }
        let mut closes = effects.close || effects.http10;
        let silent = reply.status.is_success() && effects.close_delimited == Some(false);
        let framing = framing(&mut reply, &mut effects, &mut closes);
        let head = head(&reply, &effects);
        let body = OriginBody::new(reply.spans, true, effects, owner);
        Self { head, body, framing, closes, silent }
    }

    /// Writes the response; returns whether the connection stays open.
    ///
    /// # Errors
    /// If the script or the client ends the connection.
    pub(crate) async fn play<S>(mut self, gate: &mut Gate<S>) -> io::Result<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        gate.write_all(&self.head).await?;
        gate.flush().await?;
        let mut sent = 0;
        while let Some(bytes) = next(gate, &mut self.body).await? {
            let end = sent + bytes.len() as u64;
            match &self.framing {
                Framing::Plain => gate.write_all(&bytes).await?,
                Framing::Chunked { broken: Some((at, how)), .. } if *how != BadChunk::NoLast && end > *at => {
                    let right = at.saturating_sub(sent) as usize;
                    write_chunk(gate, &bytes[..right]).await?;
                    write_broken(gate, &bytes[right..], *how).await?;
                    return Ok(false);
                }
                Framing::Chunked { .. } => write_chunk(gate, &bytes).await?,
            }
            // At a scripted end this fails, after exactly the scripted bytes have been sent.
            gate.flush().await?;
            sent = end;
        }
        if let Framing::Chunked { broken, trailers } = &self.framing {
            if broken.is_some() {
                return Ok(false);
            }
            let fields: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            gate.write_all(format!("0\r\n{fields}\r\n").as_bytes()).await?;
            gate.flush().await?;
        }
        if self.silent {
            return Err(io::Error::other("the script closes the connection here"));
        }
        Ok(!self.closes)
    }
}

/// Chooses the framing and sets the header fields that announce it.
fn framing(reply: &mut Reply, effects: &mut Effects, closes: &mut bool) -> Framing {
    let is_success = reply.status.is_success();
    let (broken, trailers) = (effects.bad_chunk.take(), std::mem::take(&mut effects.trailers));
    if reply.is_bare() {
        return Framing::Plain;
    }
    if is_success && let Some((fields, says_length)) = effects.transfer_encoding.take() {
        let is_chunked = fields.last().is_some_and(|field| field.trim_end().to_ascii_lowercase().ends_with("chunked"));
        for field in &fields {
            reply.headers.append(TRANSFER_ENCODING, header_value(field));
        }
        if says_length {
            reply.set(CONTENT_LENGTH, HeaderValue::from(reply.len()));
        }
        if is_chunked {
            return Framing::Chunked { broken, trailers };
        }
        if !says_length {
            end_at_close(reply, closes);
        }
        return Framing::Plain;
    }
    if is_success && effects.close_delimited.is_some() {
        end_at_close(reply, closes);
        return Framing::Plain;
    }
    let is_chunked = reply.length == Length::Chunked && effects.length_by == 0;
    if is_chunked || (is_success && (broken.is_some() || !trailers.is_empty())) {
        reply.set(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        return Framing::Chunked { broken, trailers };
    }
    if reply.length == Length::UntilClose && effects.length_by == 0 {
        *closes = true;
        return Framing::Plain;
    }
    let mut said = reply.len();
    if is_success {
        said = said.saturating_add_signed(effects.length_by);
        reply.spans.push(Span::content(SURPLUS_SEED, 0, effects.surplus));
    }
    reply.set(CONTENT_LENGTH, HeaderValue::from(said));
    // Otherwise the client would wait for the missing bytes.
    *closes |= said > reply.len();
    Framing::Plain
}

fn end_at_close(reply: &mut Reply, closes: &mut bool) {
    reply.set(CONNECTION, HeaderValue::from_static("close"));
    *closes = true;
}

fn head(reply: &Reply, effects: &Effects) -> Vec<u8> {
    let version = if effects.http10 || reply.length == Length::UntilClose { "HTTP/1.0" } else { "HTTP/1.1" };
    let reason = reply.status.canonical_reason().unwrap_or("Odd");
    let mut head = format!("{version} {} {reason}\r\n", reply.status.as_str()).into_bytes();
    for (name, value) in &reply.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    for line in &effects.raw_headers {
        head.extend_from_slice(line);
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// The next bytes of the body, or an error once the script or the client ends the connection.
async fn next<S>(gate: &mut Gate<S>, body: &mut OriginBody) -> io::Result<Option<Bytes>>
where
    S: AsyncRead + Unpin,
{
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(None) => Poll::Ready(Ok(None)),
        Poll::Ready(Some(frame)) => Poll::Ready(frame.map(|frame| frame.into_data().ok()).map_err(io::Error::other)),
        Poll::Pending if gate.is_ending() => Poll::Ready(Err(io::Error::other("the script ends the connection here"))),
        Poll::Pending => gate.poll_gone(cx).map(Err),
    })
    .await
}

async fn write_chunk<S>(gate: &mut Gate<S>, bytes: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    if bytes.is_empty() {
        // An empty chunk would end the body.
        return Ok(());
    }
    gate.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    gate.write_all(bytes).await?;
    gate.write_all(b"\r\n").await
}

async fn write_broken<S>(gate: &mut Gate<S>, bytes: &[u8], how: BadChunk) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let size = match how {
        BadChunk::Size => "chunk\r\n".to_owned(),
        BadChunk::Overflow => "fffffffffffffffff\r\n".to_owned(),
        BadChunk::End | BadChunk::NoLast => format!("{:x}\r\n", bytes.len()),
    };
    gate.write_all(size.as_bytes()).await?;
    gate.write_all(bytes).await?;
    gate.write_all(b"??").await?;
    gate.flush().await
}
