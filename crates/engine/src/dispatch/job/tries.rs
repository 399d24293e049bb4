//! What was tried in vain, and how often: each cause of another try has its count.

use std::collections::HashMap;

use crate::backoff;
use crate::error::Error;
use crate::message::Time;

/// The counts of one job.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// Failed tries, by the first byte of the gap.
    pub(crate) failures: HashMap<u64, Failures>,
    /// Answers that did not fit what is held.
    pub(crate) doubts: Doubts,
    /// How often what is held was compared with another place, since something came.
    pub(crate) comparisons: u32,
    /// How often a piece was left for later because it failed beside others, since something came.
    pub(crate) refusals: u32,
    /// How often a request was refused beside others and left to them, in a row.
    pub(crate) left_to_others: u32,
    /// How often it had to wait for this machine: descriptors, ports.
    pub(crate) scarcities: u32,
    pub(crate) restarts: u32,
    /// What it failed of, if it was put behind the other files of its host for that.
    pub(crate) put_behind: Option<Error>,
    /// What went wrong last, for a host that answers nobody.
    pub(crate) last_error: Option<Error>,
    /// It is asked for over a connection of its own: one that it shared broke.
    pub(crate) keeps_apart: bool,
    /// It failed over a connection that had been used before.
    pub(crate) wants_new_connection: bool,
}

/// Failed tries at one place.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Failures {
    pub(crate) attempts: u32,
    pub(crate) retry_at: Time,
}

/// Answers in a row that did not fit what is held.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Doubts {
    /// They said that it is another version.
    pub(crate) different: u32,
    /// They did not say which version it is, or were a page.
    pub(crate) unknown: u32,
    /// When one was counted last.
    at: Option<Time>,
}

impl Doubts {
    /// Whether an answer comes so long after the one that was counted last that it may say something
    /// new; it is the last one from now on.
    pub(crate) fn is_another_moment(&mut self, now: Time) -> bool {
        let is_another = self.at.is_none_or(|at| now >= at + backoff::FLOOR);
        if is_another {
            self.at = Some(now);
        }
        is_another
    }
}
