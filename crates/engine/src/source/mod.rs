//! Where bytes come from. A source asks one place for a file or a range of it, and its answers say in the
//! engine's words what came: [`crate::message::End`]. HTTP is one; the simulator's network is the other.

pub(crate) mod http;
pub(crate) mod redirect_rules;
pub(crate) mod rejection;
