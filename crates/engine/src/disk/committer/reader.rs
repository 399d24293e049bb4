//! Reads a partial file from its beginning.

use std::io;

use crate::storage::PartFile;

/// A partial file, read from its beginning.
pub(super) struct PartReader<'a> {
    pub(super) part: &'a dyn PartFile,
    pub(super) position: u64,
    pub(super) len_bytes: u64,
}

impl io::Read for PartReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.len_bytes.saturating_sub(self.position).min(buffer.len() as u64) as usize;
        self.part.read_at(&mut buffer[..length], self.position)?;
        self.position += length as u64;
        Ok(length)
    }
}
