//! A blocking queue that knows when its work is done and can be shut down.
//!
//! See [`Queue`].

mod error;
mod fifo;

pub use error::{GetError, PutError, PutErrorKind, TaskDoneError};
pub use fifo::Queue;
