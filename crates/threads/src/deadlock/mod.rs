//! Deadlocks are errors, not hangs.
//!
//! When a thread waits without a time limit for a [`Lock`](crate::sync::Lock), an
//! [`RLock`](crate::sync::RLock), a task's [`result`](crate::Future::result) or the [end of a
//! thread](crate::thread::JoinHandle::join), and that closes a ring in which each waits for the
//! next, the wait fails with [`Deadlock`], which names every member of the ring. One member gets
//! the error; once it releases what it holds, the others continue.
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
//! # What is detected, and what it costs
//!
//! A wait is checked once it has lasted 10 ms. Taking a free lock costs one store more than with
//! `parking_lot`. CPython has nothing like this: a deadlocked program hangs.
//!
//! Waits with a time limit end by themselves, so they are never part of a ring. Neither are waits
//! for an event, a condition, a semaphore, a barrier or a queue, which any thread may end. Waits
//! for several tasks ([`wait`](crate::executor::wait),
//! [`as_completed`](crate::executor::as_completed), the end of a
//! [scope](crate::ThreadPoolExecutor::scope)) and for a pool's
//! [`shutdown`](crate::ThreadPoolExecutor::shutdown) are not checked: do not hold a lock in them
//! that the tasks need. A task that no worker has begun waits for *any* worker, so a ring through
//! it is reported only when every worker of its pool is stuck in it.
//!
//! `README.md`, beside this file's source, explains how this works and why no report is false.

mod graph;
mod report;
mod wait;

#[cfg(all(test, loom))]
mod loom_tests;

pub use report::{Deadlock, Link};

pub(crate) use graph::{Obstacle, Progress, TaskProbe};
pub(crate) use wait::{LOOK_AGAIN, PATIENCE, lock_patiently, lock_whatever, publish};
