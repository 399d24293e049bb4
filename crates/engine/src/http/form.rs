//! Requests with a method and a body of the user's, for files behind a form.
//!
//! Two forms at one URL are two files. So whatever identifies a URL has to tell them apart: the URL of a form carries a
//! mark in its fragment, which is never sent (RFC 9110, section 4.2.5). Pure.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Method};
use url::Url;

const MARK: &str = "towline-form=";
/// In the mark of a form that another method than POST sends.
const OTHER: &str = "other-";

/// A method and a body.
///
/// ```
/// use towline_engine::http::form::Form;
///
/// let form = Form::new("POST".parse().unwrap(), "id=1");
/// let url = form.at("https://example.org/download".parse().unwrap());
/// assert!(url.as_str().starts_with("https://example.org/download#towline-form="));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    pub(crate) method: Method,
    pub(crate) body: Bytes,
}

impl Form {
    /// What is sent with the body, unless the user's headers say otherwise.
    pub(crate) const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

    /// A form that is sent with this method.
    pub fn new(method: Method, body: impl Into<Bytes>) -> Self {
        Self { method, body: body.into() }
    }

    /// The URL to which the form is sent, to be fetched with it.
    #[must_use]
    pub fn at(&self, mut url: Url) -> Url {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.method.as_str().as_bytes()).update(&[0]).update(&self.body);
        let hash = hasher.finalize().to_hex();
        let method = if self.method == Method::POST { "" } else { OTHER };
        url.set_fragment(Some(&format!("{MARK}{method}{}", &hash[..32])));
        url
    }
}

/// Without the body, which may be a secret.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} bytes by {})", self.body.len(), self.method)
    }
}

/// The mark of a URL to which a form is sent.
pub(crate) fn mark(url: &Url) -> Option<&str> {
    url.fragment().filter(|fragment| fragment.starts_with(MARK))
}

/// Whether a form with this mark is sent by POST, which some redirects turn into GET (RFC 9110, sections 15.4.2 and
/// 15.4.3).
pub(crate) fn is_posted(mark: &str) -> bool {
    !mark.strip_prefix(MARK).is_some_and(|rest| rest.starts_with(OTHER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Place;
    use crate::secret::{key_url, shown_url};

    #[test]
    fn forms_at_one_url_are_told_apart_and_not_shown() {
        let url: Url = "https://h.example/get?a=b".parse().unwrap();
        let at = |method: &str, body: &'static str| Form::new(method.parse().unwrap(), body).at(url.clone());
        let all = [url.clone(), at("POST", "id=1"), at("POST", "id=2"), at("PUT", "id=1")];
        for (one, first) in all.iter().enumerate() {
            for (other, second) in all.iter().enumerate() {
                assert_eq!(Place::of(first, true) == Place::of(second, true), one == other);
                assert_eq!(key_url(first) == key_url(second), one == other);
            }
            assert_eq!(shown_url(first), url.as_str());
        }
        assert_eq!(format!("{:?}", Form::new(Method::POST, "SECRET")), "Form(6 bytes by POST)");
    }
}
