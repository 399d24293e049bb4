//! Locks and other primitives through which threads wait for one another.
//!
//! | here | what it does |
//! |---|---|
//! | [`Lock`] | gives one thread at a time access to its data; reports deadlocks |
//! | [`RLock`] | the same, and its holder may take it again |
//! | [`Condition`] | waits, with a lock, for a change of the data |
//! | [`Semaphore`] | lets a limited number of threads in at a time |
//! | [`BoundedSemaphore`] | the same, and reports an excess release |
//! | [`Event`] | a flag to wait for |
//! | [`Barrier`] | lets threads continue once all have arrived |
//!
//! Each guards its state with one small lock of its own, held for a few instructions.

mod barrier;
mod bounded_semaphore;
mod condition;
mod event;
mod lock;
mod permits;
mod rlock;
mod semaphore;
mod send_guard;

#[cfg(all(test, loom))]
mod loom_tests;

pub use barrier::{Barrier, BarrierError, BrokenBarrier};
pub use bounded_semaphore::{BoundedPermit, BoundedSemaphore, OverRelease};
// `ConditionGuard` cannot be named from outside: its methods would break a guard's promise.
pub use condition::Condition;
pub use event::Event;
pub use lock::{Lock, LockGuard};
pub use rlock::{RLock, RLockGuard};
pub use semaphore::{Permit, Semaphore};
pub use send_guard::SendGuard;
