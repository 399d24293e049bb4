//! The state that the requests of one connection share: how it ends, its rate limit, its HTTP/2 streams
//! and the frames that the script adds. Used on the connection's serving thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::effects::Ending;
use crate::pace::Pace;
use crate::state::Shared;

const CLOSE: u8 = 1;
const RESET: u8 = 2;

/// The header of a GOAWAY frame (RFC 9113, section 6.8): 8 bytes of payload, on stream 0.
const GOAWAY_HEAD: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];

/// The state that the requests of a connection share.
pub(crate) struct Conn {
    /// Number of the connection; the first accepted is 1.
    pub(crate) id: u64,
    /// Open connections when this one was accepted, including itself.
    pub(crate) open_at_accept: usize,
    pub(crate) pace: Mutex<Pace>,
    ending: AtomicU8,
    aborted: Notify,
    /// HTTP/2 requests so far.
    streams: AtomicU32,
    /// HTTP/2 frames that the script adds to those of the HTTP stack.
    pub(crate) frames: Mutex<Vec<u8>>,
    nudged: Notify,
}

impl Conn {
    fn new(id: u64, open_at_accept: usize) -> Self {
        Self {
            id,
            open_at_accept,
            pace: Mutex::default(),
            ending: AtomicU8::new(0),
            aborted: Notify::new(),
            streams: AtomicU32::new(0),
            frames: Mutex::default(),
            nudged: Notify::new(),
        }
    }

    /// Ends the connection once everything written so far has been flushed.
    pub(crate) fn end_when_flushed(&self, ending: Ending) {
        let ending = match ending {
            Ending::Close => CLOSE,
            Ending::Reset => RESET,
        };
        self.ending.store(ending, Ordering::Release);
    }

    /// Ends the connection immediately.
    pub(crate) fn end_now(&self, ending: Ending) {
        self.end_when_flushed(ending);
        self.aborted.notify_one();
    }

    /// Counts an HTTP/2 request and returns its number, from 1. Requests are counted in the order of
    /// their streams, which clients number 1, 3, 5 and so on.
    pub(crate) fn next_stream(&self) -> u32 {
        self.streams.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Sends GOAWAY with this code. It names the `stream`-th request as the last one, or none if
    /// `stream` is 0.
    pub(crate) fn go_away(&self, stream: u32, code: u32) {
        let last = stream.saturating_mul(2).saturating_sub(1);
        let mut frames = self.frames.lock();
        frames.extend_from_slice(&GOAWAY_HEAD);
        frames.extend_from_slice(&last.to_be_bytes());
        frames.extend_from_slice(&code.to_be_bytes());
        drop(frames);
        self.nudge();
    }

    /// Makes the connection's driver flush it as soon as the HTTP stack has nothing to write.
    pub(crate) fn nudge(&self) {
        self.nudged.notify_one();
    }

    /// Waits for [`Self::nudge`].
    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// Waits for [`Self::end_now`].
    pub(crate) async fn aborted(&self) {
        self.aborted.notified().await;
    }

    /// Whether the script has ended the connection.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire) != 0
    }

    /// Whether the script has ended the connection with a reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.ending.load(Ordering::Acquire) == RESET
    }
}

/// Counts a connection as open while its socket exists.
pub(crate) struct Ticket {
    pub(crate) conn: Arc<Conn>,
    shared: Arc<Shared>,
}

impl Ticket {
    /// Counts an accepted connection.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let (id, open) = shared.counters.opened();
        Self { conn: Arc::new(Conn::new(id, open)), shared: Arc::clone(shared) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.counters.closed();
    }
}
