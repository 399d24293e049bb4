//! The log of every job, request and connection, for finding the cause of a problem. Goes to a file
//! (`--log`) or to standard error (`-vv`); without either, it costs nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use towline_engine::secret::printable;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::SystemTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::complaint::Complaint;

/// The first line of a log. A file that starts with anything else is never written to.
const HEADING: &[u8] = b"# log of towline\n";
/// Lines that wait to be written; those above it are lost.
const LINES_MAX: usize = 16_384;
/// The crate whose spans and events are logged.
const ENGINE: &str = "towline_engine";

/// Where the log goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) is_on_screen: bool,
    pub(crate) file: Option<PathBuf>,
}

impl Log {
    /// Starts logging. Call it once.
    ///
    /// # Errors
    /// If the file cannot be written, or exists and is not a log.
    pub(crate) fn start(&self) -> Result<Logging, Complaint> {
        let file = self.file.as_deref().map(open).transpose()?;
        let mut logging = Logging { path: self.file.clone(), ..Logging::default() };
        if file.is_none() && !self.is_on_screen {
            return Ok(logging);
        }
        let words = Targets::new().with_target(ENGINE, LevelFilter::DEBUG);
        let written = file.map(|file| Watched { inner: file, fault: Arc::clone(&logging.fault) });
        let file = written.map(|file| to(logging.beside(file)).with_filter(words.clone()));
        let screen = self.is_on_screen.then(|| to(logging.beside(io::stderr())).with_filter(words));
        // Only a second call could fail.
        let _ = tracing::subscriber::set_global_default(Registry::default().with(file).with(screen));
        Ok(logging)
    }
}

/// Logs until it is dropped, and then writes what is left, if that takes no longer than a second.
#[derive(Default)]
pub(crate) struct Logging {
    guards: Vec<WorkerGuard>,
    path: Option<PathBuf>,
    /// The first error in writing the file.
    fault: Arc<OnceLock<io::Error>>,
}

impl Logging {
    /// Ends the log.
    ///
    /// # Errors
    /// If some of it could not be written to its file.
    pub(crate) fn end(self) -> Result<(), Complaint> {
        drop(self.guards);
        match (self.fault.get(), &self.path) {
            (Some(error), Some(path)) => {
                let shown = printable(&path.to_string_lossy()).into_owned();
                Err(Complaint::machine(format!("--log {shown}: the log is incomplete: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Writes on a thread of its own: a disk that hangs, or a pipe that nobody reads, loses lines and holds
    /// nobody up.
    fn beside(&mut self, writer: impl Write + Send + 'static) -> NonBlocking {
        let (lines, guard) =
            NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES_MAX).thread_name("log").finish(writer);
        self.guards.push(guard);
        lines
    }
}

/// Notes the first error in writing.
struct Watched<W> {
    inner: W,
    fault: Arc<OnceLock<io::Error>>,
}

impl<W: Write> Watched<W> {
    fn watch<T>(&mut self, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        write(&mut self.inner).inspect_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted {
                return;
            }
            let noted = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            let _ = self.fault.set(noted);
        })
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.watch(|inner| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.watch(W::flush)
    }
}

/// Writes lines with the time of each.
fn to<S, W>(writer: W) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_timer(SystemTime).with_ansi(false);
    // A log that cannot be written does not stop the run, nor print errors into the progress display.
    layer.with_target(false).log_internal_errors(false)
}

fn open(path: &Path) -> Result<File, Complaint> {
    let shown = || printable(&path.to_string_lossy()).into_owned();
    let cannot = |error: io::Error| {
        let text = format!("--log {}: cannot write: {error}", shown());
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Complaint::usage(text),
            _ => Complaint::machine(text),
        }
    };
    let other = || {
        let text = format!("--log {}: exists and is not a Towline log", shown());
        Complaint::usage(text).hint("choose another name")
    };
    if let Ok(found) = path.metadata() {
        let kind = found.file_type();
        if kind.is_char_device() {
            return OpenOptions::new().write(true).open(path).map_err(cannot);
        }
        if !kind.is_file() || found.len() > 0 && !is_log(path) {
            return Err(other());
        }
    }
    let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(cannot)?;
    if file.metadata().map_err(cannot)?.len() == 0 {
        file.write_all(HEADING).map_err(cannot)?;
    }
    Ok(file)
}

fn is_log(path: &Path) -> bool {
    let mut beginning = [0; HEADING.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut beginning)).is_ok() && beginning == HEADING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_appended_to_and_nothing_else_is_written_into() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log");
        writeln!(open(&path).unwrap(), "one").unwrap();
        writeln!(open(&path).unwrap(), "two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [HEADING, b"one\ntwo\n"].concat());
        let list = place.path().join("list");
        std::fs::write(&list, "http://h/a\n").unwrap();
        assert!(open(&list).is_err());
        assert_eq!(std::fs::read(&list).unwrap(), b"http://h/a\n");
        assert!(open(place.path()).is_err());
        assert!(open(&place.path().join("missing/log")).is_err());
    }
}
