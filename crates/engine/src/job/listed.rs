//! What a service's listing says of a file.

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;

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
    /// Signs of pages that come instead of the file, in their titles or URLs, and what each means. An empty sign is in
    /// each page; without any, a page may be the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_means: Vec<(String, String)>,
}

impl Listed {
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
