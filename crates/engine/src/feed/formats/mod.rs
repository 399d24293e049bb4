//! Lists in formats of other programs: aria2's, JSON Lines, CSV and Metalink. Each is read as a stream, on the thread
//! that copies a list, and each entry becomes a job as soon as it is complete.
//!
//! The format is recognised by what a list begins with, unless the user says which it is. Owns no state beyond the
//! entry that is being read.

mod aria2;
mod csv;
mod fields;
mod json_lines;
mod metalink;
mod packed;

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::job::JobSpec;
use crate::secret::shown_line;

pub(crate) use self::packed::{Unpacked, is_packed};

/// How much of a list to inspect for its format.
pub(crate) const PEEKED_BYTES: usize = 64 << 10;
/// The most URLs of one entry.
const URLS_MAX: usize = 64;
/// The most headers of one entry.
const HEADERS_MAX: usize = 64;
/// A line that is longer, or a record, is an error. It may have headers and the URLs of many mirrors.
const RECORD_BYTES_MAX: usize = 256 << 10;
/// The most options of other programs that are named; whoever writes that many writes another format.
const UNKNOWN_MAX: usize = 50;

/// The format of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListFormat {
    /// One URL per line; `#` begins a comment.
    Plain,
    /// Input files of aria2: mirrors separated by tabs, then indented options.
    Aria2,
    /// One JSON object per line.
    JsonLines,
    /// Comma-separated values (RFC 4180) below a line that names the columns.
    Csv,
    /// Metalink 4 (RFC 5854) and 3.
    Metalink,
}

impl ListFormat {
    /// The format of a list that begins like this.
    pub(crate) fn of(beginning: &[u8]) -> Self {
        let beginning = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
        let lines = || beginning.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let is_said = |line: &&[u8]| !line.trim_ascii().is_empty() && !line.trim_ascii_start().starts_with(b"#");
        let Some(first) = lines().find(is_said) else { return Self::Plain };
        match () {
            () if metalink::is_begin_of(beginning) => Self::Metalink,
            () if first.trim_ascii_start().starts_with(b"{") => Self::JsonLines,
            () if csv::names_columns(first) => Self::Csv,
            () if lines().filter(is_said).any(aria2::is_line_of) => Self::Aria2,
            () => Self::Plain,
        }
    }
}

/// What a list in one of the formats says.
#[derive(Debug)]
pub(crate) enum Said {
    /// Something to fetch.
    Entry(Box<JobSpec>),
    /// A line that is none, with [`ErrorKind::ListLine`].
    Bad { line: u64, error: Error },
    /// Something for the user to know that stops nothing.
    Warning(String),
}

/// Where a reader of a format hands on what it reads.
pub(crate) struct Sink<'a> {
    send: &'a mut dyn FnMut(Said) -> bool,
    /// Where the files are saved.
    dir: &'a Path,
    is_strict: bool,
    unknown: BTreeSet<String>,
}

/// Nobody wants any more.
pub(crate) struct Closed;

impl<'a> Sink<'a> {
    /// Hands on by `send`, which returns false when nobody wants any more. If `is_strict`, an unknown option makes its
    /// line a bad one.
    pub(crate) fn new(dir: &'a Path, is_strict: bool, send: &'a mut dyn FnMut(Said) -> bool) -> Self {
        Self { send, dir, is_strict, unknown: BTreeSet::new() }
    }

    fn dir(&self) -> &'a Path {
        self.dir
    }

    fn say(&mut self, said: Said) -> Result<(), Closed> {
        if (self.send)(said) { Ok(()) } else { Err(Closed) }
    }

    fn entry(&mut self, spec: JobSpec) -> Result<(), Closed> {
        self.say(Said::Entry(Box::new(spec)))
    }

    fn bad(&mut self, line: u64, what: &str) -> Result<(), Closed> {
        let error = Error::new(ErrorKind::ListLine, format!("line {line}: {what}"));
        self.say(Said::Bad { line, error })
    }

    fn warn(&mut self, text: String) -> Result<(), Closed> {
        self.say(Said::Warning(text))
    }

    /// Names an option or a field that Towline does not know: once, or as what is wrong with its entry.
    fn unknown(&mut self, line: u64, what: &str, name: &str) -> Result<Result<(), String>, Closed> {
        let shown: String = shown_line(name).chars().take(40).collect();
        if self.is_strict {
            return Ok(Err(format!("the {what} {shown} is not known")));
        }
        if self.unknown.len() < UNKNOWN_MAX && self.unknown.insert(shown.clone()) {
            self.warn(format!("line {line}: the {what} {shown} is not known, and is ignored"))?;
        }
        Ok(Ok(()))
    }
}

/// Reads a list of this format to its end.
///
/// # Errors
/// If it cannot be read, or is none.
pub(crate) fn read(format: ListFormat, list: impl BufRead, sink: &mut Sink<'_>) -> io::Result<()> {
    let ended = match format {
        ListFormat::Plain => unreachable!("a plain list is read as it is"),
        ListFormat::Aria2 => aria2::read(list, sink),
        ListFormat::JsonLines => json_lines::read(list, sink),
        ListFormat::Csv => csv::read(list, sink),
        ListFormat::Metalink => metalink::read(list, sink),
    };
    match ended {
        Err(Ended::Closed) => Ok(()),
        Err(Ended::Failed(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// Why a reader ended before its list.
enum Ended {
    Closed,
    Failed(io::Error),
}

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// The lines of a list, each as text without its end, or why it is none.
struct Lines<R> {
    list: R,
    number: u64,
    bytes: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn new(list: R) -> Self {
        Self { list, number: 0, bytes: Vec::new() }
    }

    /// The next line and its number; `None` at the end.
    fn next(&mut self) -> io::Result<Option<(u64, Result<&str, &'static str>)>> {
        self.bytes.clear();
        let limit = RECORD_BYTES_MAX as u64 + 1;
        if io::Read::take(&mut self.list, limit).read_until(b'\n', &mut self.bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.bytes.last() != Some(&b'\n') && self.bytes.len() > RECORD_BYTES_MAX {
            self.list.skip_until(b'\n')?;
            return Ok(Some((self.number, Err("longer than 256 KiB"))));
        }
        let line = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if self.number == 1 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        Ok(Some((self.number, std::str::from_utf8(line).map_err(|_| "not UTF-8 text"))))
    }
}

#[cfg(test)]
mod tests;
