//! One task: the closure, its result, and everybody who waits for it, in one allocation.
//!
//! The `Arc<Task<F, T>>` is seen by the pool as `Arc<dyn Run>`, which forgets the type of the
//! result, and by the future as `Arc<dyn Outcome<T>>`, which forgets the type of the closure.
//!
//! # The protocol
//!
//! All state is under one lock. The stage moves only along these edges, each within one hold of
//! the lock:
//!
//! ```text
//! Pending -> Running -> Finished | Panicked -> Taken      (the worker, then the future's owner)
//! Pending -> Cancelled | Broken                           (whoever comes first)
//! ```
//!
//! * *Runs or is cancelled, never both*: both leave `Pending`, under the lock, so one of them
//!   finds the stage changed and does nothing.
//! * *Done for everybody at once*: the thread that makes a task done also notifies its waiters,
//!   in the same hold of the lock. A cancelled task does not wait for a worker to find it.
//! * *Each callback runs once*: it is either added to the list while the task is not done, and the
//!   thread that makes it done takes the whole list; or the task is done, and it runs at once in
//!   the thread that adds it.
//! * *User code never runs under the lock*: the closure, callbacks and their destructors run after
//!   it has been released, with panics caught.
//! * Settling many tasks (a shutdown that cancels, a pool that breaks) takes two rounds: first all
//!   are made done, then the callbacks run. A callback that waits for a worker, which in turn
//!   waits for one of those tasks, finds it done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::error::TaskError;
use super::future::FutureStatus;
use crate::deadline;
use crate::panic::{Payload, drop_quietly};

pub(super) type Callback = Box<dyn FnOnce(FutureStatus) + Send>;

/// How a task ends that will not run.
#[derive(Clone)]
pub(super) enum Verdict {
    Cancelled,
    Broken(Arc<str>),
}

/// What the pool does with a task.
pub(super) trait Run: Send + Sync {
    /// Runs the task in this thread, unless it is done already.
    fn run(&self);

    /// Ends a pending task; true if this call did it. [`after_settling`](Self::after_settling)
    /// must follow then.
    fn settle(&self, verdict: Verdict) -> bool;

    /// Runs the callbacks of a task that was settled, and drops its closure.
    fn after_settling(&self);
}

/// What a future does with its task.
pub(super) trait Outcome<T>: Send + Sync {
    fn take(&self, deadline: Option<Instant>) -> Result<T, TaskError>;
    fn cancel(&self) -> bool;
    fn status(&self) -> FutureStatus;
    fn add_done_callback(&self, callback: Callback);
}

pub(super) struct Task<F, T> {
    inner: Mutex<Inner<F, T>>,
    done: Condvar,
}

struct Inner<F, T> {
    stage: Stage<T>,
    /// There while the task is pending, and until a settled task has been cleared up.
    work: Option<F>,
    callbacks: Vec<Callback>,
    waiters: usize,
}

enum Stage<T> {
    Pending,
    Running,
    Finished(T),
    Panicked(Payload),
    Cancelled,
    Broken(Arc<str>),
    /// The result has been given away; this is how the task ended.
    Taken(FutureStatus),
}

impl<F, T> Task<F, T> {
    pub(super) fn new(work: F) -> Self {
        Self {
            inner: Mutex::new(Inner { stage: Stage::Pending, work: Some(work), callbacks: Vec::new(), waiters: 0 }),
            done: Condvar::new(),
        }
    }

    /// Takes the closure back out of a task that no pool has seen.
    pub(super) fn reclaim(&self) -> F {
        match self.inner.lock().work.take() {
            Some(work) => work,
            None => unreachable!("a task that no pool has seen is pending"),
        }
    }

    fn finish(&self, stage: Stage<T>) {
        let status = stage.status();
        let callbacks = {
            let mut inner = self.inner.lock();
            inner.stage = stage;
            self.wake(&inner);
            std::mem::take(&mut inner.callbacks)
        };
        call_all(callbacks, status);
    }

    fn wake(&self, inner: &Inner<F, T>) {
        if inner.waiters > 0 {
            self.done.notify_all();
        }
    }
}

