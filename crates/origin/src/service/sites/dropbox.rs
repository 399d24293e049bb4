//! Dropbox: a link shows a page; with `dl=1` it leads to another host, by a link that is good for a while.

use std::io;

use super::{Access, Shared, page, redirect};
use crate::service::talk::{Request, Talk};

pub(super) const HOST: &str = "www.dropbox.com";
pub(super) const BYTES_HOST: &str = "uc0123456789.dl.dropboxusercontent.com";

impl Shared {
    pub(super) fn dropbox(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        let segments = request.segments();
        let id = match segments[..] {
            ["sm", "password"] => return page(talk, "200 OK", "Dropbox - Password Required"),
            ["login"] => return page(talk, "200 OK", "Login - Dropbox"),
            ["scl", "fi" | "fo", id, ..] => id,
            _ => return page(talk, "404 Not Found", "Dropbox - 404"),
        };
        let Some(file) = self.script.find(id) else { return page(talk, "404 Not Found", "Dropbox - 404") };
        if request.parameter("dl") != Some("1") {
            return page(talk, "200 OK", "Dropbox - shown.bin - Simplify your life");
        }
        match file.access {
            Access::Open | Access::Made => {
                let number = {
                    let mut state = self.state();
                    state.stats.links += 1;
                    state.stats.links
                };
                redirect(talk, &format!("https://{BYTES_HOST}/cd/0/get/SECRET-link-{number}/{id}/file?dl=1"))
            }
            Access::SignIn => redirect(talk, &format!("https://{HOST}/login?cont=x")),
            Access::Password => redirect(talk, &format!("https://{HOST}/sm/password?cont=x")),
            Access::OverQuota => page(talk, "429 Too Many Requests", "Error (429)"),
            Access::Gone => page(talk, "410 Gone", "Dropbox - File Deleted"),
        }
    }

    pub(super) fn dropbox_bytes(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        let segments = request.segments();
        let ["cd", "0", "get", link, id, "file"] = segments[..] else { return talk.answer("404 Not Found", "", b"") };
        let number = link.strip_prefix("SECRET-link-").and_then(|number| number.parse::<u32>().ok());
        let is_good = {
            let mut state = self.state();
            let is_good = number.is_some_and(|number| number > state.expired_links);
            state.stats.expired += u32::from(!is_good);
            is_good
        };
        match self.script.find(id) {
            Some(file) if is_good => self.send(talk, request, file, &format!("ETag: \"{}d\"\r\n", file.seed)),
            _ => talk.answer("403 Forbidden", "", b""),
        }
    }
}
