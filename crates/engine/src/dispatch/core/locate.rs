//! Sources that only a provider can locate: it is asked before the first request, when a location expires,
//! and when it is refused. The existing data is kept.

use super::Core;
use crate::dispatch::job::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::job::{JobId, Located};
use crate::message::{Effect, LocateRequest, Time};
use crate::secret;

impl Core {
    /// Asks a source's provider, unless that is already in progress or has to wait.
    pub(super) fn locate(&mut self, now: Time, id: JobId, source: usize) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let state = &mut job.sources[source];
        if state.is_locating || state.retry_at > now {
            return;
        }
        state.is_locating = true;
        let (entry, profile) = (state.given.clone(), job.own.profile.clone());
        self.effects.push(Effect::Locate(LocateRequest { job: id, source, entry, profile }));
    }

    /// A provider has answered.
    pub(super) fn located(&mut self, now: Time, id: JobId, source: usize, result: Result<Located>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let state = &mut job.sources[source];
        state.is_locating = false;
        let located = result.and_then(|located| match Origin::of(&located.url) {
            Some(origin) => Ok((located, origin)),
            None => {
                let text = format!("the service sends to a {} URL, which is not followed", located.url.scheme());
                Err(Error::new(ErrorKind::Redirect, text))
            }
        });
        match located {
            Ok((located, origin)) => {
                state.locate(now, (located.url.clone(), origin), &located);
                if source == job.sources.lead() {
                    // Of what its bytes do, the service says nothing; its own failures are over.
                    job.forget_locating();
                }
            }
            Err(error) => self.not_located(now, id, source, error),
        }
    }

    /// The provider is asked again later, or its source is dropped.
    fn not_located(&mut self, now: Time, id: JobId, source: usize, error: Error) {
        let retries = self.retries(id);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if matches!(job.phase, Phase::Closing(_) | Phase::Publishing | Phase::Verifying | Phase::Paused) {
            return;
        }
        let error = error.or_url(|| secret::shown_url(&job.sources[source].given));
        let is_many = job.sources.is_many();
        match (error.is_transient(), is_many) {
            (true, true) => self.try_later(now, id, source, retries, error),
            (false, true) => self.drop_source(now, id, source, error),
            (false, false) => self.give_up(now, id, error),
            (true, false) => {
                self.retry_or_fail(now, id, 0, error, false);
                let Some(job) = self.jobs.get_mut(&id) else { return };
                let retry_at = job.retry_at(0).max(now);
                job.lead_mut().wait_until(retry_at);
            }
        }
    }
}
