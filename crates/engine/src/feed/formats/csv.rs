//! Comma-separated values (RFC 4180). The first line names the columns, in any order: `url`, `output`, `checksum`,
//! `size`, `mirrors` (separated by spaces) and `headers` (one per line within the quotes).

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use csv::{ByteRecord, ErrorKind as CsvErrorKind, ReaderBuilder};

use super::fields::{self, add_header, add_mirror, set_checksum, set_output, set_size};
use super::{Ended, RECORD_BYTES_MAX, Sink};
use crate::job::JobSpec;
use crate::secret::shown_line;

/// Stands behind the end of a list, as a record of its own unless a quote is open there.
const END: &[u8] = b"\n\0end of the list\0";
/// How many columns to name in an error.
const COLUMNS_SHOWN: usize = 8;

/// Whether a line names columns, one of which is the URL's.
pub(super) fn names_columns(line: &[u8]) -> bool {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line);
    let mut record = ByteRecord::new();
    let is_read = reader.read_byte_record(&mut record).unwrap_or(false);
    // A URL may have commas in it.
    let has_url = record.iter().any(|name| name.windows(3).any(|part| part == b"://"));
    is_read && !has_url && record.iter().any(|name| name.trim_ascii().eq_ignore_ascii_case(b"url"))
}

pub(super) fn read(list: impl BufRead, sink: &mut Sink<'_>) -> Result<(), Ended> {
    // A quote that is never closed would make one record of the rest of the list.
    let metered = Metered::new(list);
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).comment(Some(b'#')).from_reader(metered);
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(failed)? {
        return Ok(());
    }
    if is_end(&record) {
        return Ok(());
    }
    let columns: Vec<String> = record.iter().map(name_of).collect();
    if !columns.iter().any(|name| name == "url") {
        let found: Vec<String> = columns.iter().take(COLUMNS_SHOWN).map(|name| shown_line(name)).collect();
        let text = format!("its first line has to name the columns, one of them url; it has {}", found.join(", "));
        return Err(Ended::Failed(io::Error::other(text)));
    }
    let is_twice =
        |(at, name): &(usize, &String)| columns[..*at].contains(name) && fields::NAMES.contains(&name.as_str());
    if let Some((_, name)) = columns.iter().enumerate().find(is_twice) {
        return Err(Ended::Failed(io::Error::other(format!("its first line names the column {name} twice"))));
    }
    for name in columns.iter().filter(|name| !fields::NAMES.contains(&name.as_str())) {
        if let Err(what) = sink.unknown(1, "column", name)? {
            return Ok(sink.bad(1, &what)?);
        }
    }
    loop {
        reader.get_mut().refill();
        if !reader.read_byte_record(&mut record).map_err(failed)? {
            return Ok(());
        }
        let end = reader.position().byte();
        let line = reader.get_mut().line_of(end, &record);
        if is_end(&record) {
            return Ok(());
        }
        if record.iter().any(|field| field.ends_with(END)) {
            return Ok(sink.bad(line, "a quote is not closed; the list may have been cut off")?);
        }
        if record.iter().all(|field| field.trim_ascii().is_empty())
            || record.len() == 1 && record[0].trim_ascii_start().starts_with(b"#")
        {
            continue;
        }
        match spec_of(&columns, &record) {
            Ok(spec) => sink.entry(spec)?,
            Err(what) => sink.bad(line, &what)?,
        }
    }
}

/// Whether a record is what stands behind the end of the list.
fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && &record[0] == END.trim_ascii()
}

/// Sets a field of an entry.
type Set = fn(&mut JobSpec, &str) -> Result<(), String>;

fn name_of(column: &[u8]) -> String {
    let column = column.strip_prefix(b"\xef\xbb\xbf").unwrap_or(column);
    String::from_utf8_lossy(column).trim().to_ascii_lowercase()
}

