//! The primitives that this crate's protocols are built on, switched in one place.
//!
//! Normally they come from `parking_lot` and the standard library; with `--cfg loom` or
//! `--cfg shuttle`, from those tools, which run a protocol through its interleavings. The interface
//! is always `parking_lot`'s: `lock` returns the guard, and a condition variable takes
//! `&mut guard`. Neither tool models time: under them, a timed wait never times out.

#[cfg(not(any(loom, shuttle)))]
mod primitives {
    pub(crate) use std::thread;
    pub(crate) mod atomic {
        pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
    }
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

    /// Whether a thread may spin before it goes to sleep.
    pub(crate) const MAY_SPIN: bool = true;

    /// A thread-local variable with a constant initial value.
    macro_rules! local {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $value:expr;) => {
            std::thread_local! { $(#[$meta])* $vis static $name: $type = const { $value }; }
        };
    }
    pub(crate) use local;
}

#[cfg(any(loom, shuttle))]
#[allow(dead_code, unused_imports, reason = "a model uses what it needs")]
mod primitives {
    use std::ops::{Deref, DerefMut};
    use std::time::Instant;

    #[cfg(loom)]
    use loom as tool;
    #[cfg(shuttle)]
    use shuttle as tool;

    #[cfg(shuttle)]
    pub(crate) use shuttle::thread;
    #[cfg(loom)]
    pub(crate) use std::thread;

    pub(crate) mod atomic {
        #[cfg(loom)]
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
        #[cfg(shuttle)]
        pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
    }

    pub(crate) const MAY_SPIN: bool = false;

    #[cfg(loom)]
    macro_rules! local {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $value:expr;) => {
            std::thread_local! { $(#[$meta])* $vis static $name: $type = const { $value }; }
        };
    }
    #[cfg(shuttle)]
    macro_rules! local {
        ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty = $value:expr;) => {
            shuttle::thread_local! { $(#[$meta])* $vis static $name: $type = $value; }
        };
    }
    pub(crate) use local;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T: ?Sized>(tool::sync::Mutex<T>);

    pub(crate) struct MutexGuard<'a, T: ?Sized>(Option<tool::sync::MutexGuard<'a, T>>);

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(tool::sync::Condvar);

    pub(crate) struct WaitTimeoutResult;

    impl<T> Mutex<T> {
        #[cfg(loom)]
        pub(crate) fn new(value: T) -> Self {
            Self(tool::sync::Mutex::new(value))
        }

        #[cfg(shuttle)]
        pub(crate) const fn new(value: T) -> Self {
            Self(tool::sync::Mutex::new(value))
        }

        pub(crate) fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())
        }
    }

    impl<T: ?Sized> Mutex<T> {
        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(Some(self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())))
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner())
        }
    }

    impl<T: ?Sized> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("the guard holds the lock")
        }
    }

    impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("the guard holds the lock")
        }
    }

    impl Condvar {
        #[cfg(loom)]
        pub(crate) fn new() -> Self {
            Self(tool::sync::Condvar::new())
        }

        #[cfg(shuttle)]
        pub(crate) const fn new() -> Self {
            Self(tool::sync::Condvar::new())
        }

        pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
            let held = guard.0.take().expect("the guard holds the lock");
            guard.0 = Some(self.0.wait(held).unwrap_or_else(|poisoned| poisoned.into_inner()));
        }

        pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _deadline: Instant) -> WaitTimeoutResult {
            self.wait(guard);
            WaitTimeoutResult
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }

    impl WaitTimeoutResult {
        pub(crate) fn timed_out(&self) -> bool {
            false
        }
    }
}

pub(crate) use primitives::*;

/// A `const fn`, except under loom, whose primitives are created at run time.
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $($rest:tt)*) => {
        #[cfg(not(loom))]
        $(#[$meta])*
        $vis const fn $($rest)*
        #[cfg(loom)]
        $(#[$meta])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_fn;
