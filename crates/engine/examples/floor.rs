//! The floor that the engine is measured against: one thread a connection, `recv` into a buffer,
//! `pwrite` at the offset, nothing else. No checks, no journal, no resume.
//!
//! `cargo run --release -p towline-engine --example floor -- HOST:PORT PATH BYTES CONNECTIONS OUTPUT`

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// As large as the engine's own reads.
const BUFFER_BYTES: usize = 256 << 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [host, path, bytes, connections, output] = &arguments[..] else {
        return Err("usage: floor HOST:PORT PATH BYTES CONNECTIONS OUTPUT".into());
    };
    let (bytes, connections): (u64, u64) = (bytes.parse()?, connections.parse()?);
    let file = Arc::new(File::create(output)?);
    file.set_len(bytes)?;
    let threads: Vec<_> = (0..connections)
        .map(|number| {
            let (host, path, file) = (host.clone(), path.clone(), Arc::clone(&file));
            let (start, end) = (bytes * number / connections, bytes * (number + 1) / connections);
            towline_threads::thread::spawn(move || fetch(&host, &path, &file, start, end))
        })
        .collect();
    for thread in threads {
        thread.join()??;
    }
    Ok(())
}

fn fetch(host: &str, path: &str, file: &File, start: u64, end: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(host)?;
    let last = end - 1;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={start}-{last}\r\nConnection: close\r\n\r\n")?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut filled = 0;
    let body = loop {
        filled += stream.read(&mut buffer[filled..])?;
        if let Some(at) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
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