fn spec_of(columns: &[String], record: &ByteRecord) -> Result<JobSpec, String> {
    if record.len() > columns.len() {
        return Err(format!("{} fields below {} columns", record.len(), columns.len()));
    }
    let field = |name: &str| {
        let at = columns.iter().position(|column| column == name);
        let value = at.and_then(|at| record.get(at)).unwrap_or_default();
        if name != "headers" && value.trim_ascii().iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(swallows(name));
        }
        std::str::from_utf8(value).map(str::trim).map_err(|_| "not UTF-8 text".to_owned())
    };
    for (name, value) in columns.iter().zip(record) {
        if value.split(|byte| matches!(byte, b'\n' | b'\r')).skip(1).any(begins_with_url) {
            return Err(swallows(name));
        }
    }
    let url = field("url")?;
    if url.is_empty() {
        return Err("it has no URL".to_owned());
    }
    let mut spec = JobSpec::new(fields::url(url)?);
    let set: [(&str, Set); 3] = [("output", set_output), ("checksum", set_checksum), ("size", set_size)];
    for (name, set) in set {
        let value = field(name)?;
        if !value.is_empty() {
            set(&mut spec, value)?;
        }
    }
    for mirror in field("mirrors")?.split_whitespace() {
        add_mirror(&mut spec, mirror)?;
    }
    for header in field("headers")?.lines().filter(|header| !header.trim().is_empty()) {
        add_header(&mut spec, header)?;
    }
    Ok(spec)
}

/// Whether a line within a field looks like the next entry, of which a quote out of its place has made a part of this one.
fn begins_with_url(line: &[u8]) -> bool {
    let line = line.trim_ascii_start().to_ascii_lowercase();
    [&b"http://"[..], b"https://", b"\"http"].iter().any(|scheme| line.starts_with(scheme))
}

fn swallows(name: &str) -> String {
    format!("a line break in the field {}: a quote is not closed, or not in its place", shown_line(name))
}

fn failed(error: csv::Error) -> Ended {
    let text = shown_line(&error.to_string()).to_string();
    Ended::Failed(match error.into_kind() {
        CsvErrorKind::Io(error) => error,
        _ => io::Error::other(text),
    })
}

/// Reads up to the largest record between two refills, and knows where lines end.
struct Metered<R> {
    list: R,
    left_bytes: usize,
    read_bytes: u64,
    /// Where lines end of which no record has been read.
    line_ends: VecDeque<u64>,
    lines_before: u64,
    /// What is left of what stands behind its end.
    end: &'static [u8],
}

impl<R> Metered<R> {
    fn new(list: R) -> Self {
        Self {
            list,
            left_bytes: RECORD_BYTES_MAX,
            read_bytes: 0,
            line_ends: VecDeque::new(),
            lines_before: 0,
            end: END,
        }
    }

    /// The line in which a record begins that ends before this byte. (The parser miscounts lines that end with CR LF.)
    fn line_of(&mut self, end: u64, record: &ByteRecord) -> u64 {
        while self.line_ends.front().is_some_and(|at| at + 1 < end) {
            self.line_ends.pop_front();
            self.lines_before += 1;
        }
        let within = record.iter().flatten().filter(|byte| **byte == b'\n').count() as u64;
        (self.lines_before + 1).saturating_sub(within)
    }

    fn refill(&mut self) {
        self.left_bytes = RECORD_BYTES_MAX;
    }
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        if self.left_bytes == 0 {
            return Err(io::Error::other("a record is longer than 256 KiB: a quote may not be closed"));
        }
        let most = part.len().min(self.left_bytes);
        let count = match self.list.read(&mut part[..most])? {
            0 => self.end.read(&mut part[..most])?,
            count => count,
        };
        self.left_bytes -= count;
        let ends = part[..count].iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        self.line_ends.extend(ends.map(|(at, _)| self.read_bytes + at as u64));
        self.read_bytes += count as u64;
        Ok(count)
    }
}
