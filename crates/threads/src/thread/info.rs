//! The threads that are running: the current one, the main one, all of them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handle::JoinError;
use crate::deadline;
use crate::registry::{self, Record, Waiting};
use crate::waiting;

/// A thread's name, number and daemon flag, and whether it is still running.
///
/// It stays valid after the thread has ended. Cloning it is cheap.
///
/// ```
/// use towline_threads::thread;
///
/// let worker = thread::spawn(|| thread::current().id());
/// let info = worker.info();
/// assert_eq!(worker.join().unwrap(), info.id());
/// assert!(!info.is_alive());
/// ```
#[derive(Clone)]
pub struct ThreadInfo {
    record: Arc<Record>,
}

/// The current thread.
///
/// A thread started without this crate is listed from this call on, as a daemon, under its own name
/// (or `Foreign-N`).
///
/// ```
/// use towline_threads::thread;
///
/// assert!(thread::current().is_alive());
/// ```
pub fn current() -> ThreadInfo {
    ThreadInfo::new(registry::current_record())
}

/// Every live thread that this crate knows of: the main thread first, then by age.
///
/// This includes daemon threads and the workers of pools.
///
/// ```
/// use towline_threads::{sync::Event, thread};
/// use std::sync::Arc;
///
/// let go = Arc::new(Event::new());
/// let waits = Arc::clone(&go);
/// let worker = thread::Builder::new().name("listed").spawn(move || waits.wait())?;
/// assert!(thread::enumerate().iter().any(|t| t.name() == "listed"));
/// go.set();
/// worker.join().unwrap();
/// assert!(thread::enumerate().iter().all(|t| t.name() != "listed"));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn enumerate() -> Vec<ThreadInfo> {
    registry::live().into_iter().map(ThreadInfo::new).collect()
}

/// How many threads [`enumerate`] would list.
///
/// ```
/// assert!(towline_threads::thread::active_count() >= 1);
/// ```
pub fn active_count() -> usize {
    registry::count()
}

/// The thread that the process started with. Its name is `MainThread`, its number 1.
///
/// ```
/// use towline_threads::thread;
///
/// assert_eq!(thread::main_thread().name(), "MainThread");
/// assert!(!thread::main_thread().daemon());
/// ```
pub fn main_thread() -> ThreadInfo {
    ThreadInfo::new(registry::main_record())
}

impl ThreadInfo {
    pub(super) fn new(record: Arc<Record>) -> Self {
        Self { record }
    }

    /// The thread's name. Names need not be unique.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The thread's number, unique in this process and never reused.
    pub fn id(&self) -> u64 {
        self.record.id
    }

    /// Whether [`run`](super::run()) leaves this thread behind.
    pub fn daemon(&self) -> bool {
        self.record.daemon
    }

    /// Whether the thread has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.record.is_alive()
    }

    /// Waits until the thread has ended. Who needs its result joins its handle.
    ///
    /// # Errors
    ///
    /// [`JoinError::Itself`] in the thread itself, and for the main thread, which ends with the process.
    ///
    /// ```
    /// use towline_threads::thread;
    ///
    /// let worker = thread::spawn(|| 7);
    /// let info = worker.info();
    /// info.join().unwrap();
    /// assert!(!info.is_alive());
    /// assert_eq!(worker.join().unwrap(), 7);
    /// ```
    pub fn join(&self) -> Result<(), JoinError> {
        self.wait(None)
    }

    /// Waits until the thread has ended, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`JoinError::Timeout`] if it is still running, otherwise as [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<(), JoinError> {
        self.wait(deadline::after(timeout))
    }

    fn wait(&self, deadline: Option<Instant>) -> Result<(), JoinError> {
        let is_main = self.id() == registry::main_record().id;
        if is_main || self.id() == registry::current_record().id {
            return Err(JoinError::Itself);
        }
        let _note = self.is_alive().then(|| waiting::write(Waiting::Thread { name: self.name().to_owned() }));
        if registry::wait_until_gone(&self.record, deadline) { Ok(()) } else { Err(JoinError::Timeout) }
    }

    pub(super) fn number(&self) -> u32 {
        self.record.number()
    }

    pub(super) fn heritage(&self) -> bool {
        self.record.heritage()
    }
}

impl fmt::Debug for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadInfo")
            .field("name", &self.name())
            .field("id", &self.id())
            .field("daemon", &self.daemon())
            .field("is_alive", &self.is_alive())
            .finish()
    }
}
