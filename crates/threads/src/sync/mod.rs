//! What threads use to wait for one another: [`Event`] and [`Semaphore`].
//!
//! Each keeps its state in one small lock of its own, which is held for a few instructions.

mod event;
mod semaphore;

pub use event::Event;
pub use semaphore::{Permit, Semaphore};
