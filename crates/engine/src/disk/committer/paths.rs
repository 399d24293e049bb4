//! Helpers that the committer's files share: directories, notes and times.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::feed::values::unix_ns;
use crate::message::{Note, Publish};
use crate::storage::PartFile;

pub(super) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(super) fn unix_ms_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// The note, with the file's current size and time, so that a later change shows.
pub(super) fn note_bytes(publish: &Publish, part: &dyn PartFile) -> Vec<u8> {
    let with_file = |note: &Note| {
        let modified_ns = part.stat().ok().map(|stat| unix_ns(stat.modified));
        let file = modified_ns.map(|ns| (publish.len_bytes, ns));
        serde_json::to_vec(&Note { file, noted_unix_ms: unix_ms_now(), ..note.clone() }).ok()
    };
    publish.note.as_ref().and_then(with_file).unwrap_or_default()
}
