//! A closure that runs after a delay, unless it is cancelled first.
//!
//! The closure stays under one small lock until the timer's thread takes it out to run it, or
//! `cancel` takes it out to drop it. Only one of them can, so a timer fires or is cancelled, never
//! both.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::{Condvar, Mutex};
use crate::naming::Name;
use crate::thread::{Builder, JoinError, JoinHandle, ThreadInfo};
use crate::waiting;

/// Runs a closure once, after a delay, in its own thread.
///
/// Like Python's `Timer`, it is a thread that waits: [`enumerate`](crate::thread::enumerate) lists
/// it, and [`run`](crate::thread::run()) waits for it unless it is a daemon. Dropping this handle
/// does not stop the timer.
///
/// ```
/// use std::sync::mpsc;
/// use std::time::Duration;
/// use towline_threads::timer::Timer;
///
/// let (tells, hears) = mpsc::channel();
/// let reminder = Timer::new(Duration::from_millis(5), move || tells.send("tea is ready").unwrap());
/// reminder.start()?;
/// assert_eq!(hears.recv(), Ok("tea is ready"));
/// reminder.cancel(); // too late, and no error
/// reminder.join().unwrap();
/// assert!(reminder.fired());
/// # Ok::<(), towline_threads::timer::TimerError>(())
/// ```
///
/// A timer that is cancelled in time does nothing:
///
/// ```
/// use std::time::Duration;
/// use towline_threads::timer::Timer;
///
/// let alarm = Timer::new(Duration::from_secs(3600), || unreachable!("it is cancelled"));
/// alarm.start()?;
/// alarm.cancel();
/// alarm.join().unwrap(); // its thread ends at once
/// assert!(!alarm.fired());
/// # Ok::<(), towline_threads::timer::TimerError>(())
/// ```
pub struct Timer {
    delay: Duration,
    name: Option<String>,
    daemon: Option<bool>,
    shared: Arc<Shared>,
    /// Set under the lock, together with `started`. Stays empty if the timer was cancelled before
    /// its start.
    thread: OnceLock<JoinHandle<()>>,
}

/// Why a timer was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// It has been started before; a timer runs once.
    #[error("the timer has been started before")]
    AlreadyStarted,
    /// The system could not create the thread, or the name contains a NUL byte. Starting may be
    /// tried again.
    #[error("the timer's thread could not be started")]
    Start(#[source] io::Error),
}

type Task = Box<dyn FnOnce() + Send>;

struct Shared {
    state: Mutex<State>,
    cancelled: Condvar,
    /// For reports.
    made: Name,
}

struct State {
    /// Gone once the timer has fired or has been cancelled.
    task: Option<Task>,
    started: bool,
    fired: bool,
    /// The timer's thread has ended without a panic.
    completed: bool,
}

static NEXT_NAME: AtomicU64 = AtomicU64::new(1);

impl Timer {
    /// A timer that runs `f` when `delay` has passed since its [`start`](Self::start).
    ///
    /// A delay beyond the clock's range never ends.
    #[track_caller]
    pub fn new<F>(delay: Duration, f: F) -> Self
    where
        F: FnOnce() + Send + 'static,
    {
        let state = State { task: Some(Box::new(f)), started: false, fired: false, completed: false };
        Self {
            delay,
            name: None,
            daemon: None,
            shared: Arc::new(Shared { state: Mutex::new(state), cancelled: Condvar::new(), made: Name::here() }),
            thread: OnceLock::new(),
        }
    }

