//! `towline-origin`: runs the origin from a shell, for benchmarks and manual tests. The main thread
//! prints the URL and waits; the origin's threads serve until the process is killed.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use towline_origin::{Fault, Origin, Resource};

/// Serve generated content over HTTP: one file at /file.bin and many under /files/
#[derive(Debug, Parser)]
#[command(name = "towline-origin", version)]
struct Arguments {
    /// Listen on this port of 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Serve over TLS
    #[arg(long)]
    tls: bool,
    /// Offer HTTP/2 (needs --tls)
    #[arg(long, requires = "tls")]
    http2: bool,
    /// Number of serving threads
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Size of /file.bin in bytes
    #[arg(long, default_value_t = 1 << 30)]
    size: u64,
    /// Seed of the content of /file.bin; /files/N.bin uses this seed + 1 + N
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of files to serve as /files/0.bin, /files/1.bin, ...
    #[arg(long, default_value_t = 0)]
    files: u64,
    /// Size of each file under /files/ in bytes
    #[arg(long, default_value_t = 4096)]
    file_size: u64,
    /// Limit each connection to this many bytes per second
    #[arg(long)]
    rate_per_connection: Option<u64>,
    /// Limit all connections together to this many bytes per second
    #[arg(long)]
    rate_per_server: Option<u64>,
    /// Wait this many milliseconds before the first byte of each response
    #[arg(long)]
    latency_ms: Option<u64>,
    /// Write the authority's certificate (PEM) to this file
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_out: Option<PathBuf>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let origin = start(&arguments)?;
    if let (Some(file), Some(pem)) = (&arguments.ca_out, origin.ca_pem()) {
        std::fs::write(file, pem)?;
    }
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", origin.url(""))?;
    stdout.flush()?;
    drop(stdout);
    loop {
        std::thread::park();
    }
}

fn start(arguments: &Arguments) -> io::Result<Origin> {
    let mut builder = Origin::builder()
        .bind(format!("127.0.0.1:{}", arguments.port))
        .tls(arguments.tls)
        .http2(arguments.http2)
        .threads(arguments.threads)
        .resource(Resource::new("/file.bin", arguments.seed, arguments.size));
    if arguments.files > 0 {
        let base_seed = arguments.seed.wrapping_add(1);
        let (count, size) = (arguments.files, arguments.file_size);
        builder = builder.files("/files/{}.bin", count, size, base_seed);
    }
    if let Some(rate) = arguments.rate_per_connection {
        builder = builder.fault(Fault::RatePerConnection(rate));
    }
    if let Some(rate) = arguments.rate_per_server {
        builder = builder.fault(Fault::RatePerServer(rate));
    }
    if let Some(pause) = arguments.latency_ms {
        builder = builder.fault(Fault::Latency(Duration::from_millis(pause)));
    }
    builder.start()
}
