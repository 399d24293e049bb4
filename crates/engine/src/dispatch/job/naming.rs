//! The names of a file.

use std::path::PathBuf;

/// Where a job's file will be, and where it is until it is whole.
#[derive(Debug, Default)]
pub(crate) struct Naming {
    /// Where it will be.
    pub(crate) path: PathBuf,
    /// Where its partial file was opened: the name may be numbered after that.
    pub(crate) part_of: PathBuf,
    /// The name before it was numbered.
    pub(crate) plain_name: String,
    /// Whether the name is certain: given, or known from the answer.
    pub(crate) is_named: bool,
    /// The key under which the name is reserved.
    pub(crate) reserved: Option<u64>,
    /// How often the name was numbered.
    pub(crate) renamed: u32,
}
