//! What a queue's lock guards, and how many threads a change wakes.
//!
//! `core.rs` says what *wanted*, *waiting* and *coming* mean, and why no wake-up is lost.

use super::store::Store;

/// The items, and the threads that wait.
pub(super) struct State<S> {
    pub(super) store: S,
    /// How many items `store` may hold.
    pub(super) limit: usize,
    pub(super) shut_down: bool,
    getters: Crowd,
    putters: Crowd,
}

/// The threads of one side that cannot continue.
#[derive(Default)]
pub(super) struct Crowd {
    pub(super) waiting: usize,
    /// How many of `waiting` are sure to look again.
    pub(super) coming: usize,
}

#[derive(Clone, Copy)]
pub(super) enum Side {
    Getters,
    Putters,
}

impl<S: Store> State<S> {
    pub(super) fn new(limit: usize) -> Self {
        Self { store: S::default(), limit, shut_down: false, getters: Crowd::default(), putters: Crowd::default() }
    }

    /// How many threads of a side could continue now.
    pub(super) fn wanted(&self, side: Side) -> usize {
        if self.shut_down {
            return usize::MAX;
        }
        match side {
            Side::Getters => self.store.len(),
            Side::Putters => self.limit.saturating_sub(self.store.len()),
        }
    }

    /// Whether the queue is open and every waiting thread is coming anyway: a change then wakes
    /// none.
    pub(super) fn is_quiet(&self) -> bool {
        !self.shut_down && self.getters.waiting == self.getters.coming && self.putters.waiting == self.putters.coming
    }

    pub(super) fn crowd(&mut self, side: Side) -> &mut Crowd {
        match side {
            Side::Getters => &mut self.getters,
            Side::Putters => &mut self.putters,
        }
    }

    /// Counts out a waiting thread, which holds the lock again and is about to look.
    pub(super) fn come_back(&mut self, side: Side) {
        let crowd = self.crowd(side);
        crowd.waiting -= 1;
        crowd.coming = crowd.coming.saturating_sub(1);
    }

    /// How many threads of a side must be notified; from now on they count as coming.
    pub(super) fn send_for(&mut self, side: Side) -> usize {
        let wanted = self.wanted(side);
        let crowd = self.crowd(side);
        let missing = wanted.min(crowd.waiting).saturating_sub(crowd.coming);
        crowd.coming += missing;
        missing
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn as_many_are_sent_for_as_are_wanted_and_not_coming_already() {
        // Items, waiting, coming, to be notified.
        let table = [(0, 3, 0, 0), (1, 0, 0, 0), (1, 3, 0, 1), (1, 3, 1, 0), (2, 3, 1, 1), (5, 3, 1, 2), (5, 3, 3, 0)];
        for (items, waiting, coming, missing) in table {
            let mut state = State {
                store: VecDeque::from(vec!['i'; items]),
                limit: usize::MAX,
                shut_down: false,
                getters: Crowd { waiting, coming },
                putters: Crowd::default(),
            };
            assert_eq!(state.send_for(Side::Getters), missing);
            assert_eq!(state.getters.coming, coming + missing);
            assert_eq!(state.send_for(Side::Getters), 0, "they have been told");
            assert_eq!(state.send_for(Side::Putters), 0, "none of them waits");
            state.shut_down = true;
            assert_eq!(state.send_for(Side::Getters), waiting - coming - missing, "a shutdown concerns all");
        }
    }
}
