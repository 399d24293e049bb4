//! The two threads that wait for the disk, so that neither dispatcher nor workers do. The opener
//! looks for files and opens them; the committer syncs, publishes and saves. They are two, so that
//! a slow sync does not hold up the beginning of other files.

pub(crate) mod committer;
pub(crate) mod opener;
mod ours;
mod written;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::checksum::Algorithm;
use crate::dispatch::message::{Fate, Look, Open, Publish, Store};
use crate::job::JobId;
use crate::journal::Journal;
use crate::ranges::ByteRange;
use crate::storage::PartFile;

/// The partial files that are open, by job, each with the name of its file. Removing one closes and
/// unlocks it once nobody writes.
#[derive(Clone, Default)]
pub(crate) struct Parts(Arc<Mutex<HashMap<JobId, OpenFile>>>);

type OpenFile = (PathBuf, Arc<dyn PartFile>);

impl Parts {
    pub(crate) fn insert(&self, job: JobId, path: &Path, part: Arc<dyn PartFile>) {
        self.0.lock().insert(job, (path.to_owned(), part));
    }

    pub(crate) fn get(&self, job: JobId) -> Option<Arc<dyn PartFile>> {
        self.0.lock().get(&job).map(|(_, part)| Arc::clone(part))
    }

    pub(crate) fn remove(&self, job: JobId) -> Option<Arc<dyn PartFile>> {
        self.0.lock().remove(&job).map(|(_, part)| part)
    }

    /// The same, unless the job has another file open by now: one that got another name.
    pub(crate) fn remove_of(&self, job: JobId, path: &Path) -> Option<Arc<dyn PartFile>> {
        let mut parts = self.0.lock();
        match parts.get(&job) {
            Some((open, _)) if open == path => parts.remove(&job).map(|(_, part)| part),
            _ => None,
        }
    }
}

/// What the opener is asked.
pub(crate) enum OpenerRequest {
    Prepare {
        job: JobId,
        path: PathBuf,
        look: Look,
    },
    Open(Box<Open>),
    /// Compare a part of the file that has the final name with these bytes.
    Compare {
        job: JobId,
        path: PathBuf,
        offset: u64,
        content: Vec<Bytes>,
    },
}

/// What the committer is asked.
pub(crate) enum CommitterRequest {
    Store(Box<Store>),
    Publish {
        job: JobId,
        publish: Box<Publish>,
    },
    Save {
        job: JobId,
        path: PathBuf,
        journal: Box<Journal>,
    },
    WriteBack {
        job: JobId,
        range: ByteRange,
    },
    Digest {
        job: JobId,
        path: PathBuf,
        algorithm: Algorithm,
        of_final: bool,
        len_bytes: u64,
    },
    /// Make room for this part ahead of what is written.
    Reserve {
        job: JobId,
        range: ByteRange,
    },
    /// Give the partial file the length that has become known.
    SetLen {
        job: JobId,
        path: PathBuf,
        len_bytes: u64,
    },
    Release {
        job: JobId,
        path: PathBuf,
        fate: Fate,
    },
}
