//! Entity tags (RFC 9110, section 8.8.3).

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longer values are not kept.
pub(super) const VALUE_BYTES_MAX: usize = 1024;

/// An entity tag, strong or weak.
///
/// ```
/// use towline_engine::evidence::EntityTag;
///
/// let tag: EntityTag = "W/\"v1\"".parse().unwrap();
/// assert!(tag.is_weak());
/// assert_eq!(tag.to_string(), "W/\"v1\"");
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityTag {
    weak: bool,
    /// What is between the quotes, or its [hash](hash_of).
    tag: String,
    /// It holds a secret, and is shown and stored as a hash.
    is_secret: bool,
}

/// What stands before the hash of a tag in its place.
const HASHED: &str = "towline-hash:";

/// Not an entity tag.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an entity tag")]
pub struct EntityTagError;

impl EntityTag {
    /// Whether it only promises equivalent content.
    pub fn is_weak(&self) -> bool {
        self.weak
    }

    /// The same as a weak tag.
    pub(super) fn weakened(&self) -> Self {
        Self { weak: true, ..self.clone() }
    }

    /// Whether both match by weak comparison (RFC 9110, section 8.8.3.2).
    pub(super) fn has_same_text(&self, other: &Self) -> bool {
        let is_hashed = self.is_hashed() || other.is_hashed();
        self.tag == other.tag || is_hashed && self.hashed() == other.hashed()
    }

    /// The same, which is shown and stored as a hash from now on.
    pub(crate) fn as_secret(&self) -> Self {
        Self { is_secret: true, ..self.clone() }
    }

    /// As a request names it; `None` if only its hash is known.
    pub(crate) fn in_request(&self) -> Option<String> {
        (!self.is_hashed()).then(|| self.quoted(&self.tag))
    }

    fn is_hashed(&self) -> bool {
        self.tag.starts_with(HASHED)
    }

    fn hashed(&self) -> Cow<'_, str> {
        if self.is_hashed() { Cow::Borrowed(&self.tag) } else { Cow::Owned(hash_of(self.tag.as_bytes())) }
    }

    fn quoted(&self, tag: &str) -> String {
        format!("{}\"{tag}\"", if self.weak { "W/" } else { "" })
    }
}

/// A hash in the place of what is not stored, or cannot be.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    format!("{HASHED}{}", &blake3::hash(bytes).to_hex()[..32])
}

/// Those of one kind with the same text are the same.
impl PartialEq for EntityTag {
    fn eq(&self, other: &Self) -> bool {
        self.weak == other.weak && self.has_same_text(other)
    }
}

impl Eq for EntityTag {}

impl FromStr for EntityTag {
    type Err = EntityTagError;

    fn from_str(value: &str) -> Result<Self, EntityTagError> {
        let (weak, quoted) = match value.strip_prefix("W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let tag = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(EntityTagError)?;
        let is_visible = tag.bytes().all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte));
        // Servers without real tags send an empty one: it would be the same for every version.
        if tag.is_empty() || !is_visible || tag.len() > VALUE_BYTES_MAX {
            return Err(EntityTagError);
        }
        Ok(Self { weak, tag: tag.to_owned(), is_secret: false })
    }
}

impl TryFrom<String> for EntityTag {
    type Error = EntityTagError;

    fn try_from(value: String) -> Result<Self, EntityTagError> {
        value.parse()
    }
}

impl From<EntityTag> for String {
    fn from(tag: EntityTag) -> Self {
        tag.to_string()
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.quoted(&if self.is_secret { self.hashed() } else { Cow::Borrowed(&*self.tag) }))
    }
}
