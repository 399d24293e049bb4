//! The committer thread: everything that waits until data is durable on disk. It commits queued requests as a
//! group: written back together, synced, renamed, and each directory synced once.

pub(crate) mod own_time;
mod part;
mod paths;
mod publish;
mod reader;
mod small_file;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use towline_threads::cancel::CancelToken;
use towline_threads::executor::ThreadPoolExecutor;
use towline_threads::queue::{GetError, Queue};

use self::own_time::OwnTimes;
use super::{Parts, WAIT};
use crate::error::{Error, ErrorKind};
use crate::job::JobId;
use crate::message::{CommitRequest, Message, Publish};
use crate::storage::{PartFile, Storage};

/// How long to let small files gather.
const GATHER: Duration = Duration::from_millis(1);
/// The most requests that one group commits.
const GROUP_MAX: usize = 512;

/// The committer and what it works with.
pub(crate) struct Committer {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) parts: Parts,
    pub(crate) requests: Queue<CommitRequest>,
    pub(crate) reports: Queue<Message>,
    pub(crate) digests: ThreadPoolExecutor,
    pub(crate) cancel: CancelToken,
    /// Whether to sync at all.
    pub(crate) syncs: bool,
    /// The session's directory.
    pub(crate) dir: PathBuf,
    /// Directories whose own names are known to be on disk.
    pub(crate) named: RefCell<HashSet<PathBuf>>,
    /// Whether the storage has refused to give an unnamed file its name.
    pub(crate) refuses_unnamed: Cell<bool>,
    pub(crate) own_times: RefCell<OwnTimes>,
}

/// A file on its way to its final name.
struct Pending {
    job: JobId,
    part: Arc<dyn PartFile>,
    publish: Publish,
    was_stored: bool,
    /// It has no partial name, so nobody else can reach it.
    is_unnamed: bool,
}

impl Committer {
    /// Runs until the queue is shut down and empty.
    pub(crate) fn run(self) {
        let mut group = Vec::new();
        loop {
            match self.requests.get_many(&mut group, GROUP_MAX, WAIT) {
                Err(GetError::ShutDown) => break,
                _ => {
                    if matches!(group.last(), Some(CommitRequest::Store(_))) && group.len() < GROUP_MAX {
                        std::thread::sleep(GATHER);
                        let room = GROUP_MAX - group.len();
                        let _ = self.requests.get_many(&mut group, room, Duration::ZERO);
                    }
                    self.commit(group.drain(..));
                }
            }
        }
        self.digests.shutdown(true, true);
    }

    /// Handles all requests; everything to publish is published together.
    pub(crate) fn commit(&self, group: impl Iterator<Item = CommitRequest>) {
        let mut pending = Vec::new();
        for request in group {
            match request {
                CommitRequest::Store(store) => {
                    let job = store.job;
                    match self.write(*store) {
                        Ok(stored) => pending.push(stored),
                        Err(error) => self.report(Message::Stored(job, Err(error))),
                    }
                }
                CommitRequest::Publish { job, publish } => match self.parts.get(job) {
                    Some(part) => {
                        pending.push(Pending { job, part, publish: *publish, was_stored: false, is_unnamed: false })
                    }
                    None => {
                        let error = Error::new(ErrorKind::Internal, "a file was to be published that is not open");
                        self.report(Message::Published(job, Err(error)));
                    }
                },
                CommitRequest::Save { job, path, journal } => {
                    let result = self.save(job, &path, *journal);
                    self.report(Message::Saved(job, result));
                }
                CommitRequest::WriteBack { job, range } => {
                    if let Some(part) = self.parts.get(job).filter(|_| self.syncs) {
                        part.start_writeback(range.start, range.len());
                    }
                }
                CommitRequest::Digest { job, path, algorithm, of_final, len_bytes } => {
                    self.digest(job, path, algorithm, of_final, len_bytes);
                }
                CommitRequest::DigestPieces { job, path, pieces, of_final } => {
                    self.digest_pieces(job, path, pieces, of_final);
                }
                CommitRequest::Reserve { job, range } => {
                    if let Some(part) = self.parts.get(job) {
                        part.reserve(range.start, range.len());
                    }
                }
                CommitRequest::SetLen { job, path, len_bytes } => self.set_len(job, &path, len_bytes),
                CommitRequest::Release { job, path, fate } => {
                    self.release(job, &path, fate);
                    self.parts.released(job);
                }
            }
        }
        self.publish(pending);
    }

    fn report(&self, message: Message) {
        self.report_all(vec![message]);
    }

    /// Reports the storage's warnings first: these may be the last messages that anybody reads.
    fn report_all(&self, messages: Vec<Message>) {
        let warnings = self.storage.take_warnings().into_iter().map(Message::Warned);
        let mut all: Vec<Message> = warnings.chain(messages).collect();
        // The dispatcher is gone only during teardown.
        let _ = self.reports.put_many(&mut all);
    }
}
