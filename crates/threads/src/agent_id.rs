//! The number that names an agent: a thread's own code, or a task that runs in it.
//!
//! It is made of the thread's number and of a count of the tasks that the thread has run, so a
//! thread makes one without synchronization, and the number leads back to the thread. The count
//! wraps around after 2^32 tasks: two agents of one thread can share a number only if the earlier
//! one left a lock behind that is never released, or ran that many tasks on top of itself. Both are
//! in one thread, so even then no two threads reach a lock's data.

/// Identifies an agent; [`AgentId::NONE`] means nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AgentId(u64);

impl AgentId {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn new(thread: u32, task: u32) -> Self {
        Self((u64::from(thread) << 32) | u64::from(task))
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The number of the thread that this agent runs in; 0 only for [`NONE`](Self::NONE).
    pub(crate) fn thread(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Which of its thread's tasks this is; 0 for the thread's own code.
    pub(crate) fn task(self) -> u32 {
        (self.0 & u64::from(u32::MAX)) as u32
    }

    /// Whether this is a task, not a thread's own code.
    pub(crate) fn is_task(self) -> bool {
        self.task() != 0
    }
}
