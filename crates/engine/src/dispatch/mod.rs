//! The dispatcher: one thread that owns the session's state. [`core`] decides and does no I/O; [`driver`]
//! does what the core decided. Both use the messages of [`crate::message`].

pub(crate) mod adapt;
mod asks;
mod backpressure;
pub(crate) mod connection_slots;
pub(crate) mod core;
pub(crate) mod driver;
pub(crate) mod hosts;
pub(crate) mod identity;
pub(crate) mod ids;
pub(crate) mod job;
pub(crate) mod job_sources;
mod kept;
pub(crate) mod names;
mod pace;
pub(crate) mod pulse;
mod rate;
mod redirect_chain;
pub(crate) mod spoken;
pub(crate) mod tally;
pub(crate) mod waiting;
