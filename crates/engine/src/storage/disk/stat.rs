//! Converts the file system's metadata.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::SystemTime;

use super::generation::generation_of;
use crate::storage::{FileId, Stat, StatKind};

/// File systems that round times round them to a multiple of this: exFAT to 10 ms, others to seconds.
const COARSE_NS: i64 = 10_000_000;

/// The metadata of an open file, with all that is known of its identity.
pub(super) fn stat_of_open(file: &File) -> io::Result<Stat> {
    let mut stat = stat_of(&file.metadata()?)?;
    if let Some(id) = stat.file.as_mut().filter(|id| id.born_unix_ns.is_none() && stat.kind == StatKind::File) {
        id.generation = generation_of(file);
    }
    Ok(stat)
}

pub(super) fn stat_of(metadata: &Metadata) -> io::Result<Stat> {
    let kind = match metadata.file_type() {
        sort if sort.is_file() => StatKind::File,
        sort if sort.is_dir() => StatKind::Directory,
        sort if sort.is_symlink() => StatKind::Symlink,
        sort if sort.is_fifo() => StatKind::Pipe,
        sort if sort.is_socket() => StatKind::Socket,
        _ => StatKind::Device,
    };
    Ok(Stat {
        kind,
        len_bytes: metadata.len(),
        modified: metadata.modified()?,
        // Nobody chooses this time, so that it has all digits that the file system stores.
        rounds_times: metadata.ctime_nsec() % COARSE_NS == 0,
        owner: metadata.uid(),
        links: metadata.nlink(),
        file: Some(FileId {
            device: metadata.dev(),
            inode: metadata.ino(),
            born_unix_ns: born_unix_ns(metadata),
            generation: None,
        }),
    })
}

fn born_unix_ns(metadata: &Metadata) -> Option<u64> {
    let since = metadata.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}
