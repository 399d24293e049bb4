//! Messages for people, on standard error, whose failures are ignored; answers, on standard output.

use std::io::{self, ErrorKind, Write as _};

use crate::complaint::Complaint;

/// Writes one or more lines under one lock.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a line of what was asked for to standard output; returns whether anybody still reads it.
///
/// # Errors
/// If it cannot be written, except to a pipe that its reader has closed.
pub(crate) fn answer(line: &str) -> Result<bool, Complaint> {
    read_by_somebody(writeln!(io::stdout().lock(), "{line}"))
}

/// The same for what was written already.
///
/// # Errors
/// As [`answer`].
pub(crate) fn read_by_somebody(written: io::Result<()>) -> Result<bool, Complaint> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Complaint::machine(format!("cannot write to standard output: {error}"))),
    }
}
