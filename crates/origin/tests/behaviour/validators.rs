//! Validators that are missing, change or say nothing, and clocks that differ.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use towline_origin::{Fault, Origin, Resource, Rule, Scope, Switch, Validators};

use crate::client::{Answer, Client};

const SIZE: usize = 1000;
const TAG: &str = "\"7-3e8\"";
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

fn origin(faults: impl IntoIterator<Item = Rule>) -> Origin {
    let resource = Resource::new("/a.bin", 7, SIZE as u64);
    let resource = faults.into_iter().fold(resource, Resource::fault);
    Origin::builder().resource(resource).start().unwrap()
}

/// The date in this field.
fn date(answer: &Answer, name: &str) -> SystemTime {
    httpdate::parse_http_date(answer.header(name).unwrap()).unwrap()
}

#[test]
fn validators_are_shown_as_scripted() {
    let weak = "W/\"7-3e8\"";
    // Tag and date of a whole answer, then those of a range.
    let cases = [
        (Validators::NoTag, [None, Some(DATE), None, Some(DATE)]),
        (Validators::NoDate, [Some(TAG), None, Some(TAG), None]),
        (Validators::Neither, [None; 4]),
        (Validators::WeakTag, [Some(weak), Some(DATE), Some(weak), Some(DATE)]),
        (Validators::Tag("\"b\"".to_owned()), [Some("\"b\""), Some(DATE), Some("\"b\""), Some(DATE)]),
        (Validators::Date(UNIX_EPOCH), {
            let epoch = Some("Thu, 01 Jan 1970 00:00:00 GMT");
            [Some(TAG), epoch, Some(TAG), epoch]
        }),
        (Validators::TagOnWholeOnly, [Some(TAG), Some(DATE), None, Some(DATE)]),
        (Validators::OnRangesOnly, [None, None, Some(TAG), Some(DATE)]),
    ];
    for (validators, expected) in cases {
        let origin = origin([Fault::Validators(validators.clone()).into()]);
        let mut client = Client::connect(&origin);
        let (whole, range) = (client.get("/a.bin"), client.range("/a.bin", "bytes=100-"));
        assert_eq!((whole.status, range.status), (200, 206));
        let shown = [&whole, &range].map(|answer| [answer.header("etag"), answer.header("last-modified")]);
        assert_eq!(shown.concat(), expected, "{validators:?}");
        whole.assert_content(7, 0, SIZE);
        range.assert_content(7, 100, SIZE - 100);
    }
}

#[test]
fn a_version_changes_when_the_test_says_so_and_back() {
    let changed = Switch::default();
    let scope = Scope::every().while_on(&changed);
    let origin = origin([
        Fault::Validators(Validators::NoTag).when(scope.clone()),
        Fault::OtherContent { from: 0, seed: 8 }.when(scope),
    ]);
    let mut client = Client::connect(&origin);
    for _ in 0..2 {
        let answer = client.get("/a.bin");
        assert_eq!(answer.header("etag"), Some(TAG));
        answer.assert_content(7, 0, SIZE);
        changed.on();
        let headers = [("Range", "bytes=100-"), ("If-Range", TAG)];
        let answer = client.request("GET", "/a.bin", &headers);
        assert_eq!((answer.status, answer.header("etag"), answer.header("last-modified")), (200, None, Some(DATE)));
        answer.assert_content(8, 0, SIZE);
        client.range("/a.bin", "bytes=100-").assert_content(8, 100, SIZE - 100);
        changed.off();
    }
}

#[test]
fn a_version_changes_from_some_request_on() {
    let from_third = Scope::every().starting_at(3);
    let origin = origin([
        Fault::Validators(Validators::Tag("\"b\"".to_owned())).when(from_third.clone()),
        Fault::OtherContent { from: 0, seed: 8 }.when(from_third),
    ]);
    let mut client = Client::connect(&origin);
    for (tag, seed) in [(TAG, 7), (TAG, 7), ("\"b\"", 8), ("\"b\"", 8)] {
        let answer = client.get("/a.bin");
        assert_eq!(answer.header("etag"), Some(tag));
        answer.assert_content(seed, 0, SIZE);
    }
}

#[test]
fn a_date_of_modification_hangs_on_the_date_of_its_answer() {
    for before in [0, 30] {
        let origin = origin([Fault::Validators(Validators::DateBefore(before)).into(), Fault::ClockOff(-500).into()]);
        let answer = Client::connect(&origin).get("/a.bin");
        let age = date(&answer, "date").duration_since(date(&answer, "last-modified")).unwrap();
        assert_eq!(age, Duration::from_secs(before));
    }
}

#[test]
fn a_clock_differs_or_is_not_told() {
    for off in [0, 3600, -3600] {
        let origin = origin([Fault::ClockOff(off).into()]);
        let answer = Client::connect(&origin).get("/a.bin");
        let said = date(&answer, "date").duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let right = now.saturating_add_signed(off);
        assert!(said.abs_diff(right) <= 60, "{off}: {said}, and not {right}");
    }
    let origin = origin([Fault::NoDate.into()]);
    let mut client = Client::connect(&origin);
    for path in ["/a.bin", "/missing"] {
        // A fault of the resource does not meet what is no resource.
        assert_eq!(client.get(path).header("date").is_none(), path == "/a.bin");
    }
}
