//! What one response, a journal or a note claims about a whole file. Pure values.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::http::asker;
use crate::http::coding;
use crate::http::date;
use crate::http::digest::{self, ServerDigest};
use crate::secret;

use super::tag::{EntityTag, hash_of};

/// A modification time proves something only if it was at least this much older than the response that carried
/// it (RFC 9110, section 8.8.2.2): a file can change twice within a second.
const SETTLED_SECONDS: u64 = 60;
/// A date before 1990 comes from a clock that was never set, or is a placeholder of builds and archives (1970,
/// 1980, 1985).
const REAL_DATE_FROM: u64 = 631_152_000;

/// What one response claims about a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Evidence {
    /// The entity tag.
    pub etag: Option<EntityTag>,
    /// `Last-Modified`, as sent.
    pub last_modified: Option<String>,
    /// A hash of what is sent in the place of an entity tag, and is none. The same one says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub odd_tag: Option<String>,
    /// The total length in bytes.
    pub total_bytes: Option<u64>,
    /// The digest of the whole content; the strongest if there are several.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "digest::deserialize_known")]
    pub digest: Option<ServerDigest>,
    /// Only a later response had the digest. It is checked at the end but does not identify a version, because
    /// that response may be wrong.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub has_later_digest: bool,
    /// `Date` of the response, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_unix: Option<u64>,
    /// When it arrived by our clock, in seconds since 1970: `Date` may come from a proxy and be ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_unix: Option<u64>,
    /// The URL that said it, after redirects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The encoding of the content, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Whether the media type is that of an HTML page.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_html: bool,
    /// The version that its service lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<String>,
    /// The file was there before, and only its length, its time or samples of it speak for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_adopted: bool,
    /// When the file was complete, the server may have had another version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_outdated: bool,
}

/// Identifies a URL without credentials, fragment and the parts of its query that change when a link is
/// renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub(super) u64);

impl Place {
    /// One that is not written down, as its URL may hold secrets: another one than any.
    pub(crate) const HIDDEN: Self = Self(0);

    /// The place of a URL, which the user gave or a server redirected to. It is stored, so it is the same in
    /// every run.
    pub fn of(url: &Url, is_given: bool) -> Self {
        let port = url.port_or_known_default().unwrap_or(0).to_be_bytes();
        let host = url.host_str().unwrap_or_default();
        // Files differ by their queries and by the user who requests them. Signatures of links do not count.
        let query = secret::query_of_file(url, is_given).unwrap_or_default();
        let parts = [url.scheme(), host].map(str::as_bytes).into_iter().chain([&port[..]]);
        let parts = parts.chain([url.path(), &query, url.username()].map(str::as_bytes));
        Self::hash(parts)
    }

    // FNV-1a, 64 bits: nobody gains anything from a collision of two URLs.
    fn hash<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Self {
        let bytes = parts.flat_map(|part| part.iter().chain(&[0]));
        Self(
            bytes
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)),
        )
    }
}

/// Identifies the URL that was given for a file, in what is stored beside the file, which has no query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    url: Place,
    /// Path and query alone, without the parts that belong to the link: equal for the same file on another host
    /// or under a new link.
    kin: Place,
}

impl Given {
    pub(crate) fn of(url: &Url) -> Self {
        // Whoever asks: a file that another one gets at the same URL may be the same.
        let query = secret::query_of_file(&asker::unmarked(url), false).unwrap_or_default();
        let kin = Place::hash([url.path(), &query].map(str::as_bytes).into_iter());
        Self { url: Place::of(url, true), kin }
    }

    /// Whether it is the same URL, apart from its signature.
    pub(crate) fn is_same(self, other: Self) -> bool {
        self.url == other.url
    }

    /// Whether it may be a link to the same file.
    pub(crate) fn is_kin(self, other: Self) -> bool {
        self.kin == other.kin
    }
}

