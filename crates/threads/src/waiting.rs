//! What each thread is blocked on, for [`thread::dump`](crate::thread::dump()).
//!
//! A thread writes a note into its own record when it is about to block, and takes it out when it
//! goes on. That costs two uncontended locks on a path that goes to sleep anyway, and nothing where
//! nobody waits.

use std::fmt;

use crate::deadlock::Owner;
use crate::naming::Name;
use crate::thread::registry;

/// What a thread is blocked on.
pub(crate) enum Waiting {
    /// Something that nobody holds: an event, a queue, a barrier.
    Object { kind: &'static str, name: Name },
    /// A lock, and where to read who holds it.
    Lock { kind: &'static str, name: Name, owner: Owner },
    /// The end of a thread.
    Thread { name: String },
    /// A task's result.
    Task,
    /// A worker that has nothing to do.
    Work,
}

/// Keeps the note in the thread's record until it is dropped.
#[must_use = "dropping it says that the thread goes on"]
pub(crate) struct Note {
    before: Option<Waiting>,
}

/// Notes that this thread is about to block on a `kind` of this name.
pub(crate) fn note(kind: &'static str, name: &Name) -> Note {
    write(Waiting::Object { kind, name: name.clone() })
}

pub(crate) fn write(waiting: Waiting) -> Note {
    Note { before: registry::set_waiting(Some(waiting)) }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = registry::set_waiting(self.before.take());
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object { kind, name } => write!(f, "waits for {kind} {name}"),
            Self::Lock { kind, name, owner } => {
                write!(f, "waits for {kind} {name}")?;
                match owner.get() {
                    None => Ok(()),
                    Some(holder) => write!(f, " held by {}", registry::describe(holder)),
                }
            }
            Self::Thread { name } => write!(f, "waits for thread {name} to end"),
            Self::Task => f.write_str("waits for a task"),
            Self::Work => f.write_str("waits for work"),
        }
    }
}
