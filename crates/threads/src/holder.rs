//! Who holds a lock, readable by those who look for rings.

use std::ptr::NonNull;

use crate::agent_id::AgentId;
use crate::facade::atomic::{AtomicU64, Ordering};
use crate::facade::const_fn;

/// The holder's number inside a lock.
#[derive(Debug)]
pub(crate) struct Holder(AtomicU64);

/// Points to the [`Holder`] of a lock that somebody waits for.
///
/// Only notes and published waits have one; both are taken back before the wait returns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(NonNull<Holder>);

impl Holder {
    const_fn! {
        pub(crate) const fn nobody() -> Self {
            Self(AtomicU64::new(0))
        }
    }

    /// Relaxed: whoever has to rely on it is ordered by the lock itself or by the graph's.
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
    /// What this is put into (a `Note` of `waiting.rs`, a `Published` of `deadlock/wait.rs`) must be
    /// dropped while `holder` is borrowed, and it must be put nowhere else.
    #[expect(unsafe_code, reason = "the caller vouches for the pointer")]
    pub(crate) unsafe fn of(holder: &Holder) -> Self {
        Self(NonNull::from(holder))
    }

    /// Who holds the lock now, if anybody does.
    #[expect(unsafe_code, reason = "a waiter lends its lock to those who look for rings")]
    pub(crate) fn get(&self) -> Option<AgentId> {
        // SAFETY: an `Owner` is read only out of a thread's note or out of the graph, under the
        // lock of that place. By the contract of `of` it is taken out, under the same lock, while
        // the holder is still borrowed. So the borrow lives now.
        let agent = unsafe { self.0.as_ref() }.get();
        (agent != AgentId::NONE).then_some(agent)
    }
}

// SAFETY: it leads to an atomic, which any thread may read; that it is still there is argued in
// `get`.
#[expect(unsafe_code, reason = "a pointer to an atomic goes to other threads")]
unsafe impl Send for Owner {}
