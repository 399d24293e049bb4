//! Notes on what each thread is blocked on, for [`thread::dump`](crate::thread::dump()).
//!
//! A thread writes a note into its own record before it blocks, and removes it when it continues.
//! That costs two uncontended locks on a path that goes to sleep anyway, and nothing where no
//! thread waits.

use crate::naming::Name;
use crate::registry::{self, Waiting};

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
