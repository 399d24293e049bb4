//! Waiting for a thread and taking its result.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::info::{ThreadInfo, current};
use crate::deadline;
use crate::deadlock::{Deadlock, LOOK_AGAIN, Obstacle, PATIENCE, publish};
use crate::facade::thread as native;
use crate::facade::{Condvar, Mutex, MutexGuard};
use crate::panic;
use crate::registry::Waiting;
use crate::waiting;

/// The handle of a thread: waits for its end and takes its result.
///
/// ```
/// use std::time::Duration;
/// use towline_threads::thread::{self, JoinError};
/// use towline_threads::sync::Event;
/// use std::sync::Arc;
///
/// let go = Arc::new(Event::new());
/// let waits = Arc::clone(&go);
/// let mut worker = thread::spawn(move || {
///     waits.wait();
///     "done"
/// });
/// let early = worker.join_timeout(Duration::from_millis(1));
/// assert!(matches!(early, Err(JoinError::Timeout)));
/// go.set();
/// assert_eq!(worker.join().unwrap(), "done");
/// ```
///
/// In CPython a thread can be joined any number of times, and its return value is lost. Here a join
/// returns the value, so it can happen only once:
///
/// ```compile_fail,E0382
/// use towline_threads::thread;
///
/// let worker = thread::spawn(|| 42);
/// let first = worker.join();
/// let second = worker.join();
/// ```
///
/// Because [`spawn`](super::spawn) both creates and starts a thread, none can be joined before its
/// start:
///
/// ```compile_fail,E0599
/// use towline_threads::thread;
///
/// let worker = thread::Builder::new().name("never started");
/// worker.join();
/// ```
pub struct JoinHandle<T> {
    info: ThreadInfo,
    packet: Arc<Packet<T>>,
    native: Option<native::JoinHandle<()>>,
}

/// Why a join returned no value.
#[non_exhaustive]
pub enum JoinError {
    /// The thread had not ended when the time was up. It keeps running; join again.
    Timeout,
    /// The thread panicked with this payload.
    Panicked(Box<dyn Any + Send>),
    /// A thread tried to join itself.
    Itself,
    /// An earlier [`JoinHandle::join_timeout`] took the result.
    Taken,
    /// The [`Timer`](crate::Timer) has not been started, so there is nothing to wait for.
    NotStarted,
    /// The thread waits, directly or through others, for the one that joins it.
    Deadlock(Deadlock),
}

/// Where a thread leaves its result.
pub(super) struct Packet<T> {
    slot: Mutex<Slot<T>>,
    ended: Condvar,
}

enum Slot<T> {
    Running,
    Ended(std::thread::Result<T>),
    Taken,
}

impl<T> JoinHandle<T> {
    pub(super) fn new(info: ThreadInfo, packet: Arc<Packet<T>>, native: native::JoinHandle<()>) -> Self {
        Self { info, packet, native: Some(native) }
    }

    /// Waits for the thread to end and returns its result.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] with the payload, [`JoinError::Itself`] if a thread joins itself,
    /// [`JoinError::Taken`] if [`join_timeout`](Self::join_timeout) has already returned the
    /// result, [`JoinError::Deadlock`] if the thread waits for this one.
    pub fn join(mut self) -> Result<T, JoinError> {
        let result = self.join_by_ref(None);
        if matches!(result, Err(JoinError::Itself | JoinError::Deadlock(_))) {
            return result;
        }
        if let Some(native) = self.native.take() {
            // Also waits for the destructors of thread-locals. A panic has already been caught.
            let _ = native.join();
        }
        result
    }

    /// Waits for the thread to end, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`JoinError::Timeout`] if the thread is still running; the handle can be used again.
    /// Otherwise as [`join`](Self::join).
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<T, JoinError> {
        self.join_by_ref(Some(timeout))
    }

    /// Joins without consuming the handle; `None` waits without a time limit.
    pub(crate) fn join_by_ref(&self, timeout: Option<Duration>) -> Result<T, JoinError> {
        if self.is_current() {
            return Err(JoinError::Itself);
        }
        // A deadline beyond the clock's range means no time limit, like `None`.
        let Some(deadline) = timeout.and_then(deadline::after) else {
            self.wait_for_end()?;
            return self.packet.take(None);
        };
        let _note =
            (!self.packet.has_ended()).then(|| waiting::write(Waiting::Thread { name: self.name().to_owned() }));
        self.packet.take(Some(deadline))
    }

