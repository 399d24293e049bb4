//! How jobs stand, and what may be asked and changed of them while a session runs.

use std::path::PathBuf;

use serde::Serialize;

use crate::event::{ErrorReport, FileState, How};
use crate::job::JobId;

/// How one job stands. It holds no secrets.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct JobStatus {
    /// Which job.
    pub id: JobId,
    /// Its URL, without secrets.
    pub url: String,
    /// Where it is or will be, as far as that is known.
    pub path: Option<PathBuf>,
    /// Where it is on its way.
    pub state: JobState,
    /// Bytes on the disk.
    pub done_bytes: u64,
    /// Its length, if known.
    pub total_bytes: Option<u64>,
    /// Bytes a second now.
    pub rate_bps: u64,
    /// Its connections now.
    pub connections: u32,
}

/// Where a job is on its way.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// In the queue.
    Waiting,
    /// Being worked on.
    Active {
        /// At what.
        doing: FileState,
    },
    /// Stopped by a command.
    Paused,
    /// Complete under its final name.
    Done {
        /// How it came to be there.
        how: How,
    },
    /// Failed.
    Failed {
        /// Why.
        error: ErrorReport,
    },
    /// Given up by a command; it can be resumed.
    Cancelled,
}

impl JobState {
    /// Whether nothing more will happen to it.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. } | Self::Cancelled)
    }
}

/// Which jobs are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobFilter {
    /// All that the session knows.
    #[default]
    All,
    /// Those in the queue.
    Waiting,
    /// Those that are worked on.
    Active,
    /// Those that are paused.
    Paused,
    /// Those that have ended, as far back as the session remembers.
    Ended,
}

impl JobFilter {
    /// Whether a job in this state is wanted.
    pub fn fits(self, state: &JobState) -> bool {
        match self {
            Self::All => true,
            Self::Waiting => matches!(state, JobState::Waiting),
            Self::Active => matches!(state, JobState::Active { .. }),
            Self::Paused => matches!(state, JobState::Paused),
            Self::Ended => state.has_ended(),
        }
    }
}

/// Some jobs, by their ids.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobStatus>,
    /// What to ask for the next page with; `None` after the last.
    pub next: Option<JobId>,
}

/// What is to be changed of a job; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobChange {
    /// Its connections.
    pub connections: Option<usize>,
    /// Its rate, bytes a second; `Some(None)` is unlimited.
    pub limit_rate_bps: Option<Option<u64>>,
    /// Its priority, while it waits.
    pub priority: Option<i32>,
}

impl JobChange {
    /// Fetches it over exactly up to this many connections from now on; those that are open stay.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = Some(connections.max(1));
        self
    }

    /// Limits its rate from now on; `None` is unlimited.
    #[must_use]
    pub fn limit_rate(mut self, bps: Option<u64>) -> Self {
        self.limit_rate_bps = Some(bps);
        self
    }

    /// Lets it begin before those of a lower priority.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }
}
