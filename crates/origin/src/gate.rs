//! The stream between the HTTP stack and the socket or TLS. It ends the connection right after the last
//! scripted byte and inserts the script's HTTP/2 frames. Runs on the serving thread that owns the
//! socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::conn::Conn;

/// The stream that the HTTP stack writes to, over the socket or over TLS.
///
/// The stack flushes it whenever its own buffers are empty. At that point exactly the scripted bytes
/// have been sent, so a flush returns an error if the script ends the connection there. Over HTTP/2 that
/// point is also between two frames, so the script's own frames are inserted there.
pub(crate) struct Gate<S> {
    inner: S,
    conn: Arc<Conn>,
    /// Bytes from the client that have not been consumed yet.
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

    /// Takes back bytes that were read but not used.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        let later = std::mem::replace(&mut self.ahead, BytesMut::from(bytes));
        self.ahead.extend_from_slice(&later);
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Ready once the client closes the connection; keeps the bytes that it sends before.
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
    /// Writes and flushes the script's frames.
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
