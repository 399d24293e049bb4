//! A held lock on its way to another thread.

use std::fmt;
use std::mem;

use super::lock::{Lock, LockGuard};

/// A [`Lock`] that stays held while it goes from one thread to another, or waits for whoever ends what it guards.
/// Dropping it releases the lock.
///
/// Made by [`LockGuard::into_send`]. While it is on its way, the lock belongs to nobody: whoever waits for it is never
/// part of a reported deadlock, because any thread may turn out to release it. The data can be reached once a thread
/// has [taken](Self::take) it.
///
/// ```
/// use std::sync::Arc;
/// use towline_threads::{sync::Lock, thread};
///
/// static DEVICE: Lock<Vec<u8>> = Lock::new(Vec::new());
///
/// let mut held = DEVICE.acquire()?;
/// held.push(1);
/// let held = held.into_send();
/// let finisher = thread::spawn(move || {
///     let mut held = held.take();
///     held.push(2);
/// });
/// finisher.join().unwrap();
/// assert_eq!(*DEVICE.acquire()?, [1, 2]);
/// # Ok::<(), towline_threads::deadlock::Deadlock>(())
/// ```
#[must_use = "a guard that is dropped releases the lock at once"]
pub struct SendGuard<'a, T: ?Sized> {
    /// Locked, by this guard alone.
    lock: &'a Lock<T>,
}

impl<'a, T: ?Sized> LockGuard<'a, T> {
    /// Keeps the lock held, and lets another thread go on with it or release it, as CPython allows with a `Lock`.
    pub fn into_send(self) -> SendGuard<'a, T> {
        SendGuard { lock: self.leave() }
    }
}

impl<'a, T: ?Sized> SendGuard<'a, T> {
    /// Gives the lock to this thread (or task), which holds it from now on.
    pub fn take(self) -> LockGuard<'a, T> {
        let lock = self.lock;
        mem::forget(self);
        // SAFETY: the lock is held, and by this guard alone, which is gone without a release.
        #[expect(unsafe_code, reason = "the guard that took the lock was given up in another thread")]
        unsafe {
            lock.regain()
        }
    }
}

impl<T: ?Sized> Drop for SendGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the lock is held, and by this guard alone, which is dropped.
        #[expect(unsafe_code, reason = "the guard that took the lock was given up in another thread")]
        unsafe {
            self.lock.release();
        }
    }
}

impl<T: ?Sized> fmt::Debug for SendGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendGuard").field("lock", &self.lock.name().to_string()).finish()
    }
}
