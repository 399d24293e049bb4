//! The protocol that all queues share; they differ only in their [`Store`].
//!
//! One lock guards the items and a few counts. Two condition variables hold the threads that cannot
//! continue ("getters" and "putters"). Beside the lock are two counters that only grow, for
//! `task_done`.
//!
//! # No wake-up is lost
//!
//! Each side has three numbers, all of them under the lock:
//!
//! * *wanted*: how many threads of the side could continue now: as many getters as there are items,
//!   as many putters as there is room for, and all threads once the queue is shut down, which ends
//!   their calls.
//! * *waiting*: how many threads could not continue and have not been back since.
//! * *coming*: how many of those are sure to look again: they linger (see below), or a notification
//!   is meant for them.
//!
//! A thread that has changed something releases the lock through [`Held`], whose destructor settles
//! the accounts, even during a panic: if `coming` is less than both `wanted` and `waiting`, it adds
//! what is missing, releases the lock, and then sends that many notifications. So
//!
//! 1. whenever the lock is free, `coming >= min(wanted, waiting)`, and `coming <= waiting`. A
//!    thread that goes to sleep releases the lock without `Held`: nothing is wanted of its own side
//!    then, and nothing has changed for the other one.
//! 2. `coming` never exceeds the number of unsent notifications plus the number of waiting threads
//!    that are awake. Each increment stands for a notification to be sent or for a thread that
//!    lingers. A notification that is sent wakes a sleeper; if there is none, all waiting threads
//!    are awake, and by 1 there are at least `coming` of them. A thread that is back subtracts
//!    itself from both counts, even if its time was up or it woke spuriously; `coming` may then be
//!    too small, which costs an extra notification and loses none.
//!
//! Suppose that a thread slept although it could continue, with nothing left to wake it: no unsent
//! notification, and no waiting thread awake. Then `coming` is 0 by 2, but at least 1 by 1. And a
//! thread that is awake continues if it can, even if its time is up, so no thread uses up a wake-up
//! without taking the item that it stood for.
//!
//! This is also why few threads are woken: an item that a lingering or already notified thread will
//! find wakes no other. Notifications are sent after the lock has been released, because a thread
//! woken earlier would only block on it, and a system call would be made while others wait. That is
//! safe because 2 counts unsent notifications.
//!
//! While every waiting thread is coming anyway, there is nothing to settle, and `put` and `get`
//! take a fast path without [`Held`].
//!
//! Before a thread sleeps it *lingers*: it yields and looks again, a few times. Where many threads
//! share few processors, that is usually enough, and neither side has to sleep or wake the other.
//!
//! # Unfinished work
//!
//! `accepted` counts the items that were ever put, `done` those that are settled; the difference is
//! unfinished. `accepted` is written under the lock, before the item can be taken. `done` changes
//! only by read-modify-write operations that acquire and release, and grows only by a
//! compare-and-swap whose thread has seen a greater `accepted`. So a thread that reads `done` first
//! and then `accepted` sees an `accepted` that is no smaller than `done`, and no smaller than the
//! number of puts that happened before any report counted in `done`, or before its own. Hence a
//! `task_done` fails only if there is nothing to report, and then it has changed nothing.
//!
//! One bit of `done` says that joiners wait. A joiner sets it under the lock, and in the same
//! operation reads how much is done; if work is left, it sleeps. The report that settles the last
//! item comes later in the modification order of `done`, so it sees the bit. It takes the lock, by
//! which time the joiner sleeps, and wakes all joiners. It knows that it is the last although it
//! reads `accepted` without the lock: if the value is too small, it checks again under the lock;
//! the value cannot be too large.
//!
//! # User code under the lock
//!
//! Only `Ord::cmp` of a priority queue's items. A [`Store`] compares before it moves anything, so a
//! comparison that panics changes nothing. Items are never dropped under the lock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::{GetError, PutError, PutErrorKind, TaskDoneError};
use super::state::{Side, State};
use super::store::Store;
use crate::facade::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::facade::{Condvar, MAY_SPIN, Mutex, MutexGuard};
use crate::naming::Name;
use crate::{deadline, waiting};

/// How often a thread that cannot continue yields and looks again before it sleeps.
///
/// On an idle processor this takes about as long as a sleep and a wake-up. Where spinning makes no
/// sense, it looks once, without yielding: the path is the same.
const LOOKS_MAX: u32 = if MAY_SPIN { 10 } else { 1 };

