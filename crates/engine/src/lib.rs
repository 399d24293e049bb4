//! The download engine of Towline: fetches whole files, fast, and never lies about what is on disk.
//!
//! - A final name only ever holds content that is complete by the rules of its protocol, and that matches its
//!   digest if there is one; until then the file is `NAME.towline`.
//! - Fetched data is kept: a journal beside the partial file is saved every half second, and no single response
//!   makes the engine give data up.
//! - A file uses several connections where the server supports ranges and identifies its version well enough,
//!   and many files download at once. [`evidence`] decides what a response proves; what a response does not say
//!   proves nothing.
//!
//! [`download()`] runs a whole download in one call; a [`Session`] fetches many files, takes commands while it
//! runs and reports [`Event`]s.
//!
//! ```no_run
//! use towline_engine::{JobSpec, Options, Session};
//!
//! let session = Session::builder(Options::default()).build()?;
//! let handle = session.handle();
//! handle.add(JobSpec::new("https://example.com/a.iso".parse().unwrap()))?;
//! handle.close();
//! let ended = session.run()?;
//! println!("{} files", ended.summary.done_files);
//! # Ok::<(), towline_engine::Error>(())
//! ```
//!
//! The engine has no terminal, flags, signals or exit codes; those belong to programs.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod checksum;
pub mod download;
pub mod error;
pub mod event;
pub mod evidence;
pub mod feed;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
pub mod http;
pub mod inspect;
pub mod job;
mod key_set;
pub mod options;
pub mod provider;
pub mod ranges;
pub mod report;
pub mod secret;
pub mod session;
pub mod size;
pub mod status;
pub mod storage;

mod backoff;
mod disk;
mod dispatch;
mod failpoint;
mod journal;
mod message;
mod name;
mod plan;
mod promise;
mod rate_limit;
mod source;
mod worker;

// Unit tests and whole-session tests share an in-memory file system, under one crate name.
#[cfg(test)]
extern crate self as towline_engine;

pub use checksum::Checksum;
pub use download::{Download, download};
pub use error::{Advice, Blame, Error, ErrorKind, Result};
pub use event::{Event, Progress, Reporter, Summary};
pub use job::{JobId, JobOptions, JobSpec, PieceDigests};
pub use options::Options;
pub use session::{Ended, Envelope, Session, SessionHandle, Subscription, SubscriptionError};
pub use source::http::resolve::{Resolve, Resolving, SystemResolver};
pub use status::{JobChange, JobFilter, JobPage, JobState, JobStatus};
