//! The agents of a thread: its own code, and the tasks that run in it.
//!
//! A worker that awaits a task may run it in its own thread, on top of the task that waits. If
//! locks belonged to threads, the inner task could enter the outer task's [`RLock`] and find its
//! data half changed. So each run of a task is an *agent* of its own, and so is a thread's code
//! outside all tasks. Agents hold locks and wait for them.
//!
//! [`RLock`]: crate::sync::RLock

use std::cell::{Cell, RefCell};

use crate::agent_id::AgentId;
use crate::facade;
use crate::registry;

facade::local! {
    /// The agent that runs now; [`AgentId::NONE`] until the first use.
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

/// All agents of this thread; the last one is running.
pub(crate) fn stack() -> Vec<AgentId> {
    let current = current();
    // The list is gone while the thread's last destructors run; no task runs then.
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

/// A task's turn as the current agent; ends when this is dropped.
pub(crate) struct Shift {
    agent: AgentId,
    before: AgentId,
}

/// Makes a task that runs in this thread the current agent.
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
