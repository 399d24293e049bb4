//! `-o -`: a file to standard output, to a named pipe or to a device, in order, while it comes. A thread of its own
//! writes; the main thread runs the session.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read as _, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use towline_engine::SessionHandle;
use towline_engine::storage::{InOrder, InOrderReader};
use towline_threads::thread::{Builder, JoinHandle};

use crate::args::GetArgs;
use crate::complaint::Complaint;
use crate::exit_codes;
use crate::patient::Patient;
use crate::scratch::Scratch;

/// How much to write at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Where a file goes that is not to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    /// A named pipe or a device.
    Path(PathBuf),
}

impl Target {
    /// What `-o` names, if it is no file to create.
    pub(crate) fn of_args(args: &GetArgs) -> Option<Self> {
        let output = args.output.as_deref()?;
        if output == Path::new("-") || output == Path::new("/dev/stdout") {
            return Some(Self::Stdout);
        }
        let path = args.dir.as_deref().unwrap_or(Path::new("")).join(output);
        let kind = path.metadata().ok()?.file_type();
        (kind.is_fifo() || kind.is_char_device() || kind.is_block_device()).then_some(Self::Path(path))
    }

    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(Patient::stdout()?),
            // Waits for whoever reads a pipe.
            Self::Path(path) => Box::new(Patient::new(OpenOptions::new().write(true).open(path)?)),
        })
    }
}

/// A file on its way through.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) storage: Arc<InOrder>,
    /// Where it is kept until all of it has come.
    pub(crate) place: Scratch,
    target: Target,
}

/// How much of it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All that came.
    Wholly,
    /// Its reader went away before the end.
    Partly,
    /// Nobody has opened it.
    Unread,
}

/// The thread that writes it.
pub(crate) struct Writing {
    storage: Arc<InOrder>,
    thread: JoinHandle<io::Result<()>>,
    /// It may wait for a reader.
    is_pipe: bool,
    /// The target is open: a pipe has its reader.
    has_opened: Arc<AtomicBool>,
    /// It cannot write any more, and has stopped the session for that.
    has_stopped: Arc<AtomicBool>,
    place: Scratch,
}

impl Stream {
    /// # Errors
    /// If there is no place to keep it.
    pub(crate) fn new(target: Target) -> Result<Self, Complaint> {
        let place = Scratch::new("stream")
            .map_err(|error| Complaint::machine(format!("cannot make a directory for temporary files: {error}")))?;
        Ok(Self { storage: InOrder::new(), place, target })
    }

    /// Begins to write what the session brings.
    ///
    /// # Errors
    /// If no thread can be started.
    pub(crate) fn start(self, session: SessionHandle) -> Result<Writing, Complaint> {
        let (reader, target) = (self.storage.reader(), self.target);
        let is_pipe = target != Target::Stdout;
        let (has_opened, has_stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (opens, stops) = (Arc::clone(&has_opened), Arc::clone(&has_stopped));
        let thread = Builder::new()
            .name("output")
            .daemon(true)
            .spawn(move || {
                let written = target.open().and_then(|target| {
                    opens.store(true, Ordering::Release);
                    copy(reader, target)
                });
                if written.is_err() {
                    // Nobody reads it any more.
                    stops.store(true, Ordering::Release);
                    session.stop();
                }
                written
            })
            .map_err(|error| Complaint::machine(format!("cannot start a thread for the output: {error}")))?;
        Ok(Writing { storage: self.storage, thread, is_pipe, has_opened, has_stopped, place: self.place })
    }
}

impl Writing {
    /// Whether it has stopped the session.
    pub(crate) fn has_stopped(&self) -> bool {
        self.has_stopped.load(Ordering::Acquire)
    }

    /// The session has ended, with the whole file if `is_done`: waits until everything that has come is written. A failure
    /// does not wait for somebody to read a pipe.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn end(self, is_done: bool) -> Result<Delivery, Complaint> {
        self.storage.end();
        // What is still to be read is open: nothing stays if a signal ends the wait.
        drop(self.place);
        if !is_done && self.is_pipe && !self.has_opened.load(Ordering::Acquire) {
            return Ok(Delivery::Unread);
        }
        let cannot = |error: io::Error| Complaint::machine(format!("cannot write the file to the output: {error}"));
        let written = self.thread.join();
        if self.storage.was_wrong() {
            let text = "what was written to the output is not the file: a part of it turned out to be wrong later";
            return Err(Complaint::new(exit_codes::DIGEST, text).hint("fetch it to a file, or leave out the mirrors"));
        }
        if self.storage.has_changed() {
            let text = "the file began again, and is another one than what was written to the output already";
            return Err(Complaint::new(exit_codes::FAILED, text).hint("fetch it to a file, which can begin again"));
        }
        match written {
            Ok(Ok(())) if is_done && !self.storage.is_read() => {
                Err(cannot(io::Error::other("a part of it was not passed on")))
            }
            Ok(Ok(())) => Ok(Delivery::Wholly),
            Ok(Err(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Delivery::Partly),
            Ok(Err(error)) => Err(cannot(error)),
            Err(_) => Err(cannot(io::Error::other("its thread failed"))),
        }
    }
}

fn copy(mut reader: InOrderReader, mut target: Box<dyn Write + Send>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut chunk)? {
            0 => return target.flush(),
            count => target.write_all(&chunk[..count])?,
        }
    }
}
