//! Evaluates the conditions of a request (RFC 9110, section 13) against the current validators.
//! `If-Range` is in `range.rs`. Pure; the serving threads call it once per request.

use std::time::SystemTime;

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};

use crate::date::seconds;

/// The fields that make a request conditional.
pub(crate) static FIELDS: [HeaderName; 4] = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE];

/// The result of evaluating the conditions of a GET or HEAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer as if there were no conditions.
    Answer,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Whether the request has any condition.
pub(crate) fn are_in(headers: &HeaderMap) -> bool {
    FIELDS.iter().any(|name| headers.contains_key(name))
}

/// Evaluates in the order of section 13.2.2: tags take precedence over dates.
pub(crate) fn verdict(headers: &HeaderMap, etag: Option<&str>, modified: Option<SystemTime>) -> Verdict {
    if let Some(list) = text(headers, &IF_MATCH) {
        if !names(&list, etag, is_same_strongly) {
            return Verdict::Failed;
        }
    } else if let (Some(date), Some(modified)) = (date(headers, &IF_UNMODIFIED_SINCE), modified)
        && seconds(modified) > seconds(date)
    {
        return Verdict::Failed;
    }
    if let Some(list) = text(headers, &IF_NONE_MATCH) {
        if names(&list, etag, is_same_weakly) {
            return Verdict::NotModified;
        }
    } else if let (Some(date), Some(modified)) = (date(headers, &IF_MODIFIED_SINCE), modified)
        && seconds(modified) <= seconds(date)
    {
        return Verdict::NotModified;
    }
    Verdict::Answer
}

/// All fields of this name, joined into one list.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let fields: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
    (!fields.is_empty()).then(|| fields.join(", "))
}

/// The date in a field; `None` if it is absent or invalid.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?.trim()).ok()
}

/// Whether the list contains the tag. `*` matches everything.
fn names(list: &str, etag: Option<&str>, is_same: fn(&str, &str) -> bool) -> bool {
    if list.trim() == "*" {
        return true;
    }
    let Some(etag) = etag else {
        return false;
    };
    // A tag without quotes is invalid, but servers compare it anyway.
    is_same(list.trim(), etag) || tags(list).any(|tag| is_same(tag, etag))
}

/// The tags in a list. A tag may contain commas.
fn tags(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let open = rest.find('"')?;
        let close = open + 1 + rest[open + 1..].find('"')?;
        let (tag, tail) = rest.split_at(close + 1);
        rest = tail;
        Some(tag)
    })
}

fn is_same_strongly(one: &str, other: &str) -> bool {
    one == other && !one.starts_with("W/")
}

fn is_same_weakly(one: &str, other: &str) -> bool {
    one.strip_prefix("W/").unwrap_or(one) == other.strip_prefix("W/").unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::HeaderValue;

    use super::*;

    const BEFORE: &str = "Mon, 12 Jan 1970 13:46:39 GMT";
    const THEN: &str = "Mon, 12 Jan 1970 13:46:40 GMT";

    fn of(fields: &[(HeaderName, &'static str)], etag: Option<&str>) -> Verdict {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        verdict(&headers, etag, Some(UNIX_EPOCH + Duration::from_secs(1_000_000)))
    }

    #[test]
    fn each_condition_is_decided_as_the_rfc_says() {
        use Verdict::{Answer, Failed, NotModified};
        let cases = [
            (IF_NONE_MATCH, "\"a\"", NotModified),
            (IF_NONE_MATCH, "W/\"a\"", NotModified),
            (IF_NONE_MATCH, "\"b\", \"x,y\" ,\"a\"", NotModified),
            (IF_NONE_MATCH, "*", NotModified),
            (IF_NONE_MATCH, "\"b\"", Answer),
            (IF_MATCH, "\"a\"", Answer),
            (IF_MATCH, "*", Answer),
            (IF_MATCH, "W/\"a\"", Failed),
            (IF_MATCH, "\"b\"", Failed),
            (IF_MODIFIED_SINCE, THEN, NotModified),
            (IF_MODIFIED_SINCE, BEFORE, Answer),
            (IF_MODIFIED_SINCE, "nonsense", Answer),
            (IF_UNMODIFIED_SINCE, THEN, Answer),
            (IF_UNMODIFIED_SINCE, BEFORE, Failed),
            (IF_UNMODIFIED_SINCE, "nonsense", Answer),
        ];
        for (name, value, expected) in cases {
            assert_eq!(of(&[(name.clone(), value)], Some("\"a\"")), expected, "{name}: {value}");
        }
    }

    #[test]
    fn tags_go_before_dates_and_match_before_none_match() {
        let tag = Some("\"a\"");
        assert_eq!(of(&[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)], tag), Verdict::Answer);
        assert_eq!(of(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, THEN)], tag), Verdict::Answer);
        assert_eq!(of(&[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], tag), Verdict::Failed);
        assert_eq!(of(&[(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], tag), Verdict::NotModified);
    }

    #[test]
    fn where_there_is_no_tag_only_a_star_names_it() {
        assert_eq!(of(&[(IF_NONE_MATCH, "\"a\"")], None), Verdict::Answer);
        assert_eq!(of(&[(IF_MATCH, "\"a\"")], None), Verdict::Failed);
        assert_eq!(of(&[(IF_MATCH, "*")], None), Verdict::Answer);
        assert_eq!(of(&[(IF_NONE_MATCH, "odd")], Some("odd")), Verdict::NotModified);
    }
}
