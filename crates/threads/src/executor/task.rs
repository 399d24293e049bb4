//! One task: the closure, its result, and all who wait for it, in one allocation.
//!
//! The pool sees the `Arc<Task<F, T>>` as `Arc<dyn Run>`, which hides the type of the result; the
//! future sees it as `Arc<dyn Outcome<T>>`, which hides the type of the closure; the search for
//! deadlocks sees it as `Arc<dyn TaskProbe>`. `cell.rs` describes the states.
//!
//! User code (the closure, callbacks, their destructors) never runs under a lock of the task, and
//! its panics are caught. Settling many tasks takes two rounds: first all tasks are completed and
//! their waiters woken, then the callbacks run. So if a callback waits for a worker that in turn
//! waits for one of those tasks, that task is already done.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;

use super::cell::{self, TaskCell, Verdict, is_done};
use super::error::TaskError;
use super::staff;
use super::status::FutureStatus;
use super::watch::{Callback, Watch, Watcher};
use crate::agent;
use crate::agent_id::AgentId;
use crate::deadlock::{Progress, TaskProbe};
use crate::holder::Holder;
use crate::panic::drop_quietly;

/// What the pool does with a task.
pub(super) trait Run: Send + Sync {
    /// Runs the task in this thread, unless it is done or already running.
    fn run(&self);

    /// Ends a pending task, wakes its waiters, and returns the callbacks; `None` if it is not
    /// pending. [`after_settling`](Self::after_settling) must follow.
    fn settle(&self, verdict: Verdict) -> Option<Vec<Callback>>;

    /// Runs the callbacks of a task that was settled, and drops its closure.
    fn after_settling(&self, callbacks: Vec<Callback>);

    /// Whether a worker that takes it has something to do.
    fn is_pending(&self) -> bool;
}

/// What a future does with its task.
pub(super) trait Outcome<T>: Run {
    fn take(&self) -> Option<Result<T, TaskError>>;
    fn broken(&self) -> Option<Arc<str>>;
    fn panic_text(&self) -> Option<String>;
    /// The payload of a panic; the caller must own the only future of the task, exclusively.
    fn panic_payload(&self) -> Option<&(dyn Any + Send)>;
    fn status(&self) -> FutureStatus;
    fn add(&self, watcher: Watcher) -> Result<(), Watcher>;
    fn remove(&self, watch: &Arc<dyn Watch>);
    fn set_waker(&self, waker: &Waker) -> bool;
    /// The number of the task's pool.
    fn pool(&self) -> u64;
    fn into_run(self: Arc<Self>) -> Arc<dyn Run>;
    fn into_probe(self: Arc<Self>) -> Arc<dyn TaskProbe>;
}

pub(super) struct Task<F, T> {
    cell: TaskCell<F, T>,
    /// The agent that runs it.
    runner: Holder,
    pool: u64,
}

impl<F, T> Task<F, T> {
    pub(super) fn new(work: F, pool: u64) -> Self {
        Self { cell: TaskCell::new(work), runner: Holder::nobody(), pool }
    }

    /// Takes the closure back out of a task that a pool refused.
    pub(super) fn reclaim(self) -> F {
        self.cell.reclaim()
    }
}

impl<F, T> Run for Task<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn run(&self) {
        let Some(work) = self.cell.claim() else { return };
        let shift = agent::begin_task();
        self.runner.set(shift.agent());
        let outcome = catch_unwind(AssertUnwindSafe(work));
        let callbacks = self.cell.finish(outcome);
        if !callbacks.is_empty() {
            call_all(callbacks, self.status());
        }
        // After the callbacks: they must not enter the locks of a task below either.
        drop(shift);
    }

    fn settle(&self, verdict: Verdict) -> Option<Vec<Callback>> {
        self.cell.settle(verdict)
    }

    fn after_settling(&self, callbacks: Vec<Callback>) {
        call_all(callbacks, self.status());
        drop_quietly(self.cell.abandoned());
    }

    fn is_pending(&self) -> bool {
        self.cell.stage() == cell::PENDING
    }
}

impl<F, T> Outcome<T> for Task<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn take(&self) -> Option<Result<T, TaskError>> {
        Some(self.cell.take()?.map_err(TaskError::Panicked))
    }

    fn broken(&self) -> Option<Arc<str>> {
        self.cell.broken()
    }

    fn panic_text(&self) -> Option<String> {
        self.cell.panic_text()
    }

    fn panic_payload(&self) -> Option<&(dyn Any + Send)> {
        self.cell.panic_payload()
    }

    fn status(&self) -> FutureStatus {
        match self.cell.stage() {
            cell::PENDING => FutureStatus::Pending,
            cell::RUNNING => FutureStatus::Running,
            cell::FINISHED | cell::TAKEN_FINISHED => FutureStatus::Finished,
            cell::PANICKED | cell::TAKEN_PANICKED => FutureStatus::Panicked,
            cell::CANCELLED => FutureStatus::Cancelled,
            _ => FutureStatus::Broken,
        }
    }

    fn add(&self, watcher: Watcher) -> Result<(), Watcher> {
        self.cell.add(watcher)
    }

    fn remove(&self, watch: &Arc<dyn Watch>) {
        self.cell.remove(watch);
    }

    fn set_waker(&self, waker: &Waker) -> bool {
        self.cell.set_waker(waker)
    }

    fn pool(&self) -> u64 {
        self.pool
    }

    fn into_run(self: Arc<Self>) -> Arc<dyn Run> {
        self
    }

    fn into_probe(self: Arc<Self>) -> Arc<dyn TaskProbe> {
        self
    }
}

impl<F, T> TaskProbe for Task<F, T>
where
    F: Send + 'static,
    T: Send + 'static,
{
    fn progress(&self) -> Progress {
        let stage = self.cell.stage();
        if is_done(stage) {
            return Progress::Free;
        }
        if stage == cell::PENDING {
            return staff::who_could_begin(self.pool);
        }
        match self.runner.get() {
            // It has just been claimed.
            AgentId::NONE => Progress::Free,
            runner => Progress::RunBy(runner),
        }
    }
}

pub(super) fn call_all(callbacks: Vec<Callback>, status: FutureStatus) {
    for callback in callbacks {
        call(callback, status);
    }
}

/// A callback that panics has been reported by the panic hook; the next one still runs.
pub(super) fn call(callback: Callback, status: FutureStatus) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(move || callback(status))) {
        drop_quietly(payload);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_settled_task_does_not_run_and_a_run_task_cannot_be_settled() {
        let settled = Task::new(|| -> u8 { panic!("never runs") }, 0);
        let callbacks = settled.settle(Verdict::Cancelled).expect("it was pending");
        settled.run();
        settled.after_settling(callbacks);
        assert_eq!(settled.status(), FutureStatus::Cancelled);
        assert!(settled.take().is_none());

        let finished = Task::new(|| 3, 0);
        finished.run();
        assert!(finished.settle(Verdict::Cancelled).is_none());
        assert_eq!(finished.take().unwrap().unwrap(), 3);
        assert!(finished.take().is_none());
        assert_eq!(finished.status(), FutureStatus::Finished);
    }
}
