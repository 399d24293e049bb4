//! What the final file holds, where that has to be compared with the server's.

use std::io;
use std::path::Path;

use bytes::Bytes;

use super::opener::Opener;
use super::written::{self, Doubt, Doubted as _, Unopened};
use crate::error::{Error, Result};
use crate::message::Survey;
use crate::ranges::{ByteRange, RangeSet};

impl Opener {
    /// What of the final file was written.
    pub(super) fn survey(&self, path: &Path, len_bytes: u64, reads: bool) -> Result<Survey> {
        let cannot = |source| Error::storage("read", path, source);
        let file = Unopened(&*self.storage, path);
        let holes = file.holes().map_err(cannot)?.into_iter().map(|(start, end)| ByteRange::new(start, end)).collect();
        let mut written = RangeSet::from_iter([ByteRange::new(0, len_bytes)]);
        if reads {
            written::believe_written(&file, &mut written, Doubt::Foreign).map_err(cannot)?;
        }
        Ok(Survey { holes, written })
    }

    /// Whether the final file holds these bytes at `offset`.
    pub(super) fn compare(&self, path: &Path, offset: u64, content: &[Bytes]) -> Result<bool> {
        let mut position = offset;
        let mut there = Vec::new();
        for bytes in content {
            there.resize(bytes.len(), 0);
            match self.storage.read_at(path, &mut there, position) {
                Ok(()) if there == *bytes => position += bytes.len() as u64,
                Ok(()) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(Error::storage("read", path, error)),
            }
        }
        Ok(true)
    }
}