/// How often a thread backs off from a lock that is taken, and for how many pauses at first; each
/// round doubles them. All rounds together take about as long as a sleep and a wake-up.
#[cfg(not(any(loom, shuttle)))]
const BACKOFF_ROUNDS: u32 = 6;
#[cfg(not(any(loom, shuttle)))]
const BACKOFF_FIRST: u32 = 32;

/// The bit of [`Core::done`] that says that joiners wait. The count is above it.
const JOINERS: u64 = 1;

/// What all handles to a queue share.
pub(super) type Shared<S> = Arc<Core<S>>;

/// A queue.
pub(super) struct Core<S> {
    state: Mutex<State<S>>,
    /// How many items were ever put. Written under the lock.
    accepted: AtomicU64,
    outside: Outside,
    all_done: Condvar,
    done: Done,
    capacity: Option<usize>,
    name: Name,
}

/// How many items were ever settled, times two, plus [`JOINERS`].
///
/// On a cache line of its own, so that reports do not slow down puts and gets. (128: processors
/// fetch lines in pairs.)
#[repr(align(128))]
struct Done(AtomicU64);

/// What threads use without holding the lock.
struct Outside {
    getters: Condvar,
    putters: Condvar,
    /// How many items there were when the lock was last released: a hint for lingering threads.
    len: AtomicUsize,
}

/// How long a call is willing to wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    None,
    For(Duration),
    Forever,
}

/// What a report settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// There was nothing to settle.
    Nothing,
    Some,
    /// The last item, and joiners wait for it.
    LastForJoiners,
}

impl<S: Store> Core<S> {
    #[track_caller]
    pub(super) fn new(capacity: Option<usize>) -> Self {
        assert!(capacity != Some(0), "a queue with room for 0 items can hold nothing");
        Self {
            state: Mutex::new(State::new(capacity.unwrap_or(usize::MAX))),
            accepted: AtomicU64::new(0),
            outside: Outside { getters: Condvar::new(), putters: Condvar::new(), len: AtomicUsize::new(0) },
            all_done: Condvar::new(),
            done: Done(AtomicU64::new(0)),
            capacity,
            name: Name::here(),
        }
    }

    pub(super) fn put(&self, item: S::Item, patience: Patience) -> Result<(), PutError<S::Item>> {
        let mut state = self.lock_state();
        if state.is_quiet() && state.wanted(Side::Putters) > 0 {
            let place = state.store.place(&item);
            state.store.insert(item, place);
            self.count_accepted();
            self.outside.len.store(state.store.len(), Ordering::Relaxed);
            return Ok(());
        }
        self.put_among_others(self.hold(state), item, patience)
    }

