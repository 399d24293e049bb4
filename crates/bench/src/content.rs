//! What the files of a run must hold, and whether they do.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Read at once when two files are compared.
const BUFFER_BYTES: usize = 1 << 20;

/// The right content of the files of a source.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file of the same name in this directory.
    SameName(PathBuf),
    /// This file, whatever the name.
    One(PathBuf),
    /// What the origin serves for this seed.
    Seeded {
        /// Of the origin's resource.
        seed: u64,
        /// In bytes.
        size: u64,
    },
}

impl Content {
    /// Compares the file `name` in `dir`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self, dir: &Path, name: &str) -> Result<(), String> {
        let got = dir.join(name);
        let is_same = match self {
            Self::SameName(right) => same_bytes(&got, &right.join(name)),
            Self::One(right) => same_bytes(&got, right),
            Self::Seeded { seed, size } => is_seeded(&got, *seed, *size),
        };
        match is_same {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("{name} has the wrong bytes")),
            Err(error) => Err(format!("{name} is not there: {error}")),
        }
    }
}

fn same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let length = one.metadata()?.len();
    if length != other.metadata()?.len() {
        return Ok(false);
    }
    let buffer_bytes = usize::try_from(length).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
    let mut left = length;
    let (mut a, mut b) = (vec![0; buffer_bytes], vec![0; buffer_bytes]);
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        one.read_exact(&mut a[..count])?;
        other.read_exact(&mut b[..count])?;
        if a[..count] != b[..count] {
            return Ok(false);
        }
        left -= count as u64;
    }
    Ok(true)
}

fn is_seeded(path: &Path, seed: u64, size: u64) -> io::Result<bool> {
    if fs::metadata(path)?.len() != size {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let (mut got, mut right) = (vec![0; BUFFER_BYTES], vec![0; BUFFER_BYTES]);
    let mut at = 0;
    while at < size {
        let count = usize::try_from(size - at).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        file.read_exact(&mut got[..count])?;
        towline_origin::fill(seed, at, &mut right[..count]);
        if got[..count] != right[..count] {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}
