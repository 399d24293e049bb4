//! One connection: what its requests share, the socket at the bottom (which can be reset) and the
//! gate at the top (which ends the connection once the last scripted byte is out). Each runs on the
//! serving thread that owns the socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::fault::Ending;
use crate::pace::Pace;
use crate::state::Shared;

const CLOSE: u8 = 1;
const RESET: u8 = 2;

/// What the requests of a connection share.
pub(crate) struct Conn {
    /// 1 is the first connection accepted.
    pub(crate) id: u64,
    /// How many were open when this one was accepted, itself included.
    pub(crate) open_at_accept: usize,
    pub(crate) pace: Mutex<Pace>,
    ending: AtomicU8,
    aborted: Notify,
}

impl Conn {
    fn new(id: u64, open_at_accept: usize) -> Self {
        Self { id, open_at_accept, pace: Mutex::default(), ending: AtomicU8::new(0), aborted: Notify::new() }
    }

    /// Ends the connection as soon as everything handed to the socket's owner has been flushed.
    pub(crate) fn end_when_flushed(&self, ending: Ending) {
        let ending = match ending {
            Ending::Close => CLOSE,
            Ending::Reset => RESET,
        };
        self.ending.store(ending, Ordering::Release);
    }

    /// Resets the connection without waiting for anything.
    pub(crate) fn reset_now(&self) {
        self.end_when_flushed(Ending::Reset);
        self.aborted.notify_one();
    }

    /// Waits for [`Self::reset_now`].
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
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, ticket: Ticket) -> Self {
        Self { tcp, ticket }
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
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, buf)
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
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// The stream that the HTTP stack writes to, over the socket or over TLS.
///
/// The stack flushes it whenever its own buffers are empty: that is the moment at which exactly the
/// scripted bytes are out, and a scripted end comes as an error of the flush.
pub(crate) struct Gate<S> {
    inner: S,
    conn: Arc<Conn>,
}

impl<S> Gate<S> {
    pub(crate) fn new(inner: S, conn: Arc<Conn>) -> Self {
        Self { inner, conn }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
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