    /// The slow path, for a call that may have to wait or to wake others.
    #[cold]
    fn put_among_others<'a>(
        &'a self,
        held: Held<'a, S>,
        item: S::Item,
        patience: Patience,
    ) -> Result<(), PutError<S::Item>> {
        // A local is dropped before a parameter: on a panic, the lock is released before `item` is
        // dropped.
        let mut held = held;
        if held.state.wanted(Side::Putters) == 0 {
            held = self.wait(held, Side::Putters, patience);
        }
        if held.state.shut_down {
            return Err(PutError::new(item, PutErrorKind::ShutDown));
        }
        if held.state.wanted(Side::Putters) == 0 {
            return Err(PutError::new(item, patience.when_full()));
        }
        let place = held.state.store.place(&item);
        held.state.store.insert(item, place);
        self.count_accepted();
        Ok(())
    }

    /// Returns how many were put. What was not put stays in `items`, in its order.
    pub(super) fn put_many(&self, items: &mut Vec<S::Item>, patience: Patience) -> Result<usize, PutErrorKind> {
        // The last one is next, so that each leaves the vector without moving the others.
        items.reverse();
        let before = items.len();
        let failed = self.put_reversed(items, patience).err();
        items.reverse();
        failed.map_or_else(|| Ok(before - items.len()), Err)
    }

    fn put_reversed(&self, items: &mut Vec<S::Item>, patience: Patience) -> Result<(), PutErrorKind> {
        while !items.is_empty() {
            let mut held = self.lock();
            if held.state.wanted(Side::Putters) == 0 {
                held = self.wait(held, Side::Putters, patience);
            }
            if held.state.shut_down {
                return Err(PutErrorKind::ShutDown);
            }
            let room = held.state.wanted(Side::Putters);
            if room == 0 {
                return Err(patience.when_full());
            }
            for _ in 0..room.min(items.len()) {
                let Some(place) = items.last().map(|item| held.state.store.place(item)) else { break };
                let Some(item) = items.pop() else { break };
                held.state.store.insert(item, place);
                self.count_accepted();
            }
        }
        Ok(())
    }

    /// Counts one item as accepted; the lock must be held.
    fn count_accepted(&self) {
        self.accepted.store(self.accepted.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub(super) fn get(&self, patience: Patience) -> Result<S::Item, GetError> {
        let mut state = self.lock_state();
        if state.is_quiet()
            && let Some(item) = state.store.take()
        {
            self.outside.len.store(state.store.len(), Ordering::Relaxed);
            return Ok(item);
        }
        self.get_among_others(self.hold(state), patience)
    }

    /// The slow path, for a call that may have to wait or to wake others.
    #[cold]
    fn get_among_others(&self, held: Held<'_, S>, patience: Patience) -> Result<S::Item, GetError> {
        let mut held = self.with_item(held, patience)?;
        let Some(item) = held.state.store.take() else { unreachable!("the lock has been held since an item was seen") };
        Ok(item)
    }

    pub(super) fn get_many(&self, out: &mut Vec<S::Item>, max: usize, timeout: Duration) -> Result<usize, GetError> {
        if max == 0 {
            return Ok(0);
        }
        let mut held = self.with_item(self.lock(), Patience::For(timeout))?;
        let count = max.min(held.state.store.len());
        held.state.store.take_many(count, out);
        Ok(count)
    }

    pub(super) fn task_done(&self) -> Result<(), TaskDoneError> {
        match self.settle(1) {
            Settled::Nothing => return Err(TaskDoneError),
            Settled::Some => {}
            Settled::LastForJoiners => self.tell_joiners(),
        }
        Ok(())
    }

    /// Waits until nothing is unfinished; false if the time was up first.
    pub(super) fn join(&self, patience: Patience) -> bool {
        if self.unfinished() == 0 {
            return true;
        }
        let deadline = match patience {
            Patience::None => return false,
            Patience::For(timeout) if timeout.is_zero() => return false,
            Patience::For(timeout) => deadline::after(timeout),
            Patience::Forever => None,
        };
        let _note = waiting::note("Queue", &self.name);
        let mut state = self.state.lock();
        let mut in_time = true;
        loop {
            let word = self.done.0.fetch_or(JOINERS, Ordering::AcqRel);
            if word >> 1 == self.accepted.load(Ordering::Relaxed) {
                // The bit stays set. It costs the last report of the next round a check.
                return true;
            }
            if !in_time {
                return false;
            }
            in_time = deadline::wait_until(&self.all_done, &mut state, deadline);
        }
    }

    pub(super) fn unfinished(&self) -> usize {
        // Under the lock, no put comes between reading the two counters.
        let _state = self.state.lock();
        usize::try_from(self.left(self.done.0.load(Ordering::Acquire))).unwrap_or(usize::MAX)
    }

    pub(super) fn len(&self) -> usize {
        self.state.lock().store.len()
    }

    pub(super) fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.store.len() >= state.limit
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    pub(super) fn shutdown(&self) {
        self.lock().state.shut_down = true;
    }

    pub(super) fn shutdown_immediate(&self) {
        let (dropped, settled) = {
            let mut held = self.lock();
            held.state.shut_down = true;
            let dropped = std::mem::take(&mut held.state.store);
            // Fewer are unfinished if `task_done` was called for items not yet taken.
            let settled = self.settle(dropped.len() as u64);
            (dropped, settled)
        };
        if settled == Settled::LastForJoiners {
            self.tell_joiners();
        }
        drop(dropped);
    }

    pub(super) fn is_shutdown(&self) -> bool {
        self.state.lock().shut_down
    }

    pub(super) fn debug(&self, type_name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not under the lock: `f` may run foreign code.
        let (len, unfinished, shut_down) = {
            let state = self.state.lock();
            (state.store.len(), self.left(self.done.0.load(Ordering::Acquire)), state.shut_down)
        };
        f.debug_struct(type_name)
            .field("len", &len)
            .field("capacity", &self.capacity)
            .field("unfinished", &unfinished)
            .field("shut_down", &shut_down)
            .finish_non_exhaustive()
    }

    /// How many threads of a side sleep without a notification meant for them.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn asleep(&self, side: Side) -> usize {
        let mut state = self.state.lock();
        let crowd = state.crowd(side);
        crowd.waiting - crowd.coming
    }

    fn lock(&self) -> Held<'_, S> {
        self.hold(self.lock_state())
    }

    /// Takes the lock; backs off for a while if it is taken.
    ///
    /// Work under the lock takes nanoseconds; fetching the lock's cache line from another processor
    /// takes longer. A thread that stays away for a moment lets the holder do many operations in a
    /// row (measured: 20 ns per item instead of 33, with four threads at each end).
    fn lock_state(&self) -> MutexGuard<'_, State<S>> {
        #[cfg(not(any(loom, shuttle)))]
        for round in 0..BACKOFF_ROUNDS {
            if let Some(state) = self.state.try_lock() {
                return state;
            }
            for _ in 0..BACKOFF_FIRST << round {
                std::hint::spin_loop();
            }
        }
        self.state.lock()
    }

    fn hold<'a>(&'a self, state: MutexGuard<'a, State<S>>) -> Held<'a, S> {
        Held { state, wakes: Wakes { outside: &self.outside, getters: 0, putters: 0 } }
    }

    /// Returns with the lock held and at least one item in the queue.
    fn with_item<'a>(&'a self, mut held: Held<'a, S>, patience: Patience) -> Result<Held<'a, S>, GetError> {
        if held.state.wanted(Side::Getters) == 0 {
            held = self.wait(held, Side::Getters, patience);
        }
        if held.state.store.len() > 0 {
            Ok(held)
        } else if held.state.shut_down {
            Err(GetError::ShutDown)
        } else {
            Err(patience.when_empty())
        }
    }

    /// Waits until a thread of this side is wanted, or patience runs out.
    #[cold]
    fn wait<'a>(&'a self, held: Held<'a, S>, side: Side, patience: Patience) -> Held<'a, S> {
        let deadline = match patience {
            Patience::None => return held,
            Patience::For(timeout) if timeout.is_zero() => return held,
            Patience::For(timeout) => deadline::after(timeout),
            Patience::Forever => None,
        };
        let held = self.linger(held, side);
        if held.state.wanted(side) > 0 {
            return held;
        }
        // The note takes the locks of the thread registry, which must not nest in ours.
        drop(held);
        let _note = waiting::note("Queue", &self.name);
        let mut held = self.lock();
        let mut in_time = true;
        while in_time && held.state.wanted(side) == 0 {
            held.state.crowd(side).waiting += 1;
            in_time = deadline::wait_until(self.outside.door(side), &mut held.state, deadline);
            held.state.come_back(side);
        }
        held
    }

    /// Yields until a thread of this side seems wanted, but not for long.
    ///
    /// The thread counts as coming meanwhile. Nothing here may panic: the thread would count as
    /// coming forever.
    fn linger<'a>(&'a self, mut held: Held<'a, S>, side: Side) -> Held<'a, S> {
        let mut looks = LOOKS_MAX;
        while looks > 0 && held.state.wanted(side) == 0 {
            let crowd = held.state.crowd(side);
            crowd.waiting += 1;
            crowd.coming += 1;
            drop(held);
            loop {
                looks -= 1;
                if MAY_SPIN {
                    std::thread::yield_now();
                }
                if looks == 0 || self.seems_wanted(side) {
                    break;
                }
            }
            held = self.lock();
            held.state.come_back(side);
        }
        held
    }

    fn seems_wanted(&self, side: Side) -> bool {
        let len = self.outside.len.load(Ordering::Relaxed);
        match side {
            Side::Getters => len > 0,
            Side::Putters => self.capacity.is_none_or(|capacity| len < capacity),
        }
    }

    /// Settles `most` items, or as many as are unfinished.
    fn settle(&self, most: u64) -> Settled {
        let mut word = self.done.0.load(Ordering::Acquire);
        loop {
            let left = self.left(word);
            let count = most.min(left);
            if count == 0 {
                return Settled::Nothing;
            }
            match self.done.0.compare_exchange_weak(word, word + (count << 1), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) if count == left && word & JOINERS != 0 => return Settled::LastForJoiners,
                Ok(_) => return Settled::Some,
                Err(now) => word = now,
            }
        }
    }

    /// How many items are unfinished if `done` is still `word`, which has just been read.
    fn left(&self, word: u64) -> u64 {
        self.accepted.load(Ordering::Relaxed) - (word >> 1)
    }

    /// Wakes the joiners unless more items have been put by now. The lock must not be held.
    #[cold]
    fn tell_joiners(&self) {
        let state = self.state.lock();
        if self.left(self.done.0.load(Ordering::Acquire)) > 0 {
            // The bit stays set, and the last report on those items wakes them.
            return;
        }
        self.done.0.fetch_and(!JOINERS, Ordering::AcqRel);
        drop(state);
        self.all_done.notify_all();
    }
}

