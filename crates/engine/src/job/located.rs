//! Where to fetch a provider's entry right now.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

/// A request that works now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Located {
    /// The URL of the content.
    pub url: Url,
    /// Headers to send to that origin only.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long the request stays valid, if the service says so.
    pub expires_in: Option<Duration>,
}

impl Located {
    /// A request that needs only its URL.
    pub fn new(url: Url) -> Self {
        Self { url, headers: Vec::new(), expires_in: None }
    }
}
