//! Failed attempts: each cause of a retry has its own count.

use super::failures::Failures;
use crate::backoff;
use crate::error::Error;
use crate::evidence::Evidence;
use crate::message::Time;

/// This many responses on separate connections must report another version.
const DIFFERENT_MIN: u32 = 2;

/// The counts of one job.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    pub(crate) failures: Failures,
    /// Responses that did not fit the existing data.
    pub(crate) doubts: Doubts,
    /// Comparisons of the existing data with another URL, since the last progress.
    pub(crate) comparisons: u32,
    /// How often a piece was put off because it failed beside others, since the last progress.
    pub(crate) refusals: u32,
    /// Requests in a row that were refused beside others and left to them.
    pub(crate) left_to_others: u32,
    /// How often it had to wait for this machine: descriptors, ports.
    pub(crate) scarcities: u32,
    /// Whether it began again from its journal because the device had failed.
    pub(crate) was_unsynced: bool,
    pub(crate) restarts: u32,
    /// The version that was given up because the closing check named another one.
    pub(crate) replaced: Option<Box<Evidence>>,
    /// The last response came to nothing, and was no failure after which a retry is scheduled.
    pub(crate) is_unpaced: bool,
    /// How often pieces with wrong digests were fetched again.
    pub(crate) heals: u32,
    /// The error for which it was put behind the other files of its host.
    pub(crate) put_behind: Option<Error>,
    /// The last error, for a host that fails everybody.
    pub(crate) last_error: Option<Error>,
    /// It gets a connection of its own: a shared one broke.
    pub(crate) keeps_apart: bool,
    /// It failed over a reused connection.
    pub(crate) wants_new_connection: bool,
}

/// Responses in a row that did not fit the existing data.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// They reported another version.
    pub(crate) different: u32,
    /// They did not report their version, or were a page.
    pub(crate) unknown: u32,
    /// They told another length of the version that had come whole.
    pub(crate) contradictions: u32,
    /// Requests to confirm the first of them that came to nothing.
    pub(crate) unanswered: u32,
    /// The version that the first of the former named.
    pub(crate) other: Option<Box<Evidence>>,
    /// When the last one was counted.
    at: Option<Time>,
}

impl Doubts {
    /// Whether a response names the other version too, and yet cannot be it.
    pub(crate) fn contradicts(&self, claimed: &Evidence) -> bool {
        self.other.as_ref().is_some_and(|other| other.is_contradicted_by(claimed))
    }

    /// One more response names another version. Returns whether enough have, in a row.
    pub(crate) fn count_different(&mut self, other: &Evidence) -> bool {
        self.different += 1;
        self.name(other);
        self.is_confirmed()
    }

    /// Whether this is the other version that was named first.
    pub(crate) fn names(&self, version: &Evidence) -> bool {
        self.other.as_ref().is_some_and(|other| other.compare(version).is_same())
    }

    /// Whether enough responses in a row have named another version.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.different >= DIFFERENT_MIN
    }

    /// Another version is named.
    pub(crate) fn name(&mut self, other: &Evidence) {
        self.other.get_or_insert_with(|| Box::new(other.clone()));
    }

    /// Whether a response comes long enough after the last one counted to say something new; if so, it is the
    /// last one from now on.
    pub(crate) fn is_another_moment(&mut self, now: Time) -> bool {
        let is_another = self.at.is_none_or(|at| now >= at + backoff::FLOOR);
        if is_another {
            self.at = Some(now);
        }
        is_another
    }
}
