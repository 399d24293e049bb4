//! What the supervising thread, its workers and the interrupt source share.
//!
//! Only the supervising thread waits here. Every event that may end its wait (the end of the last
//! thread, an interrupt) is recorded under the lock before it is notified, so it does not have to
//! poll.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use super::error::ThreadPanic;
use super::interrupt::Interrupt;
use crate::cancel::CancelToken;
use crate::panic::{self, Payload, drop_quietly};

pub(super) struct Hub {
    pub(super) threads_number: usize,
    pub(super) token: CancelToken,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    /// The names of the threads that have not ended, by number.
    running: BTreeMap<u64, String>,
    /// How many threads have been started.
    started: u64,
    /// Interrupts that the supervising thread has not handled yet.
    pending: VecDeque<Interrupt>,
    /// The first interrupt that it has handled.
    interrupted: Option<Interrupt>,
    panics: Vec<ThreadPanic>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Threads may be added.
    Open,
    /// The last thread has ended or been given up; only interrupts are still accepted.
    Ending,
    /// The run is over.
    Over,
}

/// Why a wait ended.
pub(super) enum Wake {
    Interrupt(Interrupt),
    AllEnded,
    Time,
}

impl Hub {
    pub(super) fn new(threads_number: usize, token: CancelToken) -> Self {
        Self {
            threads_number,
            token,
            state: Mutex::new(State {
                phase: Phase::Open,
                running: BTreeMap::new(),
                started: 0,
                pending: VecDeque::new(),
                interrupted: None,
                panics: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Counts in a thread that is about to start.
    pub(super) fn enter(&self, name: &str) -> io::Result<u64> {
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(io::Error::other("the supervised run has ended"));
        }
        state.started += 1;
        let id = state.started;
        state.running.insert(id, name.to_owned());
        Ok(id)
    }

    /// Counts a thread out.
    pub(super) fn leave(&self, id: u64, panicked: Option<Payload>) {
        let message = panicked.map(|payload| {
            let message = panic::message(&*payload).to_owned();
            drop_quietly(payload);
            message
        });
        let mut state = self.state.lock();
        let name = state.running.remove(&id).unwrap_or_default();
        if let Some(message) = message {
            state.panics.push(ThreadPanic { name, message });
        }
        if state.running.is_empty() {
            self.changed.notify_all();
        }
    }

    /// Accepts an interrupt; false if the run is over.
    pub(super) fn interrupt(&self, interrupt: Interrupt) -> bool {
        let mut state = self.state.lock();
        if state.phase == Phase::Over {
            return false;
        }
        state.pending.push_back(interrupt);
        self.changed.notify_all();
        true
    }

    /// Waits for an interrupt, the end of the last thread, or `until`, in this order of precedence.
    /// Once the last thread has ended, no more can be added.
    pub(super) fn wait(&self, until: Instant) -> Wake {
        let mut state = self.state.lock();
        let mut in_time = true;
        loop {
            if let Some(interrupt) = state.pending.pop_front() {
                state.interrupted.get_or_insert(interrupt);
                return Wake::Interrupt(interrupt);
            }
            if state.running.is_empty() {
                state.phase = Phase::Ending;
                return Wake::AllEnded;
            }
            if !in_time {
                return Wake::Time;
            }
            in_time = !self.changed.wait_until(&mut state, until).timed_out();
        }
    }

    /// Accepts no more threads.
    pub(super) fn stop_adding(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Ending;
        }
    }

    /// Ends the run. Returns an interrupt that came too late for [`wait`](Self::wait), if it is
    /// the first one.
    pub(super) fn close(&self) -> Option<Interrupt> {
        let mut state = self.state.lock();
        state.phase = Phase::Over;
        let late = state.pending.pop_front();
        state.pending.clear();
        if state.interrupted.is_some() {
            return None;
        }
        state.interrupted = late;
        late
    }

    pub(super) fn interrupted(&self) -> Option<Interrupt> {
        self.state.lock().interrupted
    }

    pub(super) fn has_started_any(&self) -> bool {
        self.state.lock().started > 0
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state.lock().running.values().cloned().collect()
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.state.lock().running.is_empty()
    }

    pub(super) fn panics(&self) -> Vec<ThreadPanic> {
        self.state.lock().panics.clone()
    }
}
