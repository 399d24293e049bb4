use proptest::prelude::*;

use super::Strength::{Proof, Strong, Weak};
use super::Verdict::{Different, Same, Unknown};
use http::{HeaderMap, HeaderValue, header};

use super::*;

/// One hour before the responses.
const OLD: &str = "Sun, 06 Nov 2022 07:49:37 GMT";
/// Ten seconds before the responses.
const YOUNG: &str = "Sun, 06 Nov 2022 08:49:27 GMT";
/// Two days before the responses.
const OLDER: &str = "Fri, 04 Nov 2022 08:49:37 GMT";
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
/// When the responses were sent.
const ANSWERED: u64 = 1_667_724_577;
const NOW: &str = "Sun, 06 Nov 2022 08:49:37 GMT";

fn evidence(etag: &str, date: &str, total: u64) -> Evidence {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Evidence {
        etag: text(etag).map(|tag| tag.parse().unwrap()),
        last_modified: text(date),
        total_bytes: (total > 0).then_some(total),
        answered_unix: Some(ANSWERED),
        place: Some(Place(1)),
        ..Evidence::default()
    }
}

fn elsewhere(evidence: Evidence) -> Evidence {
    Evidence { place: Some(Place(2)), ..evidence }
}

fn with_digest(evidence: Evidence, digest: &str) -> Evidence {
    Evidence { digest: Some(digest.parse().unwrap()), ..evidence }
}

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn a_date_that_stands_for_none_is_none() {
    for placeholder in
        ["Thu, 01 Jan 1970 00:00:01 GMT", "Tue, 01 Jan 1980 00:00:00 GMT", "Sat, 26 Oct 1985 08:15:00 GMT"]
    {
        let held = evidence("", placeholder, 5);
        assert!(!held.can_join() && held.is_silent(), "{placeholder}");
        assert_eq!(held.compare(&held), Unknown);
    }
}

#[test]
fn an_empty_answer_and_one_that_contradicts_itself_say_nothing() {
    let silent = evidence("", "", 5);
    let empty = |tag| Evidence { total_bytes: Some(0), ..evidence(tag, "", 5) };
    assert_eq!(silent.compare(&empty("")), Unknown);
    assert_eq!(evidence("\"a\"", "", 5).compare(&empty("\"b\"")), Unknown);
    assert!(silent.compare(&evidence("", "", 4)).is_different());
    for (tag, date) in [("\"a\"", ""), ("", OLD)] {
        assert_eq!(evidence(tag, date, 5).compare(&evidence(tag, date, 4)), Unknown, "{tag} {date}");
    }
}

#[test]
fn a_tag_that_is_held_decides_and_nothing_else_stands_in_for_it() {
    let cases = [
        (("\"a\"", "", 5), ("\"a\"", "", 5), Same(Strong)),
        (("\"a\"", OLD, 5), ("\"a\"", OLDER, 5), Same(Strong)),
        (("\"a\"", "", 0), ("\"a\"", "", 5), Same(Strong)),
        (("\"a\"", "", 5), ("\"b\"", "", 5), Different(Strong)),
        // A date never outvotes a tag.
        (("\"a\"", OLD, 5), ("\"b\"", OLD, 5), Different(Strong)),
        (("\"a\"", OLD, 5), ("", OLD, 5), Unknown),
        (("\"a\"", "", 5), ("", "", 5), Unknown),
        (("\"a\"", "", 5), ("", OLD, 5), Unknown),
        // One tag with two lengths, or no version at all: may be anything.
        (("\"a\"", "", 5), ("\"a\"", "", 6), Unknown),
        (("\"a\"", "", 5), ("", "", 6), Unknown),
        (("\"a\"", "", 5), ("\"b\"", "", 6), Different(Strong)),
        (("\"a\"", "", 5), ("", OLD, 6), Different(Strong)),
        (("W/\"a\"", "", 5), ("W/\"a\"", "", 6), Unknown),
        (("\"a\"", "", 5), ("W/\"a\"", "", 5), Same(Weak)),
        (("W/\"a\"", "", 5), ("W/\"a\"", "", 5), Same(Weak)),
        (("W/\"a\"", OLD, 5), ("W/\"a\"", OLD, 5), Same(Weak)),
        (("W/\"a\"", OLD, 5), ("W/\"a\"", OLDER, 5), Unknown),
        (("W/\"a\"", "", 5), ("W/\"a\"", "", 0), Unknown),
        (("W/\"a\"", "", 5), ("\"b\"", "", 5), Different(Weak)),
        (("W/\"a\"", OLD, 5), ("", OLD, 5), Unknown),
    ];
    for (held, claimed, expected) in cases {
        let verdict = evidence(held.0, held.1, held.2).compare(&evidence(claimed.0, claimed.1, claimed.2));
        assert_eq!(verdict, expected, "{held:?} {claimed:?}");
    }
}

