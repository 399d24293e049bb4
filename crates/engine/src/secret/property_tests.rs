//! Properties of all URLs.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use url::Url;

use super::{identity_url, key_url, shown_text, shown_url};

const SECRET_NAMES: &[&str] = &[
    "token",
    "Access_Token",
    "token[]",
    "auth[key]",
    "api-key",
    "sig",
    "X-Amz-Signature",
    "x-goog-credential",
    "hdnts",
    "__token__",
    "wsSecret",
    "q-signature",
    "tempauth",
    "rlkey",
    "sid",
    "code",
    "ticket",
    "jsessionid",
    "client.secret",
];

/// Parts of URLs, and what decides how they are parsed.
const PIECES: &[&str] = &[
    "a",
    "id=3",
    "token=",
    "sig=",
    "se=1",
    "expires=1767225600",
    "x-amz-signature=",
    "9JQB8vP1z0yc5DEBnH6JGWM3mBmvIeMrnnxFi3WtJLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.Zm9v",
    "exp=1~hmac=0a",
    "http%3A%2F%2Fh%3Fkey%3Dk",
    "&",
    ";",
    "=",
    "/",
    ".",
    "%3D",
    "***",
    "://",
    "@",
];

fn pieces(most: usize) -> impl Strategy<Value = String> {
    vec(select(PIECES), 0..most).prop_map(|pieces| pieces.concat())
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

proptest! {
    #[test]
    fn no_value_of_a_known_secret_is_shown_or_stored(
        name in select(SECRET_NAMES), secret in "[A-Za-z0-9]{12,40}", id in "[a-z]{1,8}",
    ) {
        for text in [
            format!("https://h/{id}?id={id}&{name}={secret}&v=1"),
            format!("https://h/{id}?{name}={secret};v=1#{secret}"),
            format!("https://u:{secret}@h/{id}?v=1"),
            format!("https://h/{id};{name}={secret};v=1/a.iso"),
            format!("https://h/{id}/a.iso;{name}={secret}"),
            format!("https://h/{id}?u=https%3A%2F%2Fh%2Fa%3Fid%3D3%26{name}%3D{secret}"),
        ] {
            let url = url(&text);
            prop_assert!(!shown_url(&url).contains(&secret), "{}", text);
            prop_assert!(!identity_url(&url).contains(&secret), "{}", text);
            prop_assert!(!shown_text(&text).contains(&secret), "{}", text);
        }
    }

    #[test]
    fn showing_what_was_shown_changes_nothing(path in pieces(8), query in pieces(12)) {
        let url = url(&format!("https://u:p@h/{path}?{query}#f"));
        let shown = shown_url(&url);
        let again: Url = shown.parse().unwrap();
        prop_assert_eq!(shown_url(&again), shown.clone());
        prop_assert_eq!(identity_url(&again), identity_url(&url));
        prop_assert!(!shown.chars().any(|char| char.is_control()));
    }

    #[test]
    fn showing_a_text_that_was_shown_changes_nothing(text in "[ -~]{0,60}") {
        let shown = shown_text(&text);
        prop_assert_eq!(shown_text(&shown), shown.clone());
    }

    #[test]
    fn a_key_changes_with_all_but_the_signature(
        one in ("[a-z]{1,3}", "[b-d]{1,2}", "[a-zA-Z0-9]{1,3}"),
        other in ("[a-z]{1,3}", "[b-d]{1,2}", "[a-zA-Z0-9]{1,3}"),
        signatures in ("[a-f0-9]{64}", "[a-f0-9]{64}"),
        dates in ("[0-9]{10}", "[0-9]{10}"),
    ) {
        let signed = |(path, name, value): &(String, String, String), signature: &str, date: &str| {
            let signing = format!("X-Amz-Date={date}&X-Amz-Signature={signature}");
            key_url(&url(&format!("https://h/{path}?{name}={value}&{signing}")))
        };
        let key = signed(&one, &signatures.0, &dates.0);
        prop_assert_eq!(&key, &signed(&one, &signatures.1, &dates.1));
        prop_assert_eq!(key == signed(&other, &signatures.1, &dates.1), one == other);
    }

    #[test]
    fn the_key_of_what_is_not_signed_is_all_of_it(path in "[a-d;=.&]{0,12}", query in "[a-d;=.&]{0,12}") {
        let url = url(&format!("https://u:p@h/{path}?{query}#f"));
        let bare = url.as_str().replace("u:p@", "").replace("#f", "");
        prop_assert_eq!(key_url(&url), bare);
    }
}
