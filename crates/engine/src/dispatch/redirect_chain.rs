//! The hosts that have redirected one request, in order.

use crate::http::origin::Origin;

#[derive(Clone, Debug, Default)]
pub(crate) struct RedirectChain(Vec<Origin>);

impl RedirectChain {
    /// The number of redirects.
    pub(crate) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this host was one of them.
    pub(crate) fn has(&self, host: &Origin) -> bool {
        self.0.contains(host)
    }

    pub(crate) fn push(&mut self, host: Origin) {
        self.0.push(host);
    }
}
