//! Deadlocks are reported, not suffered.
//!
//! When a thread waits without a time limit for a [`Lock`](crate::sync::Lock), an
//! [`RLock`](crate::sync::RLock), a task's [`result`](crate::Future::result) or the
//! [end of a thread](crate::thread::JoinHandle::join), and that closes a ring in which each waits
//! for the next, the wait fails with [`Deadlock`], which names everybody in the ring. One of the
//! ring is told; when it lets go of what it holds, the others go on.
//!
//! ```
//! use towline_threads::sync::Lock;
//!
//! let account = Lock::named("account", 100);
//! let held = account.acquire()?;
//! let error = account.acquire().unwrap_err(); // std's Mutex would hang here
//! assert!(error.to_string().contains("`account`"));
//! drop(held);
//! # Ok::<(), towline_threads::deadlock::Deadlock>(())
//! ```
//!
//! # What is seen, and what it costs
//!
//! A wait is looked at once it has lasted 10 ms. A lock that is free costs one store more than
//! `parking_lot`'s. CPython has nothing like this: there the program stands still.
//!
//! Waits with a time limit end by themselves and are no part of a ring. Nor are waits for an event,
//! a condition, a semaphore, a barrier or a queue: anybody may end those. Waits for several tasks
//! ([`wait`](crate::executor::wait), [`as_completed`](crate::executor::as_completed), the end of a
//! [scope](crate::ThreadPoolExecutor::scope)) and for a pool's
//! [`shutdown`](crate::ThreadPoolExecutor::shutdown) are not looked at: do not hold a lock in them
//! that the tasks want. A task that no worker has
//! begun waits for *any* worker, so a ring through it is reported only when every worker of its
//! pool is stuck in it.
//!
//! How it is done, and why no report is false: `README.md` beside this file's source.

mod graph;
mod report;
mod wait;

#[cfg(all(test, loom))]
mod loom_tests;

pub use report::{Deadlock, Link};

pub(crate) use graph::{Obstacle, Progress, TaskProbe};
pub(crate) use wait::{LOOK_AGAIN, PATIENCE, lock_patiently, lock_whatever, publish};
