//! One connection to a mock service: requests read line by line, answers written whole, files piece by piece.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::archive::fill_archive;
use crate::content::fill;

/// Maximum number of header lines in a request.
const HEAD_LINES_MAX: usize = 100;
/// Maximum length of a request's body.
const BODY_BYTES_MAX: usize = 1 << 20;
const BUFFER_BYTES: usize = 16 << 10;
pub(super) const JSON: &str = "Content-Type: application/json\r\n";

/// TCP, or TLS over it.
pub(super) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// A connection.
pub(super) struct Talk {
    stream: BufReader<Box<dyn Stream>>,
    /// The address of the service.
    pub(super) addr: SocketAddr,
    is_stopped: Arc<AtomicBool>,
}

/// The parts of a request that a service uses.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    /// By their names in lower case.
    pub(super) headers: HashMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// A file to send.
pub(super) struct Sent<'a> {
    pub(super) seed: u64,
    pub(super) size: u64,
    /// It looks like a zip archive of this size.
    pub(super) archive: Option<u64>,
    /// Header fields of the answer, each with its line end.
    pub(super) fields: &'a str,
    /// At most this many bytes per second.
    pub(super) rate_bps: Option<u64>,
}

impl Request {
    /// A header field, by its name in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The path's segments, as they were sent.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.path.split('/').filter(|segment| !segment.is_empty()).collect()
    }

    /// A parameter of the query, as it was sent.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Talk {
    pub(super) fn new(stream: Box<dyn Stream>, addr: SocketAddr, is_stopped: Arc<AtomicBool>) -> Self {
        Self { stream: BufReader::new(stream), addr, is_stopped }
    }

    /// The next request; `None` at the end of the connection.
    pub(super) fn request(&mut self) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or("/").to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut headers = HashMap::new();
        for _ in 0..HEAD_LINES_MAX {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; BODY_BYTES_MAX.min(length)];
        self.stream.read_exact(&mut body)?;
        Ok(Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body }))
    }

    /// Sends an answer with these header fields, each with its line end.
    pub(super) fn answer(&mut self, status: &str, fields: &str, body: &[u8]) -> io::Result<()> {
        let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        self.write(&[head.as_bytes(), body].concat())
    }

    /// Sends a file, or the range of it that is requested, and tells how many bytes have been sent, buffer by buffer;
    /// an error of that breaks off.
    pub(super) fn send(
        &mut self,
        request: &Request,
        file: &Sent<'_>,
        tell: impl Fn(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let size = file.size;
        let range = request.header("range").and_then(|range| parse_range(range, size));
        let (start, end) = range.unwrap_or((0, size));
        let (status, field) = match range {
            Some(_) => ("206 Partial Content", format!("Content-Range: bytes {start}-{}/{size}\r\n", end - 1)),
            None => ("200 OK", String::new()),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\n{field}{}Accept-Ranges: bytes\r\nContent-Length: {}\r\n\r\n",
            file.fields,
            end - start
        );
        self.write(head.as_bytes())?;
        self.pour(file, start, end, |talk, bytes| talk.write(bytes), tell)
    }

    /// Sends a file in chunks: nobody knows its length before its end.
    pub(super) fn send_chunked(&mut self, file: &Sent<'_>, tell: impl Fn(u64) -> io::Result<()>) -> io::Result<()> {
        let head = format!("HTTP/1.1 200 OK\r\n{}Transfer-Encoding: chunked\r\n\r\n", file.fields);
        self.write(head.as_bytes())?;
        let chunk = |talk: &mut Self, bytes: &[u8]| {
            talk.write(&[format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
        };
        self.pour(file, 0, file.size, chunk, tell)?;
        self.write(b"0\r\n\r\n")
    }

    fn pour(
        &mut self,
        file: &Sent<'_>,
        start: u64,
        end: u64,
        write: impl Fn(&mut Self, &[u8]) -> io::Result<()>,
        tell: impl Fn(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut at = start;
        while at < end && !self.is_stopped.load(Ordering::Acquire) {
            let count = (end - at).min(BUFFER_BYTES as u64) as usize;
            fill(file.seed, at, &mut buffer[..count]);
            if let Some(size) = file.archive {
                fill_archive(size, at, &mut buffer[..count]);
            }
            write(self, &buffer[..count])?;
            at += count as u64;
            tell(count as u64)?;
            if let Some(bps) = file.rate_bps {
                thread::sleep(Duration::from_secs_f64(count as f64 / bps as f64));
            }
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }
}

/// Parses `bytes=A-B` for a file of this size; returns the first byte and the end (exclusive).
fn parse_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let end = last.parse::<u64>().map_or(size, |last| last.saturating_add(1)).min(size);
    (first < end).then_some((first, end))
}

/// A text without its percent-encoding.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Bytes in Base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let word = part.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for place in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= part.len() { char::from(letter) } else { '=' });
        }
    }
    text
}
