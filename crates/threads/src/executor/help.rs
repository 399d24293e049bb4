//! A worker that awaits a task runs it.
//!
//! * Only the task that is awaited, never an unrelated one, which could need a lock that this
//!   worker holds (rayon's issue 592).
//! * Only a worker of the task's own pool, and only without a time limit.
//! * By the same compare-and-swap as every worker: the first to succeed runs it, and the handle in
//!   the backlog is an empty shell from then on.
//! * Not once a quarter of the stack is used: then a *compensating* thread of the pool runs it, and
//!   this one waits. Because this one does nothing meanwhile, no more tasks run at a time than
//!   there are workers.

use std::sync::Arc;

use super::employer::{STACK_BEFORE_COMPENSATING, stack_used, with_employer};
use super::task::Run;
use crate::panic::drop_quietly;

/// Whether this thread is a worker of this pool.
pub(super) fn may_help(pool: u64) -> bool {
    with_employer(|shared| shared.is_some_and(|shared| shared.id() == pool))
}

/// Runs an awaited task of this worker's pool.
pub(super) fn run(task: Arc<dyn Run>) {
    if stack_used() < STACK_BEFORE_COMPENSATING {
        task.run();
        // The last owner of a task drops its result, which runs user code, here and below.
        drop_quietly(task);
        let shells = with_employer(|shared| shared.map(|shared| shared.take_shells()));
        // One by one: two panics at once would abort the process.
        shells.into_iter().flatten().flatten().for_each(drop_quietly);
        return;
    }
    let employer = with_employer(|shared| shared.cloned());
    if let Some(shared) = employer {
        shared.compensate(task);
    }
}
