//! What only the requests of one job have.

use std::cell::OnceCell;
use std::sync::Arc;

use http::HeaderMap;
use tracing::Span;

use crate::http::cookies::Cookies;
use crate::job::{JobSpec, Profile};
use crate::rate_limit::RateLimit;

/// What only the requests of one job have.
#[derive(Debug)]
pub(crate) struct Own {
    /// Its headers, for the origin of its URL.
    pub(crate) headers: Option<Arc<HeaderMap>>,
    /// Its rate limit, in addition to the others.
    pub(crate) limit: Option<Arc<RateLimit>>,
    /// How its connections are made.
    pub(crate) profile: Profile,
    /// The cookies that redirects have set.
    pub(crate) cookies: Cookies,
    /// Its URL in a form that may be shown, once somebody has asked for it.
    pub(crate) shown_url: OnceCell<String>,
    /// How much an entry of a list takes beside what each takes.
    pub(crate) held_bytes: usize,
    /// The span of its requests in the log, once it has started.
    pub(crate) span: Span,
}

impl Own {
    /// Whether it has a rate limit of its own now.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.is_limited())
    }

    /// For this job; `may_change` if it can be limited later, as those that are no entries of a list can.
    pub(super) fn new(spec: &JobSpec, may_change: bool) -> Self {
        let options = &spec.options;
        let headers = (!options.headers.is_empty()).then(|| Arc::new(options.headers.iter().cloned().collect()));
        let has_limit = may_change || options.limit_rate_bps.is_some();
        Self {
            headers,
            limit: has_limit.then(|| Arc::new(RateLimit::new(options.limit_rate_bps))),
            profile: Profile::of(options),
            cookies: Cookies::default(),
            shown_url: OnceCell::new(),
            held_bytes: if may_change { 0 } else { spec.held_bytes() },
            span: Span::none(),
        }
    }
}
