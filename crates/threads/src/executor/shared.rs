//! What a pool, its workers and its tasks share: the backlog, the staff and the settings.
//!
//! Why no pending task is forgotten, besides what `backlog.rs` argues:
//!
//! * A submission that no worker will come for hires one if the pool may grow; the worker counts
//!   from that moment.
//! * If a thread cannot be started and no worker is left (so nothing would ever empty the backlog),
//!   the pool breaks, which settles the backlog.
//! * A pool that breaks and a shutdown that cancels take the backlog under its locks, so each task
//!   in it is either taken by a worker or settled.
//!
//! No user code runs under a lock.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::backlog::Backlog;
use super::cell::Verdict;
use super::error::SubmitErrorKind;
use super::staff::Staff;
use super::task::Run;
use super::watch::Callback;
use crate::panic::drop_quietly;

pub(super) type Initializer = Box<dyn Fn() -> Result<(), Box<dyn Error + Send + Sync>> + Send + Sync>;

pub(super) struct Settings {
    pub(super) max_workers: usize,
    pub(super) prefix: String,
    pub(super) initializer: Option<Initializer>,
}

/// What a pool, its workers and its tasks share.
pub(super) struct Shared {
    id: u64,
    pub(super) settings: Settings,
    pub(super) backlog: Backlog<Arc<dyn Run>>,
    pub(super) staff: Arc<Staff>,
}

/// 0 is no pool's number.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Shared {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let staff = Staff::new(id, settings.max_workers);
        Arc::new(Self { id, settings, backlog: Backlog::new(), staff })
    }

    /// The pool's number.
    #[inline]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Why a submission was refused.
    pub(super) fn refusal(&self) -> SubmitErrorKind {
        match self.staff.broken() {
            Some(reason) => SubmitErrorKind::Broken(reason),
            None => SubmitErrorKind::ShutDown,
        }
    }

    /// Removes up to four tasks from the backlog's end that have been run in place.
    pub(super) fn take_shells(&self) -> [Option<Arc<dyn Run>>; 4] {
        self.backlog.take_shells(|task| !task.is_pending())
    }

    /// Stops accepting tasks; with `cancel`, also cancels those that are pending.
    pub(super) fn close(&self, cancel: bool) {
        settle_all(self.backlog.close(cancel), &Verdict::Cancelled);
    }

    /// Ends every pending task with `reason`, and refuses all later submissions.
    pub(super) fn break_down(&self, reason: String) {
        let reason: Arc<str> = reason.into();
        self.staff.set_broken(&reason);
        settle_all(self.backlog.close(true), &Verdict::Broken(reason));
        self.staff.notify();
    }

    pub(super) fn wait_for_workers(&self) {
        // A task that was pushed before the end may be waiting for its worker to be hired.
        let handles = self.staff.wait_until_gone(|| self.backlog.len() > 0);
        for handle in handles {
            // Workers catch every panic; this only waits until the threads are off the list.
            let _ = handle.join();
        }
    }
}

/// Completes all of them first, and then runs their callbacks; `task.rs` says why.
pub(super) fn settle_all(backlog: VecDeque<Arc<dyn Run>>, verdict: &Verdict) {
    let settled: Vec<(Arc<dyn Run>, Vec<Callback>)> = backlog
        .into_iter()
        .filter_map(|task| match task.settle(verdict.clone()) {
            Some(callbacks) => Some((task, callbacks)),
            None => {
                // It has run in place, and this may be its last owner.
                drop_quietly(task);
                None
            }
        })
        .collect();
    for (task, callbacks) in settled {
        task.after_settling(callbacks);
        drop_quietly(task);
    }
}
