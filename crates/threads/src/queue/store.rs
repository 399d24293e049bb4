//! What differs between the queues: how items are kept, and which is next.

/// Where the items are, and which is next.
///
/// Runs under the lock. If it panics it has changed nothing, and no item dies in it.
pub(super) trait Store: Default {
    type Item;
    /// Where an item belongs.
    type Place;

    fn len(&self) -> usize;

    /// Finds the place of an item. The user's code may run, nothing moves.
    fn place(&self, item: &Self::Item) -> Self::Place;

    /// Puts an item at the place that has just been found for it.
    fn insert(&mut self, item: Self::Item, place: Self::Place);

    /// Takes the next item.
    fn take(&mut self) -> Option<Self::Item>;

    /// Appends the next `count` items to `out`; there are that many.
    ///
    /// After a panic some may have been appended.
    fn take_many(&mut self, count: usize, out: &mut Vec<Self::Item>);
}
