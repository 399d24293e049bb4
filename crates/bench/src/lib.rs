//! Times Towline beside its peers and beside bare loops, and writes what it measured.
//!
//! A *suite* is a kind of work, such as 5,000 small files. It has *cases*: a contender in a setting. The
//! harness runs all cases of a suite in turn, round after round, so that a slow minute of the machine
//! affects all of them alike. A case counts only if every run of it succeeded and brought the right bytes.
//!
//! `cargo run --release -p towline-bench -- [SUITE...]`

#![warn(missing_docs)]

pub mod chart;
pub mod contender;
pub mod content;
pub mod floor;
pub mod harness;
pub mod launch;
pub mod machine;
pub mod options;
pub mod page;
pub mod python;
pub mod server;
pub mod source;
pub mod suite;
