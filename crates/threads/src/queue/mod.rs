//! Blocking queues that know when their work is done and can be shut down.
//!
//! | queue | `get` takes |
//! |---|---|
//! | [`Queue`] | the item that has been inside longest |
//! | [`LifoQueue`] | the item that was put last |
//! | [`PriorityQueue`] | the smallest item |
//!
//! They differ in nothing else. Each is a handle: clones are the same queue, which lives as long as
//! any of them. How threads wait and are woken is argued in `core.rs`, beside the code.
//!
//! What CPython's `queue` does is done here as well: `task_done` and `join`, `shutdown` with and
//! without what is inside, an error for a `task_done` too many. Ours are `get_many`, timed joins,
//! and that a put that fails hands its item back.

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
