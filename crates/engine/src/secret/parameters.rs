//! Splits a query, or a segment of a path, into parameters: which are secrets, and which belong to a signature.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::{looks, names, schemes};

/// Replaces a secret.
const MASK: &str = "***";
/// Parameter names for a link's expiry time.
const EXPIRIES: [&str; 5] = ["expires", "expire", "expiry", "exp", "e"];
/// How often to decode a value to check for a nested URL with secrets.
const NESTED_MAX: usize = 3;

/// One parameter.
pub(super) struct Parameter<'a> {
    /// The separator before it; empty for the first.
    separator: &'a str,
    /// As sent: `name=value`, or anything without `=`.
    pair: &'a str,
    /// Decoded, in lower case.
    pub(super) name: String,
    /// Decoded; `None` without `=`.
    pub(super) value: Option<Cow<'a, str>>,
    /// Whether it belongs to a recognised signature, and changes with it.
    pub(super) is_signing: bool,
    /// Whether another parameter has the link's expiry time.
    has_expiry: bool,
}

impl schemes::Signing for Parameter<'_> {
    fn name(&self) -> &str {
        &self.name
    }

    fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    fn set_signing(&mut self) {
        self.is_signing = true;
    }
}

impl<'a> Parameter<'a> {
    fn new(separator: &'a str, pair: &'a str) -> Self {
        let (name, value) = match pair.split_once('=') {
            Some((name, value)) => (name, Some(decoded(value))),
            None => (pair, None),
        };
        let is_signing = value.as_deref().is_some_and(schemes::is_akamai) || schemes::is_akamai(&decoded(pair));
        Self { separator, pair, name: decoded(name).to_ascii_lowercase(), value, is_signing, has_expiry: false }
    }

    /// As sent.
    pub(super) fn pair(&self) -> &'a str {
        self.pair
    }

    /// Appends the printable form; `looks_secret` judges unknown values.
    pub(super) fn push_shown(&self, shown: &mut String, looks_secret: fn(&str) -> bool) {
        shown.push_str(self.separator);
        let Some((name, value)) = self.pair.split_once('=') else {
            let bare = decoded(self.pair);
            let hides_pair = self.pair.contains('%') && has_secret_pair(&bare);
            let is_hidden = self.is_signing || looks_secret(&bare) || hides_pair || holds_secret_url(&bare);
            shown.push_str(if is_hidden { MASK } else { self.pair });
            return;
        };
        // The padding of bare base64 makes it look like a name, and so does the query of a bare URL.
        let decoded_name = decoded(name);
        if looks_secret(&decoded_name) || holds_secret_url(&decoded_name) {
            shown.push_str(MASK);
            shown.push('=');
            shown.push_str(MASK);
            return;
        }
        shown.push_str(name);
        shown.push('=');
        let is_known = self.is_signing || names::is_secret(&self.name);
        let is_hidden = !value.is_empty() && !is_masked(value) && (is_known || self.looks_hidden(looks_secret));
        shown.push_str(if is_hidden { MASK } else { value });
    }

    /// Whether its value is masked where it is shown.
    pub(super) fn is_masked(&self) -> bool {
        self.is_signing || names::is_secret(&self.name) || self.looks_hidden(looks::is_like_secret)
    }

    fn looks_hidden(&self, looks_secret: fn(&str) -> bool) -> bool {
        let value = self.value.as_deref().unwrap_or_default();
        if names::is_digest(&self.name) || &*self.name == "hash" {
            // Beside an expiry time, it signs the link, as in nginx's secure_link.
            return self.has_expiry || !looks::is_hex_digest(value) && looks_secret(value);
        }
        let hides_pair = value.contains(['=', '"']) && has_secret_pair(value);
        looks_secret(value) || hides_pair || holds_secret_url(value)
    }
}

/// The parameters of a query, or of a segment of a path.
pub(super) fn parameters(text: &str) -> Vec<Parameter<'_>> {
    let pairs = pairs(text).into_iter();
    let mut parameters: Vec<Parameter<'_>> = pairs.map(|(separator, pair)| Parameter::new(separator, pair)).collect();
    schemes::mark(&mut parameters);
    let has_expiry = parameters.iter().any(|parameter| EXPIRIES.contains(&&*parameter.name));
    parameters.iter_mut().for_each(|parameter| parameter.has_expiry = has_expiry);
    parameters
}

