//! One call for a whole download, with the parameters one expects of it: URL, file name, threads,
//! chunk size, timeout, headers, resume, progress.
//!
//! `cargo run -p towline-engine --example download -- URL [NAME]`

use std::io::{self, Write};
use std::time::Duration;

use towline_engine::{Download, Event};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: download URL [NAME]")?;
    let mut download = Download::new(&url)
        .threads(4)
        .chunk_size(1 << 20)
        .timeout(Duration::from_secs(10))
        .header("Accept-Language", "en")
        .resume(true)
        .progress(|event: &Event| {
            if let Event::Progress(progress) = event {
                let _ = write!(io::stderr(), "\r{} of {} bytes ", progress.done_bytes, progress.total_bytes);
            }
        });
    if let Some(name) = arguments.next() {
        download = download.filename(name);
    }
    let file = download.run()?;
    writeln!(io::stdout(), "{} bytes in {} ({} fetched)", file.bytes, file.path.display(), file.fetched_bytes)?;
    Ok(())
}
