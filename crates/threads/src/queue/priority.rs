//! The queue that gives the smallest item first.

use super::core::Shared;
use super::heap::Heap;
use super::methods::queue_methods;

/// A queue between threads that gives its smallest item first. Clones are handles to the same
/// queue.
///
/// Smallest first, as in Python. Equal items leave in insertion order (Python promises no order).
/// Everything else is as in a [`Queue`](super::Queue).
///
/// # Priorities
///
/// An item is usually a pair of a number and the work to do. Low numbers are urgent:
///
/// ```
/// use towline_threads::queue::PriorityQueue;
///
/// let jobs = PriorityQueue::new();
/// jobs.put((5, "sweep")).unwrap();
/// jobs.put((1, "put out the fire")).unwrap();
/// assert_eq!(jobs.get(), Ok((1, "put out the fire")));
/// assert_eq!(jobs.get(), Ok((5, "sweep")));
/// ```
///
/// [`Reverse`](std::cmp::Reverse) makes high numbers urgent:
///
/// ```
/// use std::cmp::Reverse;
/// use towline_threads::queue::PriorityQueue;
///
/// let offers = PriorityQueue::new();
/// offers.put((Reverse(10), "Ada")).unwrap();
/// offers.put((Reverse(25), "Grace")).unwrap();
/// assert_eq!(offers.get(), Ok((Reverse(25), "Grace")));
/// ```
///
/// Two pairs with the same number are compared by their second parts. If those have no order, or if
/// insertion order should decide, use a type that compares only the number:
///
/// ```
/// use std::cmp::Ordering;
/// use towline_threads::queue::PriorityQueue;
///
/// struct Job {
///     priority: u8,
///     run: fn() -> &'static str,
/// }
///
/// impl Ord for Job {
///     fn cmp(&self, other: &Self) -> Ordering {
///         self.priority.cmp(&other.priority)
///     }
/// }
///
/// impl PartialOrd for Job {
///     fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
///         Some(self.cmp(other))
///     }
/// }
///
/// impl PartialEq for Job {
///     fn eq(&self, other: &Self) -> bool {
///         self.cmp(other).is_eq()
///     }
/// }
///
/// impl Eq for Job {}
///
/// let jobs = PriorityQueue::new();
/// jobs.put(Job { priority: 2, run: || "first of two" }).unwrap();
/// jobs.put(Job { priority: 2, run: || "second of two" }).unwrap();
/// jobs.put(Job { priority: 1, run: || "urgent" }).unwrap();
/// let ran: Vec<_> = (0..3).map(|_| (jobs.get().unwrap().run)()).collect();
/// assert_eq!(ran, ["urgent", "first of two", "second of two"]);
/// ```
///
/// # Comparisons
///
/// Items are compared with [`Ord::cmp`] while the queue is locked: keep it quick, and do not use
/// the queue in it, which would deadlock. If it panics, so does the call that needed it, and the
/// queue is unchanged: an item to be put is dropped, an item to be taken stays.
/// ([`get_many`](Self::get_many) keeps in `out` what it has taken so far.)
pub struct PriorityQueue<T> {
    core: Shared<Heap<T>>,
}

queue_methods!(PriorityQueue, T: Ord, next: "the smallest item", three_of_five: "[0, 1, 2]");

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::cmp::Ordering;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::sync::atomic::{self, AtomicBool};
    use std::time::Duration;

    use towline_testkit::with_watchdog;

    use super::super::state::Side;
    use super::*;

    /// The next comparison panics.
    static ARMED: AtomicBool = AtomicBool::new(false);

    struct Fragile(u8);

    impl Ord for Fragile {
        fn cmp(&self, other: &Self) -> Ordering {
            if ARMED.swap(false, atomic::Ordering::SeqCst) {
                resume_unwind(Box::new("no order"));
            }
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Fragile {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    impl PartialEq for Fragile {
        fn eq(&self, other: &Self) -> bool {
            self.cmp(other).is_eq()
        }
    }

    impl Eq for Fragile {}

    #[test]
    fn a_putter_whose_comparison_panics_passes_its_wake_up_on() {
        with_watchdog(Duration::from_secs(60), || {
            let queue = PriorityQueue::bounded(2);
            queue.put(Fragile(1)).unwrap();
            queue.put(Fragile(2)).unwrap();
            let putters: Vec<_> = [3, 4]
                .into_iter()
                .map(|rank| {
                    let queue = queue.clone();
                    std::thread::spawn(move || {
                        catch_unwind(AssertUnwindSafe(|| queue.put(Fragile(rank)).unwrap())).is_ok()
                    })
                })
                .collect();
            while queue.core.asleep(Side::Putters) < 2 {
                std::thread::yield_now();
            }
            ARMED.store(true, atomic::Ordering::SeqCst);
            // Taking one of two needs no comparison. There is room for one, and one is woken.
            assert_eq!(queue.get().unwrap().0, 1);
            let put = putters.into_iter().map(|putter| putter.join().unwrap()).filter(|put| *put).count();
            assert_eq!(put, 1);
            assert_eq!((queue.len(), queue.unfinished()), (2, 3));
        });
    }
}
