//! A request outside any session: a single request with its redirects, over connections made just for it. Used
//! by [`crate::inspect`].

use std::sync::Arc;
use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{Response, StatusCode};
use hyper::body::Incoming;
use tracing::Span;
use url::Url;

use crate::error::Result;
use crate::http::origin::Origin;
use crate::job::{JobId, Profile};
use crate::message::{Alpn, Fetch, FetchKind, SlotId};
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::rate_limit::RateLimits;
use crate::secret;
use crate::secret::Credentials;
use crate::source::http::answer::Answer;
use crate::source::http::connection::Connection;
use crate::source::http::digest_auth::Challenges;
use crate::source::http::network::Network;
use crate::source::http::request::{self, no_answer};
use crate::source::redirect_rules;

/// How often a server may ask for a digest of the credentials: at first, and because the answer is too old.
const REFUSALS_MAX: u32 = 2;

/// The request.
pub(crate) struct SingleRequest<'a> {
    pub(crate) url: &'a Url,
    pub(crate) origin: Origin,
    pub(crate) kind: FetchKind,
    pub(crate) piece: Piece,
}

/// The response after redirects.
pub(crate) struct SingleResponse {
    /// The URL that the response came from.
    pub(crate) url: Url,
    pub(crate) redirects: u32,
    pub(crate) answer: Answer,
    pub(crate) response: Response<Incoming>,
    /// What was sent and is nobody else's business; responses may repeat it.
    pub(crate) credentials: Credentials,
}

/// Sends the request and follows redirects.
///
/// # Errors
/// Whatever kept the server from responding, or a redirect that is not followed. An error status is not an
/// error here.
pub(crate) async fn send(network: &Network, request: SingleRequest<'_>) -> Result<SingleResponse> {
    let (own, asked) = (request.origin, request.url);
    let piece = Arc::new(request.piece);
    let (mut url, mut origin, mut redirects) = (request.url.clone(), own.clone(), 0);
    let (challenges, mut refusals) = (Challenges::default(), 0);
    loop {
        let is_own = origin == own;
        let fetch = Fetch {
            transfer: TransferId(0),
            job: JobId::NONE,
            slot: SlotId(0),
            alpn: Alpn::Any,
            origin: origin.clone(),
            url: url.clone(),
            is_own_origin: is_own,
            keeps_credentials: is_own,
            given: None,
            place: None,
            headers: None,
            limits: RateLimits::default(),
            profile: Profile::default(),
            span: Span::none(),
            cookie: None,
            newer_than: None,
            kind: request.kind.clone(),
            piece: Arc::clone(&piece),
        };
        let mut connection = Connection::open(network.connect(&origin, fetch.alpn).await?).await?;
        let mut request = request::build(network, &fetch, connection.protocol(), connection.plain_proxy())?;
        let has_credentials = request.headers().contains_key(AUTHORIZATION);
        let credentials = Credentials::of([asked, &url], request.headers(), request::form_of(network));
        challenges.answer(&origin, &mut request);
        let limit = network.options.response_timeout;
        let response = tokio::time::timeout(limit, connection.send(request)).await.map_err(|_| no_answer(limit))??;
        let is_refused = has_credentials && response.status() == StatusCode::UNAUTHORIZED;
        if is_refused && refusals < REFUSALS_MAX && challenges.note(&origin, response.headers()).is_some() {
            refusals += 1;
            continue;
        }
        let believes_digests = network.options.server_digests;
        let protocol = connection.protocol();
        let mut answer = Answer::read(&response, protocol, &url, true, believes_digests, SystemTime::now())?;
        answer.hide_echoes(&credentials);
        let Some(redirect) = answer.redirect() else {
            return Ok(SingleResponse { url, redirects, answer, response, credentials });
        };
        credentials.echoed_in(&url, redirect.location.as_deref()).iter().for_each(secret::hide);
        redirects += 1;
        (url, origin) = redirect_rules::next((&url, &origin), &redirect, redirects, network.options.allow_downgrade)?;
    }
}
