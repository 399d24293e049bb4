//! Where a list comes from, and how it can be read.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

use crate::checksum::Sums;
use crate::error::{Error, ErrorKind};
use crate::feed::formats::{ListFormat, is_packed};
use crate::feed::lines::Form;
use crate::feed::list::{CHANGED, Line, ListReader, Next, Until, parse_line, too_long};
use crate::feed::listing::Listing;
use crate::feed::spool::{self, Format, Spool};
use crate::http::asker::Asker;
use crate::options::HttpOptions;

/// How many bytes of a list to inspect for its format.
const FORM_BYTES: u64 = 64 << 10;

/// Where a list comes from.
pub enum ListSource {
    /// A file; a named pipe or anything else that can be read only once also works.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// The caller's own reader.
    Reader(Box<dyn Read + Send>),
    /// What a service lists. A second run fetches what is new, and what is listed with another version.
    Listing(Listing),
}

impl fmt::Debug for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Stdin => f.write_str("Stdin"),
            Self::Reader(_) => f.write_str("Reader"),
            Self::Listing(_) => f.write_str("Listing"),
        }
    }
}

/// How to read a list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListOptions {
    /// Its format; `None` recognises it by what it begins with.
    pub format: Option<ListFormat>,
    /// Whether one bad line, or one unknown option, is an error of the whole list: nothing starts then.
    pub is_strict: bool,
    /// Digests of files by their names, by which finished files are known again: those of [`Options::sums`](crate::Options::sums).
    pub sums: Option<Arc<Sums>>,
    /// What is sent with each request.
    pub(super) asker: Asker,
}

impl ListOptions {
    /// Digests of files by the names of their outputs, or of their URLs.
    #[must_use]
    pub fn sums(mut self, sums: Arc<Sums>) -> Self {
        self.sums = Some(sums);
        self
    }

    /// Knows what is sent with each request: for another user, or with other fields, servers may send other files.
    #[must_use]
    pub fn requests(mut self, http: &HttpOptions) -> Self {
        self.asker = Asker::of(http);
        self
    }

    /// A list in this format.
    #[must_use]
    pub fn format(mut self, format: ListFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Whether a bad line is an error of the whole list.
    #[must_use]
    pub fn strict(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }
}

/// Standard input that waits, also where another program has made it non-blocking.
struct Patient(io::Stdin);

impl Read for Patient {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(part) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
                    retry_on_intr(|| poll(&mut fds, None))?;
                }
                read => return read,
            }
        }
    }
}

/// How a list can be read.
pub(super) enum Input {
    /// Can be read at any offset.
    Whole(File),
    /// Can be read only once.
    Stream(spool::Input),
}

pub(super) fn input(source: ListSource, format: Format) -> Result<Input, Error> {
    let path = match source {
        ListSource::File(path) => path,
        ListSource::Stdin => {
            return Ok(stream(format, || Ok(Box::new(Patient(io::stdin())))));
        }
        ListSource::Reader(reader) => return Ok(stream(format, move || Ok(reader))),
        ListSource::Listing(listing) => return Ok(Input::Stream(spool::Input::Listing(listing))),
    };
    let fault = |source: io::Error| {
        let message = match source.kind() {
            io::ErrorKind::NotFound => "there is no such list".to_owned(),
            _ => format!("the list cannot be read: {}", crate::error::plain_io(&source)),
        };
        Error::new(ErrorKind::Usage, message).with_path(&path).with_source(source)
    };
    let found = fs::metadata(&path).map_err(fault)?;
    let is_file = found.is_file();
    if found.is_dir() {
        let message = "it is a directory, not a list";
        return Err(Error::new(ErrorKind::Usage, message).with_path(&path));
    }
    if found.is_file() {
        let file = File::open(&path).map_err(fault)?;
        let mut beginning = Vec::new();
        (&file).take(FORM_BYTES).read_to_end(&mut beginning).map_err(fault)?;
        let found = format.format.unwrap_or_else(|| ListFormat::of(&beginning));
        if !is_packed(&beginning) && Form::of(&beginning) == Form::Plain && found == ListFormat::Plain {
            return Ok(Input::Whole(file));
        }
    }
    Ok(stream(format, move || {
        let file = File::open(&path)?;
        Ok(if is_file { Box::new(Unchanging::new(file)?) } else { Box::new(file) })
    }))
}

/// A file that fails where it ends if others have cut or extended it since it was opened.
struct Unchanging {
    file: File,
    left_bytes: u64,
}

impl Unchanging {
    fn new(file: File) -> io::Result<Self> {
        let left_bytes = file.metadata()?.len();
        Ok(Self { file, left_bytes })
    }
}

impl Read for Unchanging {
    fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(part)?;
        let left_bytes = self.left_bytes.checked_sub(count as u64);
        match left_bytes {
            Some(left_bytes) if count > 0 || left_bytes == 0 || part.is_empty() => {
                self.left_bytes = left_bytes;
                Ok(count)
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, CHANGED)),
        }
    }
}

fn stream(format: Format, open: impl FnOnce() -> io::Result<Box<dyn Read + Send>> + Send + 'static) -> Input {
    Input::Stream(spool::Input::List(Box::new(open), format))
}

/// Reads the whole list. The first bad line is an error of the list.
pub(super) fn check_all(file: &Arc<File>, spool: Option<&mut Spool>) -> Result<(), Error> {
    let strictly =
        |error: &Error| Error::new(ErrorKind::Usage, format!("the list has a bad line: {}", error.message()));
    if let Some(spool) = spool {
        spool.wait();
        if let Some(error) = spool.bad_line() {
            return Err(strictly(error));
        }
        if let Some(error) = spool.failure() {
            return Err(if error.kind() == ErrorKind::ListLine { strictly(error) } else { error.clone() });
        }
        if spool.has_specs() {
            return Ok(());
        }
    }
    let mut reader = ListReader::new(Arc::clone(file));
    loop {
        let next = reader.next_line(Until::END_OF_FILE).map_err(|source| {
            Error::new(ErrorKind::Storage, format!("cannot read the list: {source}")).with_source(source)
        })?;
        let Next::Line(raw) = next else { return Ok(()) };
        let parsed = match raw.too_long {
            true => Line::Bad(too_long(raw.number)),
            false => parse_line(raw.number, reader.bytes(&raw)),
        };
        if let Line::Bad(error) = parsed {
            return Err(strictly(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_is_cut_or_extended_while_it_is_read_is_an_error_at_its_end() {
        for (len_bytes, is_changed) in [(1000, false), (400, true), (0, true), (1200, true)] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(&[b'a'; 1000]).unwrap();
            let mut reader = Unchanging::new(file.reopen().unwrap()).unwrap();
            reader.read_exact(&mut [0; 500]).unwrap();
            file.as_file().set_len(len_bytes).unwrap();
            let end = reader.read_to_end(&mut Vec::new());
            assert_eq!(end.is_err(), is_changed, "{len_bytes}");
        }
    }
}
