//! Jobs that wait for their turn: a queue for each host. Hosts take turns, so that a slow host never holds up
//! the others. Within a queue, a higher priority comes first; of the hosts that may start a job, the one
//! whose first job has the highest priority is next.

use std::collections::VecDeque;

use crate::http::origin::{Origin, OriginMap};
use crate::job::JobId;

/// How many jobs of a host are looked at for one that could start elsewhere.
const LOOKED_AT: usize = 16;

/// The queues of jobs that have not started.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_host: OriginMap<VecDeque<Place>>,
    turns: VecDeque<Origin>,
    len: usize,
    /// Whether any job ever had a priority other than 0: few sessions have one.
    has_priorities: bool,
}

/// A job in its queue. Priorities never rise towards the end of a queue.
#[derive(Clone, Copy, Debug)]
struct Place {
    priority: i32,
    job: JobId,
}

impl Waiting {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of jobs of the hosts that fit.
    pub(crate) fn len_of(&self, mut fits: impl FnMut(&Origin) -> bool) -> usize {
        self.by_host.iter().filter(|(host, _)| fits(host)).map(|(_, queue)| queue.len()).sum()
    }

    pub(crate) fn hosts(&self) -> usize {
        self.turns.len()
    }

    /// Adds a job behind those of its priority.
    pub(crate) fn push_back(&mut self, host: &Origin, job: JobId, priority: i32) {
        let queue = self.queue(host);
        let at = match queue.back() {
            Some(last) if last.priority < priority => queue.partition_point(|place| place.priority >= priority),
            _ => queue.len(),
        };
        queue.insert(at, Place { priority, job });
        self.pushed(priority);
    }

    /// Adds a job before those of its priority.
    pub(crate) fn push_front(&mut self, host: &Origin, job: JobId, priority: i32) {
        let queue = self.queue(host);
        let at = queue.partition_point(|place| place.priority > priority);
        queue.insert(at, Place { priority, job });
        self.pushed(priority);
    }

    /// The next job of the next host that `may_start`.
    pub(crate) fn pop(&mut self, mut may_start: impl FnMut(&Origin) -> bool) -> Option<JobId> {
        let at = match self.has_priorities {
            false => self.turns.iter().position(&mut may_start)?,
            true => self.first_of_highest(may_start)?,
        };
        let host = self.turns.remove(at)?;
        let queue = self.by_host.get_mut(&host)?;
        let place = queue.pop_front();
        if queue.is_empty() {
            self.by_host.remove(&host);
        } else {
            self.turns.push_back(host);
        }
        self.len -= usize::from(place.is_some());
        place.map(|place| place.job)
    }

    /// The first job that `may_start` among the next few of a host that fits.
    pub(crate) fn pop_of(
        &mut self,
        mut fits: impl FnMut(&Origin) -> bool,
        mut may_start: impl FnMut(JobId) -> bool,
    ) -> Option<JobId> {
        let (host, job) = self.turns.iter().filter(|host| fits(host)).find_map(|host| {
            let place = self.by_host.get(host)?.iter().take(LOOKED_AT).find(|place| may_start(place.job))?;
            Some((host.clone(), place.job))
        })?;
        self.remove_of(&host, job).then_some(job)
    }

    /// Removes a job, which may be of another host by now; false if it does not wait.
    pub(crate) fn remove(&mut self, job: JobId) -> bool {
        self.host_of(job).is_some_and(|host| self.remove_of(&host, job))
    }

    fn remove_of(&mut self, host: &Origin, job: JobId) -> bool {
        let Some(queue) = self.by_host.get_mut(host) else { return false };
        let Some(at) = queue.iter().position(|place| place.job == job) else { return false };
        queue.remove(at);
        if queue.is_empty() {
            self.by_host.remove(host);
            self.turns.retain(|turn| turn != host);
        }
        self.len -= 1;
        true
    }

    /// The host as whose job it was added.
    fn host_of(&self, job: JobId) -> Option<Origin> {
        let mut queues = self.by_host.iter();
        queues.find(|(_, queue)| queue.iter().any(|place| place.job == job)).map(|(host, _)| host.clone())
    }

    /// Moves a job to this position among those of its host, with the priority of its neighbours; false if it
    /// does not wait. At the first position, its host has the next turn.
    pub(crate) fn move_to(&mut self, job: JobId, position: usize) -> bool {
        let Some(host) = self.host_of(job) else { return false };
        let Some(queue) = self.by_host.get_mut(&host) else { return false };
        let Some(from) = queue.iter().position(|place| place.job == job) else { return false };
        let Some(mut place) = queue.remove(from) else { return false };
        let at = position.min(queue.len());
        if let Some(neighbour) = queue.get(at).or_else(|| queue.back()) {
            place.priority = neighbour.priority;
        }
        queue.insert(at, place);
        if at == 0 {
            self.turns.retain(|turn| *turn != host);
            self.turns.push_front(host);
        }
        true
    }

    fn first_of_highest(&self, mut may_start: impl FnMut(&Origin) -> bool) -> Option<usize> {
        let first = |host: &Origin| self.by_host.get(host).and_then(|queue| queue.front()).map(|place| place.priority);
        let able = self.turns.iter().enumerate().filter(|(_, host)| may_start(host));
        // The first of equal ones.
        able.max_by_key(|(at, host)| (first(host), std::cmp::Reverse(*at))).map(|(at, _)| at)
    }

    fn pushed(&mut self, priority: i32) {
        self.len += 1;
        self.has_priorities |= priority != 0;
    }

    fn queue(&mut self, host: &Origin) -> &mut VecDeque<Place> {
        if !self.by_host.contains_key(host) {
            self.turns.push_back(host.clone());
        }
        self.by_host.entry(host.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Origin {
        Origin::of(&format!("http://{name}/").parse().unwrap()).unwrap()
    }

    fn order(waiting: &mut Waiting) -> Vec<u64> {
        std::iter::from_fn(|| waiting.pop(|_| true)).map(JobId::get).collect()
    }

    #[test]
    fn hosts_take_turns_and_a_higher_priority_comes_first() {
        let (a, b) = (host("a"), host("b"));
        let mut waiting = Waiting::default();
        for (host, job, priority) in [(&a, 1, 0), (&a, 2, 0), (&b, 3, 0), (&b, 4, 5), (&a, 5, 5), (&b, 6, -1)] {
            waiting.push_back(host, JobId(job), priority);
        }
        assert_eq!(order(&mut waiting), [5, 4, 1, 3, 2, 6]);
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn a_job_that_is_moved_keeps_its_new_place() {
        let (a, b) = (host("a"), host("b"));
        let mut waiting = Waiting::default();
        for (host, job) in [(&a, 1), (&b, 2), (&b, 3), (&b, 4)] {
            waiting.push_back(host, JobId(job), 0);
        }
        assert!(waiting.move_to(JobId(4), 0));
        assert!(waiting.move_to(JobId(2), 99));
        assert!(!waiting.move_to(JobId(5), 0));
        assert_eq!(order(&mut waiting), [4, 1, 3, 2]);
        assert!(!waiting.remove(JobId(4)));
    }
}
