//! Where the bytes of a provider's entry are now.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

/// A request that works now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Located {
    /// Where the bytes are.
    pub url: Url,
    /// Sent to that origin, and to no other.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For how long it is good, if the service tells.
    pub expires_in: Option<Duration>,
}

impl Located {
    /// A request that needs nothing more than its URL.
    pub fn new(url: Url) -> Self {
        Self { url, headers: Vec::new(), expires_in: None }
    }
}
