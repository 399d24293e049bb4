//! A provider's own requests: small answers of an API, over connections made as the session makes its own
//! (proxies, TLS, name lookup, timeouts), tried again with waits and counts.
//!
//! Blocks the calling thread; an interrupt of the session ends it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::LocalSet;
use towline_threads::cancel::CancelToken;
use url::Url;

use crate::backoff;
use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::message::FetchKind;
use crate::options::HttpOptions;
use crate::plan::piece::{OPEN_END, Piece};
use crate::rate_limit::RateLimit;
use crate::secret;
use crate::source::http::ask::{Answered, Question, ask};
use crate::source::http::connection::broken;
use crate::source::http::network::Network;
use crate::source::http::resolve::SystemResolver;

/// An answer of an API is no longer.
const BODY_BYTES_MAX: usize = 8 << 20;
/// A longer wait that a service asks for is left to the caller.
const PATIENCE_MAX: Duration = Duration::from_secs(60);
/// How often an interrupt is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Makes a provider's requests.
pub struct Web {
    network: Arc<Network>,
    cancel: CancelToken,
}

/// What a service answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WebAnswer {
    /// Where the answer came from, after redirects.
    pub url: Url,
    /// Its media type.
    pub content_type: Option<String>,
    /// All of it.
    pub body: Bytes,
}

impl Web {
    /// One that is used without a session.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`] for a CA file or a proxy that cannot be used.
    pub fn new(options: &HttpOptions) -> Result<Self> {
        let network = Network::new(options.clone(), Arc::new(RateLimit::new(None)), Arc::new(SystemResolver))?;
        Ok(Self { network: Arc::new(network), cancel: CancelToken::new() })
    }

    /// One of a session, which is ended with it.
    pub(crate) fn of_session(network: Arc<Network>, cancel: CancelToken) -> Self {
        Self { network, cancel }
    }

    /// Gets a URL, with these headers for its own origin. Redirects are followed, failures that may pass are
    /// tried again as often as the options say.
    ///
    /// # Errors
    /// What kept the service from answering, or its answer if that is an error;
    /// [`ErrorKind::Interrupted`] if the session ends.
    pub fn get(&self, url: &Url, headers: &[(HeaderName, HeaderValue)]) -> Result<WebAnswer> {
        let mut own = HeaderMap::new();
        headers.iter().for_each(|(name, value)| {
            own.append(name.clone(), value.clone());
        });
        let own = Arc::new(own);
        let mut random = fastrand::Rng::new();
        let mut attempts = 0;
        loop {
            let (error, retry_after) = match self.get_once(url, &own) {
                Ok(answer) => return Ok(answer),
                Err(Failure(error, retry_after)) => (error, retry_after),
            };
            attempts += 1;
            let asked = retry_after.unwrap_or_default();
            if !error.is_transient() || attempts > self.network.options.retries || asked > PATIENCE_MAX {
                let error = if error.url().is_some() { error } else { error.with_url(secret::shown_url(url)) };
                return Err(if attempts > 1 { error.with_attempts(attempts) } else { error });
            }
            let wait = asked.max(backoff::wait(attempts, &mut random));
            if self.cancel.wait_timeout(wait).is_some() {
                return Err(interrupted());
            }
        }
    }

    fn get_once(&self, url: &Url, headers: &Arc<HeaderMap>) -> Result<WebAnswer, Failure> {
        let runtime = crate::worker::run::runtime()
            .map_err(|source| Error::new(ErrorKind::Internal, "no runtime can be made").with_source(source))?;
        let tasks = LocalSet::new();
        let answer = tasks.block_on(&runtime, async {
            let mut asking = Box::pin(self.ask(url, headers));
            loop {
                match tokio::time::timeout(LOOK_EVERY, &mut asking).await {
                    Ok(answer) => return answer,
                    Err(_) if self.cancel.is_cancelled() => return Err(interrupted().into()),
                    Err(_) => {}
                }
            }
        });
        drop(tasks);
        runtime.shutdown_background();
        answer
    }

    async fn ask(&self, url: &Url, headers: &Arc<HeaderMap>) -> Result<WebAnswer, Failure> {
        let origin = Origin::of(url).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("a service is asked over http or https, not {}", url.scheme()))
        })?;
        // What the user gave is for the files, not for the service.
        let (kind, piece, headers) = (FetchKind::Probe, Piece::new(0, OPEN_END), Some(Arc::clone(headers)));
        let question = Question { url, origin, kind, piece, is_users: false, headers };
        let Answered { url, answer, response, connection, .. } = ask(&self.network, question).await?;
        if answer.status != 200 {
            let error = answer.refusal(connection.plain_proxy()).with_url(secret::shown_url(&url));
            return Err(Failure(error, answer.retry_after));
        }
        let body = self.body(response.into_body()).await?;
        Ok(WebAnswer { url, content_type: answer.content_type, body })
    }

    async fn body(&self, mut body: Incoming) -> Result<Bytes> {
        let mut all = Vec::new();
        let stall = self.network.options.stall_timeout;
        while let Some(frame) = tokio::time::timeout(stall, body.frame())
            .await
            .map_err(|_| Error::new(ErrorKind::Stalled, "the service's answer stalled (--stall-timeout)"))?
        {
            let frame = frame.map_err(|source| broken(&source))?;
            let Some(data) = frame.data_ref() else { continue };
            if all.len() + data.len() > BODY_BYTES_MAX {
                return Err(Error::new(ErrorKind::Protocol, "the service's answer is too long"));
            }
            all.extend_from_slice(data);
        }
        Ok(all.into())
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").finish_non_exhaustive()
    }
}

/// An error, and how long the service asks us to wait.
struct Failure(Error, Option<Duration>);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error, None)
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted while a service was asked")
}
