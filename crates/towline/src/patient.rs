//! Writes to where a reader may have made a pipe or a socket non-blocking, and is slower.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;

/// Waits until there is room.
pub(crate) struct Patient(File);

impl Patient {
    pub(crate) fn new(file: File) -> Self {
        Self(file)
    }

    /// Standard output. Rust's own takes a descriptor that cannot be written to for one that swallows everything.
    ///
    /// # Errors
    /// If it is closed.
    pub(crate) fn stdout() -> io::Result<Self> {
        Ok(Self(File::from(rustix::io::dup(rustix::stdio::stdout())?)))
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
                    retry_on_intr(|| poll(&mut fds, None))?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
