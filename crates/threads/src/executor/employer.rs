//! Which pool the running thread works for, and how much of its stack is used.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::shared::Shared;
use crate::facade;

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

/// Calls `f` with the pool that this thread works for, if there is one.
///
/// `f` must not run user code: the cell is borrowed meanwhile.
pub(super) fn with_employer<R>(f: impl FnOnce(Option<&Arc<Shared>>) -> R) -> R {
    let mut f = Some(f);
    let asked = EMPLOYER.try_with(|employer| f.take().map(|f| f(employer.borrow().as_ref())));
    match (asked, f) {
        (Ok(Some(answer)), _) => answer,
        // The thread's last destructors are running.
        (_, Some(f)) => f(None),
        _ => unreachable!("the closure was called or is still here"),
    }
}

/// How much of this worker's stack is used.
pub(super) fn stack_used() -> usize {
    STACK_BEGAN.with(Cell::get).abs_diff(stack_pointer())
}

fn stack_pointer() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(&here).addr()
}