    /// Names the timer's thread; the default is `Timer-N`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the daemon flag: [`run`](crate::thread::run()) leaves a daemon behind and waits for
    /// others.
    ///
    /// By default, the timer inherits the flag of the thread that starts it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::timer::Timer;
    ///
    /// let timer = Timer::new(Duration::from_secs(3600), || ()).name("session").daemon(true);
    /// timer.start()?;
    /// let info = timer.info().unwrap();
    /// assert_eq!((info.name(), info.daemon()), ("session", true));
    /// timer.cancel();
    /// # Ok::<(), towline_threads::timer::TimerError>(())
    /// ```
    #[must_use]
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Starts the delay.
    ///
    /// A timer that was already cancelled starts without effect.
    ///
    /// # Errors
    ///
    /// [`TimerError::AlreadyStarted`] the second time. [`TimerError::Start`] if the thread could
    /// not be created; the timer then counts as not started.
    pub fn start(&self) -> Result<(), TimerError> {
        // Held throughout, so that no thread sees a started timer without its thread.
        let mut state = self.shared.state.lock();
        if state.started {
            return Err(TimerError::AlreadyStarted);
        }
        if state.task.is_some() {
            let deadline = deadline::after(self.delay);
            let shared = Arc::clone(&self.shared);
            let thread = self.builder().spawn(move || shared.run(deadline)).map_err(TimerError::Start)?;
            // It is empty: this is reached once, under the lock.
            let _ = self.thread.set(thread);
        }
        state.started = true;
        Ok(())
    }

    /// Drops the closure, unless it has already begun to run.
    ///
    /// Harmless before the start, after the timer has fired, and when called again.
    pub fn cancel(&self) {
        let task = {
            let mut state = self.shared.state.lock();
            self.shared.cancelled.notify_all();
            state.task.take()
        };
        // Not under the lock: its destructor is user code.
        drop(task);
    }

    /// Waits until the timer is done: until its closure has returned, or it has been cancelled.
    ///
    /// Several threads may wait, and more than once.
    ///
    /// # Errors
    ///
    /// [`JoinError::NotStarted`] before the start. [`JoinError::Panicked`] with the payload if the
    /// closure panicked, and [`JoinError::Taken`] for later joins. [`JoinError::Itself`] inside the
    /// closure, [`JoinError::Deadlock`] if the closure waits for this thread.
    pub fn join(&self) -> Result<(), JoinError> {
        self.join_within(None)
    }

    /// Waits until the timer is done, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`JoinError::Timeout`] if it is not done by then; otherwise as [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), JoinError> {
        self.join_within(Some(timeout))
    }

    /// Whether the timer's thread is running: it waits or runs the closure.
    pub fn is_alive(&self) -> bool {
        self.thread.get().is_some_and(JoinHandle::is_alive)
    }

    /// Whether the timer has fired: the closure is running or has run.
    pub fn fired(&self) -> bool {
        self.shared.state.lock().fired
    }

    /// The timer's thread; `None` before the start, or if the timer was cancelled before its start.
    pub fn info(&self) -> Option<ThreadInfo> {
        self.thread.get().map(JoinHandle::info)
    }

    fn builder(&self) -> Builder {
        let numbered = || format!("Timer-{}", NEXT_NAME.fetch_add(1, Ordering::Relaxed));
        let builder = Builder::new().name(self.name.clone().unwrap_or_else(numbered));
        match self.daemon {
            Some(daemon) => builder.daemon(daemon),
            None => builder,
        }
    }

    fn join_within(&self, timeout: Option<Duration>) -> Result<(), JoinError> {
        let started = self.shared.state.lock().started;
        if !started {
            return Err(JoinError::NotStarted);
        }
        let Some(thread) = self.thread.get() else {
            return Ok(());
        };
        match thread.join_by_ref(timeout) {
            // Only a panic can be taken; a normal end is the same for every caller.
            Err(JoinError::Taken) if self.shared.state.lock().completed => Ok(()),
            result => result,
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("delay", &self.delay)
            .field("is_alive", &self.is_alive())
            .field("fired", &self.fired())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// What the timer's thread does.
    fn run(&self, deadline: Option<Instant>) {
        if let Some(task) = self.wait_until(deadline) {
            task();
        }
        self.state.lock().completed = true;
    }

    /// Takes the closure when its time has come; `None` if it has been cancelled.
    fn wait_until(&self, deadline: Option<Instant>) -> Option<Task> {
        let mut state = self.state.lock();
        let _note = waiting::note("Timer", &self.made);
        let mut in_time = true;
        while in_time && state.task.is_some() {
            in_time = deadline::wait_until(&self.cancelled, &mut state, deadline);
        }
        let task = state.task.take();
        state.fired = task.is_some();
        task
    }
}