#[test]
fn without_a_tag_a_settled_date_decides_and_a_young_one_hints() {
    let cases = [
        ((OLD, 5), (OLD, 5), Same(Strong)),
        ((YOUNG, 5), (YOUNG, 5), Same(Weak)),
        ((OLD, 5), (OLD, 0), Unknown),
        ((OLD, 5), (OLDER, 5), Different(Strong)),
        ((YOUNG, 5), (OLD, 5), Different(Weak)),
        // The server stamps each response with its clock.
        ((OLD, 5), (NOW, 5), Unknown),
        ((NOW, 5), (NOW, 5), Same(Weak)),
        ((EPOCH, 5), (EPOCH, 5), Unknown),
        ((OLD, 5), ("", 5), Unknown),
        (("", 5), ("", 5), Unknown),
        (("", 5), (OLD, 5), Unknown),
        (("", 5), ("", 6), Different(Strong)),
    ];
    for (held, claimed, expected) in cases {
        let verdict = evidence("", held.0, held.1).compare(&evidence("", claimed.0, claimed.1));
        assert_eq!(verdict, expected, "{held:?} {claimed:?}");
    }
    assert_eq!(evidence("", OLD, 5).compare(&evidence("\"a\"", OLD, 5)), Same(Weak), "a tag was never there");
    // A recent date, then one that has settled, whichever is later; then a date without `Date`.
    let later = Evidence { answered_unix: Some(ANSWERED + 86_400), ..evidence("", NOW, 5) };
    assert_eq!(evidence("", YOUNG, 5).compare(&later), Different(Weak));
    let undated = |date| Evidence { answered_unix: None, seen_unix: Some(ANSWERED), ..evidence("", date, 5) };
    assert_eq!(undated(OLD).compare(&undated(OLDER)), Different(Weak));
    assert_eq!(undated(OLD).compare(&undated(NOW)), Unknown);
    // `Date` comes from a proxy whose clock is ahead: by ours, the file is brand new.
    let seen = |seconds: u64| Evidence { seen_unix: Some(ANSWERED - seconds), ..evidence("", OLD, 5) };
    let old = seen(0).real_date().unwrap();
    assert_eq!(seen(ANSWERED - old - 60).compare(&evidence("", OLD, 5)), Same(Strong));
    assert_eq!(seen(ANSWERED - old - 59).compare(&evidence("", OLD, 5)), Same(Weak), "young by our clock");
    assert_eq!(seen(ANSWERED - old + 3600).compare(&evidence("", OLDER, 5)), Different(Weak), "made in our future");
    let undated = Evidence { answered_unix: None, ..evidence("", OLD, 5) };
    assert_eq!(undated.compare(&evidence("", OLD, 5)), Same(Weak), "nothing tells how old the date was");
}

#[test]
fn another_url_has_tags_of_its_own() {
    let held = evidence("\"a\"", OLD, 5);
    assert_eq!(held.compare(&elsewhere(held.clone())), Same(Weak), "two builds of one time and length");
    assert_eq!(held.compare(&elsewhere(evidence("\"a\"", "", 5))), Same(Weak), "one tag of two places");
    assert_eq!(held.compare(&elsewhere(evidence("\"a\"", OLDER, 5))), Unknown);
    assert!(held.shares_tag(&elsewhere(evidence("\"a\"", "", 5))));
    assert!(!held.shares_tag(&elsewhere(evidence("\"a\"", "", 6))));
    assert!(held.shares_version(&elsewhere(evidence("\"a\"", "", 5))));
    assert!(!held.shares_tag(&elsewhere(evidence("\"b\"", "", 5))));
    assert!(!held.shares_tag(&evidence("\"a\"", "", 5)), "nothing is to be shown where it was asked for");
    assert_eq!(held.compare(&elsewhere(evidence("\"b\"", OLD, 5))), Unknown);
    assert_eq!(held.compare(&elsewhere(evidence("\"a\"", OLD, 0))), Unknown);
    assert_eq!(held.compare(&elsewhere(evidence("\"b\"", OLD, 6))), Different(Strong));
    assert!(held.may_be_sampled(&elsewhere(evidence("\"b\"", OLD, 5))));
    assert!(held.may_be_sampled(&elsewhere(evidence("", OLD, 5))));
    for other in
        [evidence("\"b\"", OLD, 5), elsewhere(evidence("\"b\"", OLDER, 5)), elsewhere(evidence("\"b\"", "", 5))]
    {
        assert!(!held.may_be_sampled(&other), "{other:?}");
    }
    let built = evidence("\"a\"", EPOCH, 5);
    assert!(!built.may_be_sampled(&elsewhere(evidence("\"b\"", EPOCH, 5))), "the epoch is no date");
    let dated = evidence("", OLD, 5);
    assert!(dated.shares_version(&elsewhere(dated.clone())));
    assert!(!dated.shares_version(&elsewhere(evidence("\"a\"", OLD, 5))), "one side alone has a tag");
    assert!(!dated.shares_version(&elsewhere(evidence("", OLDER, 5))));
    assert_eq!(dated.compare(&elsewhere(dated.clone())), Same(Weak), "a date is no name of a content");
    let before = Evidence { place: None, ..held.clone() };
    assert_eq!(before.compare(&elsewhere(evidence("\"b\"", OLD, 5))), Different(Strong));
}

