//! One thread that waits for several connections, and writes each body to a file without a name, which
//! it then links.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fs::{AtFlags, Mode, OFlags, linkat, open, openat};

use super::{Address, content_length, head_end};
use crate::source::Source;

const BUFFER_BYTES: usize = 64 << 10;
const EVENTS: usize = 64;

struct Connection {
    stream: TcpStream,
    number: u64,
    buffer: Vec<u8>,
    filled: usize,
}

pub(super) fn run(address: &Address, connections: u64, count: u64, dir: &Path) -> io::Result<()> {
    let folder = address.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let dir = open(dir, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut next = 0..count;
    let mut open_connections = Vec::new();
    for (index, number) in (0..connections).zip(next.by_ref()) {
        let mut connection =
            Connection { stream: TcpStream::connect(address.host)?, number, buffer: vec![0; BUFFER_BYTES], filled: 0 };
        connection.stream.set_nodelay(true)?;
        epoll::add(&poll, &connection.stream, epoll::EventData::new_u64(index), epoll::EventFlags::IN)?;
        connection.ask(address.host, folder, number)?;
        open_connections.push(connection);
    }
    let mut done = 0;
    let mut events = Vec::with_capacity(EVENTS);
    while done < count {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let connection = &mut open_connections[event.data.u64() as usize];
            let Some(body) = connection.read()? else { continue };
            store(&dir, connection.number, &connection.buffer[body..connection.filled])?;
            done += 1;
            if let Some(number) = next.next() {
                connection.ask(address.host, folder, number)?;
            }
        }
    }
    Ok(())
}

impl Connection {
    fn ask(&mut self, host: &str, folder: &str, number: u64) -> io::Result<()> {
        self.number = number;
        self.filled = 0;
        let name = Source::name(number);
        let request = format!(
            "GET {folder}/{name} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: floor\r\nAccept: */*\r\nAccept-Encoding: identity\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes())
    }

    /// Reads once; where the body begins if all of it is here.
    fn read(&mut self) -> io::Result<Option<usize>> {
        let length = self.stream.read(&mut self.buffer[self.filled..])?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += length;
        let Some(body) = head_end(&self.buffer[..self.filled]) else { return Ok(None) };
        let end = body + content_length(&self.buffer[..body])?;
        if end > self.buffer.len() {
            return Err(io::Error::other("a body is larger than the buffer"));
        }
        Ok((self.filled >= end).then_some(body))
    }
}

fn store(dir: &impl std::os::fd::AsFd, number: u64, body: &[u8]) -> io::Result<()> {
    let file = openat(dir, ".", OFlags::TMPFILE | OFlags::WRONLY, Mode::from_raw_mode(0o644))?;
    let mut written = 0;
    while written < body.len() {
        written += rustix::io::write(file.as_fd(), &body[written..])?;
    }
    linkat(&file, "", dir, Source::name(number), AtFlags::EMPTY_PATH)?;
    Ok(())
}
