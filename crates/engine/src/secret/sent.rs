//! What is secret in what is sent: in a URL, in the fields of a head, in a form. Servers give some of these URLs, so
//! whatever is nested, long or many is looked at so far and no further. Pure.

use std::borrow::Cow;

use http::HeaderValue;
use http::header::{self, AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, REFERER};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use url::Url;

use super::parameters::{Parameter, parameters};
use super::path;
use crate::http::credentials;

/// Shorter ones are in many texts by chance.
pub(super) const CHARS_MIN: usize = 6;
/// At most so many are known of one request.
pub(super) const VALUES_MAX: usize = 500;
/// Of a form, or of a field, no more than this is looked at.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// JSON is within JSON, and URLs are within URLs, so often.
const NESTED_MAX: u32 = 4;
/// Fields whose values are nobody's secrets.
const OPEN: [HeaderName; 12] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_TYPE,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::ORIGIN,
    header::RANGE,
    header::USER_AGENT,
];
/// What stands for a password where the name is the token.
const NO_PASSWORDS: [&str; 4] = ["", "x", "x-oauth-basic", "x-oauth-token"];

/// The secrets that were found, decoded.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    values: Vec<String>,
    depth: u32,
}

impl Secrets {
    pub(super) fn values(self) -> Vec<String> {
        self.values
    }

    pub(super) fn push(&mut self, value: impl Into<String> + AsRef<str>) {
        if self.values.len() < VALUES_MAX && value.as_ref().chars().count() >= CHARS_MIN {
            self.values.push(value.into());
        }
    }

    /// A password, and what is masked where the URL is shown.
    pub(super) fn url(&mut self, url: &Url) {
        path::secrets_in(url.path()).into_iter().for_each(|secret| self.push(secret));
        // Whatever stands before it: messages mask it too.
        let userinfos = url.path().split('/').filter_map(|segment| segment.rsplit_once('@'));
        for (_, password) in userinfos.filter_map(|(userinfo, _)| userinfo.split_once(':')) {
            self.push(decoded(password));
        }
        let password = url.password().unwrap_or_default();
        if NO_PASSWORDS.contains(&password) {
            self.push(decoded(url.username()));
        }
        self.push(decoded(password));
        self.masked(url.query().unwrap_or_default());
    }

    /// All segments of a path.
    pub(super) fn path(&mut self, path: &str) {
        path.split('/').for_each(|segment| self.push(decoded(segment)));
    }

    /// The values whose names say so; in JSON, say, all of them.
    pub(super) fn form(&mut self, form: &[u8]) {
        let form = String::from_utf8_lossy(&form[..form.len().min(TEXT_BYTES_MAX)]);
        let is_name = |name: &str| !name.contains(|char: char| char.is_whitespace() || "{<\":".contains(char));
        let is_pair = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| is_name(name));
        self.masked(&form);
        // What ends like Base64 is no pair.
        if !form.split('&').all(is_pair) || form.ends_with('=') {
            self.text(&form);
        }
    }

    pub(super) fn field(&mut self, name: &HeaderName, field: &HeaderValue) {
        let text = String::from_utf8_lossy(&field.as_bytes()[..field.len().min(TEXT_BYTES_MAX)]);
        match *name {
            AUTHORIZATION | PROXY_AUTHORIZATION => self.authorization(&text, field),
            COOKIE => {
                let values = text.split(';').filter_map(|cookie| cookie.split_once('='));
                values.for_each(|(_, value)| self.text(value.trim()));
            }
            REFERER => Url::parse(&text).iter().for_each(|url| self.url(url)),
            _ if OPEN.contains(name) => {}
            _ => self.text(&text),
        }
    }

    fn authorization(&mut self, text: &str, field: &HeaderValue) {
        let sent = text.split_once(' ').map_or("", |(_, sent)| sent);
        sent.split_whitespace().for_each(|part| self.push(part));
        match credentials::pair_of(field) {
            Some((name, password)) => {
                if NO_PASSWORDS.contains(&&*password) {
                    self.push(name);
                }
                self.push(password);
            }
            None => self.text(sent),
        }
    }

    /// The values of a query or a form that are masked where they are shown.
    fn masked(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        for parameter in parameters(text).into_iter().filter(Parameter::is_masked) {
            parameter.value.iter().for_each(|value| self.text(value));
        }
    }

    /// A text, and what is secret in it: in a URL what is so there, in JSON its strings, else what is in quotes, what has a
    /// name (`token=…`, `user:…`), and each word.
    fn text(&mut self, text: &str) {
        self.push(text);
        if self.depth == NESTED_MAX {
            return;
        }
        self.depth += 1;
        if text.contains('%') {
            self.text(&decoded(text));
        }
        if let Some(url) = Url::parse(text).ok().filter(Url::has_host) {
            self.url(&url);
        } else if let Ok(json) = serde_json::from_str(text) {
            self.json(&json);
        } else {
            self.words(text);
        }
        self.depth -= 1;
    }

    fn json(&mut self, json: &Value) {
        match json {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter().for_each(|item| self.json(item)),
            Value::Object(fields) => fields.values().for_each(|item| self.json(item)),
            Value::Number(number) => self.push(number.to_string()),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn words(&mut self, text: &str) {
        for quote in ['"', '\''] {
            text.split(quote).skip(1).step_by(2).for_each(|quoted| self.push(quoted));
        }
        let ends = |char: char| char.is_whitespace() || ",;&<>(){}[]".contains(char);
        let mut before = None;
        for word in text.split_inclusive(ends) {
            let is_tag = before == Some('<');
            before = word.chars().next_back();
            let word = word.trim_end_matches(ends);
            let plain = |word: &str| word.trim_matches(['"', '\'', '/', '\\']).to_owned();
            if let Some((_, value)) = word.split_once(['=', ':']) {
                self.push(plain(value));
            }
            if !is_tag && !word.ends_with(':') {
                self.push(plain(word));
            }
        }
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}
