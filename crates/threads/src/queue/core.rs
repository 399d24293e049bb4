//! The protocol that all queues share; what differs between them is a [`Store`].
//!
//! One lock around the items and a few counts, two condition variables for those who cannot go on
//! ("getters" and "putters"), and beside the lock two numbers that only grow, for `task_done`.
//!
//! # No wake-up is lost
//!
//! Three numbers a side, all of them under the lock:
//!
//! * *wanted*: how many threads of the side could go on now. As many getters as there are items, as
//!   many putters as there is room, and all of both once the queue is shut down, to be told so.
//! * *waiting*: how many threads have found nothing wanted of them and have not been back since.
//! * *coming*: how many of those are counted on to look again: they linger (see below), or a
//!   notification is meant for them.
//!
//! Whoever has changed something lets go of the lock through [`Held`], whose destructor squares the
//! accounts, also while a panic unwinds: if `coming` is less than both `wanted` and `waiting`, it
//! adds what is missing, lets go, and then sends that many notifications. So
//!
//! 1. whenever the lock is free, `coming >= min(wanted, waiting)`, and `coming <= waiting`. The one
//!    release that does not go through `Held` is that of a thread that goes to sleep: of its own
//!    side nothing is wanted, and nothing has changed for the other one.
//! 2. `coming` is never more than the notifications not yet sent and the waiting threads that are
//!    awake, taken together. Each one added is a notification to be sent or a thread that lingers.
//!    A notification that is sent makes a sleeper awake; if it finds none, then all who wait are
//!    awake, and by 1 they are no fewer than `coming`. A thread that is back takes itself from both
//!    counts. It does so too if its time was up or nobody woke it; then `coming` is smaller than it
//!    could be, which costs a notification too many and loses none.
//!
//! Suppose that a thread slept on while it could go on, with nothing on its way any more: no
//! notification to be sent, nobody awake who is about to look. Then `coming` is 0 by 2, but at least
//! 1 by 1. And a thread that is awake goes on if it can, even if its time is up, so nobody leaves
//! with a wake-up and without the item that it stood for.
//!
//! This is also why few threads are woken: an item that a lingerer or a thread already notified is
//! going to find wakes nobody else. Notifications are sent after the lock has been let go. For a
//! thread that is woken under the lock only runs into it, and a system call would be made while
//! others wait. That is safe because of 2, which counts notifications not yet sent.
//!
//! While all who wait are coming anyway there is nothing to square, and `put` and `get` take a short
//! way without [`Held`].
//!
//! Before a thread sleeps it *lingers*: it lets others run and looks again, a few times. Where many
//! threads share few processors, that is mostly enough, and neither side makes a system call.
//!
//! # Unfinished work
//!
//! `accepted` is how many items were ever put, `done` how many of them are settled; what is
//! unfinished is the difference. `accepted` is written under the lock, before the item can be taken.
//! `done` is only ever changed by read-modify-write operations that acquire and release, and grows
//! only by a compare-and-swap whose thread has seen a greater `accepted`. So who reads `done` first
//! and then `accepted` finds it no smaller, and no smaller than the number of puts that came before
//! (in the sense of happens-before) any of the reports counted in `done` or this one. Hence a
//! `task_done` fails only if there is nothing to report, and then it has changed nothing.
//!
//! One bit of `done` says that joiners wait. A joiner sets it under the lock, and in the same
//! operation reads how much is done; if that is not all, it sleeps. The report that settles the last
//! item comes later in the order of that one variable, so it sees the bit. It takes the lock, by
//! which time the joiner sleeps, and wakes all. It knows that it is the last although it reads
//! `accepted` without the lock: if it reads less than there is, it looks again under the lock; more
//! than there is, nobody can read.
//!
//! # Whose code runs under the lock
//!
//! None but `Ord::cmp` of a priority queue's items. A [`Store`] compares before it moves anything,
//! so a comparison that panics leaves all as it was. Items never die under the lock.

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

/// How often a thread that cannot go on lets others run and looks again before it sleeps.
///
/// On a processor that has nothing else to do this takes about as long as a sleep and a wake-up.
/// Where spinning makes no sense it looks once, without letting others run: the way is the same.
const LOOKS_MAX: u32 = if MAY_SPIN { 10 } else { 1 };

