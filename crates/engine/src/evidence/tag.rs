//! Entity tags (RFC 9110, section 8.8.3).

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityTag {
    weak: bool,
    tag: String,
}

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
        self.tag == other.tag
    }
}

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
        Ok(Self { weak, tag: tag.to_owned() })
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
        write!(f, "{}\"{}\"", if self.weak { "W/" } else { "" }, self.tag)
    }
}