impl<F, T> Run for Task<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self) {
        let work = {
            let mut inner = self.inner.lock();
            if !matches!(inner.stage, Stage::Pending) {
                return;
            }
            inner.stage = Stage::Running;
            inner.work.take()
        };
        let Some(work) = work else {
            unreachable!("a pending task has its closure");
        };
        self.finish(match catch_unwind(AssertUnwindSafe(work)) {
            Ok(value) => Stage::Finished(value),
            Err(payload) => Stage::Panicked(payload),
        });
    }

    fn settle(&self, verdict: Verdict) -> bool {
        let mut inner = self.inner.lock();
        if !matches!(inner.stage, Stage::Pending) {
            return false;
        }
        inner.stage = match verdict {
            Verdict::Cancelled => Stage::Cancelled,
            Verdict::Broken(reason) => Stage::Broken(reason),
        };
        self.wake(&inner);
        true
    }

    fn after_settling(&self) {
        let (work, callbacks, status) = {
            let mut inner = self.inner.lock();
            let callbacks = std::mem::take(&mut inner.callbacks);
            (inner.work.take(), callbacks, inner.stage.status())
        };
        call_all(callbacks, status);
        drop_quietly(work);
    }
}

impl<F, T> Outcome<T> for Task<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn take(&self, deadline: Option<Instant>) -> Result<T, TaskError> {
        let mut inner = self.inner.lock();
        let mut in_time = true;
        while !inner.stage.status().is_done() {
            if !in_time {
                return Err(TaskError::Timeout);
            }
            inner.waiters += 1;
            in_time = deadline::wait_until(&self.done, &mut inner, deadline);
            inner.waiters -= 1;
        }
        // These two can be told again and again.
        match &inner.stage {
            Stage::Cancelled => return Err(TaskError::Cancelled),
            Stage::Broken(reason) => return Err(TaskError::Broken(Arc::clone(reason))),
            _ => {}
        }
        let status = inner.stage.status();
        match std::mem::replace(&mut inner.stage, Stage::Taken(status)) {
            Stage::Finished(value) => Ok(value),
            Stage::Panicked(payload) => Err(TaskError::Panicked(payload)),
            _ => Err(TaskError::Taken),
        }
    }

    fn cancel(&self) -> bool {
        if self.settle(Verdict::Cancelled) {
            self.after_settling();
            true
        } else {
            self.status() == FutureStatus::Cancelled
        }
    }

    fn status(&self) -> FutureStatus {
        self.inner.lock().stage.status()
    }

    fn add_done_callback(&self, callback: Callback) {
        let status = {
            let mut inner = self.inner.lock();
            let status = inner.stage.status();
            if !status.is_done() {
                inner.callbacks.push(callback);
                return;
            }
            status
        };
        call(callback, status);
    }
}

impl<T> Stage<T> {
    fn status(&self) -> FutureStatus {
        match self {
            Self::Pending => FutureStatus::Pending,
            Self::Running => FutureStatus::Running,
            Self::Finished(_) => FutureStatus::Finished,
            Self::Panicked(_) => FutureStatus::Panicked,
            Self::Cancelled => FutureStatus::Cancelled,
            Self::Broken(_) => FutureStatus::Broken,
            Self::Taken(status) => *status,
        }
    }
}

fn call_all(callbacks: Vec<Callback>, status: FutureStatus) {
    for callback in callbacks {
        call(callback, status);
    }
}

/// A callback that panics has been reported by the panic hook; the next one runs all the same.
fn call(callback: Callback, status: FutureStatus) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(move || callback(status))) {
        drop_quietly(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settled_task_does_not_run_and_a_run_task_cannot_be_settled() {
        let settled = Task::new(|| -> u8 { panic!("never runs") });
        assert!(Run::settle(&settled, Verdict::Cancelled));
        let as_run: &dyn Run = &settled;
        as_run.run();
        let as_outcome: &dyn Outcome<u8> = &settled;
        assert!(matches!(as_outcome.take(None), Err(TaskError::Cancelled)));
        assert!(as_outcome.cancel(), "it never runs, so cancelling it again is true");

        let finished = Task::new(|| 3);
        finished.run();
        assert!(!finished.settle(Verdict::Cancelled));
        assert_eq!(finished.take(None).unwrap(), 3);
        assert!(matches!(finished.take(None), Err(TaskError::Taken)));
        assert_eq!(finished.status(), FutureStatus::Finished);
    }
}
