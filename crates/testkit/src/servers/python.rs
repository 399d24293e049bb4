//! `python3 -m http.server`, which does not support ranges. It picks a free port itself.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::lines;
use crate::{tool, write_seeded};

/// A running server.
#[derive(Debug)]
pub struct Python {
    child: Child,
    root: TempDir,
    port: u16,
}

impl Python {
    /// Starts one; `None` if Python is not installed.
    ///
    /// # Panics
    /// If that is so and `CI` is set, or if it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let python = tool("python3")?;
        let root = tempfile::tempdir().unwrap();
        let files = root.path().join("files");
        fs::create_dir(&files).unwrap();
        let mut child = Command::new(python)
            .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
            .arg(&files)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(root.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        // "Serving HTTP on 127.0.0.1 port 41234 (http://127.0.0.1:41234/) ..."
        let port = said.split_whitespace().skip_while(|word| *word != "port").nth(1).and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("python does not say its port: {said}");
        };
        Some(Self { child, root, port })
    }

    /// Serves `size` bytes of the content `seed`.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn file(&self, name: &str, seed: u64, size: u64) {
        let path = self.root.path().join("files").join(name);
        write_seeded(&path, seed, size);
        // An old modification time is the only validator that this server gives.
        let long_ago = SystemTime::now() - Duration::from_secs(86_400);
        File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn requests(&self) -> usize {
        lines(&self.root.path().join("log")).iter().filter(|line| line.contains("\"GET /")).count()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
