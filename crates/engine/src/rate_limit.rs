//! Rate limits: token buckets that workers draw from. One covers everything; each host may have one within it,
//! and each file its own within both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::http::origin::{Origin, OriginMap};
use crate::options::OfHosts;

/// How long a burst may be.
const BURST: Duration = Duration::from_millis(50);
/// Above this number, forget hosts without transfers.
const HOSTS_KEPT_MAX: usize = 1024;

/// Bytes per second, or no limit.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Looked at for each portion of bytes, mostly in vain.
    is_limited: AtomicBool,
    /// How often it was changed: who waits for an earlier rate waits no longer.
    changes: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bps: Option<u64>,
    /// When everything taken so far will be paid for.
    paid_until: Option<Instant>,
}

impl RateLimit {
    pub(crate) fn new(bps: Option<u64>) -> Self {
        Self {
            is_limited: AtomicBool::new(bps.is_some()),
            changes: AtomicU64::new(0),
            state: Mutex::new(State { bps, paid_until: None }),
        }
    }

    pub(crate) fn set(&self, bps: Option<u64>) {
        *self.state.lock() = State { bps, paid_until: None };
        self.is_limited.store(bps.is_some(), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often it was changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Takes `bytes` and returns how long to wait before the next call.
    pub(crate) fn take(&self, bytes: usize, now: Instant) -> Duration {
        let mut state = self.state.lock();
        let Some(bps) = state.bps else { return Duration::ZERO };
        let cost = Duration::from_secs_f64(bytes as f64 / bps.max(1) as f64);
        let free_from = now.checked_sub(BURST).unwrap_or(now);
        let paid_until = state.paid_until.map_or(now, |paid_until| paid_until.max(free_from)) + cost;
        state.paid_until = Some(paid_until);
        paid_until.saturating_duration_since(now)
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }
}

/// The limits of one request besides the total: its job's and its host's.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateLimits {
    job: Option<Arc<RateLimit>>,
    host: Option<Arc<RateLimit>>,
}

impl RateLimits {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &RateLimit> {
        self.job.as_deref().into_iter().chain(self.host.as_deref())
    }
}

/// The limits of hosts, all with the same rate. A host has one from its first request on, so that a rate set
/// later also applies to transfers in flight.
#[derive(Debug)]
pub(crate) struct HostLimits {
    bps: Option<u64>,
    /// Where a host has its own.
    of_hosts: OfHosts,
    hosts: OriginMap<Arc<RateLimit>>,
}

impl HostLimits {
    pub(crate) fn new(bps: Option<u64>, of_hosts: OfHosts) -> Self {
        Self { bps, of_hosts, hosts: OriginMap::default() }
    }

    pub(crate) fn set(&mut self, bps: Option<u64>) {
        self.bps = bps;
        for (host, limit) in &self.hosts {
            if self.of_hosts.of(&host.host).limit_rate_bps.is_none() {
                limit.set(bps);
            }
        }
    }

    /// Whether a file may get little from this host because of us.
    pub(crate) fn is_limited(&self, host: &Origin) -> bool {
        self.bps_of(host).is_some()
    }

    fn bps_of(&self, host: &Origin) -> Option<u64> {
        if self.of_hosts.is_empty() { self.bps } else { self.of_hosts.of(&host.host).limit_rate_bps.or(self.bps) }
    }

    /// The limits of a request to this host for a job with this limit.
    pub(crate) fn of(&mut self, host: &Origin, job: Option<&Arc<RateLimit>>) -> RateLimits {
        if let Some(limit) = self.hosts.get(host) {
            return RateLimits { job: job.cloned(), host: Some(Arc::clone(limit)) };
        }
        if self.hosts.len() >= HOSTS_KEPT_MAX {
            self.hosts.retain(|_, limit| Arc::strong_count(limit) > 1);
        }
        let limit = Arc::new(RateLimit::new(self.bps_of(host)));
        self.hosts.insert(host.clone(), Arc::clone(&limit));
        RateLimits { job: job.cloned(), host: Some(limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_lets_through_what_the_rate_allows() {
        let start = Instant::now() + Duration::from_secs(1);
        let limit = RateLimit::new(Some(1_000_000));
        let mut now = start;
        let mut bytes = 0u64;
        while now < start + Duration::from_secs(10) {
            bytes += 10_000;
            now += limit.take(10_000, now);
        }
        assert!((9_900_000..=10_200_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn requests_to_one_host_share_its_limit_whatever_their_jobs_have() {
        let origin = |text: &str| Origin::of(&text.parse().unwrap()).unwrap();
        let (one, other) = (origin("http://a/"), origin("http://b/"));
        let mut limits = HostLimits::new(Some(1000), OfHosts::default());
        let job = Arc::new(RateLimit::new(Some(10)));
        let now = Instant::now();
        let wait = |limits: &RateLimits| limits.iter().map(|limit| limit.take(1000, now)).max().unwrap();
        assert_eq!(wait(&limits.of(&one, None)), Duration::from_secs(1));
        assert_eq!(wait(&limits.of(&one, None)), Duration::from_secs(2));
        assert_eq!(wait(&limits.of(&other, Some(&job))), Duration::from_secs(100));
        let under_way = limits.of(&one, None);
        limits.set(None);
        assert_eq!(wait(&under_way), Duration::ZERO);
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let now = Instant::now();
        assert_eq!(RateLimit::new(None).take(usize::MAX, now), Duration::ZERO);
    }
}