impl Outside {
    fn door(&self, side: Side) -> &Condvar {
        match side {
            Side::Getters => &self.getters,
            Side::Putters => &self.putters,
        }
    }
}

impl Patience {
    fn when_full(self) -> PutErrorKind {
        match self {
            Self::None => PutErrorKind::Full,
            Self::For(_) | Self::Forever => PutErrorKind::Timeout,
        }
    }

    fn when_empty(self) -> GetError {
        match self {
            Self::None => GetError::Empty,
            Self::For(_) | Self::Forever => GetError::Timeout,
        }
    }
}

/// The held lock. Releasing it wakes the threads that can continue after what was done under it.
struct Held<'a, S: Store> {
    // In this order: fields are dropped from top to bottom.
    state: MutexGuard<'a, State<S>>,
    wakes: Wakes<'a>,
}

/// Notifications to send on drop.
struct Wakes<'a> {
    outside: &'a Outside,
    getters: usize,
    putters: usize,
}

impl<S: Store> Drop for Held<'_, S> {
    fn drop(&mut self) {
        let state = &mut *self.state;
        self.wakes.getters = state.send_for(Side::Getters);
        self.wakes.putters = state.send_for(Side::Putters);
        self.wakes.outside.len.store(state.store.len(), Ordering::Relaxed);
    }
}

