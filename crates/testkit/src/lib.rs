//! Helpers shared by the tests of several crates: a watchdog, bounded waits, figures and optional
//! programs. The feature `downloads` adds temporary places, seeded content, journals and real servers.
//!
//! Of Towline it depends on the origin alone, so the unit tests of every other crate can use it too.
//! There are no errors: whatever goes wrong panics and thereby fails the test.

#![warn(missing_docs)]
#![forbid(unsafe_code)]

#[cfg(feature = "downloads")]
mod content;
mod directory;
mod figures;
#[cfg(feature = "downloads")]
mod journal;
#[cfg(feature = "downloads")]
mod json_lines;
#[cfg(feature = "downloads")]
mod place;
mod port;
#[cfg(feature = "downloads")]
pub mod servers;
mod tool;
mod wait;
mod watchdog;

#[cfg(feature = "downloads")]
pub use content::{assert_content, content, write_seeded};
pub use directory::{below, leftovers};
pub use figures::{number, say};
#[cfg(feature = "downloads")]
pub use journal::{Journal, journal_bytes};
#[cfg(feature = "downloads")]
pub use json_lines::json_lines;
#[cfg(feature = "downloads")]
pub use place::Place;
pub use port::free_port;
pub use tool::{cannot_test, library, tool};
pub use wait::{wait_at_most, wait_for, wait_until};
pub use watchdog::with_watchdog;

/// One mebibyte.
pub const MIB: u64 = 1 << 20;
