//! What differs between the queues: how items are kept, and which is next.

/// Holds the items, and knows which is next.
///
/// Runs under the lock. A panic in it leaves it unchanged, and it drops no items.
pub(super) trait Store: Default {
    type Item;
    /// Where an item belongs.
    type Place;

    fn len(&self) -> usize;

    /// Finds the place of an item. User code may run; nothing moves.
    fn place(&self, item: &Self::Item) -> Self::Place;

    /// Inserts an item at the place that was just found for it.
    fn insert(&mut self, item: Self::Item, place: Self::Place);

    /// Takes the next item.
    fn take(&mut self) -> Option<Self::Item>;

    /// Appends the next `count` items to `out`; there are that many.
    ///
    /// After a panic some may have been appended.
    fn take_many(&mut self, count: usize, out: &mut Vec<Self::Item>);
}
