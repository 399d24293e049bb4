//! A point where threads wait until all of them have arrived.
//!
//! One lock guards the state: a phase, the number of threads inside, and a flag. The phases of a
//! cycle:
//!
//! ```text
//!            the last has come                 the action has returned
//! FILLING ─────────────────────────> ACTING ───────────────────────────> DRAINING
//!    │                                  │                                    │
//!    │ timeout, abort, reset            │ timeout, abort, reset, panic       │ all have left
//!    └────────────────> FAILING <───────┘                                    │
//!                          │ all have left                                   │
//!                          └──────────────────> FILLING <────────────────────┘
//! ```
//!
//! *Broken* is a flag beside the phase: set by a timeout, by `abort` and by an action that panics,
//! cleared only by `reset`. While it is set, arriving threads are turned away at once; FAILING with
//! the flag clear means that the barrier is being reset.
//!
//! Why this is correct:
//!
//! * *A cycle passes for all or for none.* A single step out of FILLING or ACTING decides it, under
//!   the lock: to DRAINING, all pass; to FAILING, none does. Nothing turns DRAINING into FAILING or
//!   back: `abort` during DRAINING sets the flag, and the threads that have been let through still
//!   pass.
//! * *Each thread learns the outcome of its own cycle.* A thread is counted in during FILLING and
//!   counts itself out during DRAINING or FAILING. The next FILLING begins when the count is 0, so
//!   the phase cannot advance before each of them has read it. That holds for the thread that runs
//!   the action without the lock, too: it stays counted until it has read the phase.
//! * *Places are 0 to n - 1, each once.* During FILLING no thread is counted out, so the count at
//!   arrival is the place. Late arrivals wait outside until the phase is FILLING again, and never
//!   mix with those that leave.
//! * *The action runs once, in the last thread to arrive.* Only one arrival brings the count to n,
//!   and from then on no thread is counted in until all have left.
//! * *No wake-up is lost.* Each thread waits for something that it has found false under the lock:
//!   threads inside wait on `decided` for the end of FILLING and ACTING, threads outside on
//!   `opened` for FILLING or the flag. Each step that makes one of these true happens under the
//!   lock and notifies all threads concerned. A timed wait that ends checks once more before it
//!   breaks anything.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::{Condvar, Mutex, MutexGuard};
use crate::naming::Name;
use crate::waiting;

const KIND: &str = "Barrier";

/// Holds threads back until a fixed number of them have arrived; can be used again and again.
///
/// Each [`wait`](Self::wait) returns the position in which its thread arrived. A barrier *breaks*
/// when one of its threads gives up waiting, when [`abort`](Self::abort) is called, or when its
/// action panics: all waiting threads then get [`BrokenBarrier`], and so do those that arrive
/// before a [`reset`](Self::reset). A cycle passes for all of its threads or for none.
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::{sync::Barrier, thread};
///
/// let start = Arc::new(Barrier::new(3)?);
/// let runners: Vec<_> = (0..3)
///     .map(|_| {
///         let start = Arc::clone(&start);
///         thread::spawn(move || start.wait())
///     })
///     .collect();
/// let mut places: Vec<usize> = runners.into_iter().map(|r| r.join().unwrap().unwrap()).collect();
/// places.sort();
/// assert_eq!(places, [0, 1, 2]);
/// # Ok::<(), towline_threads::sync::BarrierError>(())
/// ```
///
/// A barrier for 0 threads is an error. A negative number does not compile:
///
/// ```compile_fail,E0600
/// use towline_threads::sync::Barrier;
///
/// let start = Barrier::new(-3);
/// ```
pub struct Barrier {
    parties: usize,
    /// How long a wait may take that says nothing else.
    timeout: Option<Duration>,
    name: Name,
    state: Mutex<State>,
    /// Notified when it is decided whether the threads inside pass.
    decided: Condvar,
    /// Notified when threads outside may enter, or are turned away.
    opened: Condvar,
}

/// Why a barrier could not be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// A barrier for 0 threads has no last thread to arrive.
    #[error("a barrier needs at least one party")]
    NoParties,
}

/// The barrier broke, or was reset, before all threads had arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the barrier is broken")]
pub struct BrokenBarrier;

type Action = Box<dyn FnMut() + Send>;

struct State {
    phase: Phase,
    /// The threads of the current cycle that are in `wait`.
    inside: usize,
    /// Stays set until the next `reset`.
    broken: bool,
    /// Taken out while it runs.
    action: Option<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Threads arrive and wait for the last one.
    Filling,
    /// All threads have arrived; the last one runs the action.
    Acting,
    /// The threads inside have been let through and leave.
    Draining,
    /// The threads inside fail and leave.
    Failing,
}

