//! The first-in, first-out queue.
//!
//! One lock, three condition variables, and under the lock a count of the threads that wait on
//! each, so that nobody is notified where nobody waits. Why no wake-up is lost:
//!
//! * A thread waits only after it has found its condition false under the lock, and it is counted
//!   before it lets go of the lock. Whoever makes the condition true holds the lock, so it sees
//!   the count.
//! * Each item put notifies one getter, each item taken notifies one putter. A thread that was
//!   notified is counted until it runs again, so a count may be too high (a notification too many
//!   is harmless), never too low.
//! * A notified thread may find that another took its item. Then that item is gone and nothing is
//!   owed. A timed wait that ends looks at the condition once more before it gives up, so it
//!   cannot swallow a notification together with the item that it stood for.
//! * `shutdown` and the end of the last unfinished item concern everybody, and notify everybody.
//!
//! Items never die under the lock: their destructors are the user's code.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::error::{GetError, PutError, PutErrorKind, TaskDoneError};
use crate::deadline;

/// A first-in, first-out queue between threads. Clones are handles to the same queue.
///
/// It counts the items that have been put and not been reported done, so that [`join`](Self::join)
/// can wait for the *work*, not for the queue to be empty. After [`shutdown`](Self::shutdown)
/// nothing goes in any more; what is inside can still be taken.
///
/// ```
/// use towline_threads::{Queue, thread};
///
/// let queue = Queue::new();
/// let jobs = queue.clone();
/// let worker = thread::spawn(move || {
///     let mut done = Vec::new();
///     while let Ok(job) = jobs.get() {
///         done.push(job);
///         jobs.task_done().unwrap();
///     }
///     done
/// });
/// queue.put("one").unwrap();
/// queue.put("two").unwrap();
/// queue.shutdown();
/// assert_eq!(worker.join().unwrap(), ["one", "two"]);
/// ```
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: Option<usize>,
    not_empty: Condvar,
    not_full: Condvar,
    all_done: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    /// Items put and not reported done.
    unfinished: usize,
    shut_down: bool,
    getters_waiting: usize,
    putters_waiting: usize,
    joiners_waiting: usize,
}

/// How long a call is ready to wait.
#[derive(Clone, Copy)]
enum Patience {
    None,
    Until(Option<Instant>),
}

impl<T> Queue<T> {
    /// A queue without a limit: `put` never waits.
    pub fn new() -> Self {
        Self::with_capacity(None)
    }

