//! Links to single files of services that show a page first: Dropbox and Google Drive. Each is rewritten to the link of
//! the file itself; nothing is asked. Pure.

use url::Url;

use super::seam::{Entries, Entry, Provider};
use super::web::Web;
use crate::error::{Error, ErrorKind, Result};
use crate::job::Located;
use crate::secret;

/// What pages of Dropbox mean.
const DROPBOX_PAGES: &[(&str, &str)] = &[
    ("/sm/password", "the link wants a password, which Towline cannot give"),
    ("/login", "the file is shared only with people who sign in"),
    ("", "the link has expired, wants a sign-in, or was used too often today"),
];
/// What pages of Google Drive mean.
const DRIVE_PAGES: &[(&str, &str)] = &[
    ("://accounts.google.com/", "the file is not shared with everybody"),
    ("uota exceeded", "too many people have fetched the file lately; Google lets more have it within a day"),
    ("irus scan warning", "Google asks a question that Towline cannot answer"),
    ("", "the file is not shared with everybody, or too many people have fetched it today"),
];

/// Share links of Dropbox. A folder comes as one zip archive, which the service makes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dropbox;

impl Dropbox {
    fn direct(link: &Url) -> Option<Url> {
        if !matches!(link.host_str()?, "dropbox.com" | "www.dropbox.com") {
            return None;
        }
        let mut parts = link.path_segments()?;
        let is_shared = matches!((parts.next()?, parts.next()), ("s" | "sh", Some(_)) | ("scl", Some("fi" | "fo")));
        let is_page = |(name, value): (_, _)| name != "dl" || value != "1";
        if !is_shared || link.query_pairs().any(|pair| !is_page(pair)) {
            // With `dl=1` it leads to the file already.
            return None;
        }
        let kept: Vec<_> = link.query_pairs().filter(|(name, _)| name != "dl" && name != "raw").collect();
        let mut direct = link.clone();
        direct.query_pairs_mut().clear().extend_pairs(kept).append_pair("dl", "1");
        Some(direct)
    }
}

impl Provider for Dropbox {
    fn name(&self) -> &'static str {
        "Dropbox"
    }

    fn knows(&self, url: &Url) -> bool {
        Self::direct(url).is_some()
    }

    fn list<'a>(&'a self, link: &Url, _web: &'a Web) -> Result<Entries<'a>> {
        one(Self::direct(link), link, DROPBOX_PAGES)
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}

/// Share links to files of Google Drive. Its folders need another way.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoogleDrive;

impl GoogleDrive {
    fn direct(link: &Url) -> Option<Url> {
        if link.host_str()? != "drive.google.com" {
            return None;
        }
        let of_query = || link.query_pairs().find(|(name, _)| name == "id").map(|(_, id)| id.into_owned());
        let parts: Vec<_> = link.path_segments()?.collect();
        let id = match &parts[..] {
            ["file", "d", id, ..] => (*id).to_owned(),
            // Somebody who is signed in twice has a number in the path.
            ["file", "u", _, "d", id, ..] => (*id).to_owned(),
            ["open" | "uc"] => of_query()?,
            _ => return None,
        };
        let mut direct = link.clone();
        direct.set_host(Some("drive.usercontent.google.com")).ok()?;
        direct.set_path("/download");
        direct.set_fragment(None);
        let key = link.query_pairs().find(|(name, _)| name == "resourcekey").map(|(_, key)| key.into_owned());
        let mut query = direct.query_pairs_mut();
        // `confirm` answers the question that comes before large files: nobody has looked for viruses in them.
        query.clear().extend_pairs([("id", id.as_str()), ("export", "download"), ("confirm", "t")]);
        if let Some(key) = key {
            query.append_pair("resourcekey", &key);
        }
        drop(query);
        Some(direct)
    }
}

impl Provider for GoogleDrive {
    fn name(&self) -> &'static str {
        "Google Drive"
    }

    fn knows(&self, url: &Url) -> bool {
        Self::direct(url).is_some() || is_folder(url)
    }

    fn list<'a>(&'a self, link: &Url, _web: &'a Web) -> Result<Entries<'a>> {
        if is_folder(link) {
            let text = "folders of Google Drive cannot be listed; give the links of their files";
            return Err(Error::new(ErrorKind::Usage, text).with_url(secret::shown_url(link)));
        }
        one(Self::direct(link), link, DRIVE_PAGES)
    }

    fn locate(&self, entry: &Url, _web: &Web) -> Result<Located> {
        Ok(Located::new(entry.clone()))
    }
}

fn is_folder(url: &Url) -> bool {
    url.host_str() == Some("drive.google.com") && url.path().starts_with("/drive/") && url.path().contains("/folders/")
}

/// One file, which its server names.
fn one<'a>(direct: Option<Url>, link: &Url, pages: &'static [(&'static str, &'static str)]) -> Result<Entries<'a>> {
    let direct = direct
        .ok_or_else(|| Error::new(ErrorKind::Usage, "this is no link to a file").with_url(secret::shown_url(link)))?;
    let mut entry = Entry::new(direct, "");
    entry.page_means = pages;
    Ok(Box::new(std::iter::once(Ok(entry))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn links_of_dropbox_lead_to_the_file_itself() {
        for (link, direct) in [
            ("https://www.dropbox.com/s/abc/a.zip?dl=0", "https://www.dropbox.com/s/abc/a.zip?dl=1"),
            (
                "https://www.dropbox.com/scl/fi/x/a.pdf?rlkey=k&st=s&dl=0",
                "https://www.dropbox.com/scl/fi/x/a.pdf?rlkey=k&st=s&dl=1",
            ),
            ("https://dropbox.com/sh/abc/def", "https://dropbox.com/sh/abc/def?dl=1"),
            ("https://www.dropbox.com/s/abc/a.zip?raw=1", "https://www.dropbox.com/s/abc/a.zip?dl=1"),
        ] {
            assert_eq!(Dropbox::direct(&url(link)), Some(url(direct)));
            assert!(!Dropbox.knows(&url(direct)), "{direct}");
        }
        for other in [
            "https://www.dropbox.com/home",
            "https://dropbox.com.evil.example/s/abc/a.zip",
            "https://dl.dropbox.com/s/a/b",
        ] {
            assert!(!Dropbox.knows(&url(other)), "{other}");
        }
    }

    #[test]
    fn links_of_google_drive_lead_to_the_file_itself() {
        let direct = "https://drive.usercontent.google.com/download?id=1AbC&export=download&confirm=t";
        for link in [
            "https://drive.google.com/file/d/1AbC/view?usp=sharing",
            "https://drive.google.com/file/u/1/d/1AbC/view",
            "https://drive.google.com/open?id=1AbC",
            "https://drive.google.com/uc?export=download&id=1AbC",
        ] {
            assert_eq!(GoogleDrive::direct(&url(link)), Some(url(direct)), "{link}");
        }
        assert!(!GoogleDrive.knows(&url(direct)));
        let key = GoogleDrive::direct(&url("https://drive.google.com/file/d/1AbC/view?resourcekey=0-k")).unwrap();
        assert_eq!(key, url(&format!("{direct}&resourcekey=0-k")));
        assert!(GoogleDrive.knows(&url("https://drive.google.com/drive/folders/1AbC")));
        assert!(!GoogleDrive.knows(&url("https://docs.google.com/document/d/1AbC/edit")));
    }
}
