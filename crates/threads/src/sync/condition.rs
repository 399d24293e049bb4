//! Waiting, with a lock held, for a change by another thread.
//!
//! A condition owns a queue of waiters, under a small lock of its own. Each waiter has a flag,
//! which is set by the thread that takes it out of the queue: being notified means being taken out.
//! Why this is correct:
//!
//! * *No lost wake-up.* A thread enters the queue while it still holds the caller's lock. A thread
//!   that changes the data takes that lock afterwards, so it finds the waiter in the queue.
//! * *No spurious wake-up.* A thread returns only if its flag is set or its time is up, whatever
//!   the condition variable does.
//! * *First come, first woken.* Waiters are taken from the front of the queue.
//! * *No notification is swallowed.* A thread whose time is up checks its flag and removes itself
//!   under the queue's lock: either it was notified, and says so, or it never will be.
//! * *No ring of locks.* The queue's lock is taken with or without the caller's lock held. The
//!   caller's lock is never taken while the queue's is held.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::atomic::{AtomicBool, Ordering};
use crate::facade::{Condvar, Mutex, const_fn};
use crate::naming::Name;
use crate::waiting;

/// Lets threads that hold a lock wait until another thread has changed what it protects.
///
/// It works with the guards of a [`Lock`](super::Lock) and of an [`RLock`](super::RLock). While a
/// thread waits, it does not hold the lock (an `RLock` is released fully, however often it was
/// taken); when the wait is over, it holds it again, as often as before.
///
/// Threads wake in the order in which they began to wait, and only by a notification or a timeout.
/// (The lock decides which of several woken threads gets it first.) Use a condition with one lock
/// only, and change the data under that lock; the notification may come before or after the lock is
/// released.
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::sync::{Condition, Lock};
/// use towline_threads::thread;
///
/// let mailbox = Arc::new((Lock::new(Vec::new()), Condition::new()));
/// let other = Arc::clone(&mailbox);
/// let reader = thread::spawn(move || {
///     let (letters, arrived) = &*other;
///     let mut letters = letters.acquire().unwrap();
///     arrived.wait_for(&mut letters, |letters| !letters.is_empty());
///     letters.remove(0)
/// });
/// let (letters, arrived) = &*mailbox;
/// letters.acquire().unwrap().push("hello");
/// arrived.notify_one();
/// assert_eq!(reader.join().unwrap(), "hello");
/// ```
///
/// Waiting without the lock is a run-time error in CPython. Here it does not compile:
///
/// ```compile_fail,E0277
/// use towline_threads::sync::{Condition, Lock};
///
/// let lock = Lock::new(0);
/// Condition::new().wait(&mut &lock);
/// ```
pub struct Condition {
    queue: Mutex<VecDeque<Arc<Waiter>>>,
    name: Name,
}

/// A guard that a [`Condition`] can release and reacquire: [`LockGuard`](super::LockGuard) and
/// [`RLockGuard`](super::RLockGuard).
///
/// It cannot be named outside this crate, and must not be: a guard whose lock has been released is
/// no longer what its type says.
pub trait ConditionGuard: sealed::Sealed {
    /// What the lock protects.
    type Data: ?Sized;

    /// Releases the lock fully; returns how often it was held.
    #[doc(hidden)]
    fn release(&mut self) -> usize;

    /// Takes the lock again, `count` times. Waits without a time limit.
    #[doc(hidden)]
    fn reacquire(&mut self, count: usize);

    /// The protected data. The lock must be held.
    #[doc(hidden)]
    fn data(&self) -> &Self::Data;
}

pub(super) mod sealed {
    /// Implemented only by this crate's guards.
    pub trait Sealed {}
}

struct Waiter {
    /// Set when the waiter is taken out of the queue. Read and written under the queue's lock only.
    notified: AtomicBool,
    woken: Condvar,
}

/// Reacquires the lock when it is dropped, even by a panic.
struct Released<'a, G: ConditionGuard> {
    guard: &'a mut G,
    count: usize,
}

impl Condition {
    const_fn! {
        /// A condition without waiters.
        #[track_caller]
        pub const fn new() -> Self {
            Self { queue: Mutex::new(VecDeque::new()), name: Name::here() }
        }
    }

    /// Waits until this thread is notified.
    ///
    /// A notification alone does not say what has changed: check the data, or use
    /// [`wait_for`](Self::wait_for).
    pub fn wait<G: ConditionGuard>(&self, guard: &mut G) {
        self.wait_until(guard, None);
    }

