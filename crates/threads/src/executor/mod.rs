//! A pool of threads whose tasks have results, timeouts, callbacks and cancellation.
//!
//! A task is *pending* until a worker takes it, then *running*, then done; a task that is cancelled
//! while it is pending never runs. Every [`Future`] completes: with a value, with the task's panic,
//! as cancelled, or with the reason why the pool broke.
//!
//! ```
//! use towline_threads::ThreadPoolExecutor;
//!
//! let pool = ThreadPoolExecutor::builder()
//!     .max_workers(2)
//!     .thread_name_prefix("hash")
//!     .build()?;
//! let length = pool.submit(|| "towline".len()).unwrap();
//! let name = pool
//!     .submit(|| towline_threads::thread::current().name().to_owned())
//!     .unwrap();
//! assert_eq!(length.result().unwrap(), 7);
//! assert!(name.result().unwrap().starts_with("hash_"));
//! # Ok::<(), towline_threads::executor::ExecutorError>(())
//! ```
//!
//! A task may wait for tasks of its own pool: a worker that awaits a pending one runs it itself
//! (`help.rs` says when). Tasks that wait for each other in a ring get a deadlock error.

mod arrivals;
mod as_completed;
mod backlog;
mod builder;
mod cell;
mod employer;
mod error;
mod future;
mod help;
mod map;
mod pool;
mod scope;
mod shared;
mod shared_future;
mod spin;
mod staff;
mod status;
mod task;
mod wait;
mod waitable;
mod watch;
mod workers;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, shuttle))]
mod shuttle_tests;

pub use as_completed::{AsCompleted, AsCompletedTimed, AsCompletedTimeout, as_completed, as_completed_timeout};
pub use builder::ThreadPoolBuilder;
pub use error::{ExecutorError, SubmitError, SubmitErrorKind, TaskError};
pub use future::Future;
pub use map::{Map, MapOptions};
pub use pool::ThreadPoolExecutor;
pub use scope::{Scope, ScopedFuture};
pub use shared_future::SharedFuture;
pub use status::FutureStatus;
pub use wait::{ReturnWhen, Waited, wait};
pub use waitable::Waitable;
