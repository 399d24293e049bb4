//! A request that one protocol did not serve is sent over the other, if the host offers both; one whose
//! shared connection broke gets its own. What is known about a host's protocols is in
//! [`crate::dispatch::spoken`].

use super::Core;
use crate::dispatch::job::{Phase, Transfer};
use crate::error::ErrorKind;
use crate::job::JobId;
use crate::message::{End, SlotId, Time};

impl Core {
    /// Whether this end shows that the host needs another protocol.
    pub(super) fn is_asked_otherwise(&mut self, now: Time, slot: SlotId, end: &End) -> bool {
        match end {
            End::OtherProtocol { .. } => self.slots.unanswered(slot, true, now),
            End::Failed { error, .. } if is_of_protocol(error.kind()) => self.slots.unanswered(slot, false, now),
            _ => false,
        }
    }

    /// Whether a shared connection broke. The response to one of its requests may have broken it, so each of
    /// them gets a connection of its own, once, and no failed attempt is counted.
    pub(super) fn is_asked_apart(&mut self, transfer: &Transfer, end: &End) -> bool {
        let is_broken = matches!(end, End::Failed { error, .. } if error.kind() == ErrorKind::Broken);
        if !is_broken || !transfer.is_probe || !self.slots.is_shared(transfer.slot) {
            return false;
        }
        let job = self.jobs.get_mut(&transfer.job);
        job.is_some_and(|job| !std::mem::replace(&mut job.tries.keeps_apart, true))
    }

    /// Lets the job retry at once over the other protocol, without counting a failed attempt; false if the
    /// failure must be handled.
    pub(super) fn ask_otherwise(&mut self, id: JobId, transfer: &Transfer) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        match job.phase {
            Phase::Probing if transfer.is_probe => job.phase = Phase::Ready,
            Phase::Moving if !job.sources.is_many() => {
                job.ranges.trial_ended();
            }
            _ => return false,
        }
        true
    }
}

/// How a protocol that is not served can fail.
fn is_of_protocol(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Broken | ErrorKind::Protocol | ErrorKind::Tls | ErrorKind::Stalled)
}

/// Turns a refused protocol into a failure for a job that cannot switch. It is transient if the next attempt
/// uses another protocol.
pub(super) fn without_protocol(end: End, is_otherwise: bool) -> End {
    match end {
        End::OtherProtocol { error, retry_after } => {
            let is_transient = is_otherwise || error.is_transient();
            End::Failed { error: error.with_transient(is_transient), retry_after }
        }
        end => end,
    }
}
