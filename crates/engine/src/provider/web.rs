//! A provider's own requests, for small documents of its service. The session sends them like requests for
//! files: over the same connections and within the same limits, with retries, waits and counts
//! (`dispatch/core/asks.rs`). Blocks the calling thread.

use std::fmt;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use towline_threads::queue::Queue;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::job::Profile;
use crate::message::{Ask, Message, Reply};
use crate::secret;

pub use crate::message::{WebAnswer, WebRequest};

/// Sends a provider's requests. Cheap to clone; created by [`SessionHandle::web`](crate::SessionHandle::web).
#[derive(Clone)]
pub struct Web {
    session: Queue<Message>,
    profile: Profile,
}

impl Web {
    pub(crate) fn new(session: Queue<Message>) -> Self {
        Self { session, profile: Profile::default() }
    }

    /// The same over connections of this profile.
    pub(crate) fn of_profile(&self, profile: Profile) -> Self {
        Self { session: self.session.clone(), profile }
    }

    /// Whether the session has ended, so that nothing is answered any more.
    pub fn has_ended(&self) -> bool {
        self.session.is_shutdown()
    }

    /// Gets a URL, with these headers for its own origin.
    ///
    /// # Errors
    /// As [`Web::send`], and any status but 2xx.
    pub fn get(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<WebAnswer> {
        let mut request = WebRequest::get(url.clone());
        request.headers = headers.iter().cloned().collect();
        let answer = self.send(request)?;
        match answer.is_success() {
            true => Ok(answer),
            false => {
                let error =
                    Error::new(ErrorKind::Status(answer.status), format!("the server answered {}", answer.status));
                Err(error.with_url(secret::shown_url(&answer.url)))
            }
        }
    }

    /// Sends a request; the user's headers for files are not sent. Follows the redirects of a GET, and retries
    /// transient failures (a broken connection, 408, 425, 429, 5xx) according to the session's options. Waits until
    /// the session runs, so it must not be called by the thread that will run it.
    ///
    /// # Errors
    /// Whatever kept the service from responding; a response larger than 8 MiB; [`ErrorKind::Interrupted`] if the
    /// session ends. Any other status is a response: see [`WebAnswer::is_success`].
    pub fn send(&self, request: WebRequest) -> Result<WebAnswer> {
        let (reply, awaited) = Reply::new();
        self.ask(request, reply);
        awaited.get()
    }

    /// The same without waiting.
    pub(crate) fn ask(&self, request: WebRequest, reply: Reply) {
        let Some(origin) = Origin::of(&request.url) else {
            let text = format!("a service is asked over http or https, not {}", request.url.scheme());
            return reply.answer(Err(Error::new(ErrorKind::Usage, text)));
        };
        let ask = Ask { request: Arc::new(request), origin, profile: self.profile.clone(), reply };
        // A session that has ended drops the request, which counts as a reply.
        drop(self.session.put(Message::Ask(Box::new(ask))));
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}
