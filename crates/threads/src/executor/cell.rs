//! The states of one task: the closure on its way in, the result on its way out.
//!
//! # The protocol
//!
//! `stage` is one atomic byte. The lower bits say how far the task has come, and move only along
//! these edges:
//!
//! ```text
//! PENDING -> RUNNING -> FINISHED | PANICKED -> TAKEN
//! PENDING -> CANCELLED | BROKEN
//! ```
//!
//! One more bit, `WATCHED`, says that somebody is in the audience.
//!
//! * *Runs or is cancelled, never both*: each leaves `PENDING` by a compare-and-swap, and one of
//!   them succeeds. It alone owns `content` from then on: the runner takes the closure out and puts
//!   the result in, the canceller takes the closure out and drops it.
//! * *The result is whole when it is seen*: the runner writes `content` and then swaps the stage
//!   (release); whoever takes it has seen that stage (acquire), and by the compare-and-swap to
//!   `TAKEN` is the only one.
//! * *Nobody waits in vain*: a watcher puts itself on the list, then sets `WATCHED`, both under the
//!   audience's lock. Both the setting and the swap to a final stage are read-modify-writes of one
//!   atomic, so one comes first. If the setting does, the swap returns the bit, and the thread that
//!   swapped goes to the list under the lock. If the swap does, the setting returns a final stage,
//!   and the watcher takes itself off again, which it can, as it has not let go of the lock.
//! * *Each is told once*: whoever takes the list takes the whole of it; a watcher that finds the
//!   task done was never on a list that anybody takes later, for nobody looks again after the swap.
//!
//! `loom_tests.rs` runs these through every interleaving of a few threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::watch::{Audience, Callback, Watch, Watcher};
use crate::facade::Mutex;
use crate::facade::atomic::{AtomicU8, Ordering};
use crate::panic::{Payload, drop_quietly};

#[cfg(loom)]
use loom::cell::UnsafeCell;
#[cfg(not(loom))]
use std::cell::UnsafeCell;

pub(super) const PENDING: u8 = 0;
pub(super) const RUNNING: u8 = 1;
pub(super) const FINISHED: u8 = 2;
pub(super) const PANICKED: u8 = 3;
pub(super) const TAKEN_FINISHED: u8 = 4;
pub(super) const TAKEN_PANICKED: u8 = 5;
pub(super) const CANCELLED: u8 = 6;
pub(super) const BROKEN: u8 = 7;

const STAGE: u8 = 0b0111;
const WATCHED: u8 = 0b1000;

/// How a task ends that will not run.
#[derive(Clone)]
pub(super) enum Verdict {
    Cancelled,
    Broken(Arc<str>),
}

pub(super) struct TaskCell<F, T> {
    stage: AtomicU8,
    /// Boxed when there is somebody, so that a task nobody waits for stays small.
    rest: Mutex<Option<Box<Rest>>>,
    content: UnsafeCell<Content<F, T>>,
}

#[derive(Default)]
struct Rest {
    audience: Audience,
    broken: Option<Arc<str>>,
}

enum Content<F, T> {
    Work(F),
    Value(T),
    /// Boxed once more: panics are rare, and the cell is smaller.
    Panic(Box<Payload>),
    Nothing,
}

// SAFETY: `content` is touched by one thread at a time: by the maker, then by the one that moved
// the stage away from `PENDING`, then by the one that moved it to `TAKEN_*`; the stages order them
// (see the module). The exception, `panic_text`, reads a text that nobody changes. So it is enough
// that what is inside may move between threads.
#[expect(unsafe_code, reason = "the stages are the lock")]
unsafe impl<F: Send, T: Send> Sync for TaskCell<F, T> {}

#[expect(unsafe_code, reason = "the stages are the lock: one compare-and-swap instead of a mutex, measured")]
impl<F, T> TaskCell<F, T> {
    pub(super) fn new(work: F) -> Self {
        Self { stage: AtomicU8::new(PENDING), rest: Mutex::new(None), content: UnsafeCell::new(Content::Work(work)) }
    }

    pub(super) fn stage(&self) -> u8 {
        self.stage.load(Ordering::Acquire) & STAGE
    }

    /// Takes the closure of a pending task, which is running from now on.
    pub(super) fn claim(&self) -> Option<F> {
        self.leave_pending(RUNNING).then(|| self.take_work())
    }

    /// Ends a pending task that will not run, tells whoever waits, and returns the callbacks; `None`
    /// if the task is not pending. [`abandoned`](Self::abandoned) must follow.
    pub(super) fn settle(&self, verdict: Verdict) -> Option<Vec<Callback>> {
        let settled = match verdict {
            Verdict::Cancelled => self.leave_pending(CANCELLED),
            Verdict::Broken(reason) => {
                // The reason is there before anybody sees that there is one.
                let mut rest = self.rest.lock();
                let broken = self.leave_pending(BROKEN);
                if broken {
                    rest.get_or_insert_default().broken = Some(reason);
                }
                broken
            }
        };
        settled.then(|| self.tell_watches())
    }

    /// The closure of a task that this thread has settled.
    pub(super) fn abandoned(&self) -> F {
        self.take_work()
    }

    /// Puts the result of a running task in, tells whoever waits, and returns the callbacks.
    pub(super) fn finish(&self, outcome: Result<T, Payload>) -> Vec<Callback> {
        let (stage, content) = match outcome {
            Ok(value) => (FINISHED, Content::Value(value)),
            Err(payload) => (PANICKED, Content::Panic(Box::new(payload))),
        };
        // SAFETY: this thread has moved the stage to `RUNNING`, so `content` is its own.
        self.with_content(|place| unsafe { *place = content });
        let before = self.stage.swap(stage, Ordering::AcqRel);
        if before & WATCHED == 0 { Vec::new() } else { self.tell_watches() }
    }

