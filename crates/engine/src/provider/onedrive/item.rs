//! Items of a drive, as Microsoft Graph describes them (the resource `driveItem`). Plain values.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use crate::checksum::{Algorithm, Checksum};

/// What is asked of each item.
pub(super) const FIELDS: &str = "id,name,size,eTag,cTag,file,folder,package,malware,deleted,remoteItem,parentReference,\
     lastModifiedDateTime,fileSystemInfo,@microsoft.graph.downloadUrl";
/// Files that the service rewrites when it likes: their size and digest differ from those that it lists.
const OFFICE: [&str; 18] = [
    "doc", "docm", "docx", "dotx", "dot", "one", "onetoc2", "ppt", "pptm", "pptx", "potx", "vsd", "vsdx", "xls",
    "xlsb", "xlsm", "xlsx", "xltx",
];

/// A page of a folder.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// Items, each read by itself: an odd one hides no other.
    pub(super) value: Vec<Value>,
    /// Where the next page is; it may be relative.
    #[serde(rename = "@odata.nextLink")]
    pub(super) next: Option<String>,
}

/// A file or a folder.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) size: Option<u64>,
    e_tag: Option<String>,
    c_tag: Option<String>,
    file: Option<FileFacet>,
    folder: Option<Facet>,
    package: Option<Facet>,
    malware: Option<Facet>,
    deleted: Option<Facet>,
    /// What a shortcut leads to.
    pub(super) remote_item: Option<Box<Self>>,
    parent_reference: Option<Parent>,
    last_modified_date_time: Option<String>,
    file_system_info: Option<Times>,
    /// Where its bytes are for some minutes, for everybody.
    #[serde(rename = "@microsoft.graph.downloadUrl", default, deserialize_with = "url_if_it_is_one")]
    pub(super) download_url: Option<Url>,
}

/// Only its presence says something.
#[derive(Debug, Deserialize)]
struct Facet {}

#[derive(Debug, Deserialize)]
struct FileFacet {
    hashes: Option<Hashes>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hashes {
    quick_xor_hash: Option<String>,
    sha1_hash: Option<String>,
    sha256_hash: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parent {
    drive_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    last_modified_date_time: Option<String>,
}

/// What is no URL counts as none: the file is asked for by its id then.
fn url_if_it_is_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let text = Option::<Value>::deserialize(deserializer)?;
    Ok(text.as_ref().and_then(Value::as_str).and_then(|text| text.parse().ok()))
}

impl Item {
    /// The same under another name.
    pub(super) fn called(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub(super) fn is_folder(&self) -> bool {
        // A notebook is a package, and a folder of its sections.
        self.folder.is_some() || self.package.is_some()
    }

    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    pub(super) fn is_held_for_malware(&self) -> bool {
        self.malware.is_some()
    }

    /// The drive that it is in.
    pub(super) fn drive(&self) -> Option<&str> {
        self.parent_reference.as_ref()?.drive_id.as_deref()
    }

    /// Whether its size and digest may differ from what is sent.
    pub(super) fn is_rewritten(&self) -> bool {
        let suffix = Path::new(&self.name).extension().map(|suffix| suffix.to_string_lossy().to_ascii_lowercase());
        suffix.is_some_and(|suffix| OFFICE.contains(&suffix.as_str()))
    }

    /// The digest of its content, the strongest that is given and readable.
    pub(super) fn checksum(&self) -> Option<Checksum> {
        let hashes = self.file.as_ref()?.hashes.as_ref()?;
        let of_hex = |name: &str, hex: &Option<String>| format!("{name}={}", hex.as_deref()?).parse().ok();
        let quick_xor = || {
            let digest = STANDARD.decode(hashes.quick_xor_hash.as_deref()?).ok()?;
            Checksum::new(Algorithm::QuickXor, digest)
        };
        of_hex("sha-256", &hashes.sha256_hash).or_else(|| of_hex("sha-1", &hashes.sha1_hash)).or_else(quick_xor)
    }

    /// When it was last changed, as its owner sees it.
    pub(super) fn modified(&self) -> Option<&str> {
        let times = self.file_system_info.as_ref().and_then(|times| times.last_modified_date_time.as_deref());
        times.or(self.last_modified_date_time.as_deref())
    }

    /// A text that changes with its content.
    pub(super) fn version(&self) -> Option<String> {
        let tag = || Some(format!("tag={}", self.c_tag.as_ref().or(self.e_tag.as_ref())?));
        let digest = self.checksum().map(|checksum| checksum.to_string());
        if self.is_rewritten() {
            // What is sent may not have this digest, so that it alone does not tell whether it is still the same.
            let time = self.modified().map(|time| format!("time={time}"));
            let parts: Vec<_> = [digest, tag(), time].into_iter().flatten().collect();
            return (!parts.is_empty()).then(|| parts.join(";"));
        }
        digest.or_else(tag)
    }
}
