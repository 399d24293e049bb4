//! Where jobs come from when they are not added one by one: a list, and later a queue shared by several
//! machines. A feed runs on the session's feed thread, its only owner.

mod anew;
mod batch;
mod demands;
pub(crate) mod entries;
mod fault;
pub(crate) mod formats;
pub(crate) mod identity;
pub(crate) mod ledger;
mod lines;
pub(crate) mod list;
pub(crate) mod listing;
mod listing_runs;
pub(crate) mod opening;
pub(crate) mod owners;
pub(crate) mod paths;
mod reading;
mod recorded;
pub(crate) mod rehearsal;
pub(crate) mod schema;
mod source;
pub(crate) mod spare;
pub(crate) mod spool;
mod sqlite;
pub(crate) mod status;
mod strangers;
mod unnoted;
pub(crate) mod values;
mod waiting;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};
use crate::evidence::Evidence;
use crate::job::JobSpec;

pub use batch::Batch;
pub use formats::ListFormat;
pub use list::looks_like_host;
pub use listing::{ListItem, Listing};
pub use recorded::{Condition, Recorded, ledger_file, ledger_files};
pub use rehearsal::Rehearsal;
pub use source::{ListOptions, ListSource};
pub use status::{LedgerStatus, ledger_status};

/// Identifies an entry within its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub u64);

/// A source of jobs.
pub trait Feed: Send {
    /// Returns up to `max` more entries, from as many hosts as possible. Waits at most `patience` for slow
    /// input (a pipe), then returns what is available, possibly nothing.
    fn next(&mut self, max: usize, patience: Duration) -> Result<Fed, Error>;

    /// Records how entries ended. Called after their files have been synced and renamed, so the records may lag
    /// behind the files but never run ahead of them.
    fn settle(&mut self, settled: Vec<Settled>) -> Result<(), Error>;

    /// Warnings for the user that stop nothing; called after each [`Feed::next`].
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Who owns the file with this name, according to the feed's records: the entry that last completed it in
    /// an earlier run. `path` is as it was settled.
    fn owner(&mut self, entry: EntryId, path: &std::path::Path) -> Result<Owner, Error> {
        let _ = (entry, path);
        Ok(Owner::Nobody)
    }

    /// A file that the feed reads from: no download may get its name, whatever a server says.
    fn input(&self) -> Option<&std::path::Path> {
        None
    }

    /// How often to send a heartbeat for the entries given out, for example for a queue from which others may
    /// take entries.
    fn heartbeat_every(&self) -> Option<Duration> {
        None
    }

    /// Tells the feed that entries given out and not settled are still being worked on.
    ///
    /// # Errors
    /// What kept the feed from recording that; it is reported as a warning, and the work continues.
    fn heartbeat(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Called once, at the end of an orderly run.
    fn close(&mut self) -> Result<(), Error>;
}

/// The owner of the file with a given name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Unknown.
    #[default]
    Nobody,
    /// Unknown, and an earlier run was interrupted: it may have completed any entry under this name.
    NobodyKnows,
    /// The entry that asks; it left the file with this length and time, in nanoseconds since 1970.
    Itself {
        /// Length and time, if both were recorded.
        left: Option<(u64, i64)>,
    },
    /// Another entry, with this URL (without secrets).
    Another(String),
    /// An entry that its listing no longer has. Its file may be replaced if it is still as Towline left it.
    Gone {
        /// Its URL, without secrets.
        url: String,
        /// Length and time of the file that it left.
        left: (u64, i64),
    },
}

/// The result of [`Feed::next`].
#[derive(Debug, Default)]
pub struct Fed {
    /// The entries.
    pub entries: Vec<FedEntry>,
    /// Total entries read so far.
    pub read_entries: u64,
    /// Whether everything has been read (entries may still wait in the feed).
    pub read_all: bool,
    /// Whether there is nothing left at all.
    pub ended: bool,
}

impl Fed {
    /// What settles its jobs if nobody starts them.
    pub(crate) fn released(self) -> Vec<Settled> {
        let release = |entry| match entry {
            FedEntry::Job { entry, .. } => Some(Settled { entry, state: SettledState::Released }),
            _ => None,
        };
        self.entries.into_iter().filter_map(release).collect()
    }
}

/// One entry of a feed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are jobs")]
pub enum FedEntry {
    /// A file to fetch.
    Job {
        /// Its id within the feed.
        entry: EntryId,
        /// What to fetch.
        spec: JobSpec,
        /// The name under which an earlier run started or completed it, within the directory.
        name: Option<PathBuf>,
    },
    /// Completed in an earlier run, and the file still looks the same (size and mtime).
    There {
        /// Its id within the feed.
        entry: EntryId,
        /// Its URL, without secrets.
        url: String,
        /// The path of the file.
        path: PathBuf,
        /// Its length, in bytes.
        len_bytes: u64,
        /// Whether there is a file of digests, and nothing says which one this file should have.
        lacks_sum: bool,
    },
    /// Failed permanently in an earlier run; retried only with `--retry-failed`.
    FailedBefore {
        /// Its id within the feed.
        entry: EntryId,
        /// Its URL, without secrets.
        url: String,
        /// The error of the earlier run.
        error: Error,
    },
    /// A part of a listing that its service does not give away.
    NotListed {
        /// What was asked for, without secrets.
        url: String,
        /// Why it cannot be listed.
        error: Error,
    },
    /// A line that is not an entry.
    Bad {
        /// Its line number, from 1.
        line: u64,
        /// What is wrong with it, with [`ErrorKind::ListLine`].
        error: Error,
    },
}

/// How an entry ended.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The entry.
    pub entry: EntryId,
    /// How it ended.
    pub state: SettledState,
}

/// How an entry ended.
#[derive(Clone, Debug)]
pub enum SettledState {
    /// Not ended; it has this name from now on, within the directory.
    Named(PathBuf),
    /// Complete under its final name.
    Done {
        /// The name, relative to the batch's directory if it is inside it.
        path: PathBuf,
        /// Its length, in bytes.
        len_bytes: u64,
        /// The file's modification time.
        modified: SystemTime,
        /// The version of the file that was fetched.
        validator: Box<Evidence>,
        /// The digest that was checked, as `sha-256=HEX`.
        digest: Option<String>,
    },
    /// Another file has its name and was left alone; the next run checks again.
    Skipped,
    /// The run was interrupted before the entry ended: somebody else may have it.
    Released,
    /// The run was interrupted while the entry's file got its name: nobody knows whether it has it.
    Unknown,
    /// The user cancelled it; a later run may fetch it.
    Cancelled,
    /// Failed; a later run retries it unless `permanent`.
    Failed {
        /// What went wrong.
        kind: ErrorKind,
        /// The error in words, without secrets.
        message: String,
        /// The number of attempts.
        attempts: u32,
        /// Whether only `--retry-failed` retries it.
        permanent: bool,
    },
}