    /// Takes the result; `None` if the task did not run, has not ended, or was asked before.
    pub(super) fn take(&self) -> Option<Result<T, Payload>> {
        let stage = self.stage.load(Ordering::Acquire);
        let taken = match stage & STAGE {
            FINISHED => TAKEN_FINISHED,
            PANICKED => TAKEN_PANICKED,
            _ => return None,
        };
        // The bit may be set meanwhile, by a callback that comes late: once more then.
        self.stage
            .fetch_update(Ordering::Acquire, Ordering::Acquire, |now| {
                (now & STAGE == stage & STAGE).then_some(taken | (now & WATCHED))
            })
            .ok()?;
        // SAFETY: this thread has moved the stage to `TAKEN_*`, so `content` is its own.
        let content = self.with_content(|place| unsafe { std::mem::replace(&mut *place, Content::Nothing) });
        match content {
            Content::Value(value) => Some(Ok(value)),
            Content::Panic(payload) => Some(Err(*payload)),
            Content::Work(_) | Content::Nothing => unreachable!("a task that has run has a result"),
        }
    }

    /// Takes the closure back out of a task that no pool has seen.
    pub(super) fn reclaim(self) -> F {
        match self.content.into_inner() {
            Content::Work(work) => work,
            _ => unreachable!("a task that no pool has seen is pending"),
        }
    }

    /// Why the pool broke before the task ran.
    pub(super) fn broken(&self) -> Option<Arc<str>> {
        self.rest.lock().as_ref().and_then(|rest| rest.broken.clone())
    }

    /// The text of a panic that nobody has taken; the caller must be the owner of the future, so
    /// that nobody takes it meanwhile.
    pub(super) fn panic_text(&self) -> Option<String> {
        if self.stage() != PANICKED {
            return None;
        }
        // SAFETY: the stage says that the runner is through (acquire), and by the caller's promise
        // nobody moves it on; a text is read, which may be shared between threads.
        self.with_content(|place| match unsafe { &*place } {
            Content::Panic(payload) => Some(crate::panic::message(&***payload).to_owned()),
            _ => None,
        })
    }

    /// Puts `watcher` on the list; gives it back if the task is done.
    pub(super) fn add(&self, watcher: Watcher) -> Result<(), Watcher> {
        let mut rest = self.rest.lock();
        let watchers = &mut rest.get_or_insert_default().audience.watchers;
        watchers.push(watcher);
        if !is_done(self.stage.fetch_or(WATCHED, Ordering::AcqRel) & STAGE) {
            return Ok(());
        }
        watchers.pop().map_or(Ok(()), Err)
    }

    /// Leaves the waker of an async task, instead of the one that is there; false if the task is
    /// done, so that nobody would call it.
    pub(super) fn set_waker(&self, waker: &std::task::Waker) -> bool {
        // Cloned and dropped outside the lock: both are the user's code.
        let mut other = Some(waker.clone());
        let mut rest = self.rest.lock();
        let place = &mut rest.get_or_insert_default().audience.waker;
        std::mem::swap(place, &mut other);
        let done = is_done(self.stage.fetch_or(WATCHED, Ordering::AcqRel) & STAGE);
        let unneeded = if done { place.take() } else { None };
        drop(rest);
        drop((other, unneeded));
        !done
    }

    /// Takes every registration of `watch` off the list.
    pub(super) fn remove(&self, watch: &Arc<dyn Watch>) {
        let mut removed = Vec::new();
        let mut rest = self.rest.lock();
        if let Some(rest) = rest.as_mut() {
            let watchers = &mut rest.audience.watchers;
            let is_it =
                |watcher: &mut Watcher| matches!(watcher, Watcher::Watch(other, _) if Arc::ptr_eq(other, watch));
            removed.extend(watchers.extract_if(.., is_it));
        }
        drop(rest);
        drop(removed);
    }

    fn leave_pending(&self, to: u8) -> bool {
        // The bit stays: whoever is on the list is told at the end.
        self.stage
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now & STAGE == PENDING).then_some(to | (now & WATCHED))
            })
            .is_ok()
    }

    /// Tells all who only wait, and returns the callbacks for later.
    fn tell_watches(&self) -> Vec<Callback> {
        let (watches, waker, callbacks) = self.take_audience().split();
        for (watch, key) in watches {
            watch.done(key);
        }
        if let Some(waker) = waker {
            // The user's code; callbacks and other tasks come after it.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                drop_quietly(payload);
            }
        }
        callbacks
    }

    fn take_audience(&self) -> Audience {
        self.rest.lock().as_mut().map(|rest| std::mem::take(&mut rest.audience)).unwrap_or_default()
    }

    /// Only for the one that has moved the stage away from `PENDING`.
    fn take_work(&self) -> F {
        // SAFETY: see above, the caller is the only one.
        match self.with_content(|place| unsafe { std::mem::replace(&mut *place, Content::Nothing) }) {
            Content::Work(work) => work,
            _ => unreachable!("a pending task has its closure"),
        }
    }

    #[cfg(not(loom))]
    fn with_content<R>(&self, f: impl FnOnce(*mut Content<F, T>) -> R) -> R {
        f(self.content.get())
    }

    /// loom checks that nobody else is there meanwhile.
    #[cfg(loom)]
    fn with_content<R>(&self, f: impl FnOnce(*mut Content<F, T>) -> R) -> R {
        self.content.with_mut(f)
    }
}

pub(super) fn is_done(stage: u8) -> bool {
    !matches!(stage, PENDING | RUNNING)
}
