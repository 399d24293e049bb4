//! Waits that look for rings.

use std::sync::LazyLock;
use std::time::Duration;

use super::graph::{Graph, Obstacle};
use super::report::Deadlock;
use crate::agent;
use crate::agent_id::AgentId;
use crate::holder::{Holder, Owner};
use crate::naming::Name;
use crate::registry::Waiting;
use crate::waiting;

/// Shorter waits are not published.
pub(crate) const PATIENCE: Duration = Duration::from_millis(10);

/// How often a published wait searches again. The wait that closes a ring finds it; this is for
/// rings closed by something else, such as a pool that loses a worker.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(80);

static GRAPH: LazyLock<Graph> = LazyLock::new(Graph::new);

/// A published wait; dropping it withdraws it.
#[must_use = "dropping it withdraws the wait"]
pub(crate) struct Published {
    waiter: AgentId,
}

/// Publishes what blocks this thread.
///
/// # Errors
///
/// The ring that this closes; nothing is published then.
pub(crate) fn publish(obstacle: Obstacle) -> Result<Published, Deadlock> {
    GRAPH.publish(agent::stack(), obstacle, true)?;
    Ok(Published { waiter: agent::current() })
}

/// Publishes what blocks this thread, for the searches of others: this wait cannot return an error.
fn publish_silently(obstacle: Obstacle) -> Published {
    // Without a search, there is no error.
    let _ = GRAPH.publish(agent::stack(), obstacle, false);
    Published { waiter: agent::current() }
}

impl Published {
    /// Searches again, for a ring that was closed since.
    ///
    /// # Errors
    ///
    /// The ring; the wait is withdrawn then.
    pub(crate) fn look_again(&self) -> Result<(), Deadlock> {
        GRAPH.look_again(self.waiter)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        GRAPH.withdraw(self.waiter);
    }
}

/// Waits for a lock that was not free; `try_for` tries to take it for the given time.
///
/// # Errors
///
/// The ring that this wait is in.
#[cold]
pub(crate) fn lock_patiently<G>(
    kind: &'static str,
    name: &Name,
    holder: &Holder,
    mut try_for: impl FnMut(Duration) -> Option<G>,
) -> Result<G, Deadlock> {
    // SAFETY: it is stored only in the note and the published waits below. They are dropped when
    // this function returns or unwinds, and `holder` is borrowed for longer than that.
    #[expect(unsafe_code, reason = "lends the lock to those who look for rings")]
    let owner = unsafe { Owner::of(holder) };
    let _note = waiting::write(Waiting::Lock { kind, name: name.clone(), owner });
    let obstacle = || Obstacle::Lock { kind, name: name.clone(), owner };
    if holder.get() == agent::current() {
        // Only this agent could release it.
        drop(publish(obstacle())?);
    }
    if let Some(guard) = try_for(PATIENCE) {
        return Ok(guard);
    }
    let published = publish(obstacle())?;
    loop {
        if let Some(guard) = try_for(LOOK_AGAIN) {
            return Ok(guard);
        }
        published.look_again()?;
    }
}

/// Waits for a lock, and cannot fail; other waits may report a ring through this one.
#[cold]
pub(crate) fn lock_whatever<G>(
    kind: &'static str,
    name: &Name,
    holder: &Holder,
    mut try_for: impl FnMut(Duration) -> Option<G>,
) -> G {
    // SAFETY: as in `lock_patiently`.
    #[expect(unsafe_code, reason = "lends the lock to those who look for rings")]
    let owner = unsafe { Owner::of(holder) };
    let _note = waiting::write(Waiting::Lock { kind, name: name.clone(), owner });
    if let Some(guard) = try_for(PATIENCE) {
        return guard;
    }
    let _published = publish_silently(Obstacle::Lock { kind, name: name.clone(), owner });
    loop {
        if let Some(guard) = try_for(LOOK_AGAIN) {
            return guard;
        }
    }
}