    /// Waits until this thread is notified (true), but no longer than `timeout` (false).
    ///
    /// Reacquiring the lock after that may take longer.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::{Condition, Lock};
    ///
    /// let lock = Lock::new(0);
    /// let changed = Condition::new();
    /// changed.notify_one(); // nobody waits: not remembered
    /// let mut guard = lock.acquire()?;
    /// assert!(!changed.wait_timeout(&mut guard, Duration::from_millis(1)));
    /// *guard += 1; // the guard holds the lock again
    /// # Ok::<(), towline_threads::deadlock::Deadlock>(())
    /// ```
    pub fn wait_timeout<G: ConditionGuard>(&self, guard: &mut G, timeout: Duration) -> bool {
        self.wait_until(guard, deadline::after(timeout))
    }

    /// Waits until `predicate` is true; returns at once if it is.
    ///
    /// The predicate is called with the lock held, at the beginning and after each notification.
    pub fn wait_for<G, P>(&self, guard: &mut G, mut predicate: P)
    where
        G: ConditionGuard,
        P: FnMut(&G::Data) -> bool,
    {
        while !predicate(guard.data()) {
            self.wait_until(guard, None);
        }
    }

    /// Waits until `predicate` is true, but no longer than `timeout`; returns its last value.
    ///
    /// It is called once more when the time is up.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use std::time::Duration;
    /// use towline_threads::sync::{Condition, RLock};
    ///
    /// let stock = RLock::new(Cell::new(3));
    /// let delivered = Condition::new();
    /// let mut guard = stock.acquire()?;
    /// let enough = |stock: &Cell<u32>| stock.get() >= 5;
    /// assert!(!delivered.wait_for_timeout(&mut guard, Duration::from_millis(1), enough));
    /// guard.set(5);
    /// assert!(delivered.wait_for_timeout(&mut guard, Duration::from_millis(1), enough));
    /// # Ok::<(), towline_threads::deadlock::Deadlock>(())
    /// ```
    pub fn wait_for_timeout<G, P>(&self, guard: &mut G, timeout: Duration, mut predicate: P) -> bool
    where
        G: ConditionGuard,
        P: FnMut(&G::Data) -> bool,
    {
        let deadline = deadline::after(timeout);
        let mut in_time = true;
        while !predicate(guard.data()) {
            if !in_time {
                return false;
            }
            in_time = self.wait_until(guard, deadline);
        }
        true
    }

    /// Wakes the `n` threads that have waited longest, or all if there are fewer.
    pub fn notify(&self, n: usize) {
        let mut queue = self.queue.lock();
        let count = n.min(queue.len());
        for waiter in queue.drain(..count) {
            waiter.notified.store(true, Ordering::Relaxed);
            waiter.woken.notify_one();
        }
    }

    /// Wakes the thread that has waited longest.
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes all threads that wait now.
    pub fn notify_all(&self) {
        self.notify(usize::MAX);
    }

    /// True if notified, false if the time is up.
    fn wait_until<G: ConditionGuard>(&self, guard: &mut G, deadline: Option<Instant>) -> bool {
        let waiter = Arc::new(Waiter { notified: AtomicBool::new(false), woken: Condvar::new() });
        self.queue.lock().push_back(Arc::clone(&waiter));
        let _released = Released::of(guard);
        self.sleep(&waiter, deadline)
    }

    /// Sleeps until `waiter` is notified; takes it out of the queue if its time is up first.
    fn sleep(&self, waiter: &Arc<Waiter>, deadline: Option<Instant>) -> bool {
        let _note = waiting::note("Condition", &self.name);
        let mut queue = self.queue.lock();
        let mut in_time = true;
        while !waiter.notified.load(Ordering::Relaxed) {
            if !in_time {
                let place = queue.iter().position(|other| Arc::ptr_eq(other, waiter));
                debug_assert!(place.is_some(), "who has not been notified is in the queue");
                if let Some(place) = place {
                    queue.remove(place);
                }
                return false;
            }
            in_time = deadline::wait_until(&waiter.woken, &mut queue, deadline);
        }
        true
    }
}

impl Default for Condition {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.lock().len();
        f.debug_struct("Condition").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl<'a, G: ConditionGuard> Released<'a, G> {
    fn of(guard: &'a mut G) -> Self {
        let count = guard.release();
        Self { guard, count }
    }
}

impl<G: ConditionGuard> Drop for Released<'_, G> {
    fn drop(&mut self) {
        self.guard.reacquire(self.count);
    }
}
