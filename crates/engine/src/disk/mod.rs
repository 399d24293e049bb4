//! The two threads that wait for the disk, so that neither the dispatcher nor the workers do. The opener checks
//! for files and opens them; the committer syncs, publishes and saves. There are two so that a slow sync does
//! not delay the start of other files.

mod adopt;
mod begin;
pub(crate) mod committer;
pub(crate) mod directories;
mod existing;
pub(crate) mod opener;
mod ours;
mod partial;
mod written;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::job::JobId;
use crate::storage::PartFile;

/// How long the threads wait for requests at a time. Shutting their queues down ends the wait.
const WAIT: Duration = Duration::from_secs(3600);
/// How long a disk may take to finish earlier requests.
const RELEASE_MAX: Duration = Duration::from_secs(30);

/// The open partial files by job, each with the path of its file. Removing one closes and unlocks it once
/// nobody writes to it.
#[derive(Clone, Default)]
pub(crate) struct Parts(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    is_released: Condvar,
}

#[derive(Default)]
struct State {
    open: HashMap<JobId, OpenFile>,
    /// Jobs whose files the committer has still to release, and how often.
    releasing: HashMap<JobId, u32>,
}

type OpenFile = (PathBuf, Arc<dyn PartFile>);

impl Parts {
    pub(crate) fn insert(&self, job: JobId, path: &Path, part: Arc<dyn PartFile>) {
        self.0.state.lock().open.insert(job, (path.to_owned(), part));
    }

    pub(crate) fn get(&self, job: JobId) -> Option<Arc<dyn PartFile>> {
        self.0.state.lock().open.get(&job).map(|(_, part)| Arc::clone(part))
    }

    pub(crate) fn remove(&self, job: JobId) -> Option<Arc<dyn PartFile>> {
        self.remove_open(job).map(|(_, part)| part)
    }

    /// Like `remove`, and also returns the path of the file.
    pub(crate) fn remove_open(&self, job: JobId) -> Option<OpenFile> {
        self.0.state.lock().open.remove(&job)
    }

    /// Like `remove`, unless the job has another file open by now because its name changed.
    pub(crate) fn remove_of(&self, job: JobId, path: &Path) -> Option<Arc<dyn PartFile>> {
        let mut state = self.0.state.lock();
        match state.open.get(&job) {
            Some((open, _)) if open == path => state.open.remove(&job).map(|(_, part)| part),
            _ => None,
        }
    }

    /// Notes that the committer was asked to release a job's file.
    pub(crate) fn will_release(&self, job: JobId) {
        *self.0.state.lock().releasing.entry(job).or_default() += 1;
    }

    /// Notes that the committer has released it.
    pub(crate) fn released(&self, job: JobId) {
        let mut state = self.0.state.lock();
        if let Entry::Occupied(mut waiting) = state.releasing.entry(job) {
            *waiting.get_mut() -= 1;
            if *waiting.get() == 0 {
                waiting.remove();
                self.0.is_released.notify_all();
            }
        }
    }

    /// Whether a release is pending for a job.
    pub(crate) fn is_releasing(&self, job: JobId) -> bool {
        self.0.state.lock().releasing.contains_key(&job)
    }

    /// Waits until no release is pending for a job, which would otherwise run into its own lock. The committer
    /// may be syncing, so the wait is bounded by what a disk may take.
    pub(crate) fn wait_released(&self, job: JobId) {
        let mut state = self.0.state.lock();
        let is_releasing = |state: &mut State| state.releasing.contains_key(&job);
        self.0.is_released.wait_while_for(&mut state, is_releasing, RELEASE_MAX);
    }
}
