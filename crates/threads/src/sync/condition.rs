//! Waiting, with a lock in hand, for what another thread does.
//!
//! A condition owns a queue of those who wait, under a small lock of its own. Each of them has a
//! flag, which is set by the thread that takes it out of the queue: to be notified is to be taken
//! out. Why nothing goes wrong:
//!
//! * *No lost wake-up.* A thread puts itself into the queue while it still holds the caller's lock.
//!   Whoever changes the data takes that lock afterwards, so it finds the thread in the queue.
//! * *No spurious wake-up.* A thread returns only if its flag is set or its time is up, whatever
//!   the condition variable does.
//! * *First come, first woken.* The queue is taken from its front.
//! * *No notification is swallowed.* A thread whose time is up looks at its flag and takes itself
//!   out under the queue's lock: it was either notified, and says so, or nobody will notify it.
//! * *No ring of locks.* The queue's lock is taken with and without the caller's lock in hand. The
//!   caller's is never taken with the queue's in hand.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deadline;
use crate::facade::atomic::{AtomicBool, Ordering};
use crate::facade::{Condvar, Mutex, const_fn};
use crate::naming::Name;
use crate::waiting;

/// Lets threads that hold a lock wait until another one has changed what it protects.
///
/// It works with the guards of a [`Lock`](super::Lock) and of an [`RLock`](super::RLock). While a
/// thread waits it does not hold the lock (an `RLock` is given up however often it was taken), and
/// when the wait is over it does, as often as before.
///
/// Threads are woken in the order in which they began to wait, and only by a notification or by
/// the end of their time. (Which of several that were woken gets the lock first is the lock's
/// business.) Use a condition with one lock only, and change the data under that lock; the
/// notification may come before or after the lock is released.
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
/// CPython finds out at run time that a thread waits without the lock. Here it cannot be written:
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

/// A guard that a [`Condition`] can give up and take back: [`LockGuard`](super::LockGuard) and
/// [`RLockGuard`](super::RLockGuard).
///
/// It cannot be named outside this crate, and must not be: a guard whose lock has been given up
/// is no longer what its type says.
pub trait ConditionGuard: sealed::Sealed {
    /// What the lock protects.
    type Data: ?Sized;

    /// Gives the lock up wholly; returns how often it was held.
    #[doc(hidden)]
    fn release(&mut self) -> usize;

    /// Takes the lock again, so often. Waits as long as it takes.
    #[doc(hidden)]
    fn reacquire(&mut self, count: usize);

    /// The protected data. The lock must be held.
    #[doc(hidden)]
    fn data(&self) -> &Self::Data;
}

pub(super) mod sealed {
    /// Kept to this crate's guards.
    pub trait Sealed {}
}

struct Waiter {
    /// Set when the waiter is taken out of the queue. Read and written under the queue's lock only.
    notified: AtomicBool,
    woken: Condvar,
}

/// Takes the lock back when it is dropped, also by a panic.
struct Released<'a, G: ConditionGuard> {
    guard: &'a mut G,
    count: usize,
}

impl Condition {
    const_fn! {
        /// A condition that nobody waits for.
        #[track_caller]
        pub const fn new() -> Self {
            Self { queue: Mutex::new(VecDeque::new()), name: Name::here() }
        }
    }

    /// Waits until this thread is notified.
    ///
    /// That says that somebody has called; look at the data, or use [`wait_for`](Self::wait_for).
    pub fn wait<G: ConditionGuard>(&self, guard: &mut G) {
        self.wait_until(guard, None);
    }

    /// Waits until this thread is notified (true), but no longer than `timeout` (false).
    ///
    /// Taking the lock again when the wait is over may take longer.
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

    /// Waits until `predicate` is true, but no longer than `timeout`; returns what it said last.
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

    /// Sleeps until `waiter` is notified; takes it out of the queue if its time is up before.
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
