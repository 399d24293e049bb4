//! A tunnel through an HTTP proxy: CONNECT and its response (RFC 9110, section 9.3.6). Parses heads here
//! because only their end matters: everything after it comes from the server.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use crate::error::{Error, Result};
use crate::http::origin::Origin;
use crate::source::http::proxy::Proxy;
use crate::source::http::proxy::refusal::{self, Refusal};
use crate::source::http::stream::BoxStream;

/// The size limit of a head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The maximum number of fields in a head.
const HEAD_FIELDS_MAX: usize = 200;
/// The most interim responses before the final one.
const INTERIM_MAX: usize = 10;
const READ_BYTES: usize = 4 << 10;
const HTTP: &[u8] = b"HTTP/";

/// Asks the proxy at the other end of `stream` to connect to the origin.
pub(crate) async fn open(
    mut stream: BoxStream,
    proxy: &Proxy,
    origin: &Origin,
    user_agent: &HeaderValue,
) -> Result<BoxStream> {
    let target = format!("{}:{}", origin.host, origin.port);
    let broke = |source| refusal::broke(proxy, origin, source);
    stream.write_all(&request(&target, proxy, user_agent)).await.map_err(broke)?;
    stream.flush().await.map_err(broke)?;
    let mut buffer = Vec::new();
    for _ in 0..=INTERIM_MAX {
        let head = read_head(&mut stream, &mut buffer, proxy, origin).await?;
        match head.status {
            // Content-Length and Transfer-Encoding mean nothing here.
            200..=299 if buffer.is_empty() => return Ok(stream),
            200..=299 => return Ok(Box::new(Begun { early: Bytes::from(buffer), stream })),
            // 101 switches from HTTP to a protocol that nobody asked for.
            100 | 102..=199 => {}
            _ => return Err(head.error(proxy, &format!("CONNECT {target}"))),
        }
    }
    Err(refusal::not_connected(proxy, origin, "it promises an answer again and again, and none comes"))
}

