//! `--cookie-jar`: the file that gets the cookies of a run. Only an earlier file of cookies is replaced.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use towline_engine::http::cookie_file::CookieFile;
use towline_engine::http::cookie_jar::CookieJar;
use towline_engine::secret::printable;

use crate::complaint::Complaint;

/// A longer file is none of cookies.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The file, and what it gets.
#[derive(Debug)]
pub(crate) struct JarFile {
    path: PathBuf,
    jar: Arc<CookieJar>,
}

impl JarFile {
    /// # Errors
    /// If the file cannot be written, or something else has its name.
    pub(crate) fn new(path: PathBuf, jar: Arc<CookieJar>) -> Result<Self, Complaint> {
        let file = Self { path, jar };
        let made = file.check().and_then(|()| tempfile::tempfile_in(file.directory()).map(drop));
        made.map_err(|why| Complaint::usage(file.shown(&why)))?;
        Ok(file)
    }

    /// Writes the cookies, for the user's eyes only.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn save(&self) -> Result<(), Complaint> {
        let written = self.check().and_then(|()| {
            let mut file = tempfile::NamedTempFile::new_in(self.directory())?;
            file.write_all(self.jar.to_text().as_bytes())?;
            file.persist(&self.path).map_err(|error| error.error)
        });
        written.map(drop).map_err(|why| Complaint::machine(self.shown(&why)))
    }

    /// Makes sure that only an earlier file of cookies would be replaced.
    fn check(&self) -> io::Result<()> {
        let other = |what: &str| Err(io::Error::other(format!("exists and is not a {what}")));
        match self.path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
            Ok(found) if !found.is_file() => return other("regular file"),
            Ok(_) => {}
        }
        let mut text = Vec::new();
        fs::File::open(&self.path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
        let is_long = text.len() as u64 > FILE_BYTES_MAX;
        let is_all_cookies =
            |text: String| CookieFile::parse(&text).is_ok_and(|cookies| cookies.passed_over().is_empty());
        let is_of_cookies = String::from_utf8(text).is_ok_and(is_all_cookies);
        if is_long || !is_of_cookies { other("file of cookies") } else { Ok(()) }
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn shown(&self, why: &io::Error) -> String {
        format!("--cookie-jar {}: {why}", printable(&self.path.to_string_lossy()))
    }
}
