//! The threads of a supervised run.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::hub::Hub;
use crate::cancel::CancelToken;
use crate::thread;

/// The threads of a supervised run. Clones are handles to the same crew, for any thread.
///
/// It stays valid after the run: [`names`](Self::names) then lists the threads that did not end.
#[derive(Clone)]
pub struct Crew {
    hub: Arc<Hub>,
}

impl Crew {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Starts a thread that the supervisor waits for.
    ///
    /// It should check the [`cancel_token`](Self::cancel_token) between two units of work. A panic
    /// ends only this thread; the supervisor reports it after the run. Any thread may add threads
    /// while at least one is running.
    ///
    /// The thread is a daemon: if it ignores the token, it does not keep the program alive.
    ///
    /// # Errors
    ///
    /// The operating system's error if it cannot create the thread, or an error if the run has
    /// ended (its last thread ended or was given up).
    pub fn spawn<F>(&self, name: impl Into<String>, f: F) -> io::Result<()>
    where
        F: FnOnce() + Send + 'static,
    {
        let name = name.into();
        let id = self.hub.enter(&name)?;
        let hub = Arc::clone(&self.hub);
        let started = thread::Builder::new().name(name).daemon(true).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(f));
            if let Err(payload) = &outcome {
                thread::report_panic(payload);
            }
            hub.leave(id, outcome.err());
        });
        if let Err(error) = started {
            self.hub.leave(id, None);
            return Err(error);
        }
        Ok(())
    }

    /// The number of threads given to the supervisor, for `init_threads` to use; nothing enforces
    /// it.
    pub fn threads_number(&self) -> usize {
        self.hub.threads_number
    }

    /// The token that tells the threads to stop.
    pub fn cancel_token(&self) -> &CancelToken {
        &self.hub.token
    }

    /// Whether at least one thread is running.
    pub fn is_alive(&self) -> bool {
        self.hub.is_alive()
    }

    /// Whether the run has been interrupted.
    pub fn is_interrupt(&self) -> bool {
        self.hub.interrupted().is_some()
    }

    /// The names of the threads that are running, in the order in which they were added.
    pub fn names(&self) -> Vec<String> {
        self.hub.names()
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew")
            .field("threads_number", &self.threads_number())
            .field("names", &self.names())
            .field("is_interrupt", &self.is_interrupt())
            .finish_non_exhaustive()
    }
}