impl Evidence {
    /// Reads the fields of a response. It skips malformed and overlong ones, and all tags if there are several,
    /// because nobody knows which of them applies. Which digests count depends on the status, so they are read
    /// elsewhere.
    pub fn from_headers(headers: &HeaderMap, total_bytes: Option<u64>) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
        let single = |name| {
            let mut values = headers.get_all(name).iter();
            let value = values.next().filter(|_| values.next().is_none());
            value.and_then(|value| value.to_str().ok()).map(str::trim)
        };
        Self {
            etag: single(header::ETAG).and_then(|tag| tag.parse().ok()),
            odd_tag: odd_tag_of(headers),
            last_modified: single(header::LAST_MODIFIED)
                .filter(|date| date::http_seconds(date).is_some())
                .map(ToOwned::to_owned),
            total_bytes,
            answered_unix: text(header::DATE).and_then(date::http_seconds),
            content_encoding: coding::of_content(headers),
            is_html: headers
                .get_all(header::CONTENT_TYPE)
                .iter()
                .filter_map(|kind| kind.to_str().ok())
                .any(super::page::is_html_type),
            ..Self::default()
        }
    }

    /// The same, without what describes only the single response.
    pub(crate) fn of_file(&self) -> Self {
        Self { answered_unix: None, seen_unix: None, place: None, ..self.clone() }
    }

    /// Takes the digest from a later response of the same version, if the first had none.
    pub(crate) fn learn_digest(&mut self, later: &Self) {
        // Of two that contradict each other one is wrong; the first is checked, and shows that.
        if self.digest.is_none() && later.digest.is_some() {
            self.digest.clone_from(&later.digest);
            self.has_later_digest = true;
        }
    }

    /// Whether bytes from several responses with this evidence may be joined: it has a strong tag, a digest
    /// that proves the whole, or, without any tag, a settled date and a length.
    pub fn can_join(&self) -> bool {
        self.has_proof() || self.can_join_by_name()
    }

    /// The same without a digest, which responses to ranges often leave out.
    pub(crate) fn can_join_by_name(&self) -> bool {
        self.is_named_surely() && (self.etag.is_some() || self.total_bytes.is_some())
    }

    /// Whether a strong tag identifies its version: unlike a date, it does not come back with other bytes.
    pub(crate) fn has_strong_tag(&self) -> bool {
        self.etag.as_ref().is_some_and(|tag| !tag.is_weak())
    }

    /// Whether its tag or its date identifies its version, with or without a length.
    pub(crate) fn is_named_surely(&self) -> bool {
        self.has_strong_tag() || self.etag.is_none() && self.has_settled_date()
    }

    /// Whether it names a version at all: by a tag of any strength, or by a settled date.
    pub(crate) fn has_tag_or_settled_date(&self) -> bool {
        self.etag.is_some() || self.has_settled_date()
    }

    /// Whether only a digest identifies its version. Servers leave that out at times, and another response of the
    /// same length may well be of it: the digest shows that at the end.
    pub(crate) fn is_digest_alone(&self) -> bool {
        self.has_proof() && self.etag.is_none() && self.last_modified.is_none()
    }

    /// Whether responses to ranges can name its version: a digest of the whole is often left out there.
    pub(crate) fn is_named_by_ranges(&self) -> bool {
        self.can_join() && self.if_range().is_some()
    }

    /// Whether nothing in it can ever identify a version: no tag, no digest that proves anything, and no date
    /// other than the server's clock or a placeholder.
    pub(crate) fn is_silent(&self) -> bool {
        self.etag.is_none() && !self.has_proof() && (self.real_date().is_none() || self.is_stamped_now())
    }

    /// Whether it has a digest that only this content has.
    fn has_proof(&self) -> bool {
        let digest = self.digest.as_ref().filter(|_| !self.has_later_digest);
        digest.is_some_and(|digest| digest.checksum().algorithm().is_collision_resistant())
    }

    /// Whether it says anything about the version.
    pub fn tells_version(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some() || self.digest.is_some() && !self.has_later_digest
    }

    /// Whether its content may have been encoded for this one response, so that other bytes come the next time: a
    /// strong tag and a length are those of the encoded content, which then is stored as such.
    pub(crate) fn is_encoded_on_the_way(&self) -> bool {
        let is_stored = self.has_strong_tag() && self.total_bytes.is_some();
        self.content_encoding.is_some() && !is_stored
    }

    /// From now on its tag is a hint.
    pub(crate) fn weaken_tag(&mut self) {
        self.etag = self.etag.as_ref().map(EntityTag::weakened);
    }

    /// Whether both have the same encoding, or none.
    pub(crate) fn has_same_encoding(&self, other: &Self) -> bool {
        self.content_encoding == other.content_encoding
    }

    /// The `If-Range` value for it: a strong tag, or a settled date if there is no tag at all (RFC 9110,
    /// section 13.1.5).
    pub fn if_range(&self) -> Option<HeaderValue> {
        match &self.etag {
            Some(tag) if tag.is_weak() => None,
            Some(tag) => HeaderValue::try_from(tag.in_request()?).ok(),
            None if self.has_settled_date() => HeaderValue::try_from(self.last_modified.as_deref()?).ok(),
            None => None,
        }
    }

    /// `Last-Modified` as a time.
    pub fn last_modified_time(&self) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_secs(date::http_seconds(self.last_modified.as_deref()?)?))
    }

    /// Takes the word of a response that names the version less surely: from now on, it is a hint.
    pub(crate) fn weaken(&mut self, claimed: &Self) {
        if self.etag.is_some() {
            self.etag.clone_from(&claimed.etag);
        }
        // How old the date was when it was first sent counts no more.
        (self.answered_unix, self.seen_unix) = (None, None);
    }

    /// From now on, nothing names its version.
    pub(crate) fn forget_version(&mut self) {
        (self.etag, self.last_modified) = (None, None);
    }

    /// Whether its date was old when it was sent, by the server's clock and by ours, so that the same date
    /// later means the same content.
    pub(crate) fn has_settled_date(&self) -> bool {
        let Some((modified, answered)) = self.real_date().zip(self.answered_unix) else { return false };
        let settled = modified.saturating_add(SETTLED_SECONDS);
        settled <= answered && self.seen_unix.is_none_or(|seen| settled <= seen)
    }

    /// Like `has_settled_date`, where the server's clock may be unknown.
    pub(super) fn has_old_date(&self) -> bool {
        let Some(modified) = self.real_date() else { return false };
        let is_old = |now: u64| modified.saturating_add(SETTLED_SECONDS) <= now;
        let (answered, seen) = (self.answered_unix, self.seen_unix);
        (answered.is_some() || seen.is_some()) && answered.is_none_or(is_old) && seen.is_none_or(is_old)
    }

    /// Its date in seconds since 1970, unless it is a placeholder.
    pub(super) fn real_date(&self) -> Option<u64> {
        date::http_seconds(self.last_modified.as_deref()?).filter(|date| *date >= REAL_DATE_FROM)
    }

    /// Whether the server stamps each response with its own clock, which says nothing about the content.
    pub(super) fn is_stamped_now(&self) -> bool {
        let dates = self.real_date().zip(self.answered_unix.or(self.seen_unix));
        dates.is_some_and(|(modified, answered)| modified.abs_diff(answered) <= 1)
    }
}

/// A hash of the fields that should be an entity tag; `None` if they are one, or empty.
fn odd_tag_of(headers: &HeaderMap) -> Option<String> {
    let fields: Vec<_> = headers.get_all(header::ETAG).iter().map(|field| field.as_bytes().trim_ascii()).collect();
    let is_one = |field: &[u8]| str::from_utf8(field).is_ok_and(|text| text.parse::<EntityTag>().is_ok());
    let is_empty = |field: &&[u8]| [&b""[..], b"\"\"", b"W/\"\""].contains(field);
    match &fields[..] {
        [one] if is_one(one) => None,
        fields if fields.iter().all(is_empty) => None,
        fields => Some(hash_of(&fields.join(&b'\n'))),
    }
}
