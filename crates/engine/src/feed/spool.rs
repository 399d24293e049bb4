//! Stores what a pipe delivers, so that a list that can be read only once is read like a file.
//!
//! A daemon thread `list` copies the source into a file without a name (a list may contain secrets) and reports
//! its progress; the feed thread owns the [`Spool`] and reads behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use towline_threads::queue::Queue;
use towline_threads::thread::Builder;

use crate::error::{Error, ErrorKind, plain_io};
use crate::feed::formats::{self, ListFormat, PEEKED_BYTES, Said, Sink, Unpacked};
use crate::feed::lines::Plain;
use crate::feed::list::Until;
use crate::feed::listing::{ListItem, Listing, line_of};
use crate::job::JobSpec;

/// A file name that is removed with its owner.
#[derive(Debug)]
pub(crate) struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// What a spool reads, on its own thread.
pub(crate) enum Input {
    /// A list, in this format.
    List(Opener, Format),
    /// A listing.
    Listing(Listing),
}

/// How to read a list.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    /// The format, if the user says it.
    pub(crate) format: Option<ListFormat>,
    /// Whether what is not known makes a line a bad one.
    pub(crate) is_strict: bool,
    /// Where the files are saved.
    pub(crate) dir: PathBuf,
}

/// What a list or a listing has beside its entries.
#[derive(Debug)]
pub(crate) enum Aside {
    /// A part of a listing that cannot be listed, and why.
    NotListed(String, Error),
    /// A line that is no entry.
    Bad { line: u64, error: Error },
    /// Something for the user to know.
    Warning(String),
}

/// Opens the source, on the thread that reads it: a named pipe blocks until it has a writer.
pub(crate) type Opener = Box<dyn FnOnce() -> io::Result<Box<dyn Read + Send>> + Send>;

const PARTS_AHEAD_MAX: usize = 64;
const WAITED: Duration = Duration::from_secs(60);
const PART_BYTES: usize = 64 * 1024;

/// What has arrived from a pipe so far.
pub(crate) struct Spool {
    file: Arc<File>,
    /// The file's name, where unnamed files cannot be read back.
    _name: Option<Name>,
    told: Queue<Told>,
    written_bytes: u64,
    ended: bool,
    failure: Option<Error>,
    asides: Vec<Aside>,
    /// Its lines are entries as JSON, not lines of a plain list.
    has_specs: bool,
}

/// A report of the copying thread.
enum Told {
    /// All lines are entries as JSON; comes before the first one.
    HasSpecs,
    /// This many bytes are in the file.
    Written(u64),
    /// This is not in it.
    Aside(Aside),
    /// No more data follows, possibly because of this error.
    Ended(Option<Error>),
}

impl Spool {
    /// Starts copying; the unnamed file is created in `directory`.
    pub(crate) fn start(directory: &Path, input: Input) -> Result<Self, Error> {
        let (file, name) = open_file(directory).map_err(|source| Error::storage("keep the list", directory, source))?;
        let file = Arc::new(file);
        let told = Queue::bounded(PARTS_AHEAD_MAX);
        let (target, queue) = (Arc::clone(&file), told.clone());
        let _thread =
            Builder::new().name("list").daemon(true).spawn(move || copy(input, &target, queue)).map_err(|source| {
                Error::new(ErrorKind::Storage, "cannot start a thread for the list").with_source(source)
            })?;
        Ok(Self {
            file,
            _name: name,
            told,
            written_bytes: 0,
            ended: false,
            failure: None,
            asides: Vec::new(),
            has_specs: false,
        })
    }

    /// The file that holds the list.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// How far the list can be read.
    pub(crate) fn until(&self) -> Until {
        Until { end_bytes: self.written_bytes, more: !self.ended }
    }

    /// Takes the thread's reports; waits up to `patience` for the first one.
    pub(crate) fn listen(&mut self, patience: Duration) {
        let mut patience = patience;
        for _ in 0..PARTS_AHEAD_MAX {
            if self.ended {
                return;
            }
            match self.told.get_timeout(patience) {
                Ok(Told::Written(bytes)) => self.written_bytes = bytes,
                Ok(Told::Ended(failure)) => {
                    self.ended = true;
                    self.failure = failure;
                }
                Ok(Told::HasSpecs) => self.has_specs = true,
                Ok(Told::Aside(aside)) => self.asides.push(aside),
                Err(_) => return,
            }
            patience = Duration::ZERO;
        }
    }

