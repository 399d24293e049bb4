//! The least that the work costs: bare loops without checks, journal, resume or names of their own. Each
//! runs as a command of this program, so that it is measured as the contenders are.

mod large;
mod look;
mod small;

use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The argument that makes the program a bare loop.
pub const FLOOR: &str = "floor";
/// One file, a thread a connection: `URL CONNECTIONS PATH`.
pub const LARGE: &str = "large";
/// Numbered files, one thread with several connections: `FIRST-URL CONNECTIONS COUNT DIR`.
pub const SMALL: &str = "small";
/// Asks the file system for each numbered file: `COUNT DIR`.
pub const LOOK: &str = "look";

/// Runs the loop that `arguments` name.
#[must_use]
pub fn run_floor(arguments: &[String]) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the harness reads why a command failed")]
            {
                eprintln!("{error}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> io::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [LARGE, url, connections, path] => large::run(&Address::parse(url)?, number(connections)?, Path::new(path)),
        [SMALL, url, connections, count, dir] => {
            small::run(&Address::parse(url)?, number(connections)?, number(count)?, Path::new(dir))
        }
        [LOOK, count, dir] => look::run(number(count)?, Path::new(dir)),
        _ => Err(io::Error::other("usage: large|small|look ARGUMENTS")),
    }
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(io::Error::other)
}

/// An `http` URL in two parts.
struct Address<'a> {
    /// With its port.
    host: &'a str,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> io::Result<Self> {
        let rest = url.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| rest.split_at(at)));
        let (host, path) = rest.ok_or_else(|| io::Error::other(format!("{url} is no http URL")))?;
        Ok(Self { host, path })
    }
}

/// The length that the head of a response tells.
fn content_length(head: &[u8]) -> io::Result<usize> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.and_then(|length| length.trim().parse().ok()).ok_or_else(|| io::Error::other("a response without a length"))
}

/// Where the head of a response ends.
fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
