//! Digest authentication (RFC 7616): a server of the user's refuses Basic credentials and asks for a digest of them, and
//! from then on each request to it has an answer. One table per thread.

use std::cell::RefCell;
use std::collections::HashMap;

use digest_auth::{AuthContext, HttpMethod, WwwAuthenticateHeader};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request};

use crate::http::challenge::{self, challenges};
use crate::http::credentials;
use crate::http::origin::Origin;

/// The most hosts to remember.
const HOSTS_MAX: usize = 1024;
/// A longer challenge is none.
const CHALLENGE_BYTES_MAX: usize = 4096;

/// After this many files in a row whose answers a server refused, the others are told so at once.
const REFUSED_MAX: u32 = 8;

/// What servers have asked for.
#[derive(Default)]
pub(crate) struct Challenges(RefCell<HashMap<Origin, Asked>>);

/// What one server has asked for.
struct Asked {
    challenge: WwwAuthenticateHeader,
    /// How many files in a row were refused in spite of answers.
    refused: u32,
}

impl Challenges {
    /// Notes what a response with status 401 asks for; `None` if it asks for something else.
    pub(crate) fn note(&self, origin: &Origin, headers: &HeaderMap) -> Option<Challenged> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| str::from_utf8(value.as_bytes()).ok());
        let all = texts.filter(|text| text.len() <= CHALLENGE_BYTES_MAX).flat_map(challenges);
        let digests = all.filter(|challenge| challenge.scheme.eq_ignore_ascii_case("digest"));
        let parsed = digests.map(|challenge| digest_auth::parse(&usual(challenge.parameters)));
        let challenge = parsed.filter_map(Result::ok).next()?;
        let challenged = if challenge.stale { Challenged::Stale } else { Challenged::Anew };
        let mut known = self.0.borrow_mut();
        let refused = known.get(origin).map_or(0, |asked| asked.refused);
        if known.len() >= HOSTS_MAX {
            known.clear();
        }
        known.insert(origin.clone(), Asked { challenge, refused });
        (refused < REFUSED_MAX).then_some(challenged)
    }

    /// Notes whether a request was refused in spite of an answer.
    pub(crate) fn ended(&self, origin: &Origin, is_refused: bool) {
        if let Some(asked) = self.0.borrow_mut().get_mut(origin) {
            asked.refused = if is_refused { asked.refused.saturating_add(1) } else { 0 };
        }
    }

    /// Answers in a request with Basic credentials, if its server has asked.
    pub(crate) fn answer<Body>(&self, origin: &Origin, request: &mut Request<Body>) -> Option<()> {
        let mut known = self.0.borrow_mut();
        let challenge = &mut known.get_mut(origin)?.challenge;
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

/// The challenge in the form that is usual: names in lower case, values in the case that they are defined in, and of the
/// kinds of protection (`qop`) those that there are.
fn usual(parameters: &str) -> String {
    let written = challenge::parameters(parameters).map(|(name, value)| {
        let (name, plain) = (name.to_ascii_lowercase(), value.trim_matches('"'));
        match name.as_str() {
            "algorithm" => {
                let upper = plain.to_ascii_uppercase();
                let is_session = upper.strip_suffix("-SESS");
                format!("{name}={}{}", is_session.unwrap_or(&upper), if is_session.is_some() { "-sess" } else { "" })
            }
            "charset" if plain.eq_ignore_ascii_case("utf-8") => format!("{name}=UTF-8"),
            "charset" => String::new(),
            "qop" => {
                let kinds = plain.split(',').map(|kind| kind.trim().to_ascii_lowercase());
                let known: Vec<String> = kinds.filter(|kind| matches!(kind.as_str(), "auth" | "auth-int")).collect();
                if known.is_empty() { String::new() } else { format!("{name}=\"{}\"", known.join(",")) }
            }
            _ => format!("{name}={value}"),
        }
    });
    let written: Vec<String> = written.filter(|parameter| !parameter.is_empty()).collect();
    format!("Digest {}", written.join(", "))
}

/// Why a server asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenged {
    Anew,
    /// The answer was right, and is too old (RFC 7616, section 3.3).
    Stale,
}
