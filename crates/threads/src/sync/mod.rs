//! What threads use to wait for one another.
//!
//! | here | what it does |
//! |---|---|
//! | [`Lock`] | one thread at a time at its data; reports deadlocks |
//! | [`RLock`] | the same, and its holder may take it again |
//! | [`Condition`] | waits, under a lock, until the data says so |
//! | [`Semaphore`] | so many at a time |
//! | [`BoundedSemaphore`] | the same, and reports a release too many |
//! | [`Event`] | a flag to wait for |
//! | [`Barrier`] | all go on together |
//!
//! Each keeps its state in one small lock of its own, which is held for a few instructions.

mod barrier;
mod bounded_semaphore;
mod condition;
mod event;
mod lock;
mod permits;
mod rlock;
mod semaphore;

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
