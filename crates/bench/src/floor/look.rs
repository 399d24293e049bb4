//! `stat` of each file, by its whole path.

use std::fs;
use std::io;
use std::path::Path;

use crate::source::Source;

pub(super) fn run(count: u64, dir: &Path) -> io::Result<()> {
    (0..count).try_for_each(|number| fs::metadata(dir.join(Source::name(number))).map(|_| ()))
}
