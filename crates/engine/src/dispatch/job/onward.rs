//! Redirects of single requests that cannot be followed yet, because the target's host has no free connection or must not
//! be asked now. They are followed later: asking the given URL again would only redirect again. No clock, no I/O.

use std::mem::{Discriminant, discriminant};
use std::slice;

use url::Url;

use super::transfer::Transfer;
use crate::http::origin::Origin;
use crate::message::{FetchKind, Time};

/// The most that are kept. A request whose redirect is dropped begins at its own URL again.
const KEPT_MAX: usize = 16;
/// Targets are often signed, for a short time.
const KEPT_FOR: Time = Time::from_secs(60);

/// Where a request was sent on to.
#[derive(Clone, Debug)]
pub(crate) struct Onward {
    pub(crate) source: usize,
    /// The first byte that is requested.
    pub(crate) start: u64,
    pub(crate) kind: Discriminant<FetchKind>,
    pub(crate) place: (Url, Origin),
    /// How many redirects led there.
    pub(crate) redirects: u32,
    /// The hosts that have sent it on.
    pub(crate) passed: Vec<Origin>,
    /// Which location of its source was redirected.
    pub(crate) location: u32,
    pub(crate) in_race: bool,
    /// When it was sent on.
    pub(crate) at: Time,
}

impl Onward {
    /// This request was redirected to `place`.
    pub(crate) fn of(now: Time, transfer: &Transfer, place: (Url, Origin), redirects: u32) -> Self {
        Self {
            source: transfer.source,
            start: transfer.piece.start(),
            kind: discriminant(&transfer.kind),
            place,
            redirects,
            passed: [&transfer.passed[..], slice::from_ref(&transfer.host)].concat(),
            location: transfer.location,
            in_race: transfer.in_race,
            at: now,
        }
    }

    fn is_for(&self, source: usize, start: u64, kind: Discriminant<FetchKind>) -> bool {
        (self.source, self.start, self.kind) == (source, start, kind)
    }
}

/// Those of one job.
#[derive(Debug, Default)]
pub(crate) struct Onwards(Vec<Onward>);

impl Onwards {
    pub(crate) fn keep(&mut self, onward: Onward) {
        self.0.retain(|other| !other.is_for(onward.source, onward.start, onward.kind));
        if self.0.len() == KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(onward);
    }

    /// Takes the one of this request.
    pub(crate) fn take(&mut self, now: Time, source: usize, start: u64, kind: &FetchKind) -> Option<Onward> {
        self.0.retain(|onward| onward.at + KEPT_FOR > now);
        let index = self.0.iter().position(|one| one.is_for(source, start, discriminant(kind)))?;
        Some(self.0.remove(index))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
