//! Subscribers that listen to a session without delaying it. A slow subscriber may miss progress, which shows
//! as a gap in the event numbers; everything else arrives, or the subscription ends with an error.
//!
//! The reporter's thread publishes; subscribers read on their own threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;
use thiserror::Error;
use towline_threads::queue::{GetError, Queue};

use crate::event::Event;

/// A subscriber this many events behind gets no progress.
const BEHIND_MAX: usize = 1024;
/// A subscriber this many events behind is dropped.
const LEFT_BEHIND: usize = 65_536;

/// An event with its number and time.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Envelope {
    /// Counts up from 0 over the whole session. A gap means that progress was dropped, or that events came
    /// before the subscription.
    pub seq: u64,
    /// Milliseconds from the start of the session to the event.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// Why there is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubscriptionError {
    /// None arrived in time.
    #[error("no event came within the time")]
    Timeout,
    /// The session has ended, and all its events have been read.
    #[error("the session has ended")]
    Ended,
    /// The subscriber was too slow, and the subscription has ended. The outcome of jobs can still be queried.
    #[error("the listener was more than {LEFT_BEHIND} events behind")]
    Lagged,
}

/// The events of a session since [`SessionHandle::subscribe`](crate::SessionHandle::subscribe). Drop it to
/// unsubscribe.
#[derive(Debug)]
pub struct Subscription(Arc<Channel>);

impl Subscription {
    /// Waits up to `timeout` for the next event.
    ///
    /// # Errors
    /// If there is none, the reason.
    pub fn next_timeout(&self, timeout: Duration) -> Result<Envelope, SubscriptionError> {
        match self.0.events.get_timeout(timeout) {
            Ok(envelope) => Ok(envelope),
            Err(GetError::ShutDown) if self.0.has_lagged.load(Ordering::Acquire) => Err(SubscriptionError::Lagged),
            Err(GetError::ShutDown) => Err(SubscriptionError::Ended),
            Err(_) => Err(SubscriptionError::Timeout),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.0.events.shutdown_immediate();
    }
}

#[derive(Debug)]
struct Channel {
    events: Queue<Envelope>,
    has_lagged: AtomicBool,
}

/// The subscribers of a session.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    channels: Mutex<Vec<Arc<Channel>>>,
    has_ended: AtomicBool,
}

impl Subscribers {
    pub(super) fn subscribe(&self) -> Subscription {
        let channel = Arc::new(Channel { events: Queue::new(), has_lagged: AtomicBool::new(false) });
        let mut channels = self.channels.lock();
        match self.has_ended.load(Ordering::Acquire) {
            true => channel.events.shutdown(),
            false => channels.push(Arc::clone(&channel)),
        }
        Subscription(channel)
    }

    /// Ends all subscriptions after the last event.
    pub(super) fn end(&self) {
        let mut channels = self.channels.lock();
        self.has_ended.store(true, Ordering::Release);
        channels.drain(..).for_each(|channel| channel.events.shutdown());
    }

    fn publish(&self, envelope: impl Fn() -> Envelope) {
        self.channels.lock().retain(|channel| {
            let behind = channel.events.len();
            let envelope = envelope();
            if behind >= BEHIND_MAX && matches!(envelope.event, Event::Progress(_)) {
                return true;
            }
            if behind >= LEFT_BEHIND {
                channel.has_lagged.store(true, Ordering::Release);
                channel.events.shutdown();
                return false;
            }
            // A dropped subscription accepts nothing more.
            channel.events.put(envelope).is_ok()
        });
    }
}

/// Numbers events and passes them to the subscribers.
pub(super) struct Publisher {
    subscribers: Arc<Subscribers>,
    began: Instant,
    seq: u64,
}

impl Publisher {
    pub(super) fn new(subscribers: Arc<Subscribers>) -> Self {
        Self { subscribers, began: Instant::now(), seq: 0 }
    }

    pub(super) fn publish(&mut self, event: &Event) {
        let (seq, at_ms) = (self.seq, self.began.elapsed().as_millis() as u64);
        self.seq += 1;
        self.subscribers.publish(|| Envelope { seq, at_ms, event: event.clone() });
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.subscribers.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Progress;
    use crate::job::JobId;

    const NOW: Duration = Duration::ZERO;

    fn end(number: u64) -> Event {
        Event::Paused { job: JobId(number) }
    }

    #[test]
    fn a_slow_listener_misses_progress_and_nothing_else() {
        let subscribers = Arc::new(Subscribers::default());
        let mut publisher = Publisher::new(Arc::clone(&subscribers));
        let slow = subscribers.subscribe();
        for number in 0..2 * BEHIND_MAX as u64 {
            publisher.publish(&Event::Progress(Progress::default()));
            publisher.publish(&end(number));
        }
        drop(publisher);
        let all: Vec<Envelope> = std::iter::from_fn(|| slow.next_timeout(NOW).ok()).collect();
        let ends = all.iter().filter(|one| matches!(one.event, Event::Paused { .. })).count();
        assert_eq!(ends, 2 * BEHIND_MAX);
        assert!(all.len() < 3 * BEHIND_MAX + 2, "{}", all.len());
        assert!(all.windows(2).all(|pair| pair[0].seq < pair[1].seq));
        assert_eq!(slow.next_timeout(NOW).unwrap_err(), SubscriptionError::Ended);
        assert_eq!(subscribers.subscribe().next_timeout(NOW).unwrap_err(), SubscriptionError::Ended);
    }

    #[test]
    fn one_that_never_reads_is_left_and_told() {
        let subscribers = Arc::new(Subscribers::default());
        let mut publisher = Publisher::new(Arc::clone(&subscribers));
        let (stuck, gone) = (subscribers.subscribe(), subscribers.subscribe());
        drop(gone);
        for number in 0..=LEFT_BEHIND as u64 {
            publisher.publish(&end(number));
        }
        assert_eq!(subscribers.channels.lock().len(), 0);
        let mut read = 0;
        let last = loop {
            match stuck.next_timeout(NOW) {
                Ok(_) => read += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((read, last), (LEFT_BEHIND, SubscriptionError::Lagged));
    }
}
