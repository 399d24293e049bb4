//! Numbers from the environment for the long forms of tests, and figures that are said at their end.

use std::env;
use std::io::{self, Write as _};

/// A number from the environment.
pub(crate) fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Says something also if the test succeeds, past the harness, which would keep it.
pub(crate) fn say(line: &str) {
    // Figures that nobody reads are no reason to fail.
    let _ = io::stdout().write_all(format!("{line}\n").as_bytes());
}
