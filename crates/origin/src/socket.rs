//! The TCP socket of a connection. It can reset the connection on close, or cut it during the TLS
//! handshake. Owned by one serving thread.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::conn::Ticket;

/// The only handle of a TCP socket, so dropping it closes or resets the connection.
pub(crate) struct Socket {
    // Fields drop in this order: the socket closes before the ticket counts the connection as closed.
    tcp: TcpStream,
    ticket: Ticket,
    /// Bytes that may still be written.
    room: u64,
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream, ticket: Ticket) -> Self {
        Self { tcp, ticket, room: u64::MAX }
    }

    /// Makes writes fail after this many bytes.
    pub(crate) fn cut_after(mut self, bytes: u64) -> Self {
        self.room = bytes;
        self
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.ticket.conn.is_reset() {
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
