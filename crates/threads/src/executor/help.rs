//! A worker that awaits a task runs it.
//!
//! * Only the task that is awaited, never a stranger: a stranger could need a lock that this worker
//!   holds (rayon's issue 592).
//! * Only a worker of the task's own pool, and only without a time limit.
//! * By the same compare-and-swap as every worker: whoever comes first runs it, and the handle in
//!   the backlog is an empty shell from then on.
//! * Not with a quarter of the stack gone: then a *compensating* thread of the pool runs it, and this one
//!   waits. As this one does nothing meanwhile, no more tasks run at a time than there are workers.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::pool::Shared;
use super::task::Run;
use crate::facade;
use crate::panic::drop_quietly;

/// How much stack a worker may use up before its awaited tasks go to another thread.
///
/// Workers have 2 MiB at least, and more if `RUST_MIN_STACK` says so.
pub(super) const STACK_BEFORE_COMPENSATING: usize = 512 * 1024;

facade::local! {
    /// The pool that this thread works for.
    static EMPLOYER: RefCell<Option<Arc<Shared>>> = RefCell::new(None);
}

facade::local! {
    /// Where this worker's stack began.
    static STACK_BEGAN: Cell<usize> = Cell::new(0);
}

/// Makes this thread a worker until it is dropped.
pub(super) struct Employment;

pub(super) fn employ(shared: &Arc<Shared>) -> Employment {
    EMPLOYER.with(|employer| *employer.borrow_mut() = Some(Arc::clone(shared)));
    STACK_BEGAN.with(|began| began.set(stack_pointer()));
    Employment
}

impl Drop for Employment {
    fn drop(&mut self) {
        let shared = EMPLOYER.with(|employer| employer.borrow_mut().take());
        drop(shared);
    }
}

/// Whether this thread is a worker of this pool.
pub(super) fn may_help(pool: u64) -> bool {
    with_employer(|shared| shared.is_some_and(|shared| shared.id() == pool))
}

/// Runs an awaited task of this worker's pool.
pub(super) fn run(task: Arc<dyn Run>) {
    let used = STACK_BEGAN.with(Cell::get).abs_diff(stack_pointer());
    if used < STACK_BEFORE_COMPENSATING {
        task.run();
        // The last owner of a task drops its result: the user's code, here and below.
        drop_quietly(task);
        let shells = with_employer(|shared| shared.map(|shared| shared.take_shells()));
        // One by one: two that panic at once would end the process.
        shells.into_iter().flatten().flatten().for_each(drop_quietly);
        return;
    }
    let employer = with_employer(|shared| shared.cloned());
    if let Some(shared) = employer {
        shared.compensate(task);
    }
}

/// `f` must not run the user's code: the place is borrowed meanwhile.
fn with_employer<R>(f: impl FnOnce(Option<&Arc<Shared>>) -> R) -> R {
    let mut f = Some(f);
    let asked = EMPLOYER.try_with(|employer| f.take().map(|f| f(employer.borrow().as_ref())));
    match (asked, f) {
        (Ok(Some(answer)), _) => answer,
        // The thread's last destructors are running.
        (_, Some(f)) => f(None),
        _ => unreachable!("the closure was called or is still here"),
    }
}

fn stack_pointer() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}
