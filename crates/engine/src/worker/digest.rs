//! Digest authentication (RFC 7616): a server of the user's refuses Basic credentials and asks for a digest of them, and
//! from then on each request to it has an answer. One table per worker.

use std::cell::RefCell;
use std::collections::HashMap;

use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request};

use crate::http::challenge::challenges;
use crate::http::credentials;
use crate::http::origin::Origin;

/// The most hosts to remember.
const HOSTS_MAX: usize = 1024;
/// A longer challenge is none.
const CHALLENGE_BYTES_MAX: usize = 4096;

/// What servers have asked for.
#[derive(Default)]
pub(super) struct Challenges(RefCell<HashMap<Origin, WwwAuthenticateHeader>>);

impl Challenges {
    /// Notes what a response with status 401 asks for; `None` if it asks for something else.
    pub(super) fn note(&self, origin: &Origin, headers: &HeaderMap) -> Option<Challenged> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let all = texts.filter(|text| text.len() <= CHALLENGE_BYTES_MAX).flat_map(challenges);
        let digests = all.filter(|challenge| challenge.scheme.eq_ignore_ascii_case("digest"));
        let parsed = digests.map(|challenge| digest_auth::parse(&format!("Digest {}", challenge.parameters)));
        let challenge = parsed.filter_map(Result::ok).next()?;
        let challenged = if challenge.stale { Challenged::Stale } else { Challenged::Anew };
        let mut known = self.0.borrow_mut();
        if known.len() >= HOSTS_MAX {
            known.clear();
        }
        known.insert(origin.clone(), challenge);
        Some(challenged)
    }

    /// Answers in a request with Basic credentials, if its server has asked.
    pub(super) fn answer<Body>(&self, origin: &Origin, request: &mut Request<Body>) -> Option<()> {
        let mut known = self.0.borrow_mut();
        let challenge = known.get_mut(origin)?;
        let (name, password) = credentials::pair_of(request.headers().get(AUTHORIZATION)?)?;
        let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
        let method = HttpMethod::from(request.method().as_str());
        let context = AuthContext::new_with_method(name, password, target, None::<&[u8]>, method);
        let answer = challenge.respond(&context).ok()?.to_header_string();
        let mut value = HeaderValue::try_from(answer).ok()?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Some(())
    }
}

/// Why a server asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenged {
    Anew,
    /// The answer was right, and is too old (RFC 7616, section 3.3).
    Stale,
}
