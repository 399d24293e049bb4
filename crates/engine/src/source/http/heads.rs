//! A connection that mends the heads of responses ([`head`]) before HTTP is parsed. With one request at a time,
//! the client knows where heads begin: after each request. What follows a head is passed through.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::head;

/// A head larger than this is refused while being read.
pub(crate) const HEAD_BYTES_MAX: usize = 64 << 10;
/// How much to read at once of a head that arrives in parts.
const READ_BYTES: usize = 4096;

/// So much may come of a body without a byte of data. A parser takes blanks and zeros before the size of a chunk without
/// end, and gives nobody else a turn meanwhile.
const FRAMING_BYTES_MAX: usize = 1 << 20;

/// What the other side of a connection knows: that a request was sent, so that a head comes next, and that data came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected(Rc<Awaited>);

#[derive(Debug, Default)]
struct Awaited {
    is_head: Cell<bool>,
    /// How much has come since data did.
    framing_bytes: Cell<usize>,
}

impl Expected {
    pub(crate) fn set(&self) {
        self.0.is_head.set(true);
        self.0.framing_bytes.set(0);
    }

    /// Some data of a body has come.
    pub(crate) fn data_came(&self) {
        self.0.framing_bytes.set(0);
    }

    /// So much of a body has come.
    fn count(&self, bytes: usize) -> io::Result<()> {
        let framing_bytes = self.0.framing_bytes.get() + bytes;
        self.0.framing_bytes.set(framing_bytes);
        match framing_bytes > FRAMING_BYTES_MAX {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "framing without end, and no data in it")),
            false => Ok(()),
        }
    }
}

/// A stream of responses whose heads every parser accepts.
pub(crate) struct Heads<S> {
    stream: S,
    expected: Expected,
    /// A head that has arrived in part.
    partial: Vec<u8>,
    /// How much of it was searched for its end.
    searched: usize,
    /// Bytes to return next, from `at`.
    ready: Vec<u8>,
    at: usize,
}

impl<S: AsyncRead + Unpin> Heads<S> {
    pub(crate) fn new(stream: S, expected: Expected) -> Self {
        Self { stream, expected, partial: Vec::new(), searched: 0, ready: Vec::new(), at: 0 }
    }

    /// Fast path for a head that arrives whole and plain, as nearly all do: it stays where it was read.
    fn poll_plain(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let is_plain = head::end(fresh, 0).is_some_and(|end| {
            let head = &fresh[..end];
            !is_interim(head) && head::is_plain(head)
        });
        if is_plain {
            self.expected.0.is_head.set(false);
        } else {
            self.partial.extend_from_slice(fresh);
            buf.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more of a partial head; the whole head is ready once it has ended.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(end) = head::end(&self.partial, self.searched) {
                return Poll::Ready(self.mend(end));
            }
            self.searched = self.partial.len();
            let mut bytes = [0; READ_BYTES];
            let mut buf = ReadBuf::new(&mut bytes);
            if self.partial.len() <= HEAD_BYTES_MAX {
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            }
            if buf.filled().is_empty() {
                // It is too long or ends early: the HTTP parser reports it.
                self.pass_on();
                return Poll::Ready(Ok(()));
            }
            self.partial.extend_from_slice(buf.filled());
        }
    }

    fn mend(&mut self, end: usize) -> io::Result<()> {
        let head = &self.partial[..end];
        let is_interim = is_interim(head);
        self.ready = head::mend(head).map_err(|damage| io::Error::new(io::ErrorKind::InvalidData, damage))?;
        self.at = 0;
        self.searched = 0;
        if is_interim {
            // The final head comes after it.
            self.partial.drain(..end);
            return Ok(());
        }
        self.ready.extend_from_slice(&self.partial[end..]);
        self.partial.clear();
        self.expected.0.is_head.set(false);
        Ok(())
    }

    fn pass_on(&mut self) {
        self.ready = std::mem::take(&mut self.partial);
        (self.at, self.searched) = (0, 0);
        self.expected.0.is_head.set(false);
    }
}

fn is_interim(head: &[u8]) -> bool {
    matches!(head::status(head), Some(100 | 102..=199))
}

impl<S: AsyncRead + Unpin> AsyncRead for Heads<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.at < this.ready.len() {
                let rest = &this.ready[this.at..];
                let taken = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..taken]);
                this.at += taken;
                return Poll::Ready(Ok(()));
            }
            if !this.ready.is_empty() {
                (this.ready, this.at) = (Vec::new(), 0);
            }
            if !this.expected.0.is_head.get() {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                return Poll::Ready(this.expected.count(buf.filled().len() - before));
            }
            if this.partial.is_empty() {
                ready!(this.poll_plain(cx, buf))?;
                if this.partial.is_empty() {
                    return Poll::Ready(Ok(()));
                }
            }
            ready!(this.poll_more(cx))?;
            if this.ready.is_empty() && this.partial.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heads<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    /// What is read of two responses that arrive in parts of this size.
    async fn read_in_parts(size: usize) -> Vec<String> {
        let (mut server, client) = duplex(1 << 16);
        let expected = Expected::default();
        let mut heads = Heads::new(client, expected.clone());
        let mut read = Vec::new();
        for (sent, len) in [("HTTP/1.1  200 OK\r\nA : b\r\nodd\r\n\r\nbody\r\nA : b", 36), ("HTTP/1.1 204\r\n\r\n", 16)]
        {
            expected.set();
            let mut text = String::new();
            for part in sent.as_bytes().chunks(size) {
                server.write_all(part).await.unwrap();
            }
            while text.len() < len {
                let mut bytes = [0; 7];
                let count = heads.read(&mut bytes).await.unwrap();
                text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
            read.push(text);
        }
        read
    }

    #[test]
    fn heads_are_mended_and_bodies_are_not_however_they_come() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for size in 1..60 {
            let read = runtime.block_on(read_in_parts(size));
            assert_eq!(read, ["HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\nA : b", "HTTP/1.1 204\r\n\r\n"], "{size}");
        }
    }

    #[test]
    fn a_head_that_breaks_off_is_passed_on_as_it_is() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(async {
            let (mut server, client) = duplex(1 << 16);
            let expected = Expected::default();
            expected.set();
            let mut heads = Heads::new(client, expected);
            server.write_all(b"HTTP/1.1  200 OK\r\nA").await.unwrap();
            drop(server);
            let mut read = String::new();
            heads.read_to_string(&mut read).await.unwrap();
            read
        });
        assert_eq!(read, "HTTP/1.1  200 OK\r\nA");
    }
}