/// The text without signature parameters and without empty ones; `None` if there is no signature, in which case
/// everything counts.
pub(super) fn without_signing(text: &str) -> Option<String> {
    let parameters = parameters(text);
    if !parameters.iter().any(|parameter| parameter.is_signing) {
        return None;
    }
    let mut kept = String::new();
    for parameter in parameters.iter().filter(|parameter| !parameter.is_signing && !parameter.pair.is_empty()) {
        if !kept.is_empty() {
            kept.push_str(parameter.separator);
        }
        kept.push_str(parameter.pair);
    }
    Some(kept)
}

/// Splits a text at each `&`, and at each `;` that is followed by `name=`; returns each part with the separator
/// before it. Any other `;` is inside a value, which may be a secret.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut start = 0;
    let mut before = "";
    for (at, separator) in text.match_indices(['&', ';']) {
        let next = text[at + 1..].split(['&', ';']).next().unwrap_or_default();
        if separator == "&" || next.contains('=') {
            pairs.push((before, &text[start..at]));
            before = separator;
            start = at + 1;
        }
    }
    pairs.push((before, &text[start..]));
    pairs
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// Whether a value was masked before; a truncated message may end inside the mask.
fn is_masked(value: &str) -> bool {
    value == MASK || (value.ends_with('…') && value.chars().all(|char| matches!(char, '*' | '…')))
}

/// Whether a text is a URL, possibly encoded, that has credentials or a known secret parameter:
/// `?url=https%3A%2F%2Fh%2Fa%3Ftoken%3Dt`.
fn holds_secret_url(text: &str) -> bool {
    let mut text = Cow::Borrowed(text);
    for depth in 0..NESTED_MAX {
        if has_userinfo(&text) || has_secret_parameter(&text) {
            return true;
        }
        if depth > 0 && has_secret_pair(&text) {
            return true;
        }
        if !text.contains('%') {
            return false;
        }
        text = Cow::Owned(decoded(&text).into_owned());
    }
    false
}

/// Whether a text has credentials before a host, with a scheme (`http://token@h`) or without (`user:password@h`).
fn has_userinfo(text: &str) -> bool {
    let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().contains('@');
    let is_pair = |part: &str| part.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'));
    text.split("://").skip(1).any(host) || text.split(['/', '?', '#', '&']).any(is_pair)
}

/// Whether decoded text has a secret's name and value, as in a query or JSON.
fn has_secret_pair(text: &str) -> bool {
    let is_end = |char: char| matches!(char, '&' | ';' | '?' | ',' | '{' | '}' | '/');
    text.split(is_end).filter_map(|pair| pair.split_once(['=', ':'])).any(|(name, value)| {
        let value = value.trim_matches(['"', ' ']);
        !value.is_empty() && !is_masked(value) && names::is_secret(&name.to_ascii_lowercase())
    })
}

fn has_secret_parameter(text: &str) -> bool {
    text.contains('?')
        && text.split(['?', '&', ';', '#']).skip(1).any(|pair| {
            pair.split_once('=').is_some_and(|(name, value)| {
                !value.is_empty() && !is_masked(value) && names::is_secret(&decoded(name).to_ascii_lowercase())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_whole_when_it_is_joined() {
        for (text, parts) in [("", 1), ("a=1;b=2&c", 3), ("a=1;flag;b=2", 2), ("token=t;rest&a=1", 2), ("a&&b&", 4)] {
            let pairs = pairs(text);
            assert_eq!(pairs.len(), parts, "{text}");
            let joined: String = pairs.iter().flat_map(|(separator, pair)| [*separator, *pair]).collect();
            assert_eq!(joined, text);
        }
    }

    #[test]
    fn a_url_in_a_value_is_looked_into() {
        for text in [
            "http://u:p@h/",
            "http://h/?id=3&sig=s",
            "http://h/?u=http://h/?token=t",
            "http%3A%2F%2Fh%3Fkey%3Dk",
            "1%26token%3Dt",
            "%7B%22token%22%3A%22t%22%7D",
        ] {
            assert!(holds_secret_url(text), "{text}");
        }
        for text in ["http://h/a@b", "http://h/?id=3", "http://h/?sig=***", "http%3A%2F%2Fh%3Fid%3Dk", "a=b", ""] {
            assert!(!holds_secret_url(text), "{text}");
        }
    }
}
