//! Programs and libraries that a test needs but this machine may lack. With `CI` set, a missing one fails
//! the test; otherwise the test prints why it is skipped, and passes.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::iter;
use std::path::{Path, PathBuf};

/// Finds a program that a test needs; `None` if it is not installed.
///
/// # Panics
/// If it is not installed and `CI` is set.
#[must_use]
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Debian keeps nginx where only root looks.
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    installed(name, env::split_paths(&path).chain(more))
}

/// Finds a library that a test needs, in `/usr/lib` or a directory there; `None` if it is not installed.
///
/// # Panics
/// If it is not installed and `CI` is set.
#[must_use]
pub fn library(name: &str) -> Option<PathBuf> {
    let lib = Path::new("/usr/lib");
    let below = fs::read_dir(lib).into_iter().flatten().flatten().map(|entry| entry.path());
    installed(name, iter::once(lib.to_owned()).chain(below))
}

/// Prints why a test is skipped.
///
/// # Panics
/// If `CI` is set.
pub fn cannot_test(why: &str) {
    assert!(env::var_os("CI").is_none(), "CI is set, and {why}");
    let _ = writeln!(io::stderr(), "passed over: {why}");
}

fn installed(name: &str, dirs: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let found = dirs.into_iter().map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        cannot_test(&format!("{name} is not installed"));
    }
    found
}
