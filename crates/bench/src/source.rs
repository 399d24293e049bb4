//! What is fetched: files of a server under numbered names, and the right content of each.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::content::Content;

/// Files of a server.
#[derive(Clone, Debug)]
pub struct Source {
    /// What all URLs begin with, with a slash at its end.
    pub base: String,
    /// The directory of the files below `base`, with a slash at its end, or nothing.
    pub folder: String,
    /// How many there are; they are called `0.bin`, `1.bin` and so on.
    pub count: u64,
    /// What they hold.
    pub content: Content,
    /// The certificate of the authority, for TLS.
    pub ca_file: Option<PathBuf>,
}

impl Source {
    /// The name of a file.
    #[must_use]
    pub fn name(number: u64) -> String {
        format!("{number}.bin")
    }

    /// The URL of a file.
    #[must_use]
    pub fn url(&self, number: u64) -> String {
        format!("{}{}{number}.bin", self.base, self.folder)
    }

    /// Compares everything that should be in `dir`.
    ///
    /// # Errors
    /// What is wrong with the first file that is not right.
    pub fn check(&self, dir: &Path) -> Result<(), String> {
        (0..self.count).try_for_each(|number| self.content.check(dir, &Self::name(number)))
    }

    /// Writes a list with a line for each file.
    ///
    /// # Errors
    /// Of writing it.
    pub fn write_list(&self, path: &Path, line: impl Fn(&str, &str) -> String) -> io::Result<()> {
        let mut list = BufWriter::new(File::create(path)?);
        for number in 0..self.count {
            list.write_all(line(&self.url(number), &Self::name(number)).as_bytes())?;
        }
        list.flush()
    }
}
