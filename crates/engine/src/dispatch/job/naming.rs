//! The names of a file.

use std::path::{Path, PathBuf};

/// Where a job's file will be, and where it is until it is complete.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    /// Its directory, if it has one of its own.
    pub(crate) dir: Option<PathBuf>,
    /// Where it will be.
    pub(crate) path: PathBuf,
    /// The name for which its partial file was opened: the final name may get a number later.
    pub(crate) part_of: PathBuf,
    /// The name before it was numbered.
    pub(crate) plain_name: String,
    /// Whether the name is certain: given, or known from the response.
    pub(crate) is_named: bool,
    /// Whether it was guessed from the given URL.
    pub(crate) is_of_given_url: bool,
    /// The key under which the name is reserved.
    pub(crate) reserved: Option<u64>,
    /// The key of its partial file's name, if that is another name.
    pub(crate) reserved_for_part: Option<u64>,
    /// How often the name was numbered.
    pub(crate) renamed: u32,
}

impl Naming {
    /// The directory that its name is below; `of_session` unless it has its own.
    pub(crate) fn dir<'a>(&'a self, of_session: &'a Path) -> &'a Path {
        self.dir.as_deref().unwrap_or(of_session)
    }

    /// Its path below this directory, or its whole path if it is elsewhere.
    pub(crate) fn path_below(&self, dir: &Path) -> &Path {
        // Most files are right below it, and comparing paths part by part takes longer.
        let is_right_below = self.path.parent().is_some_and(|parent| parent.as_os_str() == dir.as_os_str());
        match self.path.file_name().filter(|_| is_right_below) {
            Some(name) => Path::new(name),
            None => self.path.strip_prefix(dir).unwrap_or(&self.path),
        }
    }
}
