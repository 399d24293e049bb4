//! A provider's question to its service: one small document, and the channel that returns the answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use towline_threads::queue::Queue;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::job::Profile;
use crate::secret;

/// Effectively forever: an answer ends the wait, or the drop of the [`Reply`].
const WAIT: Duration = Duration::from_secs(365 * 86_400);

/// A request to a service. One that fails in transit is sent again, so that it has to be repeatable.
///
/// ```
/// use towline_engine::provider::WebRequest;
///
/// let url = "https://login.example/token".parse().unwrap();
/// let request = WebRequest::form(url, &[("grant_type", "refresh_token"), ("scope", "a b&c")]);
/// assert_eq!(&request.body[..], b"grant_type=refresh_token&scope=a+b%26c");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct WebRequest {
    /// Where it is sent.
    pub url: Url,
    /// Its method.
    pub method: Method,
    /// Fields for the URL's own origin; after a redirect to another one they are not sent.
    pub headers: HeaderMap,
    /// Its content; only a GET without one follows redirects.
    pub body: Bytes,
    /// Whether a redirect is an error.
    stays: bool,
}

impl WebRequest {
    /// A request with this method, without content.
    pub fn new(method: Method, url: Url) -> Self {
        Self { url, method, headers: HeaderMap::new(), body: Bytes::new(), stays: false }
    }

    /// A GET.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// A POST of a form.
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self { body: body.into(), ..Self::new(Method::POST, url) }
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
    }

    /// Adds a field. Its value is kept out of the log.
    #[must_use]
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.append(name, value);
        self
    }

    /// Sets the content.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Takes a redirect for an error.
    #[must_use]
    pub fn without_redirects(mut self) -> Self {
        self.stays = true;
        self
    }

    /// Whether it follows redirects.
    pub(crate) fn follows(&self) -> bool {
        self.method == Method::GET && self.body.is_empty() && !self.stays
    }
}

impl fmt::Debug for WebRequest {
    /// Without its content, which may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = secret::shown_url(&self.url);
        f.debug_struct("WebRequest").field("method", &self.method).field("url", &url).finish_non_exhaustive()
    }
}

/// A service's response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebAnswer {
    /// The URL that responded, after redirects.
    pub url: Url,
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub content_type: Option<String>,
    /// The complete body.
    pub body: Bytes,
}

impl WebAnswer {
    pub(crate) fn new(url: Url, status: u16, content_type: Option<String>, body: Bytes) -> Self {
        Self { url, status, content_type, body }
    }

    /// Whether the service did what it was asked for.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A request for a document.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) request: Arc<WebRequest>,
    pub(crate) origin: Origin,
    /// How its connection is made.
    pub(crate) profile: Profile,
    pub(crate) reply: Reply,
}

/// Where the answer goes. Dropping it without an answer means that the session is ending, and says so there.
pub(crate) struct Reply(Option<Box<dyn FnOnce(Result<WebAnswer>) + Send>>);

/// The receiving end of one answer.
#[derive(Debug)]
pub(crate) struct Awaited(Queue<Result<WebAnswer>>);

impl Reply {
    /// A reply, and the end that waits for it.
    pub(crate) fn new() -> (Self, Awaited) {
        let queue = Queue::bounded(1);
        let replies = queue.clone();
        // The queue is empty, and the receiver may be gone.
        (Self::to(move |answer| drop(replies.try_put(answer))), Awaited(queue))
    }

    /// A reply that goes to `take`, which must not block.
    pub(crate) fn to(take: impl FnOnce(Result<WebAnswer>) + Send + 'static) -> Self {
        Self(Some(Box::new(take)))
    }

    pub(crate) fn answer(mut self, answer: Result<WebAnswer>) {
        self.give(answer);
    }

    fn give(&mut self, answer: Result<WebAnswer>) {
        if let Some(take) = self.0.take() {
            take(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.give(Err(Error::new(ErrorKind::Interrupted, "interrupted while a service was asked")));
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}

impl Awaited {
    /// Waits for the answer.
    ///
    /// # Errors
    /// The error in the answer, or [`ErrorKind::Interrupted`] if the reply was dropped.
    pub(crate) fn get(self) -> Result<WebAnswer> {
        let ended = |_| Error::new(ErrorKind::Internal, "nobody answers a question to a service; please report it");
        self.0.get_timeout(WAIT).map_err(ended)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_and_none_is_an_interruption() {
        let url: Url = "http://h/".parse().unwrap();
        let (reply, awaited) = Reply::new();
        reply.answer(Ok(WebAnswer::new(url.clone(), 200, None, Bytes::from_static(b"x"))));
        assert_eq!(awaited.get().unwrap().url, url);
        let (reply, awaited) = Reply::new();
        drop(reply);
        assert_eq!(awaited.get().unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
