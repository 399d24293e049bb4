//! The report of a ring.

use std::fmt;
use std::sync::Arc;

/// The wait would never have ended: each member of a ring waits for the next.
///
/// ```
/// use towline_threads::sync::Lock;
///
/// let lock = Lock::named("ledger", ());
/// let held = lock.acquire()?;
/// let deadlock = lock.acquire().unwrap_err();
/// let link = &deadlock.links()[0];
/// assert_eq!(link.waits_for(), "Lock `ledger`");
/// assert_eq!(link.waiter(), link.holder());
/// # drop(held);
/// # Ok::<(), towline_threads::deadlock::Deadlock>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Deadlock {
    links: Arc<[Link]>,
}

/// One wait of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    waiter: String,
    waits_for: String,
    holder: String,
    relation: Relation,
}

/// How the holder relates to what the waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Holds,
    Runs,
    /// One of the threads that could run it.
    MightRun,
    Is,
}

impl Deadlock {
    pub(super) fn new(links: Vec<Link>) -> Self {
        Self { links: links.into() }
    }

    /// The waits, in the order of the ring: each one's holder is the next one's waiter. The first
    /// is the wait that failed.
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}

impl Link {
    pub(super) fn new(waiter: String, waits_for: String, holder: String, relation: Relation) -> Self {
        Self { waiter, waits_for, holder, relation }
    }

    /// The thread (and task) that waits.
    pub fn waiter(&self) -> &str {
        &self.waiter
    }

    /// What it waits for.
    pub fn waits_for(&self) -> &str {
        &self.waits_for
    }

    /// The thread (and task) that would have to act first.
    pub fn holder(&self) -> &str {
        &self.holder
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for {}", self.waiter, self.waits_for)?;
        match self.relation {
            Relation::Holds => write!(f, " held by {}", self.holder),
            Relation::Runs => write!(f, " run by {}", self.holder),
            Relation::MightRun => write!(f, " that only {} could run", self.holder),
            Relation::Is => Ok(()),
        }
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadlock: ")?;
        for (place, link) in self.links.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{link}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deadlock({self})")
    }
}

impl std::error::Error for Deadlock {}
