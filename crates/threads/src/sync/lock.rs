//! A lock that owns its data and reports deadlocks.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::condition::{ConditionGuard, sealed};
use crate::agent;
use crate::agent_id::AgentId;
use crate::deadline;
use crate::deadlock::{Deadlock, lock_patiently, lock_whatever};
use crate::facade::const_fn;
use crate::holder::Holder;
use crate::naming::Name;

const KIND: &str = "Lock";

/// Gives one thread at a time access to its data.
///
/// Like Python's `Lock`, but the data is inside, dropping the guard releases the lock, and a wait
/// that would never end is an error ([`Deadlock`], which says who waits for whom). A thread that
/// panics while it holds the guard releases the lock: there is no poisoning.
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::{sync::Lock, thread};
///
/// let total = Arc::new(Lock::new(0));
/// let adders: Vec<_> = (1..=4)
///     .map(|n| {
///         let total = Arc::clone(&total);
///         thread::spawn(move || *total.acquire().unwrap() += n)
///     })
///     .collect();
/// for adder in adders {
///     adder.join().unwrap();
/// }
/// assert_eq!(*total.acquire()?, 10);
/// # Ok::<(), towline_threads::deadlock::Deadlock>(())
/// ```
///
/// In CPython any thread may release a lock. Here only the guard can, once, in its own thread, unless it is made one
/// that [can go to another](LockGuard::into_send):
///
/// ```compile_fail,E0382
/// use towline_threads::sync::Lock;
///
/// let lock = Lock::new(0);
/// let guard = lock.acquire().unwrap();
/// drop(guard);
/// drop(guard); // released twice
/// ```
///
/// ```compile_fail,E0277
/// use towline_threads::sync::Lock;
///
/// static LOCK: Lock<i32> = Lock::new(0);
/// let guard = LOCK.acquire().unwrap();
/// std::thread::spawn(move || drop(guard)); // released by another thread
/// ```
///
/// The data cannot be reached without the guard:
///
/// ```compile_fail,E0716
/// use towline_threads::sync::Lock;
///
/// let lock = Lock::new(vec![1]);
/// let first = lock.acquire().unwrap().first();
/// println!("{first:?}"); // the guard is gone
/// ```
pub struct Lock<T: ?Sized> {
    holder: Holder,
    name: Name,
    data: Mutex<T>,
}

/// Access to the data of a [`Lock`], which is released when this is dropped.
#[must_use = "a guard that is dropped releases the lock at once"]
pub struct LockGuard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// `None` only while a [`Condition`](super::Condition) waits.
    data: Option<MutexGuard<'a, T>>,
    /// Not `Send`, whatever features `parking_lot` was built with: deadlock reports rely on it.
    _in_this_thread: PhantomData<*const ()>,
}

// SAFETY: a shared guard gives only `&T`; the marker is only there to keep guards in their thread.
#[expect(unsafe_code, reason = "the marker takes away more than it is for")]
unsafe impl<T: ?Sized + Sync> Sync for LockGuard<'_, T> {}

impl<T> Lock<T> {
    const_fn! {
        /// A lock around `value`. Reports name it by the source location of this call.
        #[track_caller]
        pub const fn new(value: T) -> Self {
            Self { holder: Holder::nobody(), name: Name::here(), data: Mutex::new(value) }
        }
    }

    /// A lock with a name, for reports.
    ///
    /// ```
    /// use towline_threads::sync::Lock;
    ///
    /// let accounts = Lock::named("accounts", vec![100, 250]);
    /// assert_eq!(accounts.acquire().unwrap().len(), 2);
    /// ```
    pub fn named(name: impl Into<Cow<'static, str>>, value: T) -> Self {
        Self { holder: Holder::nobody(), name: Name::given(name), data: Mutex::new(value) }
    }

