//! The supervisor: settings, and the loop that calls the hooks.

use std::fmt;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::error::SuperviseError;
use super::hub::{Hub, Wake};
use super::interrupt::Interrupt;
use super::outcome::Outcome;
use super::source::{InterruptSink, InterruptSource};
use crate::cancel::{CancelReason, CancelToken};
use crate::panic::drop_quietly;

const RUN_SLEEP_DEFAULT: Duration = Duration::from_millis(500);
const GRACE_DEFAULT: Duration = Duration::from_secs(2);
/// A shorter interval would keep a processor busy with nothing but steps.
const RUN_SLEEP_MIN: Duration = Duration::from_millis(1);
/// Longer than any run, and short enough for every clock.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a supervisor runs. All hooks run in the thread that called [`Supervisor::run`].
///
/// See the [module](super) for an example.
pub trait Supervised {
    /// Starts the threads, normally [`threads_number`](Crew::threads_number) of them.
    ///
    /// # Errors
    ///
    /// Those of [`Crew::spawn`], and anything else that prevents the run. Threads already started
    /// are told to stop, and get the grace period to do so.
    fn init_threads(&mut self, crew: &Crew) -> io::Result<()>;

    /// Runs at the beginning (unless all threads have ended by then), then every `run_sleep`, and
    /// once more after the last thread has ended or been given up.
    fn run_step(&mut self) {}

    /// Runs once, on the first interrupt; the cancel token is already cancelled by then.
    fn run_interrupt(&mut self, interrupt: Interrupt) {
        let _ = interrupt;
    }
}

/// The settings of a supervised run; [`run`](Self::run) runs it.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use towline_threads::supervisor::{Crew, Outcome, Supervised, Supervisor};
///
/// struct Nothing;
///
/// impl Supervised for Nothing {
///     fn init_threads(&mut self, _crew: &Crew) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// let supervisor = Supervisor::new(2)
///     .run_sleep(Duration::from_millis(250))
///     .grace(Duration::from_secs(5))
///     .debug(false);
/// assert_eq!(supervisor.threads_number(), 2);
/// assert_eq!(supervisor.run(&mut Nothing).unwrap(), Outcome::Finished);
/// ```
#[must_use = "a supervisor does nothing until `run`"]
pub struct Supervisor {
    threads_number: usize,
    run_sleep: Duration,
    grace: Duration,
    debug: bool,
    source: Option<Box<dyn InterruptSource>>,
    token: CancelToken,
}

impl Supervisor {
    /// A supervisor that asks for `threads_number` threads.
    pub fn new(threads_number: usize) -> Self {
        Self {
            threads_number,
            run_sleep: RUN_SLEEP_DEFAULT,
            grace: GRACE_DEFAULT,
            debug: false,
            source: None,
            token: CancelToken::new(),
        }
    }

    /// Sets the time between two steps: half a second by default, at least 1 ms.
    pub fn run_sleep(mut self, run_sleep: Duration) -> Self {
        self.run_sleep = run_sleep.clamp(RUN_SLEEP_MIN, DURATION_MAX);
        self
    }

    /// Sets whether to write to stderr on an interrupt and when a thread is given up.
    pub fn debug(mut self, debug: bool) -> Self {
        self.debug = debug;
        self
    }

