//! The sign-in by a code (RFC 8628), and the renewal of tokens.

use std::io;

use super::Shared;
use crate::service::talk::{JSON, Request, Talk};

impl Shared {
    pub(super) fn sign_in(&self, talk: &mut Talk, what: &str, request: &Request) -> io::Result<()> {
        let form = String::from_utf8_lossy(&request.body).into_owned();
        if request.method != "POST" || !form.contains("client_id=") {
            return talk.answer("400 Bad Request", JSON, br#"{"error":"invalid_request"}"#);
        }
        if what == "devicecode" {
            let body = format!(
                r#"{{"device_code":"SECRET-device","user_code":"ABCD-EFGH","verification_uri":"http://{}/device","expires_in":900,"interval":1}}"#,
                talk.addr
            );
            return talk.answer("200 OK", JSON, body.as_bytes());
        }
        let is_renewal = form.contains("grant_type=refresh_token");
        let is_good = match is_renewal {
            true => form.contains("refresh_token=SECRET-refresh"),
            false => form.contains("device_code=SECRET-device"),
        };
        if !is_good {
            return talk.answer("400 Bad Request", JSON, br#"{"error":"invalid_grant","error_description":"SECRET"}"#);
        }
        let script = self.script();
        let number = {
            let mut state = self.state();
            if !is_renewal && state.polls < script.polls {
                state.polls += 1;
                drop(state);
                return talk.answer("400 Bad Request", JSON, br#"{"error":"authorization_pending"}"#);
            }
            state.stats.renewed += u32::from(is_renewal);
            state.token += 1;
            state.token
        };
        let body = format!(
            r#"{{"access_token":"SECRET-token-{number}","refresh_token":"SECRET-refresh","expires_in":3600,"token_type":"Bearer"}}"#
        );
        talk.answer("200 OK", JSON, body.as_bytes())
    }
}
