//! The state of jobs, and the ways to query and change them while a session runs.

use std::path::PathBuf;

use serde::Serialize;

use crate::event::{ErrorReport, FileState, How};
use crate::job::JobId;

/// The state of one job. Contains no secrets.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct JobStatus {
    /// The job.
    pub id: JobId,
    /// Its URL, without secrets.
    pub url: String,
    /// Its final path, if known by now.
    pub path: Option<PathBuf>,
    /// Its current state.
    pub state: JobState,
    /// Bytes on disk.
    pub done_bytes: u64,
    /// Its length, if known.
    pub total_bytes: Option<u64>,
    /// Current bytes per second.
    pub rate_bps: u64,
    /// Current connections.
    pub connections: u32,
}

/// The state of a job.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum JobState {
    /// In the queue.
    Waiting,
    /// In progress.
    Active {
        /// What is being done.
        doing: FileState,
    },
    /// Paused by a command.
    Paused,
    /// Complete under its final name.
    Done {
        /// How the file got there.
        how: How,
    },
    /// Failed.
    Failed {
        /// Why.
        error: ErrorReport,
    },
    /// Cancelled by a command; it can be resumed.
    Cancelled,
}

impl JobState {
    /// Whether the job has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. } | Self::Cancelled)
    }
}

/// Selects jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobFilter {
    /// All that the session knows.
    #[default]
    All,
    /// Jobs in the queue.
    Waiting,
    /// Jobs in progress.
    Active,
    /// Paused jobs.
    Paused,
    /// Ended jobs, as far back as the session remembers.
    Ended,
}

impl JobFilter {
    /// Whether the filter matches this state.
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

/// A page of jobs, ordered by id.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobStatus>,
    /// Pass this to get the next page; `None` after the last.
    pub next: Option<JobId>,
}

/// Changes to a job; `None` leaves a value unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobChange {
    /// Its maximum number of connections.
    pub connections: Option<usize>,
    /// Its rate limit in bytes per second; `Some(None)` is unlimited.
    pub limit_rate_bps: Option<Option<u64>>,
    /// Its priority, while it waits.
    pub priority: Option<i32>,
}

impl JobChange {
    /// Uses up to this many connections from now on; open ones stay.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = Some(connections.max(1));
        self
    }

    /// Limits the rate from now on; `None` is unlimited.
    #[must_use]
    pub fn limit_rate(mut self, bps: Option<u64>) -> Self {
        self.limit_rate_bps = Some(bps);
        self
    }

    /// Sets the priority; higher ones start first.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }
}
