//! Reporters that are not for terminals.

mod many;
mod status_file;

pub use many::Many;
pub use status_file::{StatusFile, may_hold_status};
