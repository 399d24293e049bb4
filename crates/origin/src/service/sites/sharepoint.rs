//! SharePoint: the bytes of a file that is shared with everybody; who may not have it is sent to sign in.

use std::io;

use super::{Access, Shared, page, redirect};
use crate::service::talk::{Request, Talk};

pub(super) const HOST: &str = "contoso-my.sharepoint.com";
pub(super) const LOGIN_HOST: &str = "login.microsoftonline.com";

impl Shared {
    pub(super) fn sharepoint(&self, talk: &mut Talk, request: &Request) -> io::Result<()> {
        if request.path != "/personal/me/_layouts/15/download.aspx" {
            return page(talk, "200 OK", "shown.bin");
        }
        let Some(file) = request.parameter("share").and_then(|id| self.script.find(id)) else {
            return page(talk, "404 Not Found", "Sorry, something went wrong");
        };
        match file.access {
            Access::Open | Access::Made => {
                self.send(talk, request, file, &format!("ETag: \"{{{}}},1\"\r\n", file.seed))
            }
            Access::SignIn | Access::Password => {
                redirect(talk, &format!("https://{LOGIN_HOST}/common/oauth2/authorize?client_id=x"))
            }
            Access::OverQuota => page(talk, "503 Service Unavailable", "The server is busy"),
            Access::Gone => page(talk, "404 Not Found", "Sorry, something went wrong"),
        }
    }
}