impl Barrier {
    /// A barrier for `parties` threads.
    ///
    /// # Errors
    ///
    /// [`BarrierError::NoParties`] if `parties` is 0.
    ///
    /// ```
    /// use towline_threads::sync::{Barrier, BarrierError};
    ///
    /// assert_eq!(Barrier::new(0).unwrap_err(), BarrierError::NoParties);
    /// ```
    #[track_caller]
    pub fn new(parties: usize) -> Result<Self, BarrierError> {
        Self::make(parties, None)
    }

    /// A barrier whose last thread to arrive runs `action` before any thread passes.
    ///
    /// No lock is held while the action runs, so [`abort`](Self::abort) and waits that time out do
    /// not wait for it: they break the cycle even though all threads have arrived. (In CPython they
    /// wait.) If the action panics, the barrier breaks for all, and the panic continues in the
    /// thread that ran the action.
    ///
    /// The action must not wait at its own barrier: the cycle ends only after the action.
    ///
    /// # Errors
    ///
    /// [`BarrierError::NoParties`] if `parties` is 0.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use towline_threads::sync::Barrier;
    ///
    /// let rounds = Arc::new(AtomicUsize::new(0));
    /// let counts = Arc::clone(&rounds);
    /// let barrier = Barrier::with_action(1, move || {
    ///     counts.fetch_add(1, Ordering::Relaxed);
    /// })?;
    /// assert_eq!(barrier.wait(), Ok(0));
    /// assert_eq!(barrier.wait(), Ok(0));
    /// assert_eq!(rounds.load(Ordering::Relaxed), 2);
    /// # Ok::<(), towline_threads::sync::BarrierError>(())
    /// ```
    #[track_caller]
    pub fn with_action(parties: usize, action: impl FnMut() + Send + 'static) -> Result<Self, BarrierError> {
        Self::make(parties, Some(Box::new(action)))
    }

    /// Makes [`wait`](Self::wait) wait no longer than `timeout`, as the `timeout` of CPython's `Barrier` does.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::{Barrier, BrokenBarrier};
    ///
    /// let barrier = Barrier::new(2)?.timeout(Duration::from_millis(1));
    /// assert_eq!(barrier.wait(), Err(BrokenBarrier)); // nobody else comes
    /// # Ok::<(), towline_threads::sync::BarrierError>(())
    /// ```
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Waits until all threads have arrived; returns the position in which this one did, from 0.
    ///
    /// A thread that arrives while those of the previous cycle are still leaving waits for them
    /// first.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is broken, breaks or is reset.
    ///
    /// # Panics
    ///
    /// Resumes a panic of the action, in the thread that ran it.
    pub fn wait(&self) -> Result<usize, BrokenBarrier> {
        self.wait_until(self.timeout.and_then(deadline::after))
    }

    /// Waits until all threads have arrived, but no longer than `timeout`.
    ///
    /// The first thread whose time is up breaks the barrier for all. A thread that is still waiting
    /// for those of the previous cycle to leave breaks it for later arrivals, not for them.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the time is up, or as [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Resumes a panic of the action, in the thread that ran it. The time that the action takes in
    /// this thread is not limited.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::Barrier;
    ///
    /// let barrier = Barrier::new(2)?;
    /// assert!(barrier.wait_timeout(Duration::from_millis(1)).is_err()); // nobody else came
    /// assert!(barrier.broken());
    /// barrier.reset();
    /// assert!(!barrier.broken());
    /// # Ok::<(), towline_threads::sync::BarrierError>(())
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<usize, BrokenBarrier> {
        self.wait_until(deadline::after(timeout))
    }

    /// Breaks the barrier for all threads that wait or arrive, until [`reset`](Self::reset).
    ///
    /// Threads that have already been let through pass.
    ///
    /// ```
    /// use towline_threads::sync::{Barrier, BrokenBarrier};
    ///
    /// let barrier = Barrier::new(2)?;
    /// barrier.abort();
    /// assert_eq!(barrier.wait(), Err(BrokenBarrier));
    /// # Ok::<(), towline_threads::sync::BarrierError>(())
    /// ```
    pub fn abort(&self) {
        self.break_now(&mut self.state.lock());
    }