#[test]
fn digests_of_one_kind_say_it_whatever_the_tags_are() {
    let sha256 = |digit: &str| format!("Repr-Digest: sha-256={}", digit.repeat(64));
    let held = with_digest(evidence("\"a\"", OLD, 5), &sha256("0"));
    let moved = with_digest(evidence("\"b\"", OLDER, 5), &sha256("0"));
    assert_eq!(held.compare(&moved), Same(Proof));
    assert_eq!(held.compare(&with_digest(evidence("\"a\"", OLD, 5), &sha256("1"))), Different(Proof));
    assert_eq!(held.compare(&evidence("\"a\"", OLD, 5)), Same(Strong));
    assert_eq!(held.compare(&Evidence { total_bytes: Some(6), ..moved }), Unknown, "one content has one length");
    // A digest that matches easily by chance can only prove a difference.
    let crc = with_digest(evidence("", "", 5), "x-goog-hash: crc32c=00000001");
    assert_eq!(crc.compare(&crc), Unknown);
    assert_eq!(crc.compare(&with_digest(evidence("", "", 5), "x-goog-hash: crc32c=00000002")), Different(Proof));
}

#[test]
fn an_empty_query_makes_another_place() {
    let [none, empty, question] = ["http://h/a", "http://h/a?", "http://h/a??"].map(|url| url.parse().unwrap());
    for is_given in [true, false] {
        assert_ne!(Place::of(&none, is_given), Place::of(&empty, is_given));
        assert_ne!(Place::of(&question, is_given), Place::of(&empty, is_given));
    }
    assert!(!Given::of(&none).is_kin(Given::of(&empty)));
}

#[test]
fn another_encoding_is_another_representation() {
    let held = evidence("\"a\"", OLD, 5);
    let encoded = Evidence { content_encoding: Some("gzip".to_owned()), ..held.clone() };
    assert_eq!(held.compare(&encoded), Unknown);
    assert_eq!(encoded.compare(&held), Different(Weak), "it gives way to the file");
    assert_eq!(encoded.compare(&encoded), Same(Strong));
    assert_eq!(encoded.compare(&evidence("", "", 0)), Unknown, "it may be anything");
    let silent = Evidence { content_encoding: Some("gzip".to_owned()), ..evidence("", "", 5) };
    assert_eq!(silent.compare(&evidence("", "", 5)), Different(Weak));
}

#[test]
fn what_may_be_joined_is_known_before_anything_is_asked() {
    assert!(evidence("\"a\"", "", 5).can_join());
    assert!(evidence("", OLD, 5).can_join());
    for weak in [evidence("W/\"a\"", OLD, 5), evidence("", YOUNG, 5), evidence("", OLD, 0), evidence("", "", 5)] {
        assert!(!weak.can_join(), "{weak:?}");
    }
    let proven = with_digest(evidence("", "", 5), &format!("Repr-Digest: sha-256={}", "0".repeat(64)));
    assert!(proven.can_join());
    assert!(!with_digest(evidence("", "", 5), "x-goog-hash: crc32c=00000001").can_join());
}

#[test]
fn only_a_strong_tag_or_a_settled_date_goes_into_if_range() {
    assert_eq!(evidence("\"a\"", OLD, 5).if_range().unwrap(), "\"a\"");
    assert_eq!(evidence("", OLD, 5).if_range().unwrap(), OLD);
    assert!(evidence("W/\"a\"", OLD, 5).if_range().is_none());
    assert!(evidence("", YOUNG, 5).if_range().is_none());
}

