//! Lines for people, on standard error. That nobody reads them stops nothing.

use std::io::{self, Write as _};

/// Writes one line (or several) in one go.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
