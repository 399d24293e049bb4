//! Starting a thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::excepthook;
use super::handle::{JoinHandle, Packet};
use super::info::{ThreadInfo, current};
use crate::facade::thread as native;
use crate::registry;

/// Starts a thread with a chosen name, daemon flag or stack size.
///
/// ```
/// use towline_threads::thread;
///
/// let worker = thread::Builder::new()
///     .name("parser")
///     .daemon(true)
///     .stack_size(256 * 1024)
///     .spawn(|| thread::current().daemon())?;
/// assert!(worker.join().unwrap());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder starts nothing until `spawn`"]
pub struct Builder {
    name: Option<String>,
    daemon: Option<bool>,
    stack_size: Option<usize>,
}

/// Starts a thread with the default settings.
///
/// # Panics
///
/// If the operating system cannot create the thread; [`Builder::spawn`] returns that as an error.
///
/// ```
/// use towline_threads::thread;
///
/// assert_eq!(thread::spawn(|| 6 * 7).join().unwrap(), 42);
/// ```
pub fn spawn<T, F>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Builder::new().spawn(f) {
        Ok(handle) => handle,
        Err(error) => panic!("the thread could not be started: {error}"),
    }
}

impl Builder {
    /// A builder with the defaults: the name `Thread-N`, the parent's daemon flag, the standard
    /// library's stack size.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the thread.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the daemon flag: [`run`](super::run()) leaves a daemon behind and waits for other
    /// threads.
    ///
    /// By default, the thread inherits the flag of the thread that starts it, if this crate started
    /// that one. Threads started by the main thread or by a foreign one are not daemons.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = Some(daemon);
        self
    }

    /// Sets the size of the thread's stack in bytes; the system may round it up.
    pub fn stack_size(mut self, size_bytes: usize) -> Self {
        self.stack_size = Some(size_bytes);
        self
    }

    /// Fills in settings that have not been set.
    pub(super) fn or(mut self, name: Option<String>, daemon: Option<bool>) -> Self {
        self.name = self.name.or(name);
        self.daemon = self.daemon.or(daemon);
        self
    }

    /// Starts the thread.
    ///
    /// A panic in `f` ends the thread and is kept for [`JoinHandle::join`]. Dropping the handle
    /// detaches the thread.
    ///
    /// # Errors
    ///
    /// The operating system's error if it cannot create the thread, or
    /// [`io::ErrorKind::InvalidInput`] if the name contains a NUL byte. `f` is then dropped without
    /// running.
    pub fn spawn<T, F>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.name.as_ref().is_some_and(|name| name.contains('\0')) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the name of a thread contains a NUL byte"));
        }
        let daemon = self.daemon.unwrap_or_else(|| current().heritage());
        let record = registry::enrol(self.name, daemon);
        let packet = Arc::new(Packet::new());

        let mut native = native::Builder::new().name(record.name.clone());
        if let Some(size_bytes) = self.stack_size {
            native = native.stack_size(size_bytes);
        }
        let own = Arc::clone(&record);
        let result = Arc::clone(&packet);
        let spawned = native.spawn(move || {
            registry::sit_down(Arc::clone(&own));
            let outcome = catch_unwind(AssertUnwindSafe(f));
            if let Err(payload) = &outcome {
                excepthook::report(&ThreadInfo::new(Arc::clone(&own)), payload);
            }
            // Off the list before the result is visible: after a join, the thread is no longer
            // listed.
            registry::leave(&own);
            result.finish(outcome);
        });
        match spawned {
            Ok(native) => Ok(JoinHandle::new(ThreadInfo::new(record), packet, native)),
            Err(error) => {
                registry::leave(&record);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_nul_byte_is_an_error_and_not_a_panic() {
        let error = Builder::new().name("a\0b").spawn(|| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn threads_without_a_name_are_numbered() {
        let handle = spawn(|| ());
        assert!(handle.name().starts_with("Thread-"), "{}", handle.name());
        handle.join().unwrap();
    }
}