    /// Sets how long threads may take to end once they are told to: 2 s by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace.min(DURATION_MAX);
        self
    }

    /// Sets where interrupts come from; by default there are none.
    pub fn interrupts(mut self, source: impl InterruptSource + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Sets the token that tells the threads to stop; by default it is a new one.
    ///
    /// Cancelling it from elsewhere tells the threads to stop, but is not an interrupt: the run
    /// ends when they have ended.
    pub fn cancel_token(mut self, token: CancelToken) -> Self {
        self.token = token;
        self
    }

    /// How many threads this supervisor asks for.
    pub fn threads_number(&self) -> usize {
        self.threads_number
    }

    /// Starts the threads and supervises them until the last one has ended.
    ///
    /// On the first interrupt the token is cancelled with [`CancelReason::Interrupt`],
    /// `run_interrupt` runs, and the threads get the [`grace`](Self::grace) period to end, while
    /// steps continue. A second interrupt cancels with [`CancelReason::Terminate`] and ends the
    /// wait at once. Threads that have not ended by then are left behind. The last `run_step` runs
    /// after all that.
    ///
    /// # Errors
    ///
    /// [`SuperviseError::Init`] if `init_threads` failed; a last step still runs if a thread had
    /// been started. [`SuperviseError::Panicked`] if threads panicked.
    ///
    /// # Panics
    ///
    /// Resumes the panic of a hook: before that, the token is cancelled with
    /// [`CancelReason::Failed`], and the threads get the grace period to end. No other hook runs.
    pub fn run<S>(mut self, supervised: &mut S) -> Result<Outcome, SuperviseError>
    where
        S: Supervised + ?Sized,
    {
        let hub = Arc::new(Hub::new(self.threads_number, self.token.clone()));
        let source = self.source.take();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if let Some(source) = source {
                source.start(InterruptSink::new(&hub));
            }
            self.drive(&hub, supervised)
        }));
        match outcome {
            Ok(outcome) => outcome,
            Err(payload) => {
                self.wind_down(&hub);
                hub.close();
                resume_unwind(payload)
            }
        }
    }

    fn drive<S>(&self, hub: &Arc<Hub>, supervised: &mut S) -> Result<Outcome, SuperviseError>
    where
        S: Supervised + ?Sized,
    {
        let crew = Crew::new(Arc::clone(hub));
        if let Err(error) = supervised.init_threads(&crew) {
            self.wind_down(hub);
            if hub.has_started_any() {
                supervised.run_step();
            }
            hub.close();
            return Err(SuperviseError::Init(error));
        }
        self.watch(hub, supervised);
        for name in hub.names() {
            self.note(format_args!("thread {name} has not ended and is left behind"));
        }
        supervised.run_step();
        if let Some(late) = hub.close() {
            self.interrupted(late, supervised);
        }
        let outcome = hub.interrupted().map_or(Outcome::Finished, Outcome::Interrupted);
        let panics = hub.panics();
        if panics.is_empty() { Ok(outcome) } else { Err(SuperviseError::Panicked { panics, outcome }) }
    }

    /// Returns when the last thread has ended or been given up.
    fn watch<S>(&self, hub: &Hub, supervised: &mut S)
    where
        S: Supervised + ?Sized,
    {
        let mut grace_ends: Option<Instant> = None;
        let mut next_step = Instant::now();
        loop {
            let until = grace_ends.map_or(next_step, |end| end.min(next_step));
            match hub.wait(until) {
                Wake::AllEnded => break,
                Wake::Interrupt(interrupt) if grace_ends.is_none() => {
                    grace_ends = Some(Instant::now() + self.grace);
                    self.interrupted(interrupt, supervised);
                }
                Wake::Interrupt(interrupt) => {
                    self.note(format_args!("interrupted again by {interrupt}"));
                    self.token.cancel(CancelReason::Terminate);
                    break;
                }
                Wake::Time => {
                    let now = Instant::now();
                    if grace_ends.is_some_and(|end| end <= now) {
                        break;
                    }
                    if next_step <= now {
                        supervised.run_step();
                        next_step = Instant::now() + self.run_sleep;
                    }
                }
            }
        }
        hub.stop_adding();
    }

    fn interrupted<S>(&self, interrupt: Interrupt, supervised: &mut S)
    where
        S: Supervised + ?Sized,
    {
        self.note(format_args!("interrupted by {interrupt}"));
        self.token.cancel(CancelReason::Interrupt);
        supervised.run_interrupt(interrupt);
    }

    /// After a failure: tells the threads to stop, and gives them the grace period to do so.
    fn wind_down(&self, hub: &Hub) {
        hub.stop_adding();
        self.cancel_quietly(CancelReason::Failed);
        let grace_ends = Instant::now() + self.grace;
        let mut interrupted = hub.interrupted().is_some();
        while let Wake::Interrupt(_) = hub.wait(grace_ends) {
            if interrupted {
                self.cancel_quietly(CancelReason::Terminate);
                break;
            }
            interrupted = true;
            self.cancel_quietly(CancelReason::Interrupt);
        }
    }

    /// The panic hook has reported a callback that panics; there already is a failure to return.
    fn cancel_quietly(&self, reason: CancelReason) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.token.cancel(reason))) {
            drop_quietly(payload);
        }
    }

    fn note(&self, text: fmt::Arguments<'_>) {
        if self.debug {
            // If stderr is gone, there is no one left to tell.
            let _ = writeln!(io::stderr(), "supervisor: {text}");
        }
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("threads_number", &self.threads_number)
            .field("run_sleep", &self.run_sleep)
            .field("grace", &self.grace)
            .field("debug", &self.debug)
            .finish_non_exhaustive()
    }
}
