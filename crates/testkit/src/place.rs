//! A temporary directory for a test that downloads. It contains the directory for the downloads, and
//! beside it whatever else the test needs.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{assert_content, leftovers};

/// A temporary directory; removed when it is dropped.
#[derive(Debug)]
pub struct Place {
    root: TempDir,
    downloads: PathBuf,
}

impl Place {
    /// Creates the temporary directory. The one for downloads, called `downloads`, is not created.
    ///
    /// # Panics
    /// If no temporary directory can be made.
    #[must_use]
    pub fn new(downloads: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let downloads = root.path().join(downloads);
        Self { root, downloads }
    }

    /// The temporary directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The directory for downloads.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.downloads.clone()
    }

    /// A file or directory there.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.downloads.join(name)
    }

    /// A file or directory beside it.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file beside the downloads.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.beside(name), content).unwrap();
    }

    /// The names of the downloads, sorted, except for the expected ones.
    ///
    /// # Panics
    /// If an entry cannot be read.
    #[must_use]
    pub fn leftovers(&self, expected: &[&str]) -> Vec<String> {
        let mut names = leftovers(&self.downloads);
        names.retain(|name| !expected.contains(&name.as_str()));
        names
    }

    /// Fails unless a download has exactly `size` bytes of the content `seed`.
    ///
    /// # Panics
    /// If it is another content, or cannot be read.
    #[track_caller]
    pub fn assert_content(&self, name: &str, seed: u64, size: u64) {
        assert_content(&self.file(name), seed, size);
    }
}
