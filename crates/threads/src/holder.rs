//! Who holds a lock, readable by the search for deadlocks.

use std::ptr::NonNull;

use crate::agent_id::AgentId;
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::const_fn;

/// The agent that holds a lock, stored inside the lock.
#[derive(Debug)]
pub(crate) struct Holder(AtomicU64);

/// Points to the [`Holder`] of a lock that a thread waits for.
///
/// Only notes and published waits contain one; both are withdrawn before the wait returns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(NonNull<Holder>);

impl Holder {
    const_fn! {
        pub(crate) const fn nobody() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    /// Relaxed: readers that rely on the value are ordered by the lock itself or by the graph's.
    pub(crate) fn get(&self) -> AgentId {
        AgentId::from_bits(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, agent: AgentId) {
        self.0.store(agent.to_bits(), Ordering::Relaxed);
    }
}

impl Owner {
    /// Points to `holder`.
    ///
    /// # Safety
    ///
    /// The value may be stored only in a `Note` (`waiting.rs`) or a `Published` wait
    /// (`deadlock/wait.rs`), which must be dropped while `holder` is still borrowed.
    #[expect(unsafe_code, reason = "the caller vouches for the pointer")]
    pub(crate) unsafe fn of(holder: &Holder) -> Self {
        Self(NonNull::from(holder))
    }

    /// The agent that holds the lock now, if any.
    #[expect(unsafe_code, reason = "a waiter lends its lock to those who look for rings")]
    pub(crate) fn get(&self) -> Option<AgentId> {
        // SAFETY: an `Owner` is read only from a thread's note or from the graph, under the lock of
        // that place. By the contract of `of`, it is removed under the same lock while the holder
        // is still borrowed. So the borrow is still live here.
        let agent = unsafe { self.0.as_ref() }.get();
        (agent != AgentId::NONE).then_some(agent)
    }
}

// SAFETY: it points to an atomic, which any thread may read; `get` argues that the atomic is still
// alive.
#[expect(unsafe_code, reason = "a pointer to an atomic goes to other threads")]
unsafe impl Send for Owner {}
