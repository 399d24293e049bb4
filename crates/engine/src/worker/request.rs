//! Builds requests and reads the heads of their answers.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};

use super::network::{Network, PlainProxy};
use crate::dispatch::message::{Fetch, FetchKind, Head, Protocol};
use crate::error::{Error, ErrorKind, Result};
use crate::http::content_range::ContentRange;
use crate::http::validator::Validator;
use crate::http::{content_range, digest, disposition, retry_after};

/// Fields of the user's that any origin may see; everything else stays with the one it is for.
const HARMLESS: [HeaderName; 4] = [header::ACCEPT, header::ACCEPT_LANGUAGE, header::USER_AGENT, header::CACHE_CONTROL];

/// The request for this transfer over this sort of connection.
pub(crate) fn build(
    network: &Network,
    fetch: &Fetch,
    protocol: Protocol,
    proxy: Option<&PlainProxy>,
) -> Result<Request<Empty<Bytes>>> {
    let url = &fetch.url;
    let unusable =
        |source: http::Error| Error::new(ErrorKind::Usage, "the URL cannot be used in a request").with_source(source);
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let whole = protocol == Protocol::Http2 || proxy.is_some();
    let target: Uri = if whole { format!("{}{path}", fetch.origin).parse() } else { path.parse() }
        .map_err(|source: http::uri::InvalidUri| unusable(source.into()))?;
    let mut request = Request::builder().method(Method::GET).uri(target).body(Empty::new()).map_err(unusable)?;
    *request.version_mut() = match protocol {
        Protocol::Http1 => Version::HTTP_11,
        Protocol::Http2 => Version::HTTP_2,
    };
    let headers = request.headers_mut();
    if protocol == Protocol::Http1 {
        headers.insert(header::HOST, host_field(fetch)?);
    }
    headers.insert(header::USER_AGENT, network.options.user_agent.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for (name, value) in &network.options.headers {
        if fetch.is_own_origin || HARMLESS.contains(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    if fetch.keeps_credentials
        && !headers.contains_key(header::AUTHORIZATION)
        && let Some(value) = credentials(url)
    {
        headers.insert(header::AUTHORIZATION, value);
    }
    if let Some(value) = proxy.and_then(|proxy| proxy.authorization.clone()) {
        headers.insert(header::PROXY_AUTHORIZATION, value);
    }
    // Decoding on the way would break offsets, lengths and digests.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.remove(header::RANGE);
    headers.remove(header::IF_RANGE);
    if let FetchKind::Piece { range, .. } | FetchKind::Sample { range, .. } = &fetch.kind {
        let text = format!("bytes={}-{}", range.start, range.end - 1);
        headers.insert(header::RANGE, HeaderValue::try_from(text).map_err(|source| unusable(source.into()))?);
    }
    if let FetchKind::Piece { if_range: Some(value), .. } = &fetch.kind {
        headers.insert(header::IF_RANGE, value.clone());
    }
    Ok(request)
}

fn host_field(fetch: &Fetch) -> Result<HeaderValue> {
    let origin = &fetch.origin;
    let text = match fetch.url.port() {
        Some(port) => format!("{}:{port}", origin.host),
        None => origin.host.clone(),
    };
    HeaderValue::try_from(text)
        .map_err(|source| Error::new(ErrorKind::Usage, "the host of the URL cannot be used").with_source(source))
}

/// Basic credentials from the URL's userinfo.
fn credentials(url: &url::Url) -> Option<HeaderValue> {
    use base64::Engine as _;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decode(url.username());
    pair.push(b':');
    pair.extend(decode(url.password().unwrap_or_default()));
    let mut value =
        HeaderValue::try_from(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// An answer's head, read.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) content_range: Option<ContentRange>,
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<std::time::Duration>,
    pub(crate) reason: String,
}

impl Answer {
    pub(crate) fn read(
        response: &http::Response<Incoming>,
        protocol: Protocol,
        believes_digests: bool,
        now: SystemTime,
    ) -> Self {
        let headers = response.headers();
        let status = response.status();
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let content_range = text(header::CONTENT_RANGE).and_then(content_range::parse);
        let total_bytes = match status.as_u16() {
            206 | 416 => content_range.as_ref().and_then(|range| range.total),
            _ => response.body().size_hint().exact(),
        };
        let digests = match believes_digests {
            true => digest::read(headers, status.as_u16()),
            false => digest::Digests::default(),
        };
        let head = Head {
            status: status.as_u16(),
            protocol,
            total_bytes,
            validator: Validator { digest: digests.strongest, ..Validator::from_headers(headers, total_bytes) },
            refuses_ranges: text(header::ACCEPT_RANGES).is_some_and(|value| value.trim().eq_ignore_ascii_case("none")),
            file_name: headers
                .get(header::CONTENT_DISPOSITION)
                .and_then(|value| disposition::file_name(value.as_bytes())),
            is_html: is_html(headers),
            content_encoding: text(header::CONTENT_ENCODING)
                .filter(|value| !value.trim().eq_ignore_ascii_case("identity"))
                .map(ToOwned::to_owned),
            remarks: digests.odd,
        };
        Self {
            head,
            content_range,
            location: headers.get(header::LOCATION).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            retry_after: text(header::RETRY_AFTER).and_then(|value| retry_after::parse(value, now)),
            reason: status.canonical_reason().unwrap_or("").to_owned(),
        }
    }

    /// The error that this status is.
    pub(crate) fn status_error(&self) -> Error {
        let text = format!("the server answered {} {}", self.head.status, self.reason);
        Error::new(ErrorKind::Status(self.head.status), text.trim_end().to_owned())
    }
}

fn is_html(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
}
