//! The states of one task: the closure on its way in, the result on its way out.
//!
//! # The protocol
//!
//! `stage` is one atomic byte. The lower bits hold the task's stage, which changes only along these
//! edges:
//!
//! ```text
//! PENDING -> RUNNING -> FINISHED | PANICKED -> TAKEN
//! PENDING -> CANCELLED | BROKEN
//! ```
//!
//! One more bit, `WATCHED`, says that there is an audience.
//!
//! * *Runs or is cancelled, never both*: both leave `PENDING` by a compare-and-swap, and only one
//!   of them succeeds. It alone owns `content` from then on: the runner takes the closure out and
//!   puts the result in, the canceller takes the closure out and drops it.
//! * *A visible result is complete*: the runner writes `content` and then swaps the stage
//!   (release); a thread that takes the result has seen that stage (acquire), and its
//!   compare-and-swap to `TAKEN` makes it the only one.
//! * *Nobody waits in vain*: a watcher adds itself to the list, then sets `WATCHED`, both under the
//!   audience's lock. Setting the bit and swapping in a final stage are read-modify-writes of one
//!   atomic, so one comes first. If the bit is set first, the swap returns it, and the thread that
//!   swapped takes the list under the lock. If the swap comes first, setting the bit returns a
//!   final stage, and the watcher, which still holds the lock, removes itself from the list.
//! * *Each watcher is told once*: a thread that takes the list takes all of it. A watcher that
//!   finds the task done is on no list that is taken later, because no thread looks again after the
//!   swap.
//!
//! `loom_tests.rs` runs these through every interleaving of a few threads.

use std::any::Any;
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

/// How a task that will not run ends.
#[derive(Clone)]
pub(super) enum Verdict {
    Cancelled,
    Broken(Arc<str>),
}

pub(super) struct TaskCell<F, T> {
    stage: AtomicU8,
    /// Boxed, and only when needed, so that a task that no one waits for stays small.
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
    /// Boxed once more: panics are rare, and this keeps the cell small.
    Panic(Box<Payload>),
    Nothing,
}

// SAFETY: one thread at a time accesses `content`: its creator, then the one that moved the stage
// away from `PENDING`, then the one that moved it to `TAKEN_*`; the stages order them (see the
// module). The exception, `panic_text`, reads a text that no thread changes. So it is enough that
// the contents may move between threads.
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

    /// Takes the closure of a pending task; the task is running from now on.
    pub(super) fn claim(&self) -> Option<F> {
        self.leave_pending(RUNNING).then(|| self.take_work())
    }

    /// Ends a pending task that will not run, wakes its waiters, and returns the callbacks; `None`
    /// if the task is not pending. [`abandoned`](Self::abandoned) must follow.
    pub(super) fn settle(&self, verdict: Verdict) -> Option<Vec<Callback>> {
        let settled = match verdict {
            Verdict::Cancelled => self.leave_pending(CANCELLED),
            Verdict::Broken(reason) => {
                // Under the lock, so that whoever sees the stage finds the reason too.
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

    /// Stores the result of a running task, wakes its waiters, and returns the callbacks.
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

    /// Takes the result; `None` if the task did not run, has not ended, or its result was already
    /// taken.
    pub(super) fn take(&self) -> Option<Result<T, Payload>> {
        let stage = self.stage.load(Ordering::Acquire);
        let taken = match stage & STAGE {
            FINISHED => TAKEN_FINISHED,
            PANICKED => TAKEN_PANICKED,
            _ => return None,
        };
        // A late callback may set the bit meanwhile: then this tries again.
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

    /// Takes the closure back out of a task that a pool refused.
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

    /// The text of a panic that has not been taken; the caller must own the future, so that no one
    /// takes it meanwhile.
    pub(super) fn panic_text(&self) -> Option<String> {
        if self.stage() != PANICKED {
            return None;
        }
        // SAFETY: the stage says that the runner is done (acquire), and by the caller's promise no
        // thread moves it on; only a text is read, which threads may share.
        self.with_content(|place| match unsafe { &*place } {
            Content::Panic(payload) => Some(crate::panic::message(&***payload).to_owned()),
            _ => None,
        })
    }

    /// The payload of a panic that has not been taken; the caller must own the future exclusively, so that no one takes or
    /// reads it meanwhile.
    #[cfg(not(loom))]
    pub(super) fn panic_payload(&self) -> Option<&(dyn Any + Send)> {
        if self.stage() != PANICKED {
            return None;
        }
        // SAFETY: the stage says that the runner is done (acquire), and by the caller's promise no thread moves it on or
        // reads it as long as the reference lives.
        match unsafe { &*self.content.get() } {
            Content::Panic(payload) => Some(&***payload),
            _ => None,
        }
    }

    /// loom watches each access, and lets none out.
    #[cfg(loom)]
    pub(super) fn panic_payload(&self) -> Option<&(dyn Any + Send)> {
        None
    }

    /// Adds `watcher` to the list; returns it if the task is done.
    pub(super) fn add(&self, watcher: Watcher) -> Result<(), Watcher> {
        let mut rest = self.rest.lock();
        let watchers = &mut rest.get_or_insert_default().audience.watchers;
        watchers.push(watcher);
        if !is_done(self.stage.fetch_or(WATCHED, Ordering::AcqRel) & STAGE) {
            return Ok(());
        }
        watchers.pop().map_or(Ok(()), Err)
    }

    /// Stores the waker of an async task in place of an earlier one; false if the task is done, so
    /// that nothing would call it.
    pub(super) fn set_waker(&self, waker: &std::task::Waker) -> bool {
        // Cloned and dropped outside the lock: both run user code.
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

    /// Removes every registration of `watch` from the list.
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
        // The bit stays: everyone on the list is told at the end.
        self.stage
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                (now & STAGE == PENDING).then_some(to | (now & WATCHED))
            })
            .is_ok()
    }

    /// Wakes all that only wait, and returns the callbacks for later.
    fn tell_watches(&self) -> Vec<Callback> {
        let (watches, waker, callbacks) = self.take_audience().split();
        for (watch, key) in watches {
            watch.done(key);
        }
        if let Some(waker) = waker {
            // User code: a panic here must not stop the callbacks and tasks that follow.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                drop_quietly(payload);
            }
        }
        callbacks
    }

    fn take_audience(&self) -> Audience {
        self.rest.lock().as_mut().map(|rest| std::mem::take(&mut rest.audience)).unwrap_or_default()
    }

    /// Only for the thread that moved the stage away from `PENDING`.
    fn take_work(&self) -> F {
        // SAFETY: see above: the caller alone owns `content`.
        match self.with_content(|place| unsafe { std::mem::replace(&mut *place, Content::Nothing) }) {
            Content::Work(work) => work,
            _ => unreachable!("a pending task has its closure"),
        }
    }

    #[cfg(not(loom))]
    fn with_content<R>(&self, f: impl FnOnce(*mut Content<F, T>) -> R) -> R {
        f(self.content.get())
    }

    /// loom checks that no other thread has access meanwhile.
    #[cfg(loom)]
    fn with_content<R>(&self, f: impl FnOnce(*mut Content<F, T>) -> R) -> R {
        self.content.with_mut(f)
    }
}

pub(super) fn is_done(stage: u8) -> bool {
    !matches!(stage, PENDING | RUNNING)
}
