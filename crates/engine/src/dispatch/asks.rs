//! The questions of providers to their services, and their progress. Plain values of the dispatcher;
//! `core/asks.rs` decides about them.

use std::collections::VecDeque;

use url::Url;

use super::ids::IdMap;
use crate::http::origin::{Origin, OriginMap};
use crate::message::{Ask, SlotId, Time};
use crate::plan::TransferId;

/// All open questions.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    /// Those that wait for a connection, or for their `not_before`.
    pub(crate) waiting: VecDeque<Box<Pending>>,
    pub(crate) running: IdMap<TransferId, Running>,
    /// Services that get no request before this time.
    pub(crate) held: OriginMap<Time>,
}

/// A question to send.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) ask: Box<Ask>,
    /// Where redirects have led.
    pub(crate) at: (Url, Origin),
    pub(crate) redirects: u32,
    pub(crate) attempts: u32,
    pub(crate) not_before: Time,
}

/// A question in flight.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pending: Box<Pending>,
    pub(crate) slot: SlotId,
    pub(crate) worker: usize,
}

impl Asks {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Takes the next one, at or after `from`, that may be sent now.
    pub(crate) fn next(&mut self, now: Time, from: usize) -> Option<(usize, Box<Pending>)> {
        let held = &self.held;
        let may_go =
            |pending: &Pending| pending.not_before <= now && held.get(&pending.at.1).is_none_or(|until| *until <= now);
        let at = (from..self.waiting.len()).find(|at| may_go(&self.waiting[*at]))?;
        Some((at, self.waiting.remove(at)?))
    }
}
