//! The published waits, and the search for a ring among them. `README.md` argues why it is correct.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::report::{Deadlock, Link, Relation};
use crate::agent_id::AgentId;
use crate::facade::Mutex;
use crate::holder::Owner;
use crate::naming::Name;

/// What blocks a thread.
pub(crate) enum Obstacle {
    Lock { kind: &'static str, name: Name, owner: Owner },
    Task(Arc<dyn TaskProbe>),
    Thread { number: u32, name: String },
}

/// A task, as the search for rings sees it.
pub(crate) trait TaskProbe: Send + Sync {
    fn progress(&self) -> Progress;
}

/// Who must act before a task is done.
pub(crate) enum Progress {
    /// No one: it is done, or a free worker can run it.
    Free,
    /// This agent, which runs it.
    RunBy(AgentId),
    /// Any of these threads: it is pending, and only they could begin it.
    PendingFor(Vec<u32>),
}

/// All published waits, by the number of the waiting thread.
pub(super) struct Graph {
    waits: Mutex<HashMap<u32, Wait>>,
}

/// A waiting thread: its agents, each of which waits for the next, and what blocks the last.
struct Wait {
    agents: Vec<AgentId>,
    obstacle: Obstacle,
}

/// A step of the search, from an agent to one that it waits for.
struct Step {
    to: AgentId,
    relation: Relation,
}

impl Graph {
    pub(super) fn new() -> Self {
        Self { waits: Mutex::new(HashMap::new()) }
    }

    /// Publishes the wait of a thread whose agents are `agents`. With `unless_ring`, a wait that
    /// closes a ring is not published, and the ring is the error.
    pub(super) fn publish(&self, agents: Vec<AgentId>, obstacle: Obstacle, unless_ring: bool) -> Result<(), Deadlock> {
        let Some(&waiter) = agents.last() else { return Ok(()) };
        let mut waits = self.waits.lock();
        waits.insert(waiter.thread(), Wait { agents, obstacle });
        let ring = if unless_ring { find_ring(&waits, waiter) } else { None };
        let withdrawn = if ring.is_some() { waits.remove(&waiter.thread()) } else { None };
        drop(waits);
        // An obstacle may own the last handle to a task, whose drop runs user code.
        drop(withdrawn);
        ring.map_or(Ok(()), Err)
    }

    /// Looks for a ring through this published wait; if there is one, the wait is withdrawn.
    pub(super) fn look_again(&self, waiter: AgentId) -> Result<(), Deadlock> {
        let mut waits = self.waits.lock();
        let Some(ring) = find_ring(&waits, waiter) else { return Ok(()) };
        let withdrawn = waits.remove(&waiter.thread());
        drop(waits);
        drop(withdrawn);
        Err(ring)
    }

    pub(super) fn withdraw(&self, waiter: AgentId) {
        let withdrawn = self.waits.lock().remove(&waiter.thread());
        drop(withdrawn);
    }
}

/// The ring that `start` is in, if every way out of it is blocked.
///
/// Follows everything that `start` waits for, directly or indirectly. Any agent among them that is
/// not blocked is a way out. If there is none, all of them are stuck for good, and `start` is in a
/// ring if it can be reached from itself.
fn find_ring(waits: &HashMap<u32, Wait>, start: AgentId) -> Option<Deadlock> {
    let mut came_from: HashMap<AgentId, (AgentId, Relation)> = HashMap::new();
    let mut to_visit = VecDeque::from([start]);
    while let Some(agent) = to_visit.pop_front() {
        for step in steps(waits, agent)? {
            if let Entry::Vacant(place) = came_from.entry(step.to) {
                place.insert((agent, step.relation));
                if step.to != start {
                    to_visit.push_back(step.to);
                }
            }
        }
    }
    if !came_from.contains_key(&start) {
        return None;
    }
    let mut links = Vec::new();
    let mut agent = start;
    loop {
        let &(before, relation) = came_from.get(&agent)?;
        for (lower, upper) in between(waits, before, agent).into_iter().rev() {
            links.push(link(waits, lower, upper, relation));
        }
        agent = before;
        if agent == start {
            break;
        }
    }
    links.reverse();
    Some(Deadlock::new(links))
}

/// The agents that `agent` waits for; `None` if it is not blocked.
fn steps(waits: &HashMap<u32, Wait>, agent: AgentId) -> Option<Vec<Step>> {
    let wait = waits.get(&agent.thread())?;
    let last = *wait.agents.last()?;
    if agent != last {
        // It runs a task on top of itself, and continues when that is done; so do those above it. One step leads over all
        // of them, as nobody waits for anything in between: a thread may have thousands.
        let is_here = wait.agents.contains(&agent);
        return is_here.then(|| vec![Step { to: last, relation: Relation::Runs }]);
    }
    match &wait.obstacle {
        Obstacle::Lock { owner, .. } => Some(vec![Step { to: owner.get()?, relation: Relation::Holds }]),
        Obstacle::Thread { number, .. } => Some(vec![Step { to: AgentId::new(*number, 0), relation: Relation::Is }]),
        Obstacle::Task(task) => match task.progress() {
            Progress::Free => None,
            Progress::RunBy(agent) => Some(vec![Step { to: agent, relation: Relation::Runs }]),
            Progress::PendingFor(threads) if threads.is_empty() => None,
            Progress::PendingFor(threads) => threads
                .into_iter()
                .map(|thread| {
                    let last = waits.get(&thread)?.agents.last()?;
                    Some(Step { to: *last, relation: Relation::MightRun })
                })
                .collect(),
        },
    }
}

/// The single steps of one that may lead over several agents of a thread, in order.
fn between(waits: &HashMap<u32, Wait>, from: AgentId, to: AgentId) -> Vec<(AgentId, AgentId)> {
    let agents = waits.get(&from.thread()).map_or(&[][..], |wait| &wait.agents);
    let place = |agent| agents.iter().position(|&other| other == agent);
    match (place(from), place(to)) {
        (Some(from), Some(to)) if from < to => agents[from..=to].windows(2).map(|pair| (pair[0], pair[1])).collect(),
        _ => vec![(from, to)],
    }
}

fn link(waits: &HashMap<u32, Wait>, waiter: AgentId, holder: AgentId, relation: Relation) -> Link {
    let on_top = waits.get(&waiter.thread()).is_some_and(|wait| wait.agents.last() == Some(&waiter));
    let waits_for = match waits.get(&waiter.thread()).map(|wait| &wait.obstacle) {
        Some(Obstacle::Lock { kind, name, .. }) if on_top => format!("{kind} {name}"),
        Some(Obstacle::Thread { name, .. }) if on_top => format!("thread {name} to end"),
        _ => "a task".to_owned(),
    };
    Link::new(describe(waiter), waits_for, describe(holder), relation)
}

#[cfg(not(loom))]
fn describe(agent: AgentId) -> String {
    crate::registry::describe(agent)
}

/// Models leave the registry out.
#[cfg(loom)]
fn describe(agent: AgentId) -> String {
    format!("agent {}", agent.to_bits())
}
