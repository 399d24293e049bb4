//! Who holds a lock and who waits for one: a thread's own code, or a task that runs in it.
//!
//! A worker that awaits a task may run that task in its own thread, on top of the one that waits.
//! If locks belonged to threads, the inner task would walk into the outer one's [`RLock`] and find
//! its data half changed. So each run of a task is an *agent* of its own, and so is each thread
//! outside all tasks.
//!
//! [`RLock`]: crate::sync::RLock

use std::cell::{Cell, RefCell};

use crate::agent_id::AgentId;
use crate::facade;
use crate::registry;

facade::local! {
    /// The agent that runs now; [`AgentId::NONE`] until somebody asks.
    static CURRENT: Cell<AgentId> = Cell::new(AgentId::NONE);
}

facade::local! {
    /// The agents below the current one, which wait until it is done: the thread's own code first.
    static BELOW: RefCell<Vec<AgentId>> = RefCell::new(Vec::new());
}

facade::local! {
    static LAST_TASK: Cell<u32> = Cell::new(0);
}

/// The agent that runs in this thread.
pub(crate) fn current() -> AgentId {
    let agent = CURRENT.with(Cell::get);
    if agent == AgentId::NONE { introduce() } else { agent }
}

/// All agents of this thread, the one that runs last.
pub(crate) fn stack() -> Vec<AgentId> {
    let current = current();
    // Without the list while the thread's last destructors run: tasks do not run there.
    let mut stack = BELOW.try_with(|below| below.borrow().clone()).unwrap_or_default();
    stack.push(current);
    stack
}

/// Gives the thread's own code its number.
#[cold]
fn introduce() -> AgentId {
    let agent = AgentId::new(registry::current_number(), 0);
    CURRENT.with(|current| current.set(agent));
    agent
}

/// Makes a new agent the current one until this is dropped.
pub(crate) struct Shift {
    agent: AgentId,
    before: AgentId,
}

/// Begins the run of a task in this thread.
pub(crate) fn begin_task() -> Shift {
    let before = current();
    let task = LAST_TASK.with(|last| {
        // 0 is the thread's own code.
        let next = last.get().checked_add(1).unwrap_or(1);
        last.set(next);
        next
    });
    let agent = AgentId::new(before.thread(), task);
    BELOW.with(|below| below.borrow_mut().push(before));
    CURRENT.with(|current| current.set(agent));
    Shift { agent, before }
}

impl Shift {
    pub(crate) fn agent(&self) -> AgentId {
        self.agent
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.before));
        BELOW.with(|below| below.borrow_mut().pop());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_an_agent_of_its_own_on_top_of_its_thread() {
        let outside = current();
        assert!(!outside.is_task());
        let outer = begin_task();
        let inner = begin_task();
        assert_eq!(stack(), [outside, outer.agent(), inner.agent()]);
        assert_ne!(outer.agent(), inner.agent());
        assert_eq!(inner.agent().thread(), outside.thread());
        drop(inner);
        assert_eq!(current(), outer.agent());
        drop(outer);
        assert_eq!(stack(), [outside]);
    }
}
