//! What is known of the hosts of a run: what has come of the requests to each, when it may be asked again, and when it is
//! given up. Pure.

mod ranges;
mod renewals;
mod trouble;

use std::collections::HashMap;

use ranges::Ranges;
use renewals::Renewals;
use trouble::Trouble;

use crate::error::{Error, ErrorKind};
use crate::http::origin::{Origin, OriginMap};
use crate::job::{JobId, Profile};
use crate::message::Time;

/// Up to this many proxies and certificates of jobs are remembered because they failed.
const PROFILES_MAX: usize = 1024;
/// Up to this many hosts are remembered although nothing is wrong with them.
const KEPT_MAX: usize = 1024;

/// What is known of all hosts.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    hosts: OriginMap<Host>,
    /// Some host has asked us to wait.
    has_held: bool,
    /// What fails because of a job's own proxy or certificates: of those, not of the host.
    profiles: HashMap<Profile, Trouble>,
}

/// What is known of one host.
#[derive(Debug, Default)]
struct Host {
    /// Nothing is sent before this (`Retry-After`).
    held_until: Time,
    prefers_waited: bool,
    trouble: Trouble,
    /// It has sent something in this run.
    has_brought: bool,
    renewals: Renewals,
    ranges: Ranges,
}

impl Hosts {
    /// What is known of this host, from now on.
    fn of(&mut self, host: &Origin) -> &mut Host {
        if !self.hosts.contains_key(host) {
            self.hosts.insert(host.clone(), Host::default());
        }
        self.hosts.get_mut(host).expect("it was just made")
    }

    /// Until when nothing may be sent to this host.
    pub(crate) fn held_until(&self, host: &Origin) -> Time {
        self.hosts.get(host).map_or(Time::ZERO, |state| state.held_until)
    }

    /// The host asked us to wait.
    pub(crate) fn hold(&mut self, host: &Origin, now: Time, until: Time) {
        self.has_held = true;
        let state = self.of(host);
        if state.held_until <= now {
            state.prefers_waited = !state.prefers_waited;
        }
        state.held_until = state.held_until.max(until);
    }

    /// Whether any host has asked us to wait in this run.
    pub(crate) fn has_held(&self) -> bool {
        self.has_held
    }

    /// Whether files that have waited for this host are requested before others now: every other time that it has asked us
    /// to wait, as it may serve only those.
    pub(crate) fn prefers_waited(&self, host: &Origin, now: Time) -> bool {
        self.hosts.get(host).is_some_and(|state| state.prefers_waited && state.held_until <= now)
    }

    /// A host sent the beginning of a file: it is alive, but nobody knows whether the rest will come.
    pub(crate) fn began(&mut self, host: &Origin) {
        self.of(host).has_brought = true;
    }

    /// A host sent a whole file, or went on with one: its trouble is over. Returns whether it was such that retries went one
    /// by one.
    pub(crate) fn succeeded(&mut self, host: &Origin) -> bool {
        let state = self.of(host);
        state.has_brought = true;
        std::mem::take(&mut state.trouble).is_paced()
    }

    /// Whether a host has sent something in this run.
    pub(crate) fn has_brought(&self, host: &Origin) -> bool {
        self.hosts.get(host).is_some_and(|state| state.has_brought)
    }

    /// A request to a host failed with a transient error.
    pub(crate) fn failed(&mut self, host: &Origin, now: Time) {
        self.of(host).trouble.failed(now);
    }

    /// The same with this error, for a job with this profile. What will fail again says nothing of others.
    pub(crate) fn failed_with(&mut self, error: &Error, host: &Origin, profile: &Profile, now: Time) {
        match is_of_host(error, profile) {
            _ if !error.is_transient() => {}
            true => self.failed(host, now),
            false => self.failed_by(profile, now),
        }
    }

    fn failed_by(&mut self, profile: &Profile, now: Time) {
        if self.profiles.len() >= PROFILES_MAX {
            self.profiles.clear();
        }
        self.profiles.entry(profile.clone()).or_default().failed(now);
    }

    /// They serve.
    pub(crate) fn succeeded_by(&mut self, profile: &Profile) {
        self.profiles.remove(profile);
    }

    /// When a retry that is due at `wanted` may be sent: on a host where nothing succeeds, or by a proxy that serves
    /// nobody, retries are sent one by one.
    pub(crate) fn retry_at(&mut self, host: &Origin, profile: &Profile, wanted: Time) -> Time {
        let by_profile = self.profiles.get_mut(profile).map_or(wanted, |trouble| trouble.retry_at(wanted));
        self.of(host).trouble.retry_at(by_profile)
    }

    /// Whether so much has failed on a host that what is sent again goes one by one.
    pub(crate) fn is_paced(&self, host: &Origin) -> bool {
        self.hosts.get(host).is_some_and(|state| state.trouble.is_paced())
    }

