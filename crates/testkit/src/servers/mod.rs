//! Real servers, if they are installed: nginx with and without TLS, Python's `http.server`, and any other
//! program that can serve in the foreground. Each has its own directory and ports, and is stopped when
//! it is dropped.

mod certificates;
mod daemon;
mod nginx;
mod python;

use std::fs;
use std::path::Path;

pub use certificates::certificates;
pub use daemon::Daemon;
pub use nginx::{Nginx, nginx_command};
pub use python::Python;

/// The lines of a log so far.
fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}
