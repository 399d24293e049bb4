//! The methods of all queues, written once.
//!
//! A macro instead of a trait, so that callers need no import for `get`, and each queue's page
//! shows its methods with its own examples.

/// Implements the methods of a handle type. Its only field, `core`, is a `Shared` of some store.
///
/// `next` names the next item in the documentation; `three_of_five` shows the first three items
/// taken after the numbers 0 to 4 were put in this order.
macro_rules! queue_methods {
    ($Queue:ident, $T:ident $(: $Bound:ident)?, next: $next:literal, three_of_five: $three:literal) => {
        impl<$T $(: $Bound)?> $Queue<$T> {
            /// A queue without a limit: `put` never waits.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// assert_eq!(queue.capacity(), None);
            /// ```
            #[track_caller]
            pub fn new() -> Self {
                Self { core: std::sync::Arc::new($crate::queue::core::Core::new(None)) }
            }

            /// A queue that holds at most `capacity` items.
            ///
            /// # Panics
            ///
            /// If `capacity` is 0: nothing could ever be put.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// queue.put('a').unwrap();
            /// assert!(queue.try_put('b').is_err());
            /// ```
            #[track_caller]
            pub fn bounded(capacity: usize) -> Self {
                Self { core: std::sync::Arc::new($crate::queue::core::Core::new(Some(capacity))) }
            }

            /// Puts an item; waits while the queue is full.
            ///
            /// # Errors
            ///
            /// [`PutErrorKind::ShutDown`](crate::queue::PutErrorKind::ShutDown), with the item, if
            /// the queue has been shut down, even while this waits.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            /// use towline_threads::thread;
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// let numbers = queue.clone();
            /// let putter = thread::spawn(move || {
            ///     for n in 1..=3 {
            ///         numbers.put(n).unwrap(); // waits for the one before to be taken
            ///     }
            /// });
            /// assert_eq!([queue.get(), queue.get(), queue.get()], [Ok(1), Ok(2), Ok(3)]);
            /// putter.join().unwrap();
            /// ```
            pub fn put(&self, item: $T) -> Result<(), $crate::queue::PutError<$T>> {
                self.core.put(item, $crate::queue::core::Patience::Forever)
            }

            /// Puts an item if there is room now.
            ///
            /// # Errors
            ///
            /// [`PutErrorKind::Full`](crate::queue::PutErrorKind::Full) or
            /// [`PutErrorKind::ShutDown`](crate::queue::PutErrorKind::ShutDown), with the item.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::{PutErrorKind, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// queue.try_put("first").unwrap();
            /// let error = queue.try_put("second").unwrap_err();
            /// assert_eq!(error.kind(), PutErrorKind::Full);
            /// assert_eq!(error.into_inner(), "second");
            /// ```
            pub fn try_put(&self, item: $T) -> Result<(), $crate::queue::PutError<$T>> {
                self.core.put(item, $crate::queue::core::Patience::None)
            }

            /// Puts an item; waits for room no longer than `timeout`.
            ///
            /// # Errors
            ///
            /// [`PutErrorKind::Timeout`](crate::queue::PutErrorKind::Timeout) or
            /// [`PutErrorKind::ShutDown`](crate::queue::PutErrorKind::ShutDown), with the item.
            ///
            /// ```
            /// use std::time::Duration;
            #[doc = concat!("use towline_threads::queue::{PutErrorKind, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// queue.put(1).unwrap();
            /// let error = queue.put_timeout(2, Duration::from_millis(1)).unwrap_err();
            /// assert_eq!(error.kind(), PutErrorKind::Timeout);
            /// ```
            pub fn put_timeout(
                &self,
                item: $T,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::queue::PutError<$T>> {
                self.core.put(item, $crate::queue::core::Patience::For(timeout))
            }

            /// Adds all of these items, as [`put`](Self::put) would one by one, but at once: it takes the lock
            /// once for as many as there is room for, and waits for room for the rest. Returns their number.
            ///
            /// # Errors
            ///
            /// [`PutErrorKind::ShutDown`](crate::queue::PutErrorKind::ShutDown); what was not added is still
            /// in `items`.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// let mut items = vec![0, 1, 2, 3, 4];
            /// assert_eq!(queue.put_many(&mut items), Ok(5));
            /// assert!(items.is_empty());
            /// let taken: Vec<i32> = (0..3).map(|_| queue.get().unwrap()).collect();
            #[doc = concat!("assert_eq!(taken, ", $three, ");")]
            /// ```
            pub fn put_many(&self, items: &mut Vec<$T>) -> Result<usize, $crate::queue::PutErrorKind> {
                self.core.put_many(items, $crate::queue::core::Patience::Forever)
            }

            #[doc = concat!("Takes ", $next, "; waits while the queue is empty.")]
            ///
            /// # Errors
            ///
            /// [`GetError::ShutDown`](crate::queue::GetError::ShutDown) once the queue has been shut
            /// down and is empty.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::{GetError, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// queue.shutdown();
            /// assert_eq!(queue.get(), Ok('a'));
            /// assert_eq!(queue.get(), Err(GetError::ShutDown));
            /// ```
            pub fn get(&self) -> Result<$T, $crate::queue::GetError> {
                self.core.get($crate::queue::core::Patience::Forever)
            }

            #[doc = concat!("Takes ", $next, " if there is any now.")]
            ///
            /// # Errors
            ///
            /// [`GetError::Empty`](crate::queue::GetError::Empty), or
            /// [`GetError::ShutDown`](crate::queue::GetError::ShutDown) once the queue has been shut
            /// down and is empty.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::{GetError, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// assert_eq!(queue.try_get(), Ok('a'));
            /// assert_eq!(queue.try_get(), Err(GetError::Empty));
            /// ```
            pub fn try_get(&self) -> Result<$T, $crate::queue::GetError> {
                self.core.get($crate::queue::core::Patience::None)
            }

            #[doc = concat!("Takes ", $next, "; waits for any no longer than `timeout`.")]
            ///
            /// # Errors
            ///
            /// [`GetError::Timeout`](crate::queue::GetError::Timeout), or
            /// [`GetError::ShutDown`](crate::queue::GetError::ShutDown) once the queue has been shut
            /// down and is empty.
            ///
            /// ```
            /// use std::time::Duration;
            #[doc = concat!("use towline_threads::queue::{GetError, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::<char>::new();")]
            /// assert_eq!(queue.get_timeout(Duration::from_millis(1)), Err(GetError::Timeout));
            /// ```
            pub fn get_timeout(&self, timeout: std::time::Duration) -> Result<$T, $crate::queue::GetError> {
                self.core.get($crate::queue::core::Patience::For(timeout))
            }

            /// Waits for an item no longer than `timeout`, then takes all items, at most `max`.
            ///
            /// The items are appended to `out`, in the order in which [`get`](Self::get) would take
            /// them. Returns their number. With a `max` of 0, returns 0 at once.
            ///
            /// # Errors
            ///
            /// As [`get_timeout`](Self::get_timeout); `out` is unchanged then.
            ///
            /// ```
            /// use std::time::Duration;
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// for n in 0..5 {
            ///     queue.put(n).unwrap();
            /// }
            /// let mut batch = Vec::new();
            /// assert_eq!(queue.get_many(&mut batch, 3, Duration::ZERO), Ok(3));
            #[doc = concat!("assert_eq!(batch, ", $three, ");")]
            /// ```
            pub fn get_many(
                &self,
                out: &mut Vec<$T>,
                max: usize,
                timeout: std::time::Duration,
            ) -> Result<usize, $crate::queue::GetError> {
                self.core.get_many(out, max, timeout)
            }

            /// Reports that the work on one taken item is done.
            ///
            /// # Errors
            ///
            /// [`TaskDoneError`](crate::queue::TaskDoneError) if no item is unfinished; nothing
            /// changes then.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// queue.get().unwrap();
            /// assert!(queue.task_done().is_ok());
            /// assert!(queue.task_done().is_err());
            /// ```
            pub fn task_done(&self) -> Result<(), $crate::queue::TaskDoneError> {
                self.core.task_done()
            }

            /// Waits until every item that was put has been reported done (or was dropped by
            /// [`shutdown_immediate`](Self::shutdown_immediate)).
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            /// use towline_threads::thread;
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put(20).unwrap();
            /// let numbers = queue.clone();
            /// let worker = thread::spawn(move || {
            ///     let number = numbers.get().unwrap();
            ///     // The queue is empty by now, and the work is not done.
            ///     let doubled = number * 2;
            ///     numbers.task_done().unwrap();
            ///     doubled
            /// });
            /// queue.join();
            /// assert_eq!(worker.join().unwrap(), 40);
            /// ```
            pub fn join(&self) {
                self.core.join($crate::queue::core::Patience::Forever);
            }

            /// Like [`join`](Self::join), but waits no longer than `timeout`; false if work is
            /// left.
            ///
            /// ```
            /// use std::time::Duration;
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// assert!(!queue.join_timeout(Duration::from_millis(1)));
            /// ```
            pub fn join_timeout(&self, timeout: std::time::Duration) -> bool {
                self.core.join($crate::queue::core::Patience::For(timeout))
            }

            /// How many items were put but not reported done.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// queue.get().unwrap();
            /// assert_eq!((queue.len(), queue.unfinished()), (0, 1));
            /// ```
            pub fn unfinished(&self) -> usize {
                self.core.unfinished()
            }

            /// How many items are in the queue now. Other threads may change that at any moment.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// assert_eq!(queue.len(), 1);
            /// ```
            pub fn len(&self) -> usize {
                self.core.len()
            }

            /// Whether the queue is empty now. Other threads may change that at any moment.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// assert!(queue.is_empty());
            /// queue.put('a').unwrap();
            /// assert!(!queue.is_empty());
            /// ```
            pub fn is_empty(&self) -> bool {
                self.core.len() == 0
            }

            /// Whether the queue is full now; never if it has no limit. Other threads may change
            /// that at any moment.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::bounded(1);")]
            /// assert!(!queue.is_full());
            /// queue.put('a').unwrap();
            /// assert!(queue.is_full());
            /// ```
            pub fn is_full(&self) -> bool {
                self.core.is_full()
            }

            /// Whether the queue was shut down: it accepts no more items, and may still have some.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put('a').unwrap();
            /// queue.shutdown();
            /// assert!(queue.is_shutdown() && !queue.is_empty());
            /// ```
            pub fn is_shutdown(&self) -> bool {
                self.core.is_shutdown()
            }

            /// How many items the queue can hold; `None` if there is no limit.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::", stringify!($Queue), ";")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::<char>::bounded(3);")]
            /// assert_eq!(queue.capacity(), Some(3));
            /// ```
            pub fn capacity(&self) -> Option<usize> {
                self.core.capacity()
            }

            /// Stops accepting items. A second call is harmless.
            ///
            /// `put` fails from now on, even in threads that already wait in it. `get` returns the
            /// remaining items and then fails.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::{GetError, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put(1).unwrap();
            /// queue.shutdown();
            /// assert_eq!(queue.put(2).unwrap_err().into_inner(), 2);
            /// assert_eq!(queue.get(), Ok(1));
            /// assert_eq!(queue.get(), Err(GetError::ShutDown));
            /// ```
            pub fn shutdown(&self) {
                self.core.shutdown();
            }

            /// Like [`shutdown`](Self::shutdown), but also drops the remaining items.
            ///
            /// The dropped items count as done. Items that have been taken still need their
            /// [`task_done`](Self::task_done): [`join`](Self::join) waits for them.
            ///
            /// ```
            #[doc = concat!("use towline_threads::queue::{GetError, ", stringify!($Queue), "};")]
            ///
            #[doc = concat!("let queue = ", stringify!($Queue), "::new();")]
            /// queue.put(1).unwrap();
            /// queue.put(2).unwrap();
            /// queue.get().unwrap();
            /// queue.shutdown_immediate();
            /// assert_eq!(queue.get(), Err(GetError::ShutDown));
            /// assert_eq!(queue.unfinished(), 1); // the one that was taken
            /// ```
            pub fn shutdown_immediate(&self) {
                self.core.shutdown_immediate();
            }
        }

        /// Another handle to the same queue.
        impl<$T> Clone for $Queue<$T> {
            fn clone(&self) -> Self {
                Self { core: std::sync::Arc::clone(&self.core) }
            }
        }

        impl<$T $(: $Bound)?> Default for $Queue<$T> {
            #[track_caller]
            fn default() -> Self {
                Self::new()
            }
        }

        impl<$T $(: $Bound)?> std::fmt::Debug for $Queue<$T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.core.debug(stringify!($Queue), f)
            }
        }
    };
}

pub(super) use queue_methods;
