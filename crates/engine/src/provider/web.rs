//! A provider's own requests, for small documents of its service. The session sends them like requests for
//! files: over the same connections and within the same limits, with retries, waits and counts
//! (`dispatch/core/asks.rs`). Blocks the calling thread.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use towline_threads::queue::Queue;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::job::Profile;
use crate::message::{Ask, Message, Reply};

pub use crate::message::WebAnswer;

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

    /// Gets a URL, with these headers for its own origin; the user's headers for files are not sent. Follows
    /// redirects, and retries transient failures according to the session's options. Waits until the session
    /// runs, so it must not be called by the thread that will run it.
    ///
    /// # Errors
    /// Whatever kept the service from responding, or its response if that is an error or larger than 8 MiB;
    /// [`ErrorKind::Interrupted`] if the session ends.
    pub fn get(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<WebAnswer> {
        let origin = Origin::of(url).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("a service is asked over http or https, not {}", url.scheme()))
        })?;
        let (reply, awaited) = Reply::new();
        let headers: HeaderMap = headers.iter().cloned().collect();
        let ask = Ask { url: url.clone(), origin, headers: Arc::new(headers), profile: self.profile.clone(), reply };
        // A session that has ended drops the request, which counts as a reply.
        drop(self.session.put(Message::Ask(Box::new(ask))));
        awaited.get()
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}
