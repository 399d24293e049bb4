//! Messages for people, on standard error. Failures to write them are ignored.

use std::io::{self, Write as _};

/// Writes one or more lines under one lock.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
