//! A pool of threads whose tasks have results, timeouts, callbacks and cancellation.
//!
//! A task is *pending* until a worker takes it, *running*, and then done; or it is cancelled while
//! it is pending and never runs. Whichever way it goes, every [`Future`] ends: with a value, with
//! the task's panic, cancelled, or with the reason why the pool broke.
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
//! A task that waits for another task of its own pool holds its worker while it waits: if every
//! worker does so, none is left for what they wait for.

mod builder;
mod error;
mod future;
mod pool;
mod task;

pub use builder::ThreadPoolBuilder;
pub use error::{ExecutorError, SubmitError, SubmitErrorKind, TaskError};
pub use future::{Future, FutureStatus};
pub use pool::ThreadPoolExecutor;
