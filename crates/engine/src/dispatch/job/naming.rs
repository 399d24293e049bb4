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
    /// The key under which the name is reserved.
    pub(crate) reserved: Option<u64>,
    /// How often the name was numbered.
    pub(crate) renamed: u32,
}

impl Naming {
    /// The directory that its name is below; `of_session` unless it has its own.
    pub(crate) fn dir<'a>(&'a self, of_session: &'a Path) -> &'a Path {
        self.dir.as_deref().unwrap_or(of_session)
    }
}
