//! Conditional requests: what they get by default, and from a server that does not know them.

use towline_origin::{Fault, Origin, Resource, Scope, Validators};

use crate::client::{Client, End};

const SIZE: u64 = 1000;
const TAG: &str = "\"7-3e8\"";
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const BEFORE: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

fn resource() -> Resource {
    Resource::new("/a.bin", 7, SIZE)
}

fn origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).start().unwrap()
}

#[test]
fn conditions_are_answered_as_the_rfc_says() {
    let origin = origin(resource());
    let mut client = Client::connect(&origin);
    let cases = [
        ("If-None-Match", TAG, 304),
        ("If-None-Match", "W/\"7-3e8\"", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", DATE, 304),
        ("If-Modified-Since", BEFORE, 200),
        ("If-Match", TAG, 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", DATE, 200),
        ("If-Unmodified-Since", BEFORE, 412),
    ];
    for (name, value, status) in cases {
        for method in ["GET", "HEAD"] {
            let answer = client.request(method, "/a.bin", &[(name, value)]);
            assert_eq!((answer.status, answer.end), (status, End::Whole), "{method}, {name}: {value}");
            assert_eq!(answer.header("etag"), Some(TAG));
            assert_eq!(answer.header("content-length").is_none(), status == 304);
        }
    }
    // The connection is in step after all of them.
    client.get("/a.bin").assert_content(7, 0, SIZE as usize);
    assert_eq!(origin.stats().connections_opened, 1);
}

#[test]
fn conditions_go_before_ranges() {
    let origin = origin(resource());
    let mut client = Client::connect(&origin);
    let range = ("Range", "bytes=100-199");
    let cases: [(&[(&str, &str)], u16); 6] = [
        (&[range, ("If-None-Match", TAG)], 304),
        (&[range, ("If-Match", "\"other\"")], 412),
        (&[range, ("If-Match", TAG)], 206),
        (&[range, ("If-Match", TAG), ("If-Range", "\"other\"")], 200),
        (&[range, ("If-Match", "\"other\""), ("If-Range", TAG)], 412),
        // 412 goes before 416.
        (&[("Range", "bytes=5000-"), ("If-Match", "\"other\"")], 412),
    ];
    for (headers, status) in cases {
        assert_eq!(client.request("GET", "/a.bin", headers).status, status, "{headers:?}");
    }
}

#[test]
fn conditions_are_held_against_what_the_faults_make_of_the_validators() {
    let origin = origin(resource().fault(Fault::Validators(Validators::NoTag)));
    let mut client = Client::connect(&origin);
    assert_eq!(client.request("GET", "/a.bin", &[("If-None-Match", TAG)]).status, 200);
    assert_eq!(client.request("GET", "/a.bin", &[("If-Match", TAG)]).status, 412);
    assert_eq!(client.request("GET", "/a.bin", &[("If-Modified-Since", DATE)]).status, 304);
}

#[test]
fn conditions_can_be_ignored() {
    let origin = origin(resource().fault(Fault::IgnoreConditions));
    let mut client = Client::connect(&origin);
    for (name, value) in [("If-None-Match", TAG), ("If-Modified-Since", DATE), ("If-Match", "\"other\"")] {
        client.request("GET", "/a.bin", &[(name, value)]).assert_content(7, 0, SIZE as usize);
    }
    let headers = [("Range", "bytes=100-"), ("If-Range", "\"other\"")];
    assert_eq!(client.request("GET", "/a.bin", &headers).status, 200);
}

#[test]
fn a_fault_can_meet_conditional_requests_alone() {
    let refused = Fault::Status { code: 403, times: None, retry_after: None };
    let origin = origin(resource().fault(refused.when(Scope::every().only_conditional())));
    let mut client = Client::connect(&origin);
    assert_eq!(client.get("/a.bin").status, 200);
    assert_eq!(client.range("/a.bin", "bytes=5-").status, 206);
    assert_eq!(client.request("GET", "/a.bin", &[("If-None-Match", TAG)]).status, 403);
}
