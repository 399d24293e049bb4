//! A small HTTP/1.1 client over a blocking socket, which shows how a response ended. Runs on the
//! thread of the test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use towline_origin::{Origin, first_difference};

/// Longer than anything here takes; a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last byte; the connection is still open as far as the client knows.
    Whole,
    /// By an orderly close before that.
    Closed,
    /// By a reset.
    Reset,
}

/// A response as far as it came; status 0 if no head did.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Fails unless the body is `len` bytes of the content `seed` from `offset` on.
    pub(crate) fn assert_content(&self, seed: u64, offset: u64, len: usize) {
        assert_eq!(self.body.len(), len);
        assert_eq!(first_difference(seed, offset, &self.body), None);
    }
}

/// One connection.
pub(crate) struct Client<S> {
    stream: BufReader<S>,
}

impl Client<TcpStream> {
    pub(crate) fn connect(origin: &Origin) -> Self {
        let stream = TcpStream::connect(origin.addr()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self::new(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    pub(crate) fn range(&mut self, path: &str, range: &str) -> Answer {
        self.request("GET", path, &[("Range", range)])
    }

    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut answer = Answer { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Whole };
        let outcome = self
            .send(method, path, headers)
            .and_then(|()| self.read_head(&mut answer))
            .and_then(|()| self.read_body(method, &mut answer));
        if let Err(error) = outcome {
            answer.end = ended_by(&error);
        }
        answer
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        self.stream.get_mut().flush()
    }

    pub(crate) fn read_head(&mut self, answer: &mut Answer) -> io::Result<()> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).unwrap();
        answer.status = status.parse().unwrap();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            let (name, value) = line.split_once(':').unwrap();
            let field = (name.to_ascii_lowercase(), value.trim().to_owned());
            answer.headers.push(field);
        }
    }

    /// Reads `count` bytes more, or as many as come; they are in `body` even on an error.
    pub(crate) fn read_bytes(&mut self, count: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let before = body.len();
        let mut piece = vec![0; 64 * 1024];
        while body.len() - before < count {
            let left = (count - (body.len() - before)).min(piece.len());
            match self.stream.read(&mut piece[..left])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => body.extend_from_slice(&piece[..got]),
            }
        }
        Ok(())
    }

    /// How the connection ends when nothing more is expected on it.
    pub(crate) fn end(&mut self) -> End {
        let mut rest = Vec::new();
        let error = self.read_bytes(1, &mut rest).unwrap_err();
        ended_by(&error)
    }

    /// All that comes until the connection ends, whatever it is.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset ends it as well as a close does.
        let _ = self.stream.read_to_end(&mut rest);
        rest
    }

    /// The same, and whether TLS said that this is the end.
    pub(crate) fn rest_and_notice(&mut self) -> (Vec<u8>, bool) {
        let mut rest = Vec::new();
        let is_told = self.stream.read_to_end(&mut rest).is_ok();
        (rest, is_told)
    }

    fn read_body(&mut self, method: &str, answer: &mut Answer) -> io::Result<()> {
        if method == "HEAD" || answer.status == 304 {
            return Ok(());
        }
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            return self.read_bytes(length, &mut answer.body);
        }
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).unwrap();
            self.read_bytes(size, &mut answer.body)?;
            self.line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn ended_by(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => End::Closed,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => End::Reset,
        _ => panic!("neither closed nor reset: {error}"),
    }
}
