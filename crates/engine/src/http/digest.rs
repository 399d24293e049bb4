//! The digests that a server sends with its content. Pure: reads fields, computes nothing.
//!
//! | field | digest of | on a 206 |
//! |---|---|---|
//! | `Repr-Digest` (RFC 9530) | the representation, whichever part of it is sent | counts |
//! | `Digest` (RFC 3230) | the same | counts |
//! | `x-goog-hash` (Google's storage) | the stored object | counts |
//! | `Content-Digest` (RFC 9530) | the content of this one message | covers only the part |
//! | `Content-MD5` (RFC 1864, RFC 2616) | the same | covers only the part |
//!
//! For an encoded response, none of them counts: strictly, they are digests of the encoded bytes, but whoever
//! encodes in transit leaves the origin's fields in place. Nor do those of a 203, whose content was changed in
//! transit.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName};
use serde::{Deserialize, Deserializer, Serialize};

use crate::checksum::{Algorithm, Checksum};
use crate::http::coding;

/// Longer values are ignored.
const VALUE_BYTES_MAX: usize = 4096;

/// RFC 9651, section 4.2.7: missing padding and leftover bits are accepted.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The digest that a server sent for a whole file, and the field it came in.
///
/// ```
/// use towline_engine::http::digest::ServerDigest;
///
/// let digest: ServerDigest = "Content-MD5: md5=d41d8cd98f00b204e9800998ecf8427e".parse().unwrap();
/// assert_eq!(digest.field(), "Content-MD5");
/// assert_eq!(digest.checksum().algorithm().name(), "md5");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct ServerDigest {
    field: Field,
    checksum: Checksum,
}

/// The text is not a field with a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a field and its digest")]
pub struct ServerDigestError;

impl ServerDigest {
    /// The field's name, in its usual spelling.
    pub fn field(&self) -> &'static str {
        self.field.name()
    }

    /// The digest that the content must have.
    pub fn checksum(&self) -> &Checksum {
        &self.checksum
    }

    /// Whether two digests are of the same content; `None` if they cannot tell.
    pub(crate) fn agrees(&self, other: &Self) -> Option<bool> {
        let algorithm = self.checksum.algorithm();
        if algorithm != other.checksum.algorithm() {
            return None;
        }
        match self.checksum == other.checksum {
            false => Some(false),
            true => algorithm.is_collision_resistant().then_some(true),
        }
    }
}

impl fmt::Display for ServerDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field.name(), self.checksum)
    }
}

impl FromStr for ServerDigest {
    type Err = ServerDigestError;

    fn from_str(text: &str) -> Result<Self, ServerDigestError> {
        let (name, checksum) = text.split_once(": ").ok_or(ServerDigestError)?;
        let field = Field::ALL.into_iter().find(|field| field.name() == name).ok_or(ServerDigestError)?;
        Ok(Self { field, checksum: checksum.parse().map_err(|_| ServerDigestError)? })
    }
}

impl From<ServerDigest> for String {
    fn from(digest: ServerDigest) -> Self {
        digest.to_string()
    }
}

/// For stored values: an unknown field or algorithm of a later version must not invalidate the rest.
pub(crate) fn deserialize_known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServerDigest>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// The digests in the fields of one response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digests {
    /// The strongest digest that can be computed here.
    pub(crate) strongest: Option<ServerDigest>,
    /// Why fields were not used, in words.
    pub(crate) odd: Vec<String>,
}

/// Reads the fields that describe the whole file in a response with this status.
pub(crate) fn read(headers: &HeaderMap, status: u16) -> Digests {
    let mut digests = Digests::default();
    if coding::of_content(headers).is_some() {
        return digests;
    }
    for field in Field::ALL.into_iter().filter(|field| field.is_of_whole(status, headers)) {
        let given = match field.given(headers) {
            Ok(given) => given,
            Err(why) => {
                digests.odd.push(format!("the {} that the server sends is not used: {why}", field.name()));
                continue;
            }
        };
        for checksum in given {
            let strength = checksum.algorithm().strength();
            let best = digests.strongest.as_ref().map(|best| best.checksum.algorithm().strength());
            if best.is_none_or(|best| strength > best) {
                digests.strongest = Some(ServerDigest { field, checksum });
            }
        }
    }
    digests
}

/// How Google's storage encoded the object.
static STORED_ENCODING: HeaderName = HeaderName::from_static("x-goog-stored-content-encoding");

/// A field with a digest in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    ReprDigest,
    Digest,
    GoogHash,
    ContentDigest,
    ContentMd5,
}

