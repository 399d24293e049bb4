//! A lock that its holder may take again.

use std::borrow::Cow;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use parking_lot::RawMutex;
use parking_lot::lock_api::{RawMutex as _, RawMutexTimed as _};

use super::condition::{ConditionGuard, sealed};
use crate::agent;
use crate::agent_id::AgentId;
use crate::deadline;
use crate::deadlock::{Deadlock, lock_patiently, lock_whatever};
use crate::facade::const_fn;
use crate::holder::Holder;
use crate::naming::Name;

const KIND: &str = "RLock";

/// Gives one thread at a time access to its data; that thread may take the lock repeatedly.
///
/// Like Python's `RLock`: the holder may take it again without waiting, and it is free once the
/// last of its guards is dropped. Several guards may exist at once, so they give shared references;
/// put a [`Cell`](std::cell::Cell) or a [`RefCell`](std::cell::RefCell) inside to change the data.
///
/// ```
/// use std::cell::Cell;
/// use towline_threads::deadlock::Deadlock;
/// use towline_threads::sync::RLock;
///
/// struct Account(RLock<Cell<i64>>);
///
/// impl Account {
///     fn deposit(&self, amount: i64) -> Result<(), Deadlock> {
///         let balance = self.0.acquire()?;
///         balance.set(balance.get() + amount);
///         Ok(())
///     }
///
///     fn deposit_all(&self, amounts: &[i64]) -> Result<(), Deadlock> {
///         let _together = self.0.acquire()?; // nobody comes in between
///         amounts.iter().try_for_each(|amount| self.deposit(*amount))
///     }
/// }
///
/// let account = Account(RLock::new(Cell::new(0)));
/// account.deposit_all(&[5, 7])?;
/// assert_eq!(account.0.acquire()?.get(), 12);
/// # Ok::<(), Deadlock>(())
/// ```
///
/// Releasing a lock that one does not hold is a run-time error in CPython. Here it does not
/// compile, because only a guard releases, and a guard exists only while the lock is held:
///
/// ```compile_fail,E0599
/// use towline_threads::sync::RLock;
///
/// let lock = RLock::new(());
/// lock.release();
/// ```
///
/// A guard releases once, in its own thread:
///
/// ```compile_fail,E0382
/// use towline_threads::sync::RLock;
///
/// let lock = RLock::new(0);
/// let guard = lock.acquire().unwrap();
/// drop(guard);
/// drop(guard); // released more often than acquired
/// ```
///
/// ```compile_fail,E0277
/// use towline_threads::sync::RLock;
///
/// static LOCK: RLock<i32> = RLock::new(0);
/// let guard = LOCK.acquire().unwrap();
/// std::thread::spawn(move || drop(guard)); // released by another thread
/// ```
///
/// # Tasks
///
/// A pool's task that runs on top of the task that awaits it can *not* enter: it would find the
/// data half changed. That is a deadlock, and is reported as one.
pub struct RLock<T: ?Sized> {
    holder: Holder,
    /// How many guards there are. Only the holder accesses it.
    count: Cell<usize>,
    name: Name,
    raw: RawMutex,
    data: UnsafeCell<T>,
}

// SAFETY: moving the lock moves the data.
#[expect(unsafe_code, reason = "the data is in an UnsafeCell")]
unsafe impl<T: ?Sized + Send> Send for RLock<T> {}

// SAFETY: only the agent that holds `raw` accesses `data` and `count`. An agent runs in one thread
// from its beginning to its end, and no two agents have the same number at a time, so no two
// threads access the data at once: `T: Send` is enough, as for a mutex. The holder's guards give
// only `&T`, all of them in its thread, because they are not `Send`.
#[expect(unsafe_code, reason = "a lock is shared by what it is for")]
unsafe impl<T: ?Sized + Send> Sync for RLock<T> {}

/// Access to the data of an [`RLock`], which is released when its last guard is dropped.
#[must_use = "a guard that is dropped releases the lock at once"]
pub struct RLockGuard<'a, T: ?Sized> {
    lock: &'a RLock<T>,
    /// Not `Send`: the thread that took the lock releases it.
    _in_this_thread: PhantomData<*const ()>,
}

impl<T> RLock<T> {
    const_fn! {
        /// A lock around `value`. Reports name it by the source location of this call.
        #[track_caller]
        pub const fn new(value: T) -> Self {
            Self::with_name(Name::here(), value)
        }
    }

