//! The first-in, first-out queue.

use std::collections::VecDeque;

use super::core::Shared;
use super::methods::queue_methods;
use super::store::Store;

/// A first-in, first-out queue between threads. Clones are handles to the same queue.
///
/// It counts the items that were put but not reported done, so [`join`](Self::join) can wait for
/// the *work*, not just for an empty queue. After [`shutdown`](Self::shutdown), it accepts no more
/// items; those inside can still be taken.
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
    core: Shared<VecDeque<T>>,
}

queue_methods!(Queue, T, next: "the first item", three_of_five: "[0, 1, 2]");

impl<T> Store for VecDeque<T> {
    type Item = T;
    type Place = ();

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn place(&self, _item: &T) {}

    fn insert(&mut self, item: T, (): ()) {
        self.push_back(item);
    }

    fn take(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn take_many(&mut self, count: usize, out: &mut Vec<T>) {
        out.extend(self.drain(..count));
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::time::Duration;

    use towline_testkit::with_watchdog;

    use super::*;

    #[test]
    fn an_item_may_use_the_queue_while_it_is_dropped() {
        struct Nosy(Queue<Self>);
        impl Drop for Nosy {
            fn drop(&mut self) {
                // Would deadlock if the lock were held.
                assert!(self.0.is_empty());
            }
        }
        with_watchdog(Duration::from_secs(60), || {
            let queue = Queue::new();
            queue.put(Nosy(queue.clone())).unwrap();
            queue.shutdown_immediate();
            assert_eq!(queue.unfinished(), 0);
            // Handed back, and dropped by us.
            assert!(queue.put(Nosy(queue.clone())).is_err());
        });
    }
}
