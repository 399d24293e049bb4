//! What a server says about a URL, without fetching it.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::origin::Origin;
use crate::job::JobId;
use crate::message::{Alpn, Fetch, FetchKind, SlotId};
use crate::name::safe;
use crate::options::HttpOptions;
use crate::plan::TransferId;
use crate::plan::piece::Piece;
use crate::ranges::ByteRange;
use crate::rate_limit::RateLimit;
use crate::secret;
use crate::source::http::connection::Connection;
use crate::source::http::network::Network;
use crate::source::http::redirect;
use crate::source::http::request::{self, Answer, no_answer};
use crate::source::http::resolve::SystemResolver;

/// What a server says about a URL.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The URL asked for, without secrets.
    pub url: String,
    /// The URL after redirects, without secrets.
    pub final_url: String,
    /// The answer's status.
    pub status: u16,
    /// The name that a download would get.
    pub file_name: String,
    /// The media type.
    pub content_type: Option<String>,
    /// The length in bytes.
    pub total_bytes: Option<u64>,
    /// Whether a range was answered with exactly that range; `None` if it cannot be told.
    pub ranges: Option<bool>,
    /// The entity tag, as sent.
    pub etag: Option<String>,
    /// When it was last changed, as sent.
    pub last_modified: Option<String>,
    /// The digest of the whole file, and the field that gives it; of several the strongest.
    pub digest: Option<String>,
    /// An encoding that was not asked for.
    pub content_encoding: Option<String>,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// How many redirects led there.
    pub redirects: u32,
}

/// Asks the server for the first byte of `url` and tells what the answer says.
///
/// # Errors
///
/// What kept the server from answering, or its answer if it is an error.
pub fn server(url: &Url, options: &HttpOptions) -> Result<ServerInfo> {
    let limit = RateLimit::new(None);
    let network = Network::new(options.clone(), limit, Arc::new(SystemResolver))?;
    let runtime = crate::worker::run::runtime()
        .map_err(|source| Error::new(ErrorKind::Internal, "no runtime can be made").with_source(source))?;
    let tasks = tokio::task::LocalSet::new();
    let asked = tasks.block_on(&runtime, ask(&network, url));
    drop(tasks);
    runtime.shutdown_background();
    asked.map_err(|error| if error.url().is_some() { error } else { error.with_url(secret::shown_url(url)) })
}

async fn ask(network: &Network, url: &Url) -> Result<ServerInfo> {
    let own = Origin::of(url).ok_or_else(|| {
        let text = format!("cannot fetch from a {} URL; http and https are possible", url.scheme());
        Error::new(ErrorKind::Usage, text)
    })?;
    let (mut at, mut origin, mut redirects) = (url.clone(), own.clone(), 0);
    loop {
        let (answer, headers) = first_byte(network, &at, &origin, origin == own).await?;
        let status = answer.head.status;
        let Some(redirect) = answer.redirect() else {
            return match status {
                200 | 203 | 206 | 416 => Ok(describe(url, &at, &answer, &headers, redirects)),
                _ => Err(answer.status_error()),
            };
        };
        redirects += 1;
        (at, origin) = redirect::next((&at, &origin), &redirect, redirects, network.options.allow_downgrade)?;
    }
}

async fn first_byte(
    network: &Network,
    url: &Url,
    origin: &Origin,
    is_own_origin: bool,
) -> Result<(Answer, http::HeaderMap)> {
    let connected = network.connect(origin, Alpn::Any).await?;
    let mut connection = Connection::open(connected).await?;
    let range = ByteRange::new(0, 1);
    let fetch = Fetch {
        transfer: TransferId(0),
        job: JobId(0),
        slot: SlotId(0),
        alpn: Alpn::Any,
        origin: origin.clone(),
        url: url.clone(),
        is_own_origin,
        keeps_credentials: is_own_origin,
        is_given: true,
        place: None,
        headers: None,
        limit: None,
        cookie: None,
        kind: FetchKind::Sample { range, expect: Arc::default() },
        piece: Arc::new(Piece::new(range.start, range.end)),
    };
    let request = request::build(network, &fetch, connection.protocol(), connection.plain_proxy())?;
    let response = tokio::time::timeout(network.options.response_timeout, connection.send(request))
        .await
        .map_err(|_| no_answer(network.options.response_timeout))??;
    let believes_digests = network.options.server_digests;
    let answer = Answer::read(&response, connection.protocol(), url, true, believes_digests, SystemTime::now())?;
    Ok((answer, response.headers().clone()))
}

fn describe(asked: &Url, at: &Url, answer: &Answer, headers: &http::HeaderMap, redirects: u32) -> ServerInfo {
    let head = &answer.head;
    let text = |name: http::HeaderName| {
        let value = headers.get(name)?;
        Some(secret::printable(&String::from_utf8_lossy(value.as_bytes())).into_owned())
    };
    let given = head.file_name.clone().unwrap_or_else(|| safe::from_url(at));
    let ranges = match (head.status, &answer.content_range) {
        (206, Some(range)) => Some(range.range == Some(ByteRange::new(0, 1))),
        (206, None) | (200 | 203, _) => Some(false),
        _ => None,
    };
    ServerInfo {
        url: secret::shown_url(asked),
        final_url: secret::shown_url(at),
        status: head.status,
        file_name: safe::make_safe(&given),
        content_type: text(http::header::CONTENT_TYPE),
        total_bytes: head.total_bytes,
        ranges,
        etag: text(http::header::ETAG),
        last_modified: text(http::header::LAST_MODIFIED),
        digest: head.evidence.digest.as_ref().map(ToString::to_string),
        content_encoding: head.evidence.content_encoding.clone(),
        protocol: head.protocol.name(),
        redirects,
    }
}
