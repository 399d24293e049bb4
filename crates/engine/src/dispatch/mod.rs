//! The dispatcher: one thread that owns all truth. [`core`] decides and does nothing; [`driver`]
//! does what it decided. They speak in the terms of [`crate::message`].

pub(crate) mod adapt;
mod asks;
mod backpressure;
pub(crate) mod connection_slots;
pub(crate) mod core;
pub(crate) mod driver;
pub(crate) mod identity;
pub(crate) mod ids;
pub(crate) mod job;
pub(crate) mod job_sources;
pub(crate) mod names;
pub(crate) mod pulse;
mod rate;
pub(crate) mod spoken;
pub(crate) mod tally;
pub(crate) mod waiting;
