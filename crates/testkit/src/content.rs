//! The origin's seeded content: as bytes, as a file for another server, and compared with a file that
//! was downloaded.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use towline_origin::{check_file, fill};

/// How much is written at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// The first `size` bytes of the content `seed`.
///
/// ```
/// assert_eq!(towline_testkit::content(7, 20)[..5], towline_testkit::content(7, 5));
/// ```
#[must_use]
pub fn content(seed: u64, size: u64) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    fill(seed, 0, &mut bytes);
    bytes
}

/// Writes `size` bytes of the content `seed` to a file.
///
/// # Panics
/// If it cannot be written.
pub fn write_seeded(path: &Path, seed: u64, size: u64) {
    let mut file = File::create(path).unwrap();
    let mut buffer = vec![0; CHUNK_BYTES as usize];
    let mut at = 0;
    while at < size {
        let count = CHUNK_BYTES.min(size - at) as usize;
        fill(seed, at, &mut buffer[..count]);
        file.write_all(&buffer[..count]).unwrap();
        at += count as u64;
    }
}

/// Fails unless the file has exactly `size` bytes of the content `seed`.
///
/// # Panics
/// If it is another content, or cannot be read.
#[track_caller]
pub fn assert_content(path: &Path, seed: u64, size: u64) {
    let shown = path.display();
    match check_file(path, seed, size) {
        Ok(None) => {}
        Ok(Some(at)) => panic!("{shown} is not the content {seed} of {size} bytes: byte {at} is wrong"),
        Err(error) => panic!("{shown} cannot be read: {error}"),
    }
}