    /// Whether a file whose last response came to nothing may be requested now: on a host where nothing succeeds, that
    /// is done one by one.
    pub(crate) fn may_ask_again(&self, host: &Origin, now: Time) -> bool {
        self.hosts.get(host).is_none_or(|state| state.trouble.may_ask_again(now))
    }

    /// It is requested now.
    pub(crate) fn asks_again(&mut self, host: &Origin, now: Time) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.trouble.asks_again(now);
        }
    }

    /// What was requested before is requested from this host once more.
    pub(crate) fn counts_again(&mut self, host: &Origin) {
        self.of(host).trouble.counts_again();
    }

    /// Whether so much was requested again of a host, and nothing of use came, that the rest of it goes one by one.
    pub(crate) fn is_asked_too_often(&self, host: &Origin) -> bool {
        self.hosts.get(host).is_some_and(|state| state.trouble.is_asked_too_often())
    }

    /// A host answered a range with the whole file. Returns whether that is all that it does.
    pub(crate) fn ignored_range(&mut self, host: &Origin) -> bool {
        self.of(host).ranges.ignored()
    }

    /// A host served a range.
    pub(crate) fn served_range(&mut self, host: &Origin) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.ranges.served();
        }
    }

    /// Whether a link that this host gave, and that is refused now, may be asked for again.
    pub(crate) fn may_resolve_again(&mut self, host: &Origin, now: Time) -> bool {
        self.of(host).renewals.may_renew(now)
    }

    /// Whether one more file may be requested from a host beyond its share of files: where nothing succeeds, they are
    /// requested one by one.
    pub(crate) fn may_try_another(&self, host: &Origin, now: Time) -> bool {
        self.hosts.get(host).is_none_or(|state| state.trouble.may_try_another(now))
    }

    /// One more file is requested.
    pub(crate) fn tries_another(&mut self, host: &Origin, now: Time) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.trouble.tries_another(now);
        }
    }

    /// Whether a host has failed everybody for so long that a file with this many failed attempts gives up. A
    /// host that has sent something is alive, and each of its files gets one more retry.
    pub(crate) fn is_given_up(&self, host: &Origin, profile: &Profile, attempts: u32, now: Time) -> bool {
        if self.profiles.get(profile).is_some_and(|trouble| trouble.is_hopeless(now)) {
            return true;
        }
        let state = self.hosts.get(host).filter(|state| !state.has_brought || attempts > 1);
        state.is_some_and(|state| state.trouble.is_hopeless(now))
    }

    /// A file got a `Retry-After`. Returns whether several files did, so that the whole host is meant.
    pub(crate) fn asks_for_patience(&mut self, host: &Origin, job: JobId) -> bool {
        self.of(host).trouble.asks_for_patience(job)
    }

    /// Whether other hosts are better asked first: this one has only failed so far, or asked us to wait.
    pub(crate) fn is_doubtful(&self, host: &Origin, now: Time) -> bool {
        let has_failed = |state: &Host| state.trouble.exists() && !state.has_brought;
        self.hosts.get(host).is_some_and(|state| has_failed(state) || state.held_until > now)
    }

    /// Forgets hosts with which nothing has been wrong lately, if there are many, except those that are `in_use`.
    pub(crate) fn forget_healthy(&mut self, in_use: impl Fn(&Origin) -> bool, now: Time) {
        if self.hosts.len() > KEPT_MAX {
            self.hosts.retain(|host, state| state.held_until > now || state.trouble.is_recent(now) || in_use(host));
        }
    }
}

/// Whether a failure says something about the host for other jobs too: a proxy or certificates of the job's own do not.
pub(crate) fn is_of_host(error: &Error, profile: &Profile) -> bool {
    let is_of_connection = matches!(error.kind(), ErrorKind::Proxy | ErrorKind::Tls | ErrorKind::Usage);
    !is_of_connection || profile.is_of_session()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> Origin {
        Origin::of(&format!("http://h{number}").parse().unwrap()).unwrap()
    }

    #[test]
    fn a_host_that_has_served_is_known_for_it_whatever_fails_later() {
        let (mut hosts, host, profile) = (Hosts::default(), host(0), Profile::default());
        hosts.succeeded(&host);
        (0..40).for_each(|_| hosts.failed(&host, Time::ZERO));
        let later = Time::from_secs(60);
        assert!(hosts.has_brought(&host) && !hosts.is_doubtful(&host, later));
        assert!(!hosts.is_given_up(&host, &profile, 1, later), "each of its files gets one more retry");
        assert!(hosts.is_given_up(&host, &profile, 2, later));
    }

    #[test]
    fn hosts_that_failed_long_ago_are_forgotten() {
        let mut hosts = Hosts::default();
        (0..=KEPT_MAX).for_each(|number| hosts.failed(&host(number), Time::ZERO));
        hosts.forget_healthy(|_| false, Time::from_secs(60));
        assert_eq!(hosts.hosts.len(), KEPT_MAX + 1, "what failed lately counts");
        hosts.forget_healthy(|_| false, Time::from_secs(600));
        assert!(hosts.hosts.is_empty());
    }
}