#[test]
fn what_differs_is_said_with_both_values() {
    let held = evidence("\"a\"", "then", 8);
    assert_eq!(
        held.differences(&evidence("\"b\"", "now", 9)),
        "length 9 instead of 8 bytes, ETag \"b\" instead of \"a\", Last-Modified now instead of then"
    );
    assert_eq!(held.differences(&evidence("", "then", 8)), "ETag none instead of \"a\"");
    let weak = evidence("W/\"a\"", "then", 8);
    assert!(weak.differences(&weak).starts_with("nothing that it says differs"));
}

#[test]
fn an_empty_tag_is_no_tag() {
    assert!("\"\"".parse::<EntityTag>().is_err());
    assert!("W/\"\"".parse::<EntityTag>().is_err());
    assert_eq!(Evidence::from_headers(&headers(&[("etag", "\"\"")]), None), Evidence::default());
}

#[test]
fn repeated_tags_and_dates_count_as_absent() {
    let repeated = [("etag", "\"a\""), ("etag", "\"b\""), ("last-modified", OLD), ("last-modified", OLDER)];
    let read = Evidence::from_headers(&headers(&repeated), None);
    assert_eq!((read.etag, read.last_modified), (None, None));
    let once = Evidence::from_headers(&headers(&[("etag", "\"a\""), ("last-modified", OLD)]), None);
    assert!(once.etag.is_some() && once.last_modified.is_some());
}

#[test]
fn malformed_tags_and_dates_are_left_out() {
    let odd = [("etag", "unquoted"), ("last-modified", "yesterday"), ("date", "today")];
    let read = Evidence::from_headers(&headers(&odd), None);
    assert!(read.odd_tag.is_some());
    assert_eq!(Evidence { odd_tag: None, ..read }, Evidence::default());
}

#[test]
fn what_stands_in_the_place_of_a_tag_only_speaks_against() {
    let long = format!("\"{}\"", "x".repeat(2000));
    let read = |tags: &[&str]| {
        let mut all = HeaderMap::new();
        for tag in tags {
            all.append(header::ETAG, tag.parse().unwrap());
        }
        Evidence::from_headers(&all, Some(5))
    };
    for tags in [&["v1"][..], &["\"v1\"-gzip"], &["w/\"v1\""], &["\"a\"", "\"b\""], &[&long]] {
        let held = read(tags);
        assert_eq!(held.compare(&held), Unknown, "{tags:?}");
        assert!(held.compare(&read(&["v2"])).is_different(), "{tags:?}");
        assert_eq!(held.compare(&read(&[])), Unknown, "{tags:?}");
    }
    assert_eq!(read(&["\"\""]).odd_tag, None);
}

#[test]
fn a_tag_with_a_secret_is_stored_as_a_hash_and_compared_by_it() {
    let tag: EntityTag = "\"my-secret-1\"".parse().unwrap();
    let secret = tag.as_secret();
    assert!(!secret.to_string().contains("my-secret") && secret.in_request().as_deref() == Some("\"my-secret-1\""));
    let stored: EntityTag = serde_json::from_str(&serde_json::to_string(&secret).unwrap()).unwrap();
    assert_eq!((stored.in_request(), stored == tag, stored.is_weak()), (None, true, false));
    let other: EntityTag = "\"my-secret-2\"".parse().unwrap();
    assert!(stored != other);
}

#[test]
fn evidence_is_kept_as_a_whole_and_a_digest_of_a_later_kind_is_passed_over() {
    let digest = "Content-MD5: md5=d41d8cd98f00b204e9800998ecf8427e";
    let held = with_digest(evidence("\"a\"", OLD, 5), digest);
    let text = serde_json::to_string(&held).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), held);
    let later = text.replace("md5=d41d8cd9", "sha3=d41d8cd9");
    assert_ne!(later, text);
    assert_eq!(serde_json::from_str::<Evidence>(&later).unwrap(), evidence("\"a\"", OLD, 5));
    let before = r#"{"etag":"\"a\"","last_modified":null,"total_bytes":5}"#;
    let read: Evidence = serde_json::from_str(before).unwrap();
    assert_eq!((read.total_bytes, read.place, read.answered_unix), (Some(5), None, None));
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let tag = prop::sample::select(vec!["", "\"a\"", "\"b\"", "W/\"a\"", "W/\"b\""]);
    let date = prop::sample::select(vec!["", OLD, OLDER, YOUNG, NOW, EPOCH]);
    let digest = prop::sample::select(vec![None, Some("0"), Some("1")]);
    let place = prop::sample::select(vec![None, Some(Place(1)), Some(Place(2))]);
    let parts = (tag, date, 0..3_u64, digest, place, any::<bool>(), any::<bool>());
    parts.prop_map(|(tag, date, total, digest, place, is_encoded, is_dated)| Evidence {
        digest: digest.map(|digit| format!("Repr-Digest: sha-256={}", digit.repeat(64)).parse().unwrap()),
        place,
        content_encoding: is_encoded.then(|| "gzip".to_owned()),
        answered_unix: is_dated.then_some(ANSWERED),
        ..evidence(tag, date, total)
    })
}

