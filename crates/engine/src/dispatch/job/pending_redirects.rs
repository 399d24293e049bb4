//! Redirects of single requests that cannot be followed yet, because the target's host has no free connection or must not
//! be asked now. They are followed later: asking the given URL again would only redirect again. No clock, no I/O.

use std::mem::{Discriminant, discriminant};

use url::Url;

use super::transfer::Transfer;
use crate::dispatch::redirect_chain::RedirectChain;
use crate::http::origin::Origin;
use crate::message::{FetchKind, Time};

/// The most that are kept. A request whose redirect is dropped begins at its own URL again.
const KEPT_MAX: usize = 16;
/// Targets are often signed, for a short time.
const KEPT_FOR: Time = Time::from_secs(60);

/// Where one request was redirected to.
#[derive(Clone, Debug)]
pub(crate) struct PendingRedirect {
    pub(crate) source: usize,
    /// The first byte that is requested.
    pub(crate) start: u64,
    pub(crate) kind: Discriminant<FetchKind>,
    pub(crate) target: (Url, Origin),
    /// With the host whose redirect this is.
    pub(crate) chain: RedirectChain,
    /// Which location of its source was redirected.
    pub(crate) location: u32,
    pub(crate) in_race: bool,
    /// When it was redirected.
    pub(crate) at: Time,
}

impl PendingRedirect {
    /// This request was redirected to `target`.
    pub(crate) fn of(now: Time, transfer: &Transfer, target: (Url, Origin)) -> Self {
        let mut chain = transfer.chain.clone();
        chain.push(transfer.host.clone());
        Self {
            source: transfer.source,
            start: transfer.piece.start(),
            kind: discriminant(&transfer.kind),
            target,
            chain,
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
pub(crate) struct PendingRedirects(Vec<PendingRedirect>);

impl PendingRedirects {
    pub(crate) fn keep(&mut self, redirect: PendingRedirect) {
        self.0.retain(|other| !other.is_for(redirect.source, redirect.start, redirect.kind));
        if self.0.len() == KEPT_MAX {
            self.0.remove(0);
        }
        self.0.push(redirect);
    }

    /// Takes the one of this request.
    pub(crate) fn take(&mut self, now: Time, source: usize, start: u64, kind: &FetchKind) -> Option<PendingRedirect> {
        self.0.retain(|redirect| redirect.at + KEPT_FOR > now);
        let index = self.0.iter().position(|one| one.is_for(source, start, discriminant(kind)))?;
        Some(self.0.remove(index))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
