//! The feed's thread: it alone calls the feed. It reads entries when the dispatcher wants some, hands on how
//! entries ended, and keeps what was given out alive.

use std::time::{Duration, Instant};

use towline_threads::queue::{GetError, Queue};

use crate::error::Error;
use crate::feed::Feed;
use crate::message::{FeedRequest, Message};

/// How long the feed may wait for slow input before the thread looks at what else it was asked.
const PATIENCE: Duration = Duration::from_millis(50);
/// Heartbeats are no closer together than this.
const BEAT_FLOOR: Duration = Duration::from_millis(5);
/// A wait that ends when its queue shuts down.
const WAIT: Duration = Duration::from_secs(365 * 86_400);

/// Runs until its queue is shut down, and closes the feed.
pub(super) fn run(feed: Box<dyn Feed>, requests: &Queue<FeedRequest>, reports: &Queue<Message>) {
    let mut feeding = Feeding { beats: Beats::of(&*feed), feed, reports };
    let mut wanted = 0;
    loop {
        feeding.beat();
        let patience = if wanted > 0 { Duration::ZERO } else { feeding.beats.next_in() };
        match requests.get_timeout(patience) {
            Ok(FeedRequest::Want(entries)) => wanted = entries,
            Ok(request) => feeding.answer(request),
            Err(GetError::ShutDown) => break,
            Err(_) => {}
        }
        if wanted > 0 && requests.is_empty() && feeding.read(wanted) {
            wanted = 0;
        }
    }
    let closed = feeding.feed.close();
    feeding.tell("close the feed", closed);
}

struct Feeding<'a> {
    feed: Box<dyn Feed>,
    beats: Beats,
    reports: &'a Queue<Message>,
}

impl Feeding<'_> {
    fn answer(&mut self, request: FeedRequest) {
        match request {
            FeedRequest::Settle(settled) => {
                let noted = self.feed.settle(settled);
                self.tell("note how entries ended", noted);
            }
            FeedRequest::Owner { job, entry, path } => {
                let owner = self.feed.owner(entry, &path);
                let _ = self.reports.put(Message::Owned(job, owner));
            }
            FeedRequest::Want(_) => {}
        }
    }

    /// Reads entries; false if there are none yet, and more may come.
    fn read(&mut self, wanted: usize) -> bool {
        let since = Instant::now();
        let fed = self.feed.next(wanted, PATIENCE);
        self.tell_warnings();
        if matches!(&fed, Ok(fed) if fed.entries.is_empty() && !fed.ended) {
            // A feed that does not wait would be asked again at once, and again.
            std::thread::sleep(PATIENCE.saturating_sub(since.elapsed()));
            return false;
        }
        if let Err(refused) = self.reports.put(Message::Fed(fed))
            && let Message::Fed(Ok(fed)) = refused.into_inner()
        {
            // The session has ended meanwhile; nobody is left to be told of a failure.
            let _ = self.feed.settle(fed.released());
        }
        true
    }

    fn beat(&mut self) {
        if !self.beats.is_due() {
            return;
        }
        match self.feed.heartbeat() {
            Ok(()) => self.beats.has_failed = false,
            Err(error) if !std::mem::replace(&mut self.beats.has_failed, true) => {
                self.tell("keep entries that are in progress", Err(error));
            }
            // Told already.
            Err(_) => {}
        }
    }

    /// Tells what could not be done, and what the feed has to say.
    fn tell(&mut self, action: &'static str, result: Result<(), Error>) {
        if let Err(error) = result {
            let _ = self.reports.put(Message::FeedFailed { action, error });
        }
        self.tell_warnings();
    }

    fn tell_warnings(&mut self) {
        for warning in self.feed.take_warnings() {
            let _ = self.reports.put(Message::Warned(warning));
        }
    }
}

/// When the feed hears that what it gave out is still worked on.
struct Beats {
    every: Option<Duration>,
    last: Instant,
    /// The last one failed.
    has_failed: bool,
}

impl Beats {
    fn of(feed: &dyn Feed) -> Self {
        let every = feed.heartbeat_every().map(|every| every.max(BEAT_FLOOR));
        Self { every, last: Instant::now(), has_failed: false }
    }

    fn next_in(&self) -> Duration {
        self.every.map_or(WAIT, |every| every.saturating_sub(self.last.elapsed()))
    }

    fn is_due(&mut self) -> bool {
        let is_due = self.every.is_some_and(|every| self.last.elapsed() >= every);
        if is_due {
            self.last = Instant::now();
        }
        is_due
    }
}
