//! Where bytes come from. A source requests a file or a range of it from one place, and reports the result in
//! the engine's own terms: [`crate::message::End`]. HTTP is one; the simulator's network is the other.

pub(crate) mod http;
pub(crate) mod redirect_rules;
pub(crate) mod rejection;
