//! What a provider asks of its service: one small document, and the way back for the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use towline_threads::queue::Queue;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;

/// A wait that is ended by the answer, or by the end of whoever would have answered.
const WAIT: Duration = Duration::from_secs(365 * 86_400);

/// What a service answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebAnswer {
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// Its media type.
    pub content_type: Option<String>,
    /// All of it.
    pub body: Bytes,
}

impl WebAnswer {
    pub(crate) fn new(url: Url, content_type: Option<String>, body: Bytes) -> Self {
        Self { url, content_type, body }
    }
}

/// A document that is wanted.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    pub(crate) origin: Origin,
    /// For that origin alone.
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) reply: Reply,
}

/// The way back. Whoever drops it unanswered has answered that the session ends.
#[derive(Debug)]
pub(crate) struct Reply(Queue<Result<WebAnswer>>);

/// The other end of it.
#[derive(Debug)]
pub(crate) struct Awaited(Queue<Result<WebAnswer>>);

impl Reply {
    /// Both ends.
    pub(crate) fn new() -> (Self, Awaited) {
        let queue = Queue::bounded(1);
        (Self(queue.clone()), Awaited(queue))
    }

    pub(crate) fn answer(self, answer: Result<WebAnswer>) {
        // It is empty, and whoever waits for it may have ended.
        let _ = self.0.try_put(answer);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // What was put in stays.
        self.0.shutdown();
    }
}

impl Awaited {
    /// Waits for the answer.
    ///
    /// # Errors
    /// What was answered, or [`ErrorKind::Interrupted`] if nobody answers any more.
    pub(crate) fn get(self) -> Result<WebAnswer> {
        let interrupted = |_| Error::new(ErrorKind::Interrupted, "interrupted while a service was asked");
        self.0.get_timeout(WAIT).map_err(interrupted)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_and_none_is_an_interruption() {
        let url: Url = "http://h/".parse().unwrap();
        let (reply, awaited) = Reply::new();
        reply.answer(Ok(WebAnswer::new(url.clone(), None, Bytes::from_static(b"x"))));
        assert_eq!(awaited.get().unwrap().url, url);
        let (reply, awaited) = Reply::new();
        drop(reply);
        assert_eq!(awaited.get().unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