fn request(target: &str, proxy: &Proxy, user_agent: &HeaderValue) -> Vec<u8> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
    let authorization = proxy.authorization();
    let fields = [("User-Agent", Some(user_agent)), ("Proxy-Authorization", authorization.as_ref())];
    for (name, value) in fields {
        if let Some(value) = value {
            request.extend_from_slice(&[name.as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Reads a head; bytes that arrived after it stay in `buffer`.
async fn read_head(stream: &mut BoxStream, buffer: &mut Vec<u8>, proxy: &Proxy, origin: &Origin) -> Result<Refusal> {
    let wrong = |why: Wrong| -> Error { refusal::not_connected(proxy, origin, why.0) };
    let mut reader = HeadReader::default();
    let mut chunk = [0; READ_BYTES];
    loop {
        if let Some((head, bytes)) = reader.advance(buffer).map_err(wrong)? {
            buffer.drain(..bytes);
            return Ok(head);
        }
        let count = stream.read(&mut chunk).await.map_err(|source| refusal::broke(proxy, origin, source))?;
        if count == 0 {
            return Err(refusal::broke(proxy, origin, io::ErrorKind::UnexpectedEof.into()));
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}

/// Why a response is invalid.
#[derive(Debug, PartialEq, Eq)]
struct Wrong(&'static str);

/// Searches the bytes received so far for the end of a head, each byte once.
#[derive(Debug, Default)]
struct HeadReader {
    head: Option<Refusal>,
    fields: usize,
    /// Where the first incomplete line begins, and how far it was searched for its end.
    line: usize,
    searched: usize,
}

impl HeadReader {
    /// The head and its length, once it is complete. `bytes` has grown since the last call.
    fn advance(&mut self, bytes: &[u8]) -> Result<Option<(Refusal, usize)>, Wrong> {
        while let Some(at) = bytes[self.searched..].iter().position(|byte| *byte == b'\n') {
            let end = self.searched + at;
            let line = &bytes[self.line..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            (self.line, self.searched) = (end + 1, end + 1);
            let Some(head) = &mut self.head else {
                // Blank lines before a head are skipped (RFC 9112, section 2.2).
                if !line.is_empty() {
                    self.head = Some(status_line(line).ok_or(Wrong("its answer is not HTTP"))?);
                }
                continue;
            };
            if line.is_empty() {
                let head = std::mem::take(head);
                return Ok(Some((head, self.line)));
            }
            self.fields += 1;
            if self.fields > HEAD_FIELDS_MAX {
                return Err(Wrong("the head of its answer has too many fields"));
            }
            if let Some(value) = field(line, b"proxy-authenticate") {
                head.schemes.extend(refusal::schemes(&String::from_utf8_lossy(value)));
            }
        }
        self.searched = bytes.len();
        // A peer with another protocol may never send a line end.
        let begun = &bytes[self.line..];
        let known = begun.len().min(HTTP.len());
        if self.head.is_none() && begun != b"\r" && begun[..known] != HTTP[..known] {
            return Err(Wrong("its answer is not HTTP"));
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(Wrong("the head of its answer is too large"));
        }
        Ok(None)
    }
}

/// `HTTP/1.1 200 Connection established`; the reason may be missing.
fn status_line(line: &[u8]) -> Option<Refusal> {
    let text = String::from_utf8_lossy(line);
    let (version, rest) = text.strip_prefix("HTTP/")?.split_once([' ', '\t'])?;
    let rest = rest.trim_start();
    let (digits, reason) = (rest.get(..3)?, rest.get(3..)?);
    let is_version = version.starts_with(|c: char| c.is_ascii_digit());
    let is_status = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let is_end = reason.is_empty() || reason.starts_with([' ', '\t']);
    if !is_version || !is_status || !is_end {
        return None;
    }
    Some(Refusal { status: digits.parse().ok()?, reason: reason.trim().to_owned(), schemes: Vec::new() })
}

/// The field's value, if the line has this name.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    line[..colon].trim_ascii_end().eq_ignore_ascii_case(name).then(|| &line[colon + 1..])
}

/// A tunnel whose first bytes arrived together with the proxy's response.
struct Begun {
    early: Bytes,
    stream: BoxStream,
}

impl AsyncRead for Begun {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let count = this.early.len().min(buf.remaining());
        buf.put_slice(&this.early[..count]);
        this.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// The result with a proxy that responds with `answer` in parts of `size`, and the request that it
    /// received.
    fn ask(url: &str, answer: &[u8], size: usize) -> (Result<BoxStream>, Vec<u8>) {
        let proxy = Proxy::new(&Proxy::url(url).unwrap()).unwrap();
        let origin = Origin::of(&"https://h.example/a".parse().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = tokio::io::duplex(256 << 10);
            let user_agent = HeaderValue::from_static("towline/test");
            let asks = open(Box::new(client), &proxy, &origin, &user_agent);
            let answers = async {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(server.read_u8().await.unwrap());
                }
                for piece in answer.chunks(size) {
                    // The client goes away once it has read enough.
                    if server.write_all(piece).await.is_err() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                server.shutdown().await.ok();
                request
            };
            tokio::join!(asks, answers)
        })
    }

    fn rest(mut stream: BoxStream) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bytes = Vec::new();
        runtime.block_on(stream.read_to_end(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn the_request_names_the_origin_and_carries_the_credentials() {
        let (opened, request) = ask("http://us%40er:p%3Aw@p:1", b"HTTP/1.1 200 OK\r\n\r\n", 1000);
        assert!(opened.is_ok());
        assert_eq!(
            String::from_utf8(request).unwrap(),
            "CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\nUser-Agent: towline/test\r\n\
             Proxy-Authorization: Basic dXNAZXI6cDp3\r\n\r\n"
        );
        let (_, request) = ask("http://p:1", b"HTTP/1.1 200 OK\r\n\r\n", 1000);
        assert!(!String::from_utf8(request).unwrap().contains("Authorization"));
    }

    #[test]
    fn any_2xx_opens_the_tunnel_and_what_follows_belongs_to_it() {
        let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(60 << 10));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(HEAD_FIELDS_MAX));
        let heads = [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1  200  OK\r\n\r\n",
            "HTTP/1.1 201 Created\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
            "HTTP/1.1 299 \r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\nX: y\r\n\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\nno colon\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            large.as_str(),
            many.as_str(),
        ];
        for head in heads {
            for early in ["", "\r\n\r\nHTTP/1.1 403 No\r\n\r\n\0"] {
                for size in [1, 7, 1 << 20] {
                    let (opened, _) = ask("http://p:1", [head, early].concat().as_bytes(), size);
                    let shown = &head[..head.len().min(60)];
                    let stream = opened.unwrap_or_else(|error| panic!("{shown:?} in {size}: {error}"));
                    assert_eq!(rest(stream), early.as_bytes(), "{shown:?} in {size}");
                }
            }
        }
    }

    #[test]
    fn everything_else_is_an_error_that_says_what_came() {
        let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX + READ_BYTES));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(HEAD_FIELDS_MAX + 1));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(INTERIM_MAX + 1) + "HTTP/1.1 200 OK\r\n\r\n";
        let ntlm = "HTTP/1.1 407 No\r\nPROXY-Authenticate : Negotiate\r\nproxy-authenticate: NTLM\r\n\r\n";
        #[rustfmt::skip]
        let table = [
            ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "the proxy http://p:1 answered 403 Forbidden to CONNECT h.example:443", false),
            ("HTTP/1.1 503 Busy\r\n\r\n", "answered 503 Busy to CONNECT", true),
            ("HTTP/1.1 429 \r\n\r\n", "answered 429 Too Many Requests to CONNECT", true),
            ("HTTP/1.1 302 Found\r\nLocation: http://h/\r\n\r\n", "answered 302 Found", false),
            ("HTTP/1.1 101 Switching\r\n\r\n", "answered 101 Switching", false),
            ("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "wants credentials", false),
            (ntlm, "wants Negotiate or NTLM, which are not supported; only Basic is", false),
            ("", "closed the connection", true),
            ("HTTP/1.1 200 OK\r\nX: y", "closed the connection", true),
            ("HTTP/1.1 2000 OK\r\n\r\n", "not HTTP", false),
            ("HTTP/1.1 099 OK\r\n\r\n", "not HTTP", false),
            ("HTTP/1.1 OK\r\n\r\n", "not HTTP", false),
            ("HTTP/x 200 OK\r\n\r\n", "not HTTP", false),
            ("SSH-2.0-OpenSSH", "not HTTP", false),
            ("\x05\0", "not HTTP", false),
            (large.as_str(), "too large", false),
            (many.as_str(), "too many fields", false),
            (interim.as_str(), "again and again", false),
        ];
        for (answer, expected, is_transient) in table {
            for size in [1, 1 << 20] {
                let (opened, _) = ask("http://p:1", answer.as_bytes(), size);
                let Err(error) = opened else { panic!("{expected}: a tunnel") };
                assert!(error.to_string().contains(expected), "{expected}: {error}");
                assert_eq!(error.kind(), ErrorKind::Proxy);
                assert_eq!(error.is_transient(), is_transient, "{error}");
            }
        }
    }
}
