//! `recv` into a buffer, `pwrite` at the offset.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;

use super::{Address, content_length, head_end};

/// As large as the engine's own reads.
const BUFFER_BYTES: usize = 256 << 10;

pub(super) fn run(address: &Address, connections: u64, path: &Path) -> io::Result<()> {
    let bytes = length(address)?;
    let file = File::create(path)?;
    file.set_len(bytes)?;
    let file = &file;
    thread::scope(|scope| {
        let parts: Vec<_> = (0..connections)
            .map(|number| {
                let (start, end) = (bytes * number / connections, bytes * (number + 1) / connections);
                scope.spawn(move || fetch(address, file, start, end))
            })
            .collect();
        parts.into_iter().try_for_each(|part| part.join().map_err(|_| io::Error::other("a thread panicked"))?)
    })
}

fn length(address: &Address) -> io::Result<u64> {
    let mut stream = TcpStream::connect(address.host)?;
    write!(stream, "HEAD {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address.path, address.host)?;
    let mut head = Vec::new();
    stream.read_to_end(&mut head)?;
    content_length(&head).map(|length| length as u64)
}

fn fetch(address: &Address, file: &File, start: u64, end: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address.host)?;
    let Address { host, path } = address;
    let last = end - 1;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={start}-{last}\r\nConnection: close\r\n\r\n")?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    let body = loop {
        filled += stream.read(&mut buffer[filled..])?;
        if let Some(at) = head_end(&buffer[..filled]) {
            break at;
        }
    };
    file.write_all_at(&buffer[body..filled], start)?;
    let mut position = start + (filled - body) as u64;
    while position < end {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&buffer[..length], position)?;
        position += length as u64;
    }
    Ok(())
}
