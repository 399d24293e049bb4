//! Redirects of single requests that cannot be followed at once: their hosts have no free connection, or the next request
//! to them has to wait. They are followed later; a request that begins at the given URL again would only be redirected
//! again. No clock, no I/O.

use std::mem::{Discriminant, discriminant};

use url::Url;

use crate::http::origin::Origin;
use crate::message::{FetchKind, Time};

/// More are not kept; the other requests begin again.
const KEPT_MAX: usize = 16;
/// A place is often signed for a while.
const LASTS: Time = Time::from_secs(60);

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
    /// Which location of its source was redirected.
    pub(crate) location: u32,
    pub(crate) in_race: bool,
    /// When it was sent on.
    pub(crate) at: Time,
}

/// Those of one job.
#[derive(Debug, Default)]
pub(crate) struct Onwards(Vec<Onward>);

impl Onwards {
    pub(crate) fn keep(&mut self, onward: Onward) {
        self.0.retain(|other| !(other.source == onward.source && other.start == onward.start));
        if self.0.len() == KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(onward);
    }

    /// Takes the one of this request.
    pub(crate) fn take(&mut self, now: Time, source: usize, start: u64, kind: &FetchKind) -> Option<Onward> {
        self.0.retain(|onward| onward.at + LASTS > now);
        let is_it = |one: &Onward| one.source == source && one.start == start && one.kind == discriminant(kind);
        let at = self.0.iter().position(is_it)?;
        Some(self.0.remove(at))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