    /// Takes what is not in the file.
    pub(crate) fn take_asides(&mut self) -> Vec<Aside> {
        std::mem::take(&mut self.asides)
    }

    /// Whether its lines are entries as JSON. Known once there is one.
    pub(crate) fn has_specs(&self) -> bool {
        self.has_specs
    }

    /// The first line so far that is no entry.
    pub(crate) fn bad_line(&self) -> Option<&Error> {
        self.asides.iter().find_map(|aside| match aside {
            Aside::Bad { error, .. } => Some(error),
            _ => None,
        })
    }

    /// Waits until all has come, or a bad line.
    pub(crate) fn wait(&mut self) {
        while !self.ended && self.bad_line().is_none() {
            self.listen(WAITED);
        }
    }

    /// Why the source ended early; ask once everything that arrived has been read.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // The thread must not wait for queue space that nobody will free.
        self.told.shutdown_immediate();
    }
}

/// Reports the end of the data, even when the source panics.
struct LastWord {
    told: Queue<Told>,
    failure: Option<Error>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        let _ = self.told.put(Told::Ended(self.failure.take()));
    }
}

fn copy(input: Input, file: &File, told: Queue<Told>) {
    let mut last = LastWord { told, failure: Some(not_read(io::Error::other("its reader panicked"))) };
    last.failure = match input {
        Input::List(open, format) => read_list(open, &format, file, &last.told).err(),
        Input::Listing(listing) => keep_all(listing, file, &last.told).err(),
    };
}

fn not_read(source: io::Error) -> Error {
    let message = format!("cannot read the list: {}", plain_io(&source));
    Error::new(ErrorKind::Storage, message).with_source(source)
}

fn keep_all(listing: Listing, file: &File, told: &Queue<Told>) -> Result<(), Error> {
    let mut kept = Kept::new(file, told);
    listing.run(&mut |item| match item {
        ListItem::NotListed { url, error } => kept.tell(Told::Aside(Aside::NotListed(url, error))),
        ListItem::File(spec) => kept.keep(&spec),
    });
    kept.failure.map_or(Ok(()), Err)
}

fn read_list(open: Opener, format: &Format, file: &File, told: &Queue<Told>) -> Result<(), Error> {
    let list = open().and_then(Unpacked::new).map_err(not_read)?;
    let mut list = BufReader::with_capacity(PEEKED_BYTES, Plain::new(list));
    let found = match format.format {
        Some(format) => format,
        None => ListFormat::of(list.fill_buf().map_err(not_read)?),
    };
    if found == ListFormat::Plain {
        return copy_all(list, file, told).map_err(not_understood);
    }
    let mut kept = Kept::new(file, told);
    let mut send = |said| match said {
        Said::Entry(spec) => kept.keep(&spec),
        Said::Bad { line, error } => kept.tell(Told::Aside(Aside::Bad { line, error })),
        Said::Warning(text) => kept.tell(Told::Aside(Aside::Warning(text))),
    };
    let read = formats::read(found, list, &mut Sink::new(&format.dir, format.is_strict, &mut send));
    kept.failure.map_or_else(|| read.map_err(not_understood), Err)
}

/// What is wrong with a list is not this machine's fault.
fn not_understood(error: io::Error) -> Error {
    match error.kind() {
        // The last two are what a compressed list says that is cut or damaged.
        io::ErrorKind::Other
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof => {
            Error::new(ErrorKind::ListLine, format!("the list cannot be read further: {error}"))
        }
        _ => not_read(error),
    }
}

/// Entries that are kept as lines of JSON.
struct Kept<'a> {
    file: &'a File,
    told: &'a Queue<Told>,
    written_bytes: u64,
    failure: Option<Error>,
}

impl<'a> Kept<'a> {
    fn new(file: &'a File, told: &'a Queue<Told>) -> Self {
        let _ = told.put(Told::HasSpecs);
        Self { file, told, written_bytes: 0, failure: None }
    }

    /// False if nobody wants any more.
    fn keep(&mut self, spec: &JobSpec) -> bool {
        let written = line_of(spec).and_then(|line| {
            self.file.write_all(&line).map_err(not_read)?;
            Ok(line.len() as u64)
        });
        match written {
            Ok(bytes) => self.written_bytes += bytes,
            Err(error) => {
                self.failure = Some(error);
                return false;
            }
        }
        self.tell(Told::Written(self.written_bytes))
    }

