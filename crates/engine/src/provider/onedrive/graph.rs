//! Questions to Microsoft Graph, and what its refusals mean.

use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::NAME;
use super::token::Tokens;
use crate::error::{Advice, Error, ErrorKind, Result};
use crate::provider::lenient;
use crate::provider::web::{Web, WebAnswer, WebRequest};
use crate::secret;

/// The name of a code of the service is shorter, and has letters and digits only.
const CODE_CHARS_MAX: usize = 40;
/// The user gets lasting access by the link, as if it were opened in a browser. Without that, only this one request
/// would be allowed, and none for what is in the folder.
const REDEEM: (HeaderName, HeaderValue) =
    (HeaderName::from_static("prefer"), HeaderValue::from_static("redeemSharingLink"));

/// The API, and the right to ask it.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) base: Url,
    pub(super) tokens: Tokens,
}

/// The body of a refusal. Its message may repeat what was sent, tokens too, so it is left alone.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Details,
}

#[derive(Default, Deserialize)]
struct Details {
    #[serde(default)]
    code: String,
}

impl Graph {
    /// The address of a resource: `path` is below the version of the API, and has its own escapes.
    pub(super) fn at(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/v1.0/{path}", self.base.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Asks for a resource.
    pub(super) fn ask<T: DeserializeOwned>(&self, web: &Web, url: &Url) -> Result<T> {
        self.ask_with(web, url, None)
    }

    /// Asks for what a share link leads to.
    pub(super) fn redeem<T: DeserializeOwned>(&self, web: &Web, url: &Url) -> Result<T> {
        self.ask_with(web, url, Some(REDEEM))
    }

    fn ask_with<T: DeserializeOwned>(
        &self,
        web: &Web,
        url: &Url,
        field: Option<(HeaderName, HeaderValue)>,
    ) -> Result<T> {
        // The token is for this service alone, whatever page it names as the next.
        if url.origin() != self.base.origin() {
            return Err(elsewhere(url));
        }
        let mut header = self.tokens.header(web, &self.base, None)?;
        let mut answer = self.send(web, url, &field, &header)?;
        if answer.status == 401 {
            header = self.tokens.header(web, &self.base, Some(&header))?;
            answer = self.send(web, url, &field, &header)?;
        }
        if answer.url.origin() != self.base.origin() {
            return Err(elsewhere(&answer.url));
        }
        if !answer.is_success() {
            return Err(refusal(&answer));
        }
        serde_json::from_str(&lenient::json(&answer.body)).map_err(|_| no_json(url))
    }

    fn send(
        &self,
        web: &Web,
        url: &Url,
        field: &Option<(HeaderName, HeaderValue)>,
        header: &HeaderValue,
    ) -> Result<WebAnswer> {
        let mut request = WebRequest::get(url.clone()).header(AUTHORIZATION, header.clone());
        if let Some((name, value)) = field {
            request = request.header(name.clone(), value.clone());
        }
        web.send(request)
    }
}

fn elsewhere(url: &Url) -> Error {
    let text = format!("{NAME} sends to another host, which is not believed");
    Error::new(ErrorKind::Redirect, text).with_url(shown(url))
}

/// An address of the API for messages. What a share link leads to is named by the link, which lets others in.
pub(super) fn shown(url: &Url) -> String {
    match url.path().split_once("/shares/") {
        Some((before, _)) => format!("{}{before}/shares/***", url.origin().ascii_serialization()),
        None => {
            // What is asked of each item says nothing to anybody.
            let mut bare = url.clone();
            bare.set_query(None);
            secret::shown_url(&bare)
        }
    }
}

/// What a refusal means to the user.
fn refusal(answer: &WebAnswer) -> Error {
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = code(&refusal.error.code);
    let (text, advice) = match (answer.status, code.as_str()) {
        (401, _) => (format!("{NAME} does not accept the sign-in"), Some(Advice::SignInToOneDrive)),
        (403, _) => (format!("{NAME} gives this account no access"), Some(Advice::AskOwnerOfShare)),
        (404 | 410, _) => {
            (format!("{NAME} has nothing there, or the link was withdrawn"), Some(Advice::AskOwnerOfShare))
        }
        (507, _) | (_, "quotaLimitReached") => (format!("{NAME} says that a quota is used up"), None),
        (423, _) => (format!("{NAME} has locked it"), None),
        (status, _) => (format!("{NAME} answers {status}"), None),
    };
    let text = if code.is_empty() { text } else { format!("{text} ({code})") };
    let error = Error::new(ErrorKind::Status(answer.status), text).with_url(shown(&answer.url));
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

/// The code of a refusal, if it is like one.
pub(super) fn code(text: &str) -> String {
    text.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').take(CODE_CHARS_MAX).collect()
}

pub(super) fn no_json(url: &Url) -> Error {
    let text = format!("{NAME} answers something else than it documents");
    Error::new(ErrorKind::Protocol, text).with_url(shown(url))
}
