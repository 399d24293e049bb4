//! Google Drive: bytes come from a host of their own, after the question about viruses is answered; refusals are pages
//! with status 200.

use std::io;

use super::{Access, Shared, page, redirect};
use crate::service::talk::{Request, Talk};

pub(super) const HOST: &str = "drive.google.com";
pub(super) const BYTES_HOST: &str = "drive.usercontent.google.com";
pub(super) const ACCOUNTS_HOST: &str = "accounts.google.com";

impl Shared {
    pub(super) fn google_drive(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        let is_bytes = request.header("host") == Some(BYTES_HOST) && request.path == "/download";
        if !is_bytes {
            return page(talk, "200 OK", "shown.bin - Google Drive");
        }
        let Some(file) = request.parameter("id").and_then(|id| self.script.find(id)) else {
            return page(talk, "404 Not Found", "Error 404 (Not Found)!!1");
        };
        match file.access {
            Access::SignIn | Access::Password => {
                redirect(talk, &format!("https://{ACCOUNTS_HOST}/ServiceLogin?service=wise"))
            }
            Access::OverQuota => page(talk, "200 OK", "Google Drive - Quota exceeded"),
            Access::Gone => page(talk, "404 Not Found", "Error 404 (Not Found)!!1"),
            Access::Open | Access::Made if request.parameter("confirm").is_none() => {
                page(talk, "200 OK", "Google Drive - Virus scan warning")
            }
            Access::Open | Access::Made => {
                let hash = file.hash.as_ref().map_or_else(String::new, |hash| format!("X-Goog-Hash: {hash}\r\n"));
                let date = "Last-Modified: Fri, 02 Jan 2026 10:00:00 GMT\r\n";
                self.send(talk, request, file, &format!("{date}{hash}"))
            }
        }
    }
}
