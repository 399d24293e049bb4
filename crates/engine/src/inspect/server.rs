//! What a server says about a URL, without fetching it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::date;
use crate::http::origin::Origin;
use crate::message::FetchKind;
use crate::name::safe;
use crate::options::HttpOptions;
use crate::plan::piece::Piece;
use crate::ranges::ByteRange;
use crate::rate_limit::RateLimit;
use crate::secret;
use crate::source::http::network::Network;
use crate::source::http::resolve::SystemResolver;
use crate::source::http::single_request::{SingleRequest, SingleResponse, send};

/// The longest name of a charset that is shown.
const CHARSET_CHARS_MAX: usize = 20;
/// How often to look whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a server says about a URL.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ServerInfo {
    /// The requested URL, without secrets.
    pub url: String,
    /// The URL after redirects, without secrets.
    pub final_url: String,
    /// The status of the response.
    pub status: u16,
    /// The file name that a download would get.
    pub file_name: String,
    /// The media type.
    pub content_type: Option<String>,
    /// The length in bytes.
    pub total_bytes: Option<u64>,
    /// Whether a range request returned exactly that range; `None` if unknown.
    pub ranges: Option<bool>,
    /// The entity tag, as sent.
    pub etag: Option<String>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
    /// The digest of the whole file with the field it came in; the strongest if there are several.
    pub digest: Option<String>,
    /// A content encoding that was not requested.
    pub content_encoding: Option<String>,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// The number of redirects followed.
    pub redirects: u32,
}

impl ServerInfo {
    /// `Last-Modified` as a time, if it is a date of HTTP.
    pub fn last_modified_time(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_secs(date::http_seconds(self.last_modified.as_deref()?)?))
    }
}

/// Requests the first byte of `url` and returns what the response says.
///
/// # Errors
///
/// Whatever kept the server from responding, or an error status of its response.
pub fn server(url: &Url, options: &HttpOptions) -> Result<ServerInfo> {
    server_unless(url, options, &|| false)
}

/// The same, until `is_over`, which is asked often.
///
/// # Errors
///
/// As [`server`], and [`ErrorKind::Interrupted`] if it is over before the server has responded.
pub fn server_unless(url: &Url, options: &HttpOptions, is_over: &dyn Fn() -> bool) -> Result<ServerInfo> {
    let limit = Arc::new(RateLimit::new(None));
    let network = Network::new(options.clone(), limit, Arc::new(SystemResolver))?;
    let runtime = crate::worker::run::runtime()
        .map_err(|source| Error::new(ErrorKind::Internal, "no runtime can be made").with_source(source))?;
    let tasks = tokio::task::LocalSet::new();
    let over = async {
        while !is_over() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let asked = tasks.block_on(&runtime, async {
        tokio::select! {
            asked = look(&network, url) => asked,
            () = over => Err(Error::new(ErrorKind::Interrupted, "interrupted while a server was asked")),
        }
    });
    drop(tasks);
    runtime.shutdown_background();
    asked.map_err(|error| error.or_url(|| secret::shown_url(url)))
}

async fn look(network: &Network, url: &Url) -> Result<ServerInfo> {
    let origin = Origin::of(url).ok_or_else(|| {
        let text = format!("cannot fetch from a {} URL; http and https are possible", url.scheme());
        Error::new(ErrorKind::Usage, text)
    })?;
    let range = ByteRange::new(0, 1);
    let kind = FetchKind::Sample { range, expect: Arc::default(), is_of_part: false };
    let piece = Piece::new(range.start, range.end);
    let answered = send(network, SingleRequest { url, origin, kind, piece }).await?;
    match answered.answer.status {
        200 | 203 | 206 | 416 => Ok(describe(url, &answered)),
        _ => Err(answered.answer.status_error()),
    }
}

/// A media type with its charset. Other parameters may repeat what was sent.
fn media_type(field: &str) -> String {
    let mut parts = field.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let is_word = |value: &str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    let mut charsets = parts.filter_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("charset") && is_word(value) && value.len() <= CHARSET_CHARS_MAX)
            .then_some(value)
    });
    charsets.next().map_or_else(|| kind.to_owned(), |charset| format!("{kind}; charset={charset}"))
}

fn describe(asked: &Url, answered: &SingleResponse) -> ServerInfo {
    let SingleResponse { url: at, answer, response, redirects, credentials } = answered;
    let (head, headers) = (&answer.head, response.headers());
    let text = |name: http::HeaderName| {
        let value = String::from_utf8_lossy(headers.get(name)?.as_bytes());
        if credentials.are_in(&value) {
            return Some("…".to_owned());
        }
        Some(secret::printable(&value).into_owned())
    };
    let names = if secret::is_name_hidden(at) { asked } else { at };
    let given = head.file_name.clone().unwrap_or_else(|| safe::from_url(names));
    let ranges = match (answer.status, &answer.content_range) {
        (206, Some(range)) => Some(range.range == Some(ByteRange::new(0, 1))),
        (206, None) | (200 | 203, _) => Some(false),
        _ => None,
    };
    ServerInfo {
        url: secret::shown_url(asked),
        final_url: secret::shown_url(at),
        status: answer.status,
        file_name: safe::make_safe(&given),
        content_type: text(http::header::CONTENT_TYPE).map(|kind| media_type(&kind)),
        total_bytes: head.total_bytes,
        ranges,
        etag: text(http::header::ETAG),
        last_modified: text(http::header::LAST_MODIFIED),
        digest: head.evidence.digest.as_ref().map(ToString::to_string),
        content_encoding: head.evidence.content_encoding.clone(),
        protocol: head.protocol.name(),
        redirects: *redirects,
    }
}