/// How often a thread keeps away from a lock that is taken, and for how many pauses at first; twice
/// as many each time. All together about as long as a sleep and a wake-up.
#[cfg(not(any(loom, shuttle)))]
const BACKOFF_ROUNDS: u32 = 6;
#[cfg(not(any(loom, shuttle)))]
const BACKOFF_FIRST: u32 = 32;

/// In [`Core::done`]: joiners wait. The count is above it.
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

/// How many items were ever settled, times two, and [`JOINERS`].
///
/// On a cache line of its own, so that those who report do not slow those who put and get. (128:
/// processors fetch lines in pairs.)
#[repr(align(128))]
struct Done(AtomicU64);

/// What threads use that do not hold the lock.
struct Outside {
    getters: Condvar,
    putters: Condvar,
    /// How many items there were when the lock was last let go: a hint for those who linger.
    len: AtomicUsize,
}

/// How long a call is ready to wait.
#[derive(Clone, Copy)]
pub(super) enum Patience {
    None,
    For(Duration),
    Forever,
}

/// What became of a report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// There was nothing to settle.
    Nothing,
    Some,
    /// The last item, and joiners wait to hear of it.
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

    /// The way of those who may have to wait, or to wake others.
    #[cold]
    fn put_among_others<'a>(
        &'a self,
        held: Held<'a, S>,
        item: S::Item,
        patience: Patience,
    ) -> Result<(), PutError<S::Item>> {
        // A local goes before a parameter: the lock is let go before `item` dies in a panic.
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

    /// Counts one item in; the lock is held.
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

    /// The way of those who may have to wait, or to wake others.
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
                // The bit stays behind. It costs the last report of the next round a look.
                return true;
            }
            if !in_time {
                return false;
            }
            in_time = deadline::wait_until(&self.all_done, &mut state, deadline);
        }
    }

    pub(super) fn unfinished(&self) -> usize {
        // Under the lock the two counters belong to the same moment.
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
            // Less than that is unfinished if `task_done` was called for items not yet taken.
            let settled = self.settle(dropped.len() as u64);
            (dropped, settled)
        };
        if settled == Settled::LastForJoiners {
            self.tell_joiners();
        }
        drop(dropped);
    }

    pub(super) fn debug(&self, type_name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `f` writes to is not ours: not under the lock.
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

    /// How many threads of a side sleep, and nobody has been told to wake them.
    #[cfg(all(test, not(any(loom, shuttle))))]
    pub(super) fn asleep(&self, side: Side) -> usize {
        let mut state = self.state.lock();
        let crowd = state.crowd(side);
        crowd.waiting - crowd.coming
    }

    fn lock(&self) -> Held<'_, S> {
        self.hold(self.lock_state())
    }

    /// Takes the lock, and leaves it to whoever has it for a while if it is not free.
    ///
    /// What is done under the lock takes nanoseconds; fetching the lock's cache line from another
    /// processor takes longer. A thread that keeps away for a moment lets the other one do many
    /// operations in a row (measured: 20 ns an item instead of 33, four threads at each end).
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

    /// Waits until a thread of this side is wanted, or patience is at an end.
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
        // The registry of threads has locks of its own, which have no business under ours.
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

    /// Lets others run until a thread of this side seems wanted, but not for long.
    ///
    /// The thread is counted as coming meanwhile. No code runs here that could panic: it would be
    /// counted on for ever.
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

    /// Counts `most` items as done, or as many as are unfinished.
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

    /// Wakes the joiners unless more has been put by now. The lock must not be held.
    #[cold]
    fn tell_joiners(&self) {
        let state = self.state.lock();
        if self.left(self.done.0.load(Ordering::Acquire)) > 0 {
            // The bit stays, and the last report of that tells them.
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

/// The lock. Letting go of it wakes whoever has to know of what was done under it.
struct Held<'a, S: Store> {
    // In this order: fields are dropped from the top.
    state: MutexGuard<'a, State<S>>,
    wakes: Wakes<'a>,
}

/// Notifications that are sent when it is dropped.
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

    use super::*;
    use crate::common::with_watchdog;

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
