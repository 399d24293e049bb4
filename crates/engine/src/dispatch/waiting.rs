//! Jobs that wait for their turn: a queue a host, and hosts take turns, so that a slow host never
//! holds up the others.

use std::collections::{HashMap, VecDeque};

use crate::http::origin::Origin;
use crate::job::JobId;

/// The queue of jobs that have not begun.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_host: HashMap<Origin, VecDeque<JobId>>,
    turns: VecDeque<Origin>,
    len: usize,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Jobs of the hosts that fit.
    pub(crate) fn len_of(&self, mut fits: impl FnMut(&Origin) -> bool) -> usize {
        self.by_host.iter().filter(|(host, _)| fits(host)).map(|(_, queue)| queue.len()).sum()
    }

    pub(crate) fn hosts(&self) -> usize {
        self.turns.len()
    }

    pub(crate) fn push_back(&mut self, host: &Origin, job: JobId) {
        self.queue(host).push_back(job);
        self.len += 1;
    }

    pub(crate) fn push_front(&mut self, host: &Origin, job: JobId) {
        self.queue(host).push_front(job);
        self.len += 1;
    }

    /// The next job of the next host that `may_start`.
    pub(crate) fn pop(&mut self, mut may_start: impl FnMut(&Origin) -> bool) -> Option<JobId> {
        let at = self.turns.iter().position(&mut may_start)?;
        let host = self.turns.remove(at)?;
        let queue = self.by_host.get_mut(&host)?;
        let job = queue.pop_front();
        if queue.is_empty() {
            self.by_host.remove(&host);
        } else {
            self.turns.push_back(host);
        }
        self.len -= usize::from(job.is_some());
        job
    }

    /// Takes a job out; false if it does not wait.
    pub(crate) fn remove(&mut self, host: &Origin, job: JobId) -> bool {
        let Some(queue) = self.by_host.get_mut(host) else { return false };
        let before = queue.len();
        queue.retain(|waiting| *waiting != job);
        let removed = before != queue.len();
        if queue.is_empty() {
            self.by_host.remove(host);
            self.turns.retain(|turn| turn != host);
        }
        self.len -= usize::from(removed);
        removed
    }

    fn queue(&mut self, host: &Origin) -> &mut VecDeque<JobId> {
        if !self.by_host.contains_key(host) {
            self.turns.push_back(host.clone());
        }
        self.by_host.entry(host.clone()).or_default()
    }
}