impl Field {
    /// If two fields have the same algorithm, the first counts.
    const ALL: [Self; 5] = [Self::ReprDigest, Self::Digest, Self::GoogHash, Self::ContentDigest, Self::ContentMd5];

    fn name(self) -> &'static str {
        match self {
            Self::ReprDigest => "Repr-Digest",
            Self::Digest => "Digest",
            Self::GoogHash => "x-goog-hash",
            Self::ContentDigest => "Content-Digest",
            Self::ContentMd5 => "Content-MD5",
        }
    }

    /// The same in the form that is looked up without being parsed.
    fn field_name(self) -> &'static HeaderName {
        static NAMES: [HeaderName; 5] = [
            HeaderName::from_static("repr-digest"),
            HeaderName::from_static("digest"),
            HeaderName::from_static("x-goog-hash"),
            HeaderName::from_static("content-digest"),
            HeaderName::from_static("content-md5"),
        ];
        &NAMES[self as usize]
    }

    /// Whether the field describes the whole file in this response.
    fn is_of_whole(self, status: u16, headers: &HeaderMap) -> bool {
        match (self, status) {
            // It describes the stored object, which may have been decoded before it was sent.
            (Self::GoogHash, 200 | 206) => headers
                .get(&STORED_ENCODING)
                .is_none_or(|stored| stored.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")),
            (Self::ReprDigest | Self::Digest, 200 | 206) | (Self::ContentDigest | Self::ContentMd5, 200) => true,
            _ => false,
        }
    }

    /// The digests in the field that can be computed here; empty if the field is missing.
    fn given(self, headers: &HeaderMap) -> Result<Vec<Checksum>, &'static str> {
        if !headers.contains_key(self.field_name()) {
            return Ok(Vec::new());
        }
        let mut text = String::new();
        for value in headers.get_all(self.field_name()) {
            if text.len() + value.len() > VALUE_BYTES_MAX {
                return Err("it is too long");
            }
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push_str(value.to_str().map_err(|_| "it has characters that do not belong there")?);
        }
        match self {
            Self::ReprDigest | Self::ContentDigest => dictionary(&text),
            Self::Digest | Self::GoogHash => list(&text, self),
            Self::ContentMd5 => Ok(vec![decoded(Algorithm::Md5, text.trim())?]),
        }
    }
}

/// A dictionary of byte sequences (RFC 9651, section 3.2), for example `sha-256=:47DEQ…=:`. The last one of a
/// repeated member counts.
fn dictionary(text: &str) -> Result<Vec<Checksum>, &'static str> {
    const FORM: &str = "it is no dictionary of digests";
    let mut given: Vec<Checksum> = Vec::new();
    for member in members(text).ok_or(FORM)? {
        let key = member.split(['=', ';']).next().unwrap_or_default();
        if !is_key(key) {
            return Err(FORM);
        }
        // The registry of RFC 9530 has more; they do not matter here.
        let algorithm = match key {
            "sha-512" => Algorithm::Sha512,
            "sha-256" => Algorithm::Sha256,
            "sha" => Algorithm::Sha1,
            "md5" => Algorithm::Md5,
            "crc32c" => Algorithm::Crc32c,
            _ => continue,
        };
        let sequence = member[key.len()..].strip_prefix("=:").and_then(|rest| rest.split_once(':'));
        let (base64, parameters) = sequence.ok_or(FORM)?;
        if !parameters.is_empty() && !parameters.starts_with(';') {
            return Err(FORM);
        }
        let checksum = decoded(algorithm, base64)?;
        given.retain(|before| before.algorithm() != algorithm);
        given.push(checksum);
    }
    Ok(given)
}