    fn tell(&mut self, told: Told) -> bool {
        self.told.put(told).is_ok()
    }
}

/// Tells of whole lines: a line that a broken source ends in is no entry.
fn copy_all(mut source: impl Read, file: &File, told: &Queue<Told>) -> io::Result<()> {
    let mut file = file;
    let mut part = vec![0; PART_BYTES];
    let mut written_bytes = 0;
    loop {
        let count = match source.read(&mut part) {
            Ok(0) => {
                let _ = told.put(Told::Written(written_bytes));
                return Ok(());
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let part = &part[..count];
        file.write_all(part)?;
        let line_end = part.iter().rposition(|byte| *byte == b'\n').map(|at| written_bytes + at as u64 + 1);
        written_bytes += count as u64;
        if line_end.is_some_and(|end| told.put(Told::Written(end)).is_err()) {
            return Ok(());
        }
    }
}

/// A file that nobody else sees. Some file systems lose what is written to an unnamed file; there it keeps its
/// name.
fn open_file(directory: &Path) -> io::Result<(File, Option<Name>)> {
    let (file, path) = make_file(directory)?;
    fs::remove_file(&path)?;
    match keeps_bytes(&file) {
        true => Ok((file, None)),
        false => make_file(directory).map(|(file, path)| (file, Some(Name(path)))),
    }
}

/// The same for somebody who opens a file by its path.
pub(crate) fn open_private<T, E: From<io::Error>>(
    directory: &Path,
    open: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<(T, Option<Name>), E> {
    let (_, kept) = open_file(directory)?;
    let (_, path) = make_file(directory)?;
    let name = Name(path);
    let opened = open(&name.0)?;
    // Dropped, it removes its file, which goes on without a name.
    Ok((opened, kept.map(|_| name)))
}

fn keeps_bytes(file: &File) -> bool {
    const BYTES: &[u8] = b"towline";
    let mut found = [0; BYTES.len()];
    let is_kept = file.write_all_at(BYTES, 0).and_then(|()| file.read_exact_at(&mut found, 0)).is_ok();
    is_kept && found == BYTES && file.set_len(0).is_ok()
}

fn make_file(directory: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let path = directory.join(format!("list-{}-{number}.spool", std::process::id()));
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(dir: &Path) -> Format {
        Format { format: None, is_strict: false, dir: dir.to_owned() }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn drain(spool: &mut Spool) {
        for _ in 0..1000 {
            if spool.ended {
                return;
            }
            spool.listen(LONG);
        }
        panic!("the spool never ended");
    }

    #[test]
    fn what_comes_is_kept_in_a_file_without_a_name() {
        let directory = tempfile::tempdir().unwrap();
        let content = vec![b'x'; 3 * PART_BYTES + 7];
        let copy = content.clone();
        let source: Box<dyn Read + Send> = Box::new(io::Cursor::new(copy));
        let mut spool =
            Spool::start(directory.path(), Input::List(Box::new(move || Ok(source)), any(directory.path()))).unwrap();
        drain(&mut spool);
        assert!(spool.failure().is_none());
        let until = spool.until();
        assert_eq!((until.end_bytes, until.more), (content.len() as u64, false));
        let mut kept = vec![0; content.len()];
        spool.file().read_exact_at(&mut kept, 0).unwrap();
        assert_eq!(kept, content);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    /// Some bytes, and then an error.
    struct Broken(&'static [u8]);

    impl Read for Broken {
        fn read(&mut self, part: &mut [u8]) -> io::Result<usize> {
            match self.0.read(part)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn the_line_in_which_a_source_breaks_off_is_no_entry() {
        let directory = tempfile::tempdir().unwrap();
        let source: Box<dyn Read + Send> = Box::new(Broken(b"http://h/a\nhttp://h/b12"));
        let mut spool =
            Spool::start(directory.path(), Input::List(Box::new(move || Ok(source)), any(directory.path()))).unwrap();
        drain(&mut spool);
        assert_eq!(spool.until().end_bytes, 11);
        assert_eq!(spool.failure().unwrap().kind(), ErrorKind::ListLine);
    }

    #[test]
    fn a_source_that_cannot_be_opened_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Err(io::Error::other("no such pipe"));
        let mut spool = Spool::start(directory.path(), Input::List(Box::new(open), any(directory.path()))).unwrap();
        drain(&mut spool);
        assert!(spool.failure().unwrap().message().contains("no such pipe"));
    }
}