    /// A queue that holds at most `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0: nothing could ever be put.
    pub fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue with room for 0 items can hold nothing");
        Self::with_capacity(Some(capacity))
    }

    /// Puts an item at the end; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PutErrorKind::ShutDown`], with the item, if the queue has been shut down, also while this
    /// waits.
    pub fn put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_with(item, Patience::Until(None))
    }

    /// Puts an item at the end if there is room now.
    ///
    /// # Errors
    ///
    /// [`PutErrorKind::Full`] or [`PutErrorKind::ShutDown`], with the item.
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.put_with(item, Patience::None)
    }

    /// Puts an item at the end; waits for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PutErrorKind::Timeout`] or [`PutErrorKind::ShutDown`], with the item.
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        self.put_with(item, Patience::Until(deadline::after(timeout)))
    }

    /// Takes the first item; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// [`GetError::ShutDown`] once the queue has been shut down and is empty.
    pub fn get(&self) -> Result<T, GetError> {
        self.get_with(Patience::Until(None))
    }

    /// Takes the first item if there is one now.
    ///
    /// # Errors
    ///
    /// [`GetError::Empty`], or [`GetError::ShutDown`] once the queue has been shut down and is
    /// empty.
    pub fn try_get(&self) -> Result<T, GetError> {
        self.get_with(Patience::None)
    }

    /// Takes the first item; waits for one no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`GetError::Timeout`], or [`GetError::ShutDown`] once the queue has been shut down and is
    /// empty.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        self.get_with(Patience::Until(deadline::after(timeout)))
    }

    /// Waits for the first item no longer than `timeout`, then takes what is there, at most `max`.
    ///
    /// The items are appended to `out`; their number is returned. With `max` 0 it returns 0 at
    /// once.
    ///
    /// # Errors
    ///
    /// As [`get_timeout`](Self::get_timeout); `out` is unchanged then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use towline_threads::Queue;
    ///
    /// let queue = Queue::new();
    /// for n in 0..5 {
    ///     queue.put(n).unwrap();
    /// }
    /// let mut batch = Vec::new();
    /// assert_eq!(queue.get_many(&mut batch, 3, Duration::ZERO), Ok(3));
    /// assert_eq!(batch, [0, 1, 2]);
    /// ```
    pub fn get_many(&self, out: &mut Vec<T>, max: usize, timeout: Duration) -> Result<usize, GetError> {
        if max == 0 {
            return Ok(0);
        }
        let mut state = self.wait_for_item(Patience::Until(deadline::after(timeout)))?;
        let count = max.min(state.items.len());
        out.extend(state.items.drain(..count));
        self.shared.room_made(&state, count);
        Ok(count)
    }

    /// Reports that the work on one item that was taken is done.
    ///
    /// # Errors
    ///
    /// [`TaskDoneError`] if no item is unfinished; nothing changes then.
    ///
    /// ```
    /// use towline_threads::Queue;
    ///
    /// let queue = Queue::new();
    /// queue.put('a').unwrap();
    /// queue.get().unwrap();
    /// assert!(queue.task_done().is_ok());
    /// assert!(queue.task_done().is_err());
    /// ```
    pub fn task_done(&self) -> Result<(), TaskDoneError> {
        let mut state = self.shared.state.lock();
        if state.unfinished == 0 {
            return Err(TaskDoneError);
        }
        self.shared.settle(&mut state, 1);
        Ok(())
    }

    /// Waits until every item that was put has been reported done (or was dropped by
    /// [`shutdown_immediate`](Self::shutdown_immediate)).
    pub fn join(&self) {
        self.join_until(None);
    }

    /// Does as [`join`](Self::join), but no longer than `timeout`; false if work is left.
    pub fn join_timeout(&self, timeout: Duration) -> bool {
        self.join_until(deadline::after(timeout))
    }

    /// How many items have been put and not been reported done.
    pub fn unfinished(&self) -> usize {
        self.shared.state.lock().unfinished
    }

    /// How many items are in the queue now. Other threads may change that at once.
    pub fn len(&self) -> usize {
        self.shared.state.lock().items.len()
    }

    /// Whether the queue is empty now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items the queue can hold; `None` if there is no limit.
    pub fn capacity(&self) -> Option<usize> {
        self.shared.capacity
    }

    /// Lets nothing in any more. Twice is harmless.
    ///
    /// `put` fails from now on, also for threads that wait in it. `get` gives what is left and
    /// then fails.
    ///
    /// ```
    /// use towline_threads::Queue;
    /// use towline_threads::queue::GetError;
    ///
    /// let queue = Queue::new();
    /// queue.put(1).unwrap();
    /// queue.shutdown();
    /// assert_eq!(queue.put(2).unwrap_err().into_inner(), 2);
    /// assert_eq!(queue.get(), Ok(1));
    /// assert_eq!(queue.get(), Err(GetError::ShutDown));
    /// ```
    pub fn shutdown(&self) {
        let mut state = self.shared.state.lock();
        self.shared.shut_down(&mut state);
    }

    /// Does as [`shutdown`](Self::shutdown), and drops what is in the queue.
    ///
    /// The dropped items count as done. Items that have been taken still need their
    /// [`task_done`](Self::task_done): [`join`](Self::join) waits for them.
    pub fn shutdown_immediate(&self) {
        let dropped = {
            let mut state = self.shared.state.lock();
            self.shared.shut_down(&mut state);
            let dropped = std::mem::take(&mut state.items);
            // Less than that is unfinished if `task_done` was called for items not yet taken.
            let settled = dropped.len().min(state.unfinished);
            self.shared.settle(&mut state, settled);
            dropped
        };
        drop(dropped);
    }

    fn with_capacity(capacity: Option<usize>) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    items: VecDeque::new(),
                    unfinished: 0,
                    shut_down: false,
                    getters_waiting: 0,
                    putters_waiting: 0,
                    joiners_waiting: 0,
                }),
                capacity,
                not_empty: Condvar::new(),
                not_full: Condvar::new(),
                all_done: Condvar::new(),
            }),
        }
    }

    fn put_with(&self, item: T, patience: Patience) -> Result<(), PutError<T>> {
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        let mut in_time = true;
        loop {
            let refusal = if state.shut_down {
                PutErrorKind::ShutDown
            } else if shared.has_room(&state) {
                break;
            } else {
                match patience {
                    Patience::None => PutErrorKind::Full,
                    Patience::Until(_) if !in_time => PutErrorKind::Timeout,
                    Patience::Until(deadline) => {
                        state.putters_waiting += 1;
                        in_time = deadline::wait_until(&shared.not_full, &mut state, deadline);
                        state.putters_waiting -= 1;
                        continue;
                    }
                }
            };
            drop(state);
            return Err(PutError::new(item, refusal));
        }
        state.items.push_back(item);
        state.unfinished += 1;
        if state.getters_waiting > 0 {
            shared.not_empty.notify_one();
        }
        Ok(())
    }

    fn get_with(&self, patience: Patience) -> Result<T, GetError> {
        let mut state = self.wait_for_item(patience)?;
        match state.items.pop_front() {
            Some(item) => {
                self.shared.room_made(&state, 1);
                Ok(item)
            }
            None => unreachable!("the lock has been held since an item was seen"),
        }
    }

    /// Returns with the lock held and at least one item in the queue.
    fn wait_for_item(&self, patience: Patience) -> Result<MutexGuard<'_, State<T>>, GetError> {
        let shared = &*self.shared;
        let mut state = shared.state.lock();
        let mut in_time = true;
        while state.items.is_empty() {
            if state.shut_down {
                return Err(GetError::ShutDown);
            }
            match patience {
                Patience::None => return Err(GetError::Empty),
                Patience::Until(_) if !in_time => return Err(GetError::Timeout),
                Patience::Until(deadline) => {
                    state.getters_waiting += 1;
                    in_time = deadline::wait_until(&shared.not_empty, &mut state, deadline);
                    state.getters_waiting -= 1;
                }
            }
        }
        Ok(state)
    }

    fn join_until(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.shared.state.lock();
        let mut in_time = true;
        while in_time && state.unfinished > 0 {
            state.joiners_waiting += 1;
            in_time = deadline::wait_until(&self.shared.all_done, &mut state, deadline);
            state.joiners_waiting -= 1;
        }
        state.unfinished == 0
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Queue")
            .field("len", &state.items.len())
            .field("capacity", &self.shared.capacity)
            .field("unfinished", &state.unfinished)
            .field("shut_down", &state.shut_down)
            .finish_non_exhaustive()
    }
}

