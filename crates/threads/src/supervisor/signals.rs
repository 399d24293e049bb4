//! SIGINT, SIGTERM and SIGHUP as interrupts; for programs, not for libraries.
//!
//! The first signal interrupts the supervisor, which shuts the run down in order. A second one ends
//! the process at once, by that signal's default action, whatever the supervisor is doing. A signal
//! that was ignored when the process started (SIGHUP, under `nohup`) stays ignored. With a limit,
//! the first signal also ends the process if the orderly shutdown takes too long.
//!
//! One daemon thread handles the signals. They wake it through a pipe, so a signal handler only
//! writes to that pipe.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Arriving;
use signal_hook::low_level::emulate_default_handler;

use super::interrupt::Interrupt;
use super::source::{InterruptSink, InterruptSource, Relay};
use crate::thread;

/// While the limit runs, the time between two checks for a second signal.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The process's signals as a source of interrupts.
///
/// ```no_run
/// use std::io;
/// use towline_threads::supervisor::signals::Signals;
/// use towline_threads::supervisor::{Crew, Outcome, Supervised, Supervisor};
///
/// struct Work;
///
/// impl Supervised for Work {
///     fn init_threads(&mut self, crew: &Crew) -> io::Result<()> {
///         let token = crew.cancel_token().clone();
///         crew.spawn("works", move || while !token.is_cancelled() { /* one unit of work */ })
///     }
/// }
///
/// let signals = Signals::install()?; // early: what comes from now on is not lost
/// let outcome = Supervisor::new(1).interrupts(signals).run(&mut Work).unwrap();
/// if let Outcome::Interrupted(interrupt) = outcome {
///     interrupt.raise_default(); // let the parent see what ended this process
/// }
/// # Ok::<(), io::Error>(())
/// ```
#[must_use = "dropping it before a run gives the signals their default action back"]
pub struct Signals {
    relay: Arc<Relay>,
}

impl Signals {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on, except those that are ignored now.
    ///
    /// Call it once, early in `main`. The first signal that arrives before the run is kept for it;
    /// a second one still ends the process. The operating system counts two signals of one kind as
    /// one if the first has not been handled yet. A signal that arrives after the run has its
    /// default action.
    ///
    /// # Errors
    ///
    /// The operating system's error if it refuses a handler, a pipe or a thread.
    pub fn install() -> io::Result<Self> {
        Self::catch(None)
    }

    /// Like [`install`](Self::install), for a program that must end soon, even if it is blocked on
    /// a pipe that no one reads or writes.
    ///
    /// If the process is still running `limit` after the first signal, that signal's default action
    /// ends it. Before the run there is nothing to shut down, so a signal then has its default
    /// action at once.
    ///
    /// # Errors
    ///
    /// Those of [`install`](Self::install).
    pub fn install_with_limit(limit: Duration) -> io::Result<Self> {
        Self::catch(Some(limit))
    }

    fn catch(limit: Option<Duration>) -> io::Result<Self> {
        let mut caught = Vec::new();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if !is_ignored(signal)? {
                caught.push(signal);
            }
        }
        let mut arriving = Arriving::new(&caught)?;
        let relay = Arc::new(Relay::new());
        let passes_on = Arc::clone(&relay);
        thread::Builder::new().name("signals").daemon(true).spawn(move || {
            let Some(first) = arriving.forever().next() else { return };
            // The first goes to the supervisor. The second ends the process.
            let interrupt = Interrupt::Signal(first);
            let is_heeded = if limit.is_some() { passes_on.send_to_run(interrupt) } else { passes_on.send(interrupt) };
            let last = match limit {
                _ if !is_heeded => Some(first),
                None => arriving.forever().next(),
                Some(limit) => Some(next_within(&mut arriving, limit).unwrap_or(first)),
            };
            if let Some(signal) = last {
                // Fails only for signals without a known action; these three have one.
                let _ = emulate_default_handler(signal);
            }
        })?;
        Ok(Self { relay })
    }
}

impl InterruptSource for Signals {
    fn start(self: Box<Self>, sink: InterruptSink) {
        self.relay.connect(sink);
    }
}

impl Drop for Signals {
    /// Gives a signal that was kept for a run its default action; does nothing once a run has
    /// begun.
    fn drop(&mut self) {
        if let Some(Interrupt::Signal(signal)) = self.relay.close().first() {
            let _ = emulate_default_handler(*signal);
        }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").finish_non_exhaustive()
    }
}

impl Interrupt {
    /// Ends this process by the signal that interrupted it, so its parent sees the cause. Call it
    /// at the orderly end of a program.
    ///
    /// A shell stops a loop of commands only if the interrupted command ends in this way.
    /// Destructors do not run, and buffered output is lost.
    ///
    /// If the signal does not end a process, or cannot be raised, the process exits with status
    /// 128 + signal instead, as a shell would report it. [`Interrupt::Requested`] exits with
    /// status 1.
    pub fn raise_default(self) -> ! {
        let status = match self {
            Self::Signal(signal) => {
                // Returns only if it did not end the process.
                let _ = emulate_default_handler(signal);
                signal.saturating_add(128)
            }
            Self::Requested => 1,
        };
        std::process::exit(status)
    }
}

/// The next signal, if one arrives in time.
fn next_within(arriving: &mut Arriving, limit: Duration) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(signal) = arriving.pending().next() {
            return Some(signal);
        }
        let left = limit.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return None;
        }
        std::thread::sleep(left.min(LOOK_EVERY));
    }
}

/// Whether the process ignores `signal` now.
#[expect(unsafe_code, reason = "the standard library cannot ask for a signal's disposition")]
fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the new action is null, so nothing is changed; the old one is written to `action`,
    // which has room for it.
    let status = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded and has written it; all zeroes would be a valid value too.
    let action = unsafe { action.assume_init() };
    Ok(action.sa_sigaction == libc::SIG_IGN)
}
