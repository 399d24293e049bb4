//! Everyone who is told when a task is done.

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use super::status::FutureStatus;
use crate::deadline;
use crate::facade::{Condvar, Mutex};

/// Is told when a task is done.
///
/// Called once for each registration, in the thread that completes the task, outside all locks of
/// the task; it must be brief and must not panic.
pub(super) trait Watch: Send + Sync {
    fn done(&self, key: usize);
}

pub(super) type Callback = Box<dyn FnOnce(FutureStatus) + Send>;

/// A watch, and the key that it was registered with.
pub(super) type Watched = (Arc<dyn Watch>, usize);

/// One entry in a task's list, in the order of registration.
pub(super) enum Watcher {
    Callback(Callback),
    Watch(Arc<dyn Watch>, usize),
}

/// All who will be told.
#[derive(Default)]
pub(super) struct Audience {
    pub(super) watchers: Vec<Watcher>,
    /// The async task that polled last.
    pub(super) waker: Option<Waker>,
}

impl Audience {
    /// Separates those that only wait, which are told before any callback runs.
    pub(super) fn split(self) -> (Vec<Watched>, Option<Waker>, Vec<Callback>) {
        let mut watches = Vec::new();
        let mut callbacks = Vec::new();
        for watcher in self.watchers {
            match watcher {
                Watcher::Watch(watch, key) => watches.push((watch, key)),
                Watcher::Callback(callback) => callbacks.push(callback),
            }
        }
        (watches, self.waker, callbacks)
    }
}

/// One thread that waits for one task.
pub(super) struct Parker {
    done: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { done: Mutex::new(false), changed: Condvar::new() })
    }

    /// Waits until the task is done (true) or the time is up.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut done = self.done.lock();
        let mut in_time = true;
        while !*done && in_time {
            in_time = deadline::wait_until(&self.changed, &mut done, deadline);
        }
        *done
    }
}

impl Watch for Parker {
    fn done(&self, _key: usize) {
        let mut done = self.done.lock();
        *done = true;
        self.changed.notify_one();
    }
}
