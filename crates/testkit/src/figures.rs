//! The long forms of tests: how long they are comes from the environment, and their figures are printed
//! even when they pass.

use std::env;
use std::io::{self, Write as _};

/// A number from the environment; `None` if it is not set.
///
/// # Panics
/// If it is no number.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Prints a line past the test harness, which would hide the output of a test that passes.
pub fn say(line: &str) {
    // Figures that nobody reads are no reason to fail.
    let _ = io::stdout().write_all(format!("{line}\n").as_bytes());
}
