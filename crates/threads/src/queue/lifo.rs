//! The last-in, first-out queue.

use super::core::Shared;
use super::methods::queue_methods;
use super::store::Store;

/// A last-in, first-out queue (a stack) between threads. Clones are handles to the same queue.
///
/// The item that was put last is taken first. Everything else is as in a [`Queue`](super::Queue).
///
/// ```
/// use towline_threads::queue::LifoQueue;
///
/// let queue = LifoQueue::new();
/// for page in ["index", "chapter", "section"] {
///     queue.put(page).unwrap();
/// }
/// assert_eq!(queue.get(), Ok("section"));
/// queue.put("paragraph").unwrap();
/// assert_eq!(queue.get(), Ok("paragraph"));
/// assert_eq!(queue.get(), Ok("chapter"));
/// ```
pub struct LifoQueue<T> {
    core: Shared<Vec<T>>,
}

queue_methods!(LifoQueue, T, next: "the item that was put last", three_of_five: "[4, 3, 2]");

impl<T> Store for Vec<T> {
    type Item = T;
    type Place = ();

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn place(&self, _item: &T) {}

    fn insert(&mut self, item: T, (): ()) {
        self.push(item);
    }

    fn take(&mut self) -> Option<T> {
        self.pop()
    }

    fn take_many(&mut self, count: usize, out: &mut Self) {
        let kept = Self::len(self) - count;
        out.extend(self.drain(kept..).rev());
    }
}
