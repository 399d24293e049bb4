//! Threads the way Python's standard library offers them, in the shape that Rust wants.
//!
//! | module | what it gives |
//! |---|---|
//! | [`thread`] | named threads, a list of those alive, joins with a timeout, a `main` that waits |
//! | [`cancel`] | one token that tells many threads to stop, and why |
//! | [`sync`] | [`sync::Event`] and [`sync::Semaphore`] |
//! | [`queue`] | a blocking queue that knows when its work is done and can be shut down |
//! | [`executor`] | a pool of threads whose tasks have results, timeouts, callbacks and cancellation |
//! | [`supervisor`] | N workers, a step at each interval, an orderly end on an interrupt |
//!
//! Names are Python's (`Event.wait`, `Queue.task_done`, `Future.result`); everything else is
//! Rust's: guards release when they are dropped, errors are values, closures are typed, and a
//! timeout is a [`Duration`](std::time::Duration).
//!
//! # A pool in five lines
//!
//! ```
//! use towline_threads::ThreadPoolExecutor;
//!
//! let pool = ThreadPoolExecutor::new(4)?;
//! let futures: Vec<_> = (1..=3).map(|n| pool.submit(move || n * n).unwrap()).collect();
//! let squares: Vec<u32> = futures.into_iter().map(|f| f.result().unwrap()).collect();
//! assert_eq!(squares, [1, 4, 9]);
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! # A queue with workers
//!
//! ```
//! use towline_threads::{Queue, thread};
//!
//! let queue = Queue::bounded(8);
//! let jobs = queue.clone();
//! let worker = thread::spawn(move || {
//!     let mut sum = 0;
//!     while let Ok(job) = jobs.get() {
//!         sum += job;
//!         jobs.task_done().unwrap();
//!     }
//!     sum
//! });
//! for job in 1..=10 {
//!     queue.put(job).unwrap();
//! }
//! queue.join(); // every job has been worked on
//! queue.shutdown(); // `get` fails once the queue is empty
//! assert_eq!(worker.join().unwrap(), 55);
//! ```
//!
//! # Features
//!
//! `signals` (default, Unix only): `supervisor::signals`, which turns SIGINT, SIGTERM and SIGHUP
//! into interrupts. Only programs need it; nothing in this crate installs a signal handler by
//! itself.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod cancel;
pub mod deadlock;
pub mod executor;
pub mod queue;
pub mod supervisor;
pub mod sync;
pub mod thread;
pub mod timer;

mod agent;
mod deadline;
mod facade;
mod naming;
mod panic;
mod waiting;

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

pub use cancel::{CancelReason, CancelToken};
pub use executor::{Future, ThreadPoolExecutor};
pub use queue::{LifoQueue, PriorityQueue, Queue};
pub use supervisor::{Interrupt, Supervised, Supervisor};
pub use timer::Timer;
