//! Backpressure: a reporter that cannot keep up holds up new files, so that what waits for it stays bounded.
//! Files in flight go on. Subscribers never hold anything up: they lose progress instead
//! (`session/subscription.rs`).

use std::time::Duration;

use towline_threads::queue::Queue;

use crate::event::Event;

/// Above this many events that wait for the reporter, nothing new is begun.
const EVENTS_BEHIND_MAX: usize = 4096;
/// How often the dispatcher looks whether the reporter has caught up; nobody tells it.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// Whether the reporter is behind.
pub(super) fn is_behind(events: &Queue<Event>) -> bool {
    events.len() > EVENTS_BEHIND_MAX
}