/// The members of a dictionary. A comma inside a string does not separate them.
fn members(text: &str) -> Option<Vec<&str>> {
    let (mut members, mut start) = (Vec::new(), 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b',' if !in_string => {
                members.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(text[start..].trim());
    (!in_string && members.iter().all(|member| !member.is_empty())).then_some(members)
}

fn is_key(key: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
    key.starts_with(|first: char| first.is_ascii_lowercase() || first == '*') && key.bytes().all(is_inner)
}

/// A list of `ALGORITHM=BASE64`; the valid names depend on the field.
fn list(text: &str, field: Field) -> Result<Vec<Checksum>, &'static str> {
    let mut given: Vec<Checksum> = Vec::new();
    for element in text.split(',').map(str::trim).filter(|element| !element.is_empty()) {
        let (name, value) = element.split_once('=').ok_or("it is no list of digests")?;
        let algorithm = match (name.trim().to_ascii_lowercase().as_str(), field) {
            // Those with `id-` describe the unencoded content, which is what is sent.
            ("sha-512" | "id-sha-512", Field::Digest) => Algorithm::Sha512,
            ("sha-256" | "id-sha-256", Field::Digest) => Algorithm::Sha256,
            ("sha" | "sha-1", Field::Digest) => Algorithm::Sha1,
            ("md5", _) => Algorithm::Md5,
            ("crc32c", Field::GoogHash) => Algorithm::Crc32c,
            _ => continue,
        };
        let checksum = decoded(algorithm, value.trim())?;
        if given.iter().any(|before| before.algorithm() == algorithm && *before != checksum) {
            return Err("it gives two digests of one kind");
        }
        given.push(checksum);
    }
    Ok(given)
}

fn decoded(algorithm: Algorithm, base64: &str) -> Result<Checksum, &'static str> {
    let digest = BASE64.decode(base64).map_err(|_| "a digest in it is not base64")?;
    Checksum::new(algorithm, digest).ok_or("a digest in it has a wrong length")
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    /// Digests of the empty content.
    const SHA256: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    const SHA1: &str = "2jmj7l5rSw0yVb/vlWAYkK/YBwk=";
    const MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn shown(fields: &[(&str, &str)], status: u16) -> Option<String> {
        let digests = read(&headers(fields), status);
        assert_eq!(digests.odd, [""; 0], "{fields:?}");
        digests.strongest.map(|digest| digest.to_string())
    }

    fn hex(base64: &str) -> String {
        BASE64.decode(base64).unwrap().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_strongest_digest_of_the_whole_file_is_taken() {
        let both = format!("md5=:{MD5}:, sha-256=:{SHA256}:");
        let expected = Some(format!("Repr-Digest: sha-256={}", hex(SHA256)));
        for status in [200, 206] {
            assert_eq!(shown(&[("repr-digest", both.as_str()), ("content-md5", MD5)], status), expected);
        }
        let (old, google) = (format!("SHA={SHA1},md5={MD5}"), format!("md5={MD5}"));
        let fields = [("x-goog-hash", "crc32c=AAAAAA=="), ("digest", old.as_str()), ("x-goog-hash", google.as_str())];
        assert_eq!(shown(&fields, 200), Some(format!("Digest: sha-1={}", hex(SHA1))));
        assert_eq!(shown(&[fields[0]], 206), Some("x-goog-hash: crc32c=00000000".to_owned()));
        assert_eq!(shown(&[fields[0], fields[2]], 206), Some(format!("x-goog-hash: md5={}", hex(MD5))));
        assert_eq!(shown(&[], 200), None);
    }

    #[test]
    fn what_is_of_one_message_says_nothing_of_the_file_when_that_is_a_part() {
        let content = format!("sha-256=:{SHA256}:");
        let fields = [("content-digest", content.as_str()), ("content-md5", MD5)];
        assert_eq!(shown(&fields, 200), Some(format!("Content-Digest: sha-256={}", hex(SHA256))));
        assert_eq!(shown(&fields[1..], 200), Some(format!("Content-MD5: md5={}", hex(MD5))));
        for status in [203, 206, 404, 416] {
            assert_eq!(shown(&fields, status), None);
        }
    }

    #[test]
    fn what_is_encoded_has_no_digest_that_could_be_relied_on() {
        let repr = format!("sha-256=:{SHA256}:");
        for (encoding, counts) in [("gzip", false), ("identity, br", false), ("identity", true)] {
            let fields = [("repr-digest", repr.as_str()), ("content-encoding", encoding)];
            assert_eq!(shown(&fields, 200).is_some(), counts, "{encoding}");
        }
        let google = [("x-goog-hash", "crc32c=AAAAAA=="), ("x-goog-stored-content-encoding", "gzip")];
        assert_eq!(shown(&google, 200), None);
        assert!(shown(&[google[0], ("x-goog-stored-content-encoding", "identity")], 200).is_some());
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        let fields = [
            format!("sha-1024=\"a, b\\\"\", unixsum=(1 2);x, flag, sha-256=:{SHA256}:;at=@1"),
            format!("sha-256=:{MD5}:,\tsha-256=:{SHA256}:"),
            format!("sha-256=:{}:", SHA256.trim_end_matches('=')),
        ];
        let expected = Some(format!("Repr-Digest: sha-256={}", hex(SHA256)));
        assert_eq!(shown(&[("repr-digest", fields[0].as_str())], 200), expected);
        assert_eq!(shown(&[("repr-digest", fields[2].as_str())], 200), expected);
        // A member with a wrong length is an error even if another one follows.
        assert_eq!(read(&headers(&[("repr-digest", fields[1].as_str())]), 200).odd.len(), 1);
        let old = format!("adler32=03da0195, unixsum=30637,, UNIXcksum=1, id-sha-256={SHA256}");
        assert_eq!(shown(&[("digest", old.as_str())], 200), Some(format!("Digest: sha-256={}", hex(SHA256))));
    }

    #[test]
    fn a_field_that_is_malformed_is_named_and_the_others_count() {
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let cases = [
            ("repr-digest", ""),
            ("repr-digest", "sha-256"),
            ("repr-digest", "sha-256=::"),
            ("repr-digest", "sha-256=:AAAA:"),
            ("repr-digest", "sha-256=:!:"),
            ("repr-digest", "sha-256=AAAA"),
            ("repr-digest", "sha-256=:AAAA"),
            ("repr-digest", "SHA-256=:AAAA:"),
            ("repr-digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:x"),
            ("repr-digest", "a=1,"),
            ("repr-digest", "a=\"1"),
            ("content-digest", "a=1,,b=2"),
            ("content-digest", long.as_str()),
            ("digest", "sha-256"),
            ("digest", "sha-256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("digest", "md5=1B2M2Y8AsgTpgAmY7PhCfg==,md5=2B2M2Y8AsgTpgAmY7PhCfg=="),
            ("x-goog-hash", "crc32c=AAAA"),
            ("x-goog-hash", "md5"),
            ("content-md5", ""),
            ("content-md5", "d41d8cd98f00b204e9800998ecf8427e"),
        ];
        let good = format!("md5=:{MD5}:");
        for (name, value) in cases {
            let other = if name == "content-digest" { "repr-digest" } else { "content-digest" };
            let digests = read(&headers(&[(name, value), (other, good.as_str())]), 200);
            assert_eq!(digests.odd.len(), 1, "{name}: {value}");
            assert!(digests.odd[0].to_ascii_lowercase().contains(name), "{:?}", digests.odd);
            assert!(digests.strongest.is_some(), "{name}: {value}");
        }
        let mut hostile = HeaderMap::new();
        hostile.insert("repr-digest", HeaderValue::from_bytes(b"sha-256=:\xff:").unwrap());
        assert_eq!(read(&hostile, 200).odd.len(), 1);
    }

    #[test]
    fn two_answers_are_told_apart_by_digests_of_one_kind() {
        let parse = |text: String| text.parse::<ServerDigest>().unwrap();
        let strong = parse(format!("Repr-Digest: sha-256={}", hex(SHA256)));
        let same = parse(format!("Content-Digest: sha-256={}", hex(SHA256)));
        let other = parse(format!("Repr-Digest: sha-256={}", "0".repeat(64)));
        assert_eq!(strong.agrees(&same), Some(true));
        assert_eq!(strong.agrees(&other), Some(false));
        let weak = parse("x-goog-hash: crc32c=00000001".to_owned());
        assert_eq!(weak.agrees(&weak), None);
        assert_eq!(weak.agrees(&parse("x-goog-hash: crc32c=00000002".to_owned())), Some(false));
        assert_eq!(weak.agrees(&strong), None);
    }

    #[test]
    fn only_a_field_that_is_known_is_read_back() {
        for text in ["", "Repr-Digest", "Repr-Digest: sha-256=00", "Other: md5=d41d8cd98f00b204e9800998ecf8427e"] {
            assert!(text.parse::<ServerDigest>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_survived(value in prop::collection::vec(any::<u8>(), 0..200), status in 200u16..207) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            for field in Field::ALL {
                headers.append(field.name().parse::<HeaderName>().unwrap(), value.clone());
            }
            read(&headers, status);
        }

        #[test]
        fn what_looks_like_a_dictionary_is_survived(value in "[a-z0-9=:;,\" \\\\()+/-]{0,60}") {
            let _ = dictionary(&value);
            let _ = list(&value, Field::Digest);
        }

        #[test]
        fn what_a_server_may_say_is_read_back(digest in prop::collection::vec(any::<u8>(), 32)) {
            let base64 = BASE64.encode(&digest);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let expected = format!("Repr-Digest: sha-256={hex}");
            let value = format!("sha-256=:{base64}:");
            let found = shown(&[("repr-digest", value.as_str())], 206);
            prop_assert_eq!(found.as_ref(), Some(&expected));
            prop_assert_eq!(expected.parse::<ServerDigest>().map(|digest| digest.to_string()), Ok(expected));
        }
    }
}
