//! One connection: what its requests share, the socket at the bottom (which can be reset, or cut in
//! the TLS handshake) and the gate at the top (which ends the connection once the last scripted byte
//! is out, and puts frames of the script's own between those of HTTP/2). Each runs on the serving
//! thread that owns the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::pace::Pace;
use crate::raw::RawAnswer;
use crate::rule::Ending;
use crate::state::Shared;

const CLOSE: u8 = 1;
const RESET: u8 = 2;

/// A GOAWAY frame (RFC 9113, section 6.8) up to its two numbers: 8 bytes, of the whole connection.
const GOAWAY_HEAD: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];

/// What the requests of a connection share.
pub(crate) struct Conn {
    /// 1 is the first connection accepted.
    pub(crate) id: u64,
    /// How many were open when this one was accepted, itself included.
    pub(crate) open_at_accept: usize,
    pub(crate) pace: Mutex<Pace>,
    /// On its way from the request to whoever drives the connection.
    raw: Mutex<Option<RawAnswer>>,
    ending: AtomicU8,
    aborted: Notify,
    /// HTTP/2 requests so far.
    streams: AtomicU32,
    /// HTTP/2 frames that the script sends beside the HTTP stack.
    frames: Mutex<Vec<u8>>,
    nudged: Notify,
}

impl Conn {
    fn new(id: u64, open_at_accept: usize) -> Self {
        Self {
            id,
            open_at_accept,
            pace: Mutex::default(),
            raw: Mutex::default(),
            ending: AtomicU8::new(0),
            aborted: Notify::new(),
            streams: AtomicU32::new(0),
            frames: Mutex::default(),
            nudged: Notify::new(),
        }
    }

    /// Leaves an answer that the HTTP stack would not write; it must give the connection back now.
    pub(crate) fn answer_raw(&self, answer: RawAnswer) {
        *self.raw.lock() = Some(answer);
    }

    /// The answer that was left, if there is one.
    pub(crate) fn take_raw(&self) -> Option<RawAnswer> {
        self.raw.lock().take()
    }

    /// Ends the connection as soon as everything handed to the socket's owner has been flushed.
    pub(crate) fn end_when_flushed(&self, ending: Ending) {
        let ending = match ending {
            Ending::Close => CLOSE,
            Ending::Reset => RESET,
        };
        self.ending.store(ending, Ordering::Release);
    }

    /// Ends the connection without waiting for anything.
    pub(crate) fn end_now(&self, ending: Ending) {
        self.end_when_flushed(ending);
        self.aborted.notify_one();
    }

    /// Counts an HTTP/2 request, in the order in which they came; its ordinal, from 1. Clients number
    /// their streams 1, 3, 5 and so on.
    pub(crate) fn next_stream(&self) -> u32 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sends GOAWAY with this code; the last of the streams that it lets live is the `stream`-th, and
    /// 0 is none.
    pub(crate) fn go_away(&self, stream: u32, code: u32) {
        let last = stream.saturating_mul(2).saturating_sub(1);
        let mut frames = self.frames.lock();
        frames.extend_from_slice(&GOAWAY_HEAD);
        frames.extend_from_slice(&last.to_be_bytes());
        frames.extend_from_slice(&code.to_be_bytes());
        drop(frames);
        self.nudge();
    }

    /// Has whoever drives the connection flush it, as soon as the HTTP stack has nothing to write.
    pub(crate) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits for [`Self::nudge`].
    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// Waits for [`Self::end_now`].
    pub(crate) async fn aborted(&self) {
        self.aborted.notified().await;
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire) != 0
    }
}

/// A connection's place in the counters, held while its socket is open.
pub(crate) struct Ticket {
    pub(crate) conn: Arc<Conn>,
    shared: Arc<Shared>,
}

impl Ticket {
    /// Counts an accepted connection.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let (id, open) = shared.counters.opened();
        Self { conn: Arc::new(Conn::new(id, open)), shared: Arc::clone(shared) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.counters.closed();
    }
}

/// The TCP socket; it is the only handle, so that dropping it closes or resets the connection.
pub(crate) struct Socket {
    // Fields drop in this order: the ticket counts a connection that is closed.
    tcp: TcpStream,
    ticket: Ticket,
    /// How many bytes may still be written.
    room: u64,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, ticket: Ticket) -> Self {
        Self { tcp, ticket, room: u64::MAX }
    }

    /// Fails once so many bytes have been written.
    pub(crate) fn cut_after(mut self, bytes: u64) -> Self {
        self.room = bytes;
        self
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.ticket.conn.ending.load(Ordering::Acquire) == RESET {
            // A failure means that the peer has closed already.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = this.room.min(buf.len() as u64) as usize;
        if count == 0 && !buf.is_empty() {
            return Poll::Ready(Err(io::Error::other("the script cuts the connection here")));
        }
        let written = ready!(Pin::new(&mut this.tcp).poll_write(cx, &buf[..count]))?;
        this.room -= written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bytes: u64 = bufs.iter().map(|buf| buf.len() as u64).sum();
        if bytes > this.room {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return Pin::new(this).poll_write(cx, first);
        }
        let written = ready!(Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs))?;
        this.room -= written as u64;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// The stream that the HTTP stack writes to, over the socket or over TLS.
///
/// The stack flushes it whenever its own buffers are empty: that is the moment at which exactly the
/// scripted bytes are out, and a scripted end comes as an error of the flush. With HTTP/2 it is also
/// between two frames, and the script's own have their place here.
pub(crate) struct Gate<S> {
    inner: S,
    conn: Arc<Conn>,
    /// What the client has sent and nobody has read.
    ahead: BytesMut,
}

impl<S> Gate<S> {
    pub(crate) fn new(inner: S, conn: Arc<Conn>) -> Self {
        Self { inner, conn, ahead: BytesMut::new() }
    }

    /// Whether the script has ended the connection.
    pub(crate) fn is_ending(&self) -> bool {
        self.conn.is_ending()
    }

    /// Takes back what was read last and not used.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        let later = std::mem::replace(&mut self.ahead, BytesMut::from(bytes));
        self.ahead.extend_from_slice(&later);
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Ready once the client has gone; what it sends before that is kept.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut piece = [0; 1024];
        loop {
            let mut buf = ReadBuf::new(&mut piece);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut buf)) {
                Err(error) => return Poll::Ready(error),
                Ok(()) if buf.filled().is_empty() => return Poll::Ready(io::ErrorKind::UnexpectedEof.into()),
                Ok(()) => self.ahead.extend_from_slice(buf.filled()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Gate<S> {
    /// Writes the frames of the script and flushes them.
    fn poll_frames(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut frames = self.conn.frames.lock();
        if frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !frames.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &frames))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            frames.drain(..written);
        }
        drop(frames);
        Pin::new(&mut self.inner).poll_flush(cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
        ready!(this.poll_frames(cx))?;
        if this.conn.is_ending() {
            return Poll::Ready(Err(io::Error::other("the script ends the connection here")));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
