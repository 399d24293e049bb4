//! Where jobs come from when they are not added one by one: a list, later a queue shared by
//! machines. A feed runs on the session's feed thread, which owns it alone.

pub(crate) mod batch;
pub(crate) mod entries;
mod fault;
pub(crate) mod identity;
pub(crate) mod ledger;
mod lines;
pub(crate) mod list;
pub(crate) mod opening;
pub(crate) mod owners;
pub(crate) mod paths;
pub(crate) mod schema;
pub(crate) mod spare;
pub(crate) mod spool;
mod sqlite;
pub(crate) mod status;
pub(crate) mod values;
mod waiting;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::error::{Error, ErrorKind};
use crate::evidence::Evidence;
use crate::job::JobSpec;

pub use batch::{Batch, ListSource};
pub use list::looks_like_host;
pub use status::{LedgerStatus, ledger_status};

/// Names an entry within its feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryId(pub u64);

/// A source of jobs.
pub trait Feed: Send {
    /// Up to `max` further entries, from as many hosts as possible. Waits for slow input (a pipe)
    /// at most `patience`, and then returns what there is, maybe nothing.
    fn next(&mut self, max: usize, patience: Duration) -> Result<Fed, Error>;

    /// Notes how entries ended. Called after their files have been synced and renamed, so that the
    /// notes may be behind the files and are never ahead of them.
    fn settle(&mut self, settled: Vec<Settled>) -> Result<(), Error>;

    /// What the user should know and that stops nothing; asked for after each [`Feed::next`].
    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whose the file under this name is by the feed's own notes: which entry completed it last in an
    /// earlier run. `path` is as it was settled.
    fn owner(&mut self, entry: EntryId, path: &std::path::Path) -> Result<Owner, Error> {
        let _ = (entry, path);
        Ok(Owner::Nobody)
    }

    /// A file that the feed reads from: no download gets its name, whatever a server says.
    fn input(&self) -> Option<&std::path::Path> {
        None
    }

    /// How often it wants to hear that what it gave out is still worked on, as a queue does that others may take
    /// entries from.
    fn heartbeat_every(&self) -> Option<Duration> {
        None
    }

    /// What was given out and has not been settled is still worked on.
    ///
    /// # Errors
    /// What kept the feed from noting that; it is told as a warning, and the work goes on.
    fn heartbeat(&mut self) -> Result<(), Error> {
        Ok(())
    }

    /// Called once, at the end of an orderly run.
    fn close(&mut self) -> Result<(), Error>;
}

/// Whose the file is that has a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Nobody knows.
    #[default]
    Nobody,
    /// The entry's that asks; it was left with this length and this time, in nanoseconds since 1970.
    Itself {
        /// Length and time, if both were noted.
        left: Option<(u64, i64)>,
    },
    /// That of another entry, with this URL (without secrets).
    Another(String),
}

/// What [`Feed::next`] brings.
#[derive(Debug, Default)]
pub struct Fed {
    /// The entries.
    pub entries: Vec<FedEntry>,
    /// Entries read so far, in all.
    pub read_entries: u64,
    /// Whether nothing is left to read (entries may still wait in the feed).
    pub read_all: bool,
    /// Whether nothing is left at all.
    pub ended: bool,
}

/// One entry of a feed.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are jobs")]
pub enum FedEntry {
    /// Fetch this.
    Job {
        /// Its name within the feed.
        entry: EntryId,
        /// What to fetch.
        spec: JobSpec,
        /// The name under which an earlier run began or completed it, within the directory.
        name: Option<PathBuf>,
    },
    /// Done in an earlier run, and the file still looks the same (size and mtime).
    There {
        /// Its name within the feed.
        entry: EntryId,
        /// Its URL, without secrets.
        url: String,
        /// Where it is.
        path: PathBuf,
        /// Its length.
        len_bytes: u64,
    },
    /// It failed for good in an earlier run, and is only tried again with `--retry-failed`.
    FailedBefore {
        /// Its name within the feed.
        entry: EntryId,
        /// Its URL, without secrets.
        url: String,
        /// What the earlier run said.
        error: Error,
    },
    /// A line that is not an entry.
    Bad {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it, with [`ErrorKind::ListLine`].
        error: Error,
    },
}

/// How an entry ended.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Which entry.
    pub entry: EntryId,
    /// How it ended.
    pub state: SettledState,
}

/// How an entry ended.
#[derive(Clone, Debug)]
pub enum SettledState {
    /// It has not ended; it has this name from now on, within the directory.
    Named(PathBuf),
    /// Complete under its final name.
    Done {
        /// The name, relative to the batch's directory where it is below it.
        path: PathBuf,
        /// Its length.
        len_bytes: u64,
        /// The modification time that the file has now.
        modified: SystemTime,
        /// The version of the file that was fetched.
        validator: Box<Evidence>,
        /// The digest that was checked, as `sha-256=HEX`.
        digest: Option<String>,
        /// Whether the server still had this version when the file was complete, as far as is known;
        /// if not, the next run looks again.
        is_current: bool,
    },
    /// Another file has its name and was left alone; the next run looks again.
    Skipped,
    /// The run was interrupted before it ended: somebody else may have it.
    Released,
    /// Failed; a later run tries again unless `permanent`.
    Failed {
        /// What went wrong.
        kind: ErrorKind,
        /// In words, without secrets.
        message: String,
        /// How often it was tried.
        attempts: u32,
        /// Whether only `--retry-failed` tries it again.
        permanent: bool,
    },
}