    /// A lock with a name, for reports.
    pub fn named(name: impl Into<Cow<'static, str>>, value: T) -> Self {
        Self::with_name(Name::given(name), value)
    }

    const_fn! {
        const fn with_name(name: Name, value: T) -> Self {
            Self {
                holder: Holder::nobody(),
                count: Cell::new(0),
                name,
                raw: RawMutex::INIT,
                data: UnsafeCell::new(value),
            }
        }
    }

    /// Consumes the lock and returns its data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RLock<T> {
    /// Takes the lock, once more if this thread (or task) already holds it; otherwise waits until
    /// it is free.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] if the wait would never end.
    ///
    /// # Panics
    ///
    /// If there are [`usize::MAX`] guards.
    #[inline]
    pub fn acquire(&self) -> Result<RLockGuard<'_, T>, Deadlock> {
        if !self.enter() {
            lock_patiently(KIND, &self.name, &self.holder, |time| self.raw.try_lock_for(time).then_some(()))?;
            self.hold(1);
        }
        Ok(self.guard())
    }

    /// Takes the lock if no one else holds it now.
    #[inline]
    pub fn try_acquire(&self) -> Option<RLockGuard<'_, T>> {
        self.enter().then(|| self.guard())
    }

    /// Takes the lock; waits for it no longer than `timeout`.
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<RLockGuard<'_, T>> {
        if self.enter() {
            return Some(self.guard());
        }
        let Some(deadline) = deadline::after(timeout) else {
            return self.acquire().ok();
        };
        let _note = crate::waiting::note(KIND, &self.name);
        if !self.raw.try_lock_until(deadline) {
            return None;
        }
        self.hold(1);
        Some(self.guard())
    }

    /// Whether the lock is held now.
    pub fn locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// The data, without locking: `&mut self` proves that no one else can access it.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// Takes the lock if this agent already holds it or if it is free.
    #[inline]
    fn enter(&self) -> bool {
        // Only this agent ever writes its own number, so this is correct with any memory ordering.
        if self.holder.get() == agent::current() {
            let Some(count) = self.count.get().checked_add(1) else {
                panic!("an RLock was taken usize::MAX times");
            };
            self.count.set(count);
            return true;
        }
        let free = self.raw.try_lock();
        if free {
            self.hold(1);
        }
        free
    }

    /// Notes that this agent has just taken the raw lock.
    #[inline]
    fn hold(&self, count: usize) {
        self.holder.set(agent::current());
        self.count.set(count);
    }

    #[inline]
    fn guard(&self) -> RLockGuard<'_, T> {
        RLockGuard { lock: self, _in_this_thread: PhantomData }
    }

    /// Releases the raw lock.
    #[inline]
    #[expect(unsafe_code, reason = "the raw lock has no guard of its own")]
    fn let_go(&self) {
        self.count.set(0);
        self.holder.set(AgentId::NONE);
        // SAFETY: called only by the last guard, or for all guards while a condition waits; a guard
        // exists only while this agent holds the raw lock.
        unsafe { self.raw.unlock() };
    }
}

impl<T: Default> Default for RLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("RLock");
        lock.field("name", &format_args!("{}", self.name));
        match self.try_acquire() {
            Some(guard) => lock.field("data", &&*guard),
            None => lock.field("data", &format_args!("<locked>")),
        };
        lock.finish()
    }
}

impl<T: ?Sized> Deref for RLockGuard<'_, T> {
    type Target = T;

    #[inline]
    #[expect(unsafe_code, reason = "the data is in an UnsafeCell")]
    fn deref(&self) -> &T {
        // SAFETY: this agent holds the raw lock for as long as the guard lives, and a lock that is
        // borrowed gives out no `&mut T`.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for RLockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        match self.lock.count.get() {
            0 | 1 => self.lock.let_go(),
            count => self.lock.count.set(count - 1),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RLockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized> sealed::Sealed for RLockGuard<'_, T> {}

impl<T: ?Sized> ConditionGuard for RLockGuard<'_, T> {
    type Data = T;

    fn release(&mut self) -> usize {
        let count = self.lock.count.get();
        self.lock.let_go();
        count
    }

    fn reacquire(&mut self, count: usize) {
        let lock = self.lock;
        if !lock.raw.try_lock() {
            lock_whatever(KIND, &lock.name, &lock.holder, |time| lock.raw.try_lock_for(time).then_some(()));
        }
        lock.hold(count);
    }

    fn data(&self) -> &T {
        self
    }
}
