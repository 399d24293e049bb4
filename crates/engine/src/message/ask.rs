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
}

impl WebRequest {
    /// A request with this method, without content.
    pub fn new(method: Method, url: Url) -> Self {
        Self { url, method, headers: HeaderMap::new(), body: Bytes::new() }
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

    /// Whether it follows redirects.
    pub(crate) fn follows(&self) -> bool {
        self.method == Method::GET && self.body.is_empty()
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
        reply.answer(Ok(WebAnswer::new(url.clone(), 200, None, Bytes::from_static(b"x"))));
        assert_eq!(awaited.get().unwrap().url, url);
        let (reply, awaited) = Reply::new();
        drop(reply);
        assert_eq!(awaited.get().unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