    /// Whether the thread has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.info.is_alive()
    }

    /// The thread's name.
    pub fn name(&self) -> &str {
        self.info.name()
    }

    /// The thread's name, number and flags; it outlives this handle.
    pub fn info(&self) -> ThreadInfo {
        self.info.clone()
    }

    /// Waits without a time limit, and looks for deadlocks.
    fn wait_for_end(&self) -> Result<(), JoinError> {
        if self.packet.has_ended() {
            return Ok(());
        }
        let _note = waiting::write(Waiting::Thread { name: self.name().to_owned() });
        if self.packet.wait(deadline::after(PATIENCE)) {
            return Ok(());
        }
        let obstacle = Obstacle::Thread { number: self.info.number(), name: self.name().to_owned() };
        let published = publish(obstacle).map_err(JoinError::Deadlock)?;
        while !self.packet.wait(deadline::after(LOOK_AGAIN)) {
            published.look_again().map_err(JoinError::Deadlock)?;
        }
        Ok(())
    }

    fn is_current(&self) -> bool {
        current().id() == self.info.id()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("info", &self.info).finish_non_exhaustive()
    }
}

impl JoinError {
    /// The text of the panic, if this is one; a placeholder if the payload is not text.
    ///
    /// ```
    /// use towline_threads::thread;
    ///
    /// let error = thread::spawn::<(), _>(|| panic!("no such file")).join().unwrap_err();
    /// assert_eq!(error.panic_message(), Some("no such file"));
    /// ```
    pub fn panic_message(&self) -> Option<&str> {
        match self {
            Self::Panicked(payload) => Some(panic::message(&**payload)),
            Self::Timeout | Self::Itself | Self::Taken | Self::NotStarted | Self::Deadlock(_) => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the thread had not ended when the time was up"),
            Self::Panicked(payload) => {
                write!(f, "the thread panicked: {}", panic::message(&**payload))
            }
            Self::Itself => f.write_str("a thread cannot join itself"),
            Self::Taken => f.write_str("the thread's result has been taken before"),
            Self::NotStarted => f.write_str("the timer has not been started"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("Timeout"),
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(&panic::message(&**payload)).finish(),
            Self::Itself => f.write_str("Itself"),
            Self::Taken => f.write_str("Taken"),
            Self::NotStarted => f.write_str("NotStarted"),
            Self::Deadlock(deadlock) => deadlock.fmt(f),
        }
    }
}

impl std::error::Error for JoinError {}

impl<T> Packet<T> {
    pub(super) fn new() -> Self {
        Self { slot: Mutex::new(Slot::Running), ended: Condvar::new() }
    }

    pub(super) fn finish(&self, outcome: std::thread::Result<T>) {
        *self.slot.lock() = Slot::Ended(outcome);
        self.ended.notify_all();
    }

    fn has_ended(&self) -> bool {
        !matches!(*self.slot.lock(), Slot::Running)
    }

    /// Waits until the thread has ended; false if the time is up first.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        self.wait_with_lock(deadline).is_some()
    }

    fn wait_with_lock(&self, deadline: Option<Instant>) -> Option<MutexGuard<'_, Slot<T>>> {
        let mut slot = self.slot.lock();
        while matches!(*slot, Slot::Running) {
            let in_time = deadline::wait_until(&self.ended, &mut slot, deadline);
            if !in_time && matches!(*slot, Slot::Running) {
                return None;
            }
        }
        Some(slot)
    }

    fn take(&self, deadline: Option<Instant>) -> Result<T, JoinError> {
        let Some(mut slot) = self.wait_with_lock(deadline) else {
            return Err(JoinError::Timeout);
        };
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Ended(Ok(value)) => Ok(value),
            Slot::Ended(Err(payload)) => Err(JoinError::Panicked(payload)),
            Slot::Taken => Err(JoinError::Taken),
            Slot::Running => unreachable!("the wait above ends when the thread has"),
        }
    }
}
