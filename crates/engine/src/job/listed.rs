//! What a service's listing says of a file.

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;

/// A file as an earlier run left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Left {
    /// Its length in bytes.
    pub len_bytes: u64,
    /// Its modification time in nanoseconds since 1970.
    pub modified_ns: i64,
    /// Whether there is another version now: its service lists one, or its server had one already.
    pub is_changed: bool,
}

impl Left {
    /// A file with this length and time, of which no other version is known.
    pub fn new(len_bytes: u64, modified_ns: i64) -> Self {
        Self { len_bytes, modified_ns, is_changed: false }
    }
}

/// What the service that lists a file says of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Listed {
    /// The service, for messages.
    pub by: String,
    /// Its length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// The digest of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// A text that changes with the content: another one means that the file is fetched again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether the version is only a time, to the second or the minute.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_coarse: bool,
    /// Whether the service sends this file otherwise than it lists it, so that another digest is no damage.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_differ: bool,
    /// What an HTML page means that comes instead of the file: signs, each with a text for people. The first sign that
    /// occurs in the page's title or URL applies; an empty sign occurs in every page. If there are none, an HTML page
    /// may be the file itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_means: Vec<(String, String)>,
}

impl Listed {
    /// About how many bytes it takes in memory.
    pub(crate) fn held_bytes(&self) -> usize {
        let version = self.version.as_ref().map_or(0, String::len);
        let pages: usize = self.page_means.iter().map(|(sign, means)| sign.len() + means.len()).sum();
        size_of::<Self>() + self.by.len() + version + pages
    }

    /// A file of this service, of which nothing else is known.
    pub fn new(by: impl Into<String>) -> Self {
        Self {
            by: by.into(),
            total_bytes: None,
            checksum: None,
            version: None,
            is_coarse: false,
            may_differ: false,
            page_means: Vec::new(),
        }
    }
}