    /// Consumes the lock and returns its data.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits until the lock is free, and takes it.
    ///
    /// # Errors
    ///
    /// [`Deadlock`] if the wait would never end: this thread (or task) holds the lock itself, or it
    /// holds something that the lock's holder waits for, directly or through others.
    #[inline]
    pub fn acquire(&self) -> Result<LockGuard<'_, T>, Deadlock> {
        let data = match self.data.try_lock() {
            Some(data) => data,
            None => lock_patiently(KIND, &self.name, &self.holder, |time| self.data.try_lock_for(time))?,
        };
        Ok(self.held(data))
    }

    /// Takes the lock if it is free now.
    #[inline]
    pub fn try_acquire(&self) -> Option<LockGuard<'_, T>> {
        self.data.try_lock().map(|data| self.held(data))
    }

    /// Takes the lock; waits for it no longer than `timeout`. Such a wait ends by itself, so it is
    /// never part of a deadlock (unless `timeout` is beyond the clock's range: the wait then has no
    /// limit, and a deadlock returns `None`).
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::sync::Lock;
    ///
    /// let lock = Lock::new(());
    /// let held = lock.try_acquire();
    /// assert!(lock.acquire_timeout(Duration::from_millis(1)).is_none());
    /// # drop(held);
    /// ```
    pub fn acquire_timeout(&self, timeout: Duration) -> Option<LockGuard<'_, T>> {
        match deadline::after(timeout) {
            Some(deadline) => self.acquire_until(deadline),
            // Beyond the clock's range: a wait without a limit.
            None => self.acquire().ok(),
        }
    }

    /// Whether the lock is held now.
    pub fn locked(&self) -> bool {
        self.data.is_locked()
    }

    /// The data, without locking: `&mut self` proves that no one else can access it.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    fn acquire_until(&self, deadline: Instant) -> Option<LockGuard<'_, T>> {
        let data = match self.data.try_lock() {
            Some(data) => data,
            None => {
                let _note = crate::waiting::note(KIND, &self.name);
                self.data.try_lock_until(deadline)?
            }
        };
        Some(self.held(data))
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// The guard of a lock that a thread has [left](LockGuard::leave) held.
    ///
    /// # Safety
    ///
    /// The lock must have been left, and the caller must be the only one who regains or releases it.
    #[expect(unsafe_code, reason = "the guard of the thread that took the lock is gone")]
    pub(super) unsafe fn regain(&self) -> LockGuard<'_, T> {
        // SAFETY: by this function's contract, the mutex is locked and no other guard exists.
        let data = unsafe { self.data.make_guard_unchecked() };
        self.held(data)
    }

    /// Releases a lock that a thread has left held.
    ///
    /// # Safety
    ///
    /// As for `regain`.
    #[expect(unsafe_code, reason = "the guard of the thread that took the lock is gone")]
    pub(super) unsafe fn release(&self) {
        // SAFETY: by this function's contract, the mutex is locked and no other guard exists.
        unsafe { self.data.force_unlock() };
    }

    #[inline]
    fn held<'a>(&'a self, data: MutexGuard<'a, T>) -> LockGuard<'a, T> {
        self.holder.set(agent::current());
        LockGuard { lock: self, data: Some(data), _in_this_thread: PhantomData }
    }
}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    /// Gives up the guard and leaves the lock held, by nobody whom a report could name.
    pub(super) fn leave(mut self) -> &'a Lock<T> {
        self.lock.holder.set(AgentId::NONE);
        mem::forget(self.data.take());
        self.lock
    }
}

impl<T: Default> Default for Lock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lock = f.debug_struct("Lock");
        lock.field("name", &format_args!("{}", self.name));
        match self.data.try_lock() {
            Some(data) => lock.field("data", &&*data),
            None => lock.field("data", &format_args!("<locked>")),
        };
        lock.finish()
    }
}

impl<T: ?Sized> Deref for LockGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.data {
            Some(data) => data,
            None => unreachable!("nobody sees a guard while a condition waits"),
        }
    }
}

impl<T: ?Sized> DerefMut for LockGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.data {
            Some(data) => data,
            None => unreachable!("nobody sees a guard while a condition waits"),
        }
    }
}

impl<T: ?Sized> Drop for LockGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.data.is_some() {
            // The lock itself is released after this, when the field is dropped.
            self.lock.holder.set(AgentId::NONE);
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for LockGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<T: ?Sized> sealed::Sealed for LockGuard<'_, T> {}

impl<T: ?Sized> ConditionGuard for LockGuard<'_, T> {
    type Data = T;

    fn release(&mut self) -> usize {
        self.lock.holder.set(AgentId::NONE);
        self.data = None;
        1
    }

    fn reacquire(&mut self, _count: usize) {
        let lock = self.lock;
        let data = lock
            .data
            .try_lock()
            .unwrap_or_else(|| lock_whatever(KIND, &lock.name, &lock.holder, |time| lock.data.try_lock_for(time)));
        lock.holder.set(agent::current());
        self.data = Some(data);
    }

    fn data(&self) -> &T {
        self
    }
}
