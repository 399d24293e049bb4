//! The download engine of Towline: brings files here, whole, fast, and never lies about what is on
//! the disk.
//!
//! - A final name only ever holds content that is complete by the rules of its protocol, and that has
//!   its digest where there is one; until then it is `NAME.towline`.
//! - What has come is kept: a journal beside the partial file is saved each half second, and nothing
//!   is given up because of a single answer.
//! - One file comes over several connections where the server serves ranges and says enough of its
//!   version, and many files come at once. What an answer says is worth what [`evidence`] makes of
//!   it; what it does not say proves nothing.
//!
//! One call does a whole download ([`download()`]); a [`Session`] fetches many files, takes commands
//! while it runs and tells what happens as [`Event`]s.
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
//! The engine knows no terminal, no flags, no signals and no exit codes; those belong to programs.

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

// Tests in here and tests of whole sessions share a file system in memory, under one name.
#[cfg(test)]
extern crate self as towline_engine;

pub use checksum::Checksum;
pub use download::{Download, download};
pub use error::{Advice, Blame, Error, ErrorKind, Result};
pub use event::{Event, Progress, Reporter, Summary};
pub use job::{JobId, JobOptions, JobSpec};
pub use options::Options;
pub use session::{Ended, Envelope, Session, SessionHandle, Subscription, SubscriptionError};
pub use source::http::resolve::{Resolve, Resolving, SystemResolver};
pub use status::{JobChange, JobFilter, JobPage, JobState, JobStatus};
