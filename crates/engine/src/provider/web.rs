//! A provider's own requests: small documents of its service. The session sends them as it sends those for
//! files: over the same connections and within the same caps, with retries, waits and counts
//! (`dispatch/core/asks.rs`). Blocks the calling thread.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use towline_threads::queue::Queue;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::message::{Ask, Message, Reply};

pub use crate::message::WebAnswer;

/// Makes a provider's requests. Cheap to clone; made by [`SessionHandle::web`](crate::SessionHandle::web).
#[derive(Clone)]
pub struct Web {
    session: Queue<Message>,
}

impl Web {
    pub(crate) fn new(session: Queue<Message>) -> Self {
        Self { session }
    }

    /// Gets a URL, with these headers for its own origin; none of what the user gave for files is sent.
    /// Redirects are followed, and failures that may pass are tried again as often as the session's options
    /// say. Waits until the session runs, so it must not be called by the thread that is to run it.
    ///
    /// # Errors
    /// What kept the service from answering, or its answer if that is an error or has more than 8 MiB;
    /// [`ErrorKind::Interrupted`] if the session ends.
    pub fn get(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<WebAnswer> {
        let origin = Origin::of(url).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("a service is asked over http or https, not {}", url.scheme()))
        })?;
        let (reply, awaited) = Reply::new();
        let headers: HeaderMap = headers.iter().cloned().collect();
        let ask = Ask { url: url.clone(), origin, headers: Arc::new(headers), reply };
        // A session that has ended drops it, which is an answer.
        drop(self.session.put(Message::Ask(Box::new(ask))));
        awaited.get()
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}
