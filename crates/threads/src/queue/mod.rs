//! Blocking queues that know when their work is done and can be shut down.
//!
//! | queue | `get` takes |
//! |---|---|
//! | [`Queue`] | the item that has been inside longest |
//! | [`LifoQueue`] | the item that was put last |
//! | [`PriorityQueue`] | the smallest item |
//!
//! They do not differ otherwise. Each is a handle: clones refer to the same queue, which lives as
//! long as any of them. `core.rs` explains, beside the code, how threads wait and are woken.
//!
//! Everything that CPython's `queue` does is here: `task_done` and `join`, `shutdown` with and
//! without dropping the remaining items, an error for a `task_done` too many. New are `get_many`,
//! timed joins, and failed puts that return their item.

mod core;
mod error;
mod fifo;
mod heap;
mod lifo;
mod methods;
mod priority;
mod state;
mod store;

#[cfg(all(test, loom))]
mod loom_tests;

pub use error::{GetError, PutError, PutErrorKind, TaskDoneError};
pub use fifo::Queue;
pub use lifo::LifoQueue;
pub use priority::PriorityQueue;