impl Drop for Wakes<'_> {
    fn drop(&mut self) {
        for _ in 0..self.getters {
            self.outside.getters.notify_one();
        }
        for _ in 0..self.putters {
            self.outside.putters.notify_one();
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::collections::VecDeque;

    use towline_testkit::with_watchdog;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn putters_that_sleep_are_told_of_the_shutdown() {
        with_watchdog(LIMIT, || {
            let queue: Shared<VecDeque<u8>> = Arc::new(Core::new(Some(1)));
            queue.put(1, Patience::None).unwrap();
            let other = Arc::clone(&queue);
            let putter = std::thread::spawn(move || other.put(2, Patience::Forever).unwrap_err());
            while queue.asleep(Side::Putters) == 0 {
                std::thread::yield_now();
            }
            queue.shutdown();
            let error = putter.join().unwrap();
            assert_eq!(error.kind(), PutErrorKind::ShutDown);
            assert_eq!(error.into_inner(), 2);
            assert_eq!(queue.unfinished(), 1, "a failed put is not counted");
        });
    }

    #[test]
    fn getters_that_sleep_are_told_of_the_shutdown() {
        with_watchdog(LIMIT, || {
            let queue: Shared<Vec<u8>> = Arc::new(Core::new(None));
            let getters: Vec<_> = (0..3)
                .map(|_| {
                    let queue = Arc::clone(&queue);
                    std::thread::spawn(move || queue.get(Patience::Forever))
                })
                .collect();
            while queue.asleep(Side::Getters) < 3 {
                std::thread::yield_now();
            }
            queue.shutdown();
            for getter in getters {
                assert_eq!(getter.join().unwrap(), Err(GetError::ShutDown));
            }
        });
    }

    #[test]
    fn the_bit_that_a_joiner_leaves_behind_is_no_item() {
        with_watchdog(LIMIT, || {
            let queue: Core<VecDeque<u8>> = Core::new(None);
            for round in 0..3 {
                queue.put(round, Patience::None).unwrap();
                assert!(!queue.join(Patience::For(Duration::from_millis(1))));
                assert_eq!(queue.done.0.load(Ordering::Relaxed) & JOINERS, JOINERS);
                assert_eq!(queue.unfinished(), 1);
                queue.task_done().unwrap();
                assert_eq!(queue.done.0.load(Ordering::Relaxed) & JOINERS, 0);
                assert_eq!(queue.task_done(), Err(TaskDoneError));
                assert!(queue.join(Patience::Forever));
            }
        });
    }
}
