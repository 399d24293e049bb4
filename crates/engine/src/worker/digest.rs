//! Digest authentication (RFC 7616): a server of the user's asks with a 401, and from then on each request to it has an
//! answer. One table per worker.

use std::cell::RefCell;
use std::collections::HashMap;

use digest_auth::{AuthContext, WwwAuthenticateHeader};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};

use crate::http::origin::Origin;
use crate::message::Fetch;
use crate::options::DigestUser;

/// The most hosts to remember.
const HOSTS_MAX: usize = 1024;
/// A longer challenge is none.
const CHALLENGE_BYTES_MAX: usize = 4096;

/// What servers have asked for.
#[derive(Default)]
pub(super) struct Challenges(RefCell<HashMap<Origin, WwwAuthenticateHeader>>);

impl Challenges {
    /// Notes what a response with status 401 asks for; false if it asks for something else.
    pub(super) fn note(&self, origin: &Origin, headers: &HeaderMap) -> bool {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let digests = texts.filter(|text| {
            let scheme = text.trim_start().get(..7);
            text.len() <= CHALLENGE_BYTES_MAX && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("digest "))
        });
        let Some(challenge) = digests.filter_map(|text| digest_auth::parse(text).ok()).next() else { return false };
        let mut known = self.0.borrow_mut();
        if known.len() >= HOSTS_MAX {
            known.clear();
        }
        known.insert(origin.clone(), challenge);
        true
    }

    /// The answer for this request, if its server has asked.
    pub(super) fn answer(&self, fetch: &Fetch, user: &DigestUser) -> Option<HeaderValue> {
        let mut known = self.0.borrow_mut();
        let challenge = known.get_mut(&fetch.origin)?;
        let target = match fetch.url.query() {
            Some(query) => format!("{}?{query}", fetch.url.path()),
            None => fetch.url.path().to_owned(),
        };
        let context = AuthContext::new(&*user.name, &*user.password, target);
        let answer = challenge.respond(&context).ok()?.to_header_string();
        let mut value = HeaderValue::try_from(answer).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}
