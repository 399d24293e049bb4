//! A provider's question to its service: one small document, and the channel that returns the answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use towline_threads::queue::Queue;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::job::Profile;

/// Effectively forever: an answer ends the wait, or the drop of the [`Reply`].
const WAIT: Duration = Duration::from_secs(365 * 86_400);

/// A service's response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebAnswer {
    /// The URL that responded, after redirects.
    pub url: Url,
    /// Its media type.
    pub content_type: Option<String>,
    /// The complete body.
    pub body: Bytes,
}

impl WebAnswer {
    pub(crate) fn new(url: Url, content_type: Option<String>, body: Bytes) -> Self {
        Self { url, content_type, body }
    }
}

/// A request for a document.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) url: Url,
    pub(crate) origin: Origin,
    /// Sent to that origin only.
    pub(crate) headers: Arc<HeaderMap>,
    /// How its connection is made.
    pub(crate) profile: Profile,
    pub(crate) reply: Reply,
}

/// The sending end. Dropping it without an answer means that the session is ending.
#[derive(Debug)]
pub(crate) struct Reply(Queue<Result<WebAnswer>>);

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Awaited(Queue<Result<WebAnswer>>);

impl Reply {
    /// Creates both ends.
    pub(crate) fn new() -> (Self, Awaited) {
        let queue = Queue::bounded(1);
        (Self(queue.clone()), Awaited(queue))
    }

    pub(crate) fn answer(self, answer: Result<WebAnswer>) {
        // The queue is empty, and the receiver may be gone.
        let _ = self.0.try_put(answer);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // An answer that is already in the queue stays.
        self.0.shutdown();
    }
}

impl Awaited {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The error in the answer, or [`ErrorKind::Interrupted`] if the sending end was dropped.
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
