//! `-o -`: a file to standard output, to a named pipe or to a device, in order, while it comes.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;
use towline_engine::SessionHandle;
use towline_engine::storage::{InOrder, InOrderReader};
use towline_threads::thread::{Builder, JoinHandle};

use crate::complaint::Complaint;

/// How much to write at once.
const CHUNK_BYTES: usize = 256 << 10;

/// Where a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    /// A named pipe or a device.
    Path(PathBuf),
}

impl Target {
    /// What `-o` names, if it is no file to create.
    pub(crate) fn of(output: &std::path::Path) -> Option<Self> {
        use std::os::unix::fs::FileTypeExt as _;

        if output.as_os_str() == "-" {
            return Some(Self::Stdout);
        }
        let kind = output.metadata().ok()?.file_type();
        (kind.is_fifo() || kind.is_char_device() || kind.is_block_device()).then(|| Self::Path(output.to_owned()))
    }

    fn open(&self) -> io::Result<Box<dyn Write + Send>> {
        Ok(match self {
            Self::Stdout => Box::new(io::stdout().lock_free()),
            Self::Path(path) => Box::new(OpenOptions::new().write(true).open(path)?),
        })
    }
}

/// A file on its way through.
pub(crate) struct Stream {
    pub(crate) storage: Arc<InOrder>,
    /// Where it is kept until all of it has come.
    pub(crate) place: TempDir,
    target: Target,
}

impl Stream {
    /// # Errors
    /// If there is no place to keep it.
    pub(crate) fn new(target: Target) -> Result<Self, Complaint> {
        let place = tempfile::tempdir()
            .map_err(|error| Complaint::machine(format!("cannot make a directory for temporary files: {error}")))?;
        Ok(Self { storage: InOrder::new(), place, target })
    }
}