proptest! {
    #[test]
    fn nothing_differs_from_itself(held in any_evidence()) {
        prop_assert!(!held.compare(&held.clone()).is_different());
    }

    #[test]
    fn what_was_held_and_is_not_claimed_proves_nothing(held in any_evidence(), claimed in any_evidence()) {
        let silent = Evidence { etag: None, last_modified: None, digest: None, ..claimed };
        prop_assert!(!held.compare(&silent).is_same());
    }

    #[test]
    fn another_length_is_never_the_same(held in any_evidence(), claimed in any_evidence()) {
        if held.has_other_length(&claimed) {
            prop_assert!(!held.compare(&claimed).is_same());
        }
    }

    #[test]
    fn leaving_something_out_of_a_claim_never_makes_it_surer(
        held in any_evidence(), claimed in any_evidence(), which in 0..4_u8,
    ) {
        let mut less = claimed.clone();
        match which {
            0 => less.etag = None,
            1 => less.last_modified = None,
            2 => less.total_bytes = None,
            _ => less.digest = None,
        }
        let rank = |verdict| match verdict {
            Same(strength) => 1 + strength as i32,
            _ => 0,
        };
        let (full, partial) = (held.compare(&claimed), held.compare(&less));
        // Once a contradicting digest or length is gone, a tag may say `Same` again.
        let contradicted = full.is_different() || held.has_other_length(&claimed);
        prop_assert!(contradicted || rank(partial) <= rank(full).max(rank(Same(Strong))), "{:?} {:?}", full, partial);
        if held.etag.is_some() && which == 0 && less.digest.is_none() {
            prop_assert!(!partial.is_same());
        }
    }

    #[test]
    fn what_joins_could_be_foreseen(held in any_evidence(), claimed in any_evidence()) {
        if held.compare(&claimed).joins() {
            prop_assert!(held.can_join());
        }
    }
}

#[test]
fn the_query_is_part_of_a_place_but_for_what_signs_it() {
    let place = |text: &str| Place::of(&text.parse().unwrap(), false);
    assert_ne!(place("http://h/dl?id=1"), place("http://h/dl?id=2"));
    assert_ne!(place("http://h/dl?id=1"), place("http://h/dl"));
    assert_eq!(place("http://h/dl?id=1&token=a"), place("http://h/dl?id=1&token=b"));
    let signed = |signature: &str| {
        place(&format!(
            "http://h/dl?id=1&X-Amz-Date=20260101T000000Z&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature={signature}"
        ))
    };
    assert_eq!(signed("1".repeat(64).as_str()), signed("2".repeat(64).as_str()));
}

#[test]
fn a_digest_of_a_later_answer_is_checked_and_tells_no_version() {
    let sha256 = |digit: &str| format!("Repr-Digest: sha-256={}", digit.repeat(64));
    let mut held = evidence("", "", 5);
    held.learn_digest(&with_digest(evidence("", "", 5), &sha256("0")));
    assert!(held.digest.is_some() && !held.can_join() && !held.tells_version());
    assert_eq!(held.compare(&with_digest(evidence("", "", 5), &sha256("1"))), Unknown);

    // Of two that differ one is wrong, or of another version: the first is checked, and shows it.
    let told = held.digest.clone();
    held.learn_digest(&with_digest(evidence("", "", 5), &sha256("1")));
    assert_eq!(held.digest, told);

    // What the first response said belongs to its version.
    let mut first = with_digest(evidence("", "", 5), &sha256("0"));
    first.learn_digest(&with_digest(evidence("", "", 5), &sha256("1")));
    assert_eq!(first.compare(&with_digest(evidence("", "", 5), &sha256("1"))), Different(Proof));
}