    /// Resets the barrier. Threads that wait now get [`BrokenBarrier`]; later arrivals wait for
    /// them to leave, and start a clean cycle.
    ///
    /// Threads that have already been let through pass.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.broken = false;
        self.fail_cycle(&mut state);
    }

    /// How many threads must arrive.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many threads wait for others to arrive; 0 once all have. Other threads may change that
    /// at any moment.
    pub fn n_waiting(&self) -> usize {
        let state = self.state.lock();
        if state.phase == Phase::Filling { state.inside } else { 0 }
    }

    /// Whether the barrier is broken and not yet [`reset`](Self::reset).
    pub fn broken(&self) -> bool {
        self.state.lock().broken
    }

    #[track_caller]
    fn make(parties: usize, action: Option<Action>) -> Result<Self, BarrierError> {
        if parties == 0 {
            return Err(BarrierError::NoParties);
        }
        Ok(Self {
            parties,
            timeout: None,
            name: Name::here(),
            state: Mutex::new(State { phase: Phase::Filling, inside: 0, broken: false, action }),
            decided: Condvar::new(),
            opened: Condvar::new(),
        })
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<usize, BrokenBarrier> {
        let mut state = self.enter(deadline)?;
        let place = state.inside;
        state.inside += 1;
        if state.inside == self.parties {
            return self.complete(state, place);
        }
        let _note = waiting::note(KIND, &self.name);
        let mut in_time = true;
        while state.phase.undecided() {
            if !in_time {
                self.break_now(&mut state);
                break;
            }
            in_time = deadline::wait_until(&self.decided, &mut state, deadline);
        }
        self.leave(&mut state).map(|()| place)
    }

    /// Waits until this thread can join a cycle.
    fn enter(&self, deadline: Option<Instant>) -> Result<MutexGuard<'_, State>, BrokenBarrier> {
        let mut state = self.state.lock();
        if state.shut() {
            let _note = waiting::note(KIND, &self.name);
            let mut in_time = true;
            while state.shut() {
                if !in_time {
                    // The cycle inside is complete without this thread. The next one is not.
                    self.break_now_outside(&mut state);
                    return Err(BrokenBarrier);
                }
                in_time = deadline::wait_until(&self.opened, &mut state, deadline);
            }
        }
        if state.broken { Err(BrokenBarrier) } else { Ok(state) }
    }

    /// What the last thread to arrive does.
    fn complete<'a>(&'a self, mut state: MutexGuard<'a, State>, place: usize) -> Result<usize, BrokenBarrier> {
        let mut panic = None;
        if let Some(mut action) = state.action.take() {
            state.phase = Phase::Acting;
            drop(state);
            panic = catch_unwind(AssertUnwindSafe(&mut action)).err();
            state = self.state.lock();
            state.action = Some(action);
        }
        // Otherwise the cycle was broken or reset while the action ran, and the action's end
        // changes nothing.
        if state.phase.undecided() {
            if panic.is_some() {
                self.break_now(&mut state);
            } else {
                state.phase = Phase::Draining;
                self.decided.notify_all();
            }
        }
        let outcome = self.leave(&mut state);
        drop(state);
        match panic {
            Some(payload) => resume_unwind(payload),
            None => outcome.map(|()| place),
        }
    }

    /// Counts this thread out of a decided cycle; returns the outcome.
    fn leave(&self, state: &mut State) -> Result<(), BrokenBarrier> {
        debug_assert!(!state.phase.undecided(), "nobody leaves before it is known how");
        let passed = state.phase == Phase::Draining;
        state.inside -= 1;
        if state.inside == 0 {
            state.phase = Phase::Filling;
            self.opened.notify_all();
        }
        if passed { Ok(()) } else { Err(BrokenBarrier) }
    }

    /// Breaks the barrier for the threads inside, unless they have been let through, and for all
    /// that arrive.
    fn break_now(&self, state: &mut State) {
        self.break_now_outside(state);
        self.fail_cycle(state);
    }

    fn break_now_outside(&self, state: &mut State) {
        state.broken = true;
        self.opened.notify_all();
    }

    /// Fails the threads inside, unless their outcome is already decided.
    fn fail_cycle(&self, state: &mut State) {
        if state.phase.undecided() && state.inside > 0 {
            state.phase = Phase::Failing;
            self.decided.notify_all();
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("n_waiting", &self.n_waiting())
            .field("broken", &self.broken())
            .finish_non_exhaustive()
    }
}

impl State {
    /// Whether a thread that arrives now has to wait outside.
    fn shut(&self) -> bool {
        self.phase != Phase::Filling && !self.broken
    }
}

impl Phase {
    fn undecided(self) -> bool {
        matches!(self, Self::Filling | Self::Acting)
    }
}