impl<T> Shared<T> {
    fn has_room(&self, state: &State<T>) -> bool {
        self.capacity.is_none_or(|capacity| state.items.len() < capacity)
    }

    /// Lets as many putters go on as items have been taken.
    fn room_made(&self, state: &State<T>, count: usize) {
        for _ in 0..count.min(state.putters_waiting) {
            self.not_full.notify_one();
        }
    }

    fn settle(&self, state: &mut State<T>, count: usize) {
        state.unfinished -= count;
        if state.unfinished == 0 && state.joiners_waiting > 0 {
            self.all_done.notify_all();
        }
    }

    fn shut_down(&self, state: &mut State<T>) {
        state.shut_down = true;
        if state.getters_waiting > 0 {
            self.not_empty.notify_all();
        }
        if state.putters_waiting > 0 {
            self.not_full.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::with_watchdog;

    #[test]
    fn an_item_may_use_the_queue_while_it_is_dropped() {
        struct Nosy(Queue<Self>);
        impl Drop for Nosy {
            fn drop(&mut self) {
                // Would wait for ever if the lock were held.
                assert!(self.0.is_empty());
            }
        }
        with_watchdog(Duration::from_secs(60), || {
            let queue = Queue::new();
            queue.put(Nosy(queue.clone())).unwrap();
            queue.shutdown_immediate();
            assert_eq!(queue.unfinished(), 0);
        });
    }

    #[test]
    fn putters_that_wait_are_told_of_the_shutdown() {
        with_watchdog(Duration::from_secs(60), || {
            let queue = Queue::bounded(1);
            queue.put(1).unwrap();
            let other = queue.clone();
            let putter = std::thread::spawn(move || other.put(2).unwrap_err());
            while queue.shared.state.lock().putters_waiting == 0 {
                std::thread::yield_now();
            }
            queue.shutdown();
            let error = putter.join().unwrap();
            assert_eq!(error.kind(), PutErrorKind::ShutDown);
            assert_eq!(error.into_inner(), 2);
            assert_eq!(queue.unfinished(), 1, "a failed put is not counted");
        });
    }
}
