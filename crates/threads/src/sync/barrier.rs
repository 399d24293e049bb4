//! A place where threads wait until all of them have come.
//!
//! One lock around the state, which is a phase, the number of threads inside, and a flag. The life
//! of a cycle:
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
//! cleared by `reset` alone. With the flag set whoever comes is turned away at once; FAILING with
//! the flag clear is the barrier that is being reset.
//!
//! Why it is right:
//!
//! * *A cycle passes for all or for none.* Its fate is settled by the one step that leaves FILLING
//!   or ACTING, under the lock: to DRAINING all pass, to FAILING nobody does. Nothing turns
//!   DRAINING into FAILING or back: `abort` during DRAINING sets the flag and lets those go who
//!   have been let through.
//! * *Everybody learns the fate of the own cycle.* A thread is counted in during FILLING and
//!   counted out by itself, during DRAINING or FAILING. The next FILLING begins when the count is
//!   0, so the phase cannot move on before each of them has read it. That holds for the thread that
//!   runs the action without the lock, too: it is inside until it has looked.
//! * *Places are 0 to n - 1, each once.* In FILLING nobody is counted out, so the count at arrival
//!   is the place. Late arrivals wait outside until it is FILLING again, and never mix with those
//!   that leave.
//! * *The action is run once, by the last.* Only one arrival makes the count n, and from then on
//!   nobody is counted in until all have left.
//! * *No wake-up is lost.* Each thread waits on what it has found false under the lock: those
//!   inside on `decided` for an end of FILLING and ACTING, those outside on `opened` for FILLING or
//!   the flag. Each step that makes one of these true is made under the lock and notifies everybody
//!   concerned. A timed wait that ends looks once more before it breaks anything.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::{Condvar, Mutex, MutexGuard};
use crate::naming::Name;
use crate::waiting;

const KIND: &str = "Barrier";

/// Lets threads go on when so many of them have come, again and again.
///
/// Each [`wait`](Self::wait) returns the place at which its thread came. A barrier *breaks* when
/// one of its threads gives up waiting, when somebody calls [`abort`](Self::abort), or when its
/// action panics: everybody who waits gets [`BrokenBarrier`] then, and so does whoever comes until
/// [`reset`](Self::reset). A cycle passes for all of its threads or for none.
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
/// A barrier for 0 threads is an error. One for fewer does not compile:
///
/// ```compile_fail,E0600
/// use towline_threads::sync::Barrier;
///
/// let start = Barrier::new(-3);
/// ```
pub struct Barrier {
    parties: usize,
    name: Name,
    state: Mutex<State>,
    /// Notified when it is decided whether those inside pass.
    decided: Condvar,
    /// Notified when those outside may come in, or are turned away.
    opened: Condvar,
}

/// A barrier that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// Nobody could ever be the last to come.
    #[error("a barrier needs at least one party")]
    NoParties,
}

/// The barrier broke, or was reset, before all had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the barrier is broken")]
pub struct BrokenBarrier;

type Action = Box<dyn FnMut() + Send>;

struct State {
    phase: Phase,
    /// The threads of the current cycle that are in `wait`.
    inside: usize,
    /// Until the next `reset`.
    broken: bool,
    /// Taken out while it runs.
    action: Option<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Threads come and wait for the last.
    Filling,
    /// All have come; the last of them runs the action.
    Acting,
    /// Those inside have been let through and leave.
    Draining,
    /// Those inside fail and leave.
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

    /// A barrier whose last thread to come runs `action` before anybody goes on.
    ///
    /// No lock is held while the action runs, so that [`abort`](Self::abort) and waits that time
    /// out need not wait for it: they break the cycle, although all had come. (In CPython they
    /// wait.) If the action panics the barrier breaks for all, and the panic goes on in the thread
    /// that ran the action.
    ///
    /// The action must not wait at its own barrier: its cycle ends after it.
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

    /// Waits until all have come; returns at which place this thread came, from 0.
    ///
    /// A thread that comes while those of the last cycle are still leaving waits for them first.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the barrier is broken, breaks or is reset.
    ///
    /// # Panics
    ///
    /// With the panic of the action, in the thread that ran it.
    pub fn wait(&self) -> Result<usize, BrokenBarrier> {
        self.wait_until(None)
    }

    /// Waits until all have come, but no longer than `timeout`.
    ///
    /// The first thread whose time is up breaks the barrier for all. A thread that is still
    /// waiting for those of the last cycle to leave breaks it for whoever comes, not for them.
    ///
    /// # Errors
    ///
    /// [`BrokenBarrier`] if the time is up, or as [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// With the panic of the action, in the thread that ran it. The time that the action takes in
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

    /// Breaks the barrier, for all who wait and for all who come, until [`reset`](Self::reset).
    ///
    /// Threads that have been let through already pass.
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

    /// Makes the barrier as new. Threads that wait now get [`BrokenBarrier`]; whoever comes later
    /// waits for them to leave and is in a clean cycle.
    ///
    /// Threads that have been let through already pass.
    pub fn reset(&self) {
        let mut state = self.state.lock();
        state.broken = false;
        self.fail_cycle(&mut state);
    }

    /// How many threads have to come.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many threads wait for others to come; 0 once all have. Other threads may change that at
    /// once.
    pub fn n_waiting(&self) -> usize {
        let state = self.state.lock();
        if state.phase == Phase::Filling { state.inside } else { 0 }
    }

    /// Whether the barrier is broken, and has yet to be [`reset`](Self::reset).
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

    /// Waits until a cycle can be joined.
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

    /// What the last thread to come does.
    fn complete<'a>(&'a self, mut state: MutexGuard<'a, State>, place: usize) -> Result<usize, BrokenBarrier> {
        let mut panic = None;
        if let Some(mut action) = state.action.take() {
            state.phase = Phase::Acting;
            drop(state);
            panic = catch_unwind(AssertUnwindSafe(&mut action)).err();
            state = self.state.lock();
            state.action = Some(action);
        }
        // Else the cycle has been broken or reset while the action ran: its end changes nothing.
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

    /// Counts this thread out of a cycle that is decided; says how.
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

    /// Breaks the barrier for those inside, unless they have been let through, and for all who
    /// come.
    fn break_now(&self, state: &mut State) {
        self.break_now_outside(state);
        self.fail_cycle(state);
    }

    fn break_now_outside(&self, state: &mut State) {
        state.broken = true;
        self.opened.notify_all();
    }

    /// Makes those inside fail, unless it is decided how they leave.
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
    /// Whether who comes now has to wait outside.
    fn shut(&self) -> bool {
        self.phase != Phase::Filling && !self.broken
    }
}

impl Phase {
    fn undecided(self) -> bool {
        matches!(self, Self::Filling | Self::Acting)
    }
}
