//! Servers that bring the file and refuse whatever is asked for beside it.

use towline_origin::{Above, Fault, Origin, Resource, Scope};

use crate::client::{Client, End};

const SIZE: u64 = 1000;

fn resource() -> Resource {
    Resource::new("/a.bin", 7, SIZE)
}

fn status(code: u16) -> Fault {
    Fault::Status { code, times: None, retry_after: None }
}

#[test]
fn ranges_alone_are_refused_by_any_status() {
    for code in [400, 403, 404, 405, 500, 501, 503] {
        let refused = status(code).when(Scope::every().only_ranges());
        let origin = Origin::builder().resource(resource().fault(refused)).start().unwrap();
        let mut client = Client::connect(&origin);
        assert_eq!(client.range("/a.bin", "bytes=100-").status, code);
        client.get("/a.bin").assert_content(7, 0, SIZE as usize);
    }
}

#[test]
fn ranges_alone_are_refused_by_the_end_of_their_connection() {
    for (above, end) in [(Above::Reset, End::Reset), (Above::Close, End::Closed), (Above::Alert, End::Closed)] {
        let refused = Fault::ConnectionLimit { max: 0, above }.when(Scope::every().only_ranges());
        let origin = Origin::builder().resource(resource().fault(refused)).start().unwrap();
        let mut client = Client::connect(&origin);
        client.get("/a.bin").assert_content(7, 0, SIZE as usize);
        let answer = client.range("/a.bin", "bytes=100-");
        assert_eq!((answer.status, answer.end), (0, end), "{above:?}");
        assert_eq!(origin.requests().last().unwrap().status, 0);
        Client::connect(&origin).get("/a.bin").assert_content(7, 0, SIZE as usize);
    }
}

#[test]
fn ranges_alone_are_sent_to_another_origin() {
    let other = Origin::builder().resource(resource()).start().unwrap();
    let away = Fault::Redirect { status: 307, location: other.url("/a.bin") };
    let resource = resource().fault(away.when(Scope::every().only_ranges()));
    let origin = Origin::builder().resource(resource).start().unwrap();
    let mut client = Client::connect(&origin);
    client.get("/a.bin").assert_content(7, 0, SIZE as usize);
    let answer = client.range("/a.bin", "bytes=100-");
    assert_eq!((answer.status, answer.header("location")), (307, Some(other.url("/a.bin").as_str())));
    Client::connect(&other).range("/a.bin", "bytes=100-").assert_content(7, 100, 900);
}

#[test]
fn a_link_is_good_for_one_request() {
    for code in [403, 404, 410] {
        let used = status(code).when(Scope::every().starting_at(2));
        let origin = Origin::builder().resource(resource().fault(used)).start().unwrap();
        let mut client = Client::connect(&origin);
        client.get("/a.bin").assert_content(7, 0, SIZE as usize);
        for _ in 0..2 {
            assert_eq!(client.get("/a.bin").status, code);
        }
        assert_eq!(Client::connect(&origin).range("/a.bin", "bytes=5-").status, code);
    }
}

#[test]
fn connections_above_the_limit_are_told_when_to_come_again_or_not() {
    for retry_after in [None, Some("0"), Some("5"), Some("Fri, 01 Jan 2016 00:00:00 GMT")] {
        let limit = Fault::ConnectionLimit { max: 1, above: Above::Status { code: 503, retry_after } };
        let origin = Origin::builder().resource(resource()).fault(limit).start().unwrap();
        let mut first = Client::connect(&origin);
        assert_eq!(first.get("/a.bin").status, 200);
        let answer = Client::connect(&origin).get("/a.bin");
        assert_eq!((answer.status, answer.header("retry-after")), (503, retry_after));
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!(first.get("/a.bin").status, 200);
    }
}

#[test]
fn connections_above_the_limit_can_be_closed_without_a_word() {
    let limit = Fault::ConnectionLimit { max: 1, above: Above::Close };
    let origin = Origin::builder().resource(resource()).fault(limit).start().unwrap();
    let mut first = Client::connect(&origin);
    assert_eq!(first.get("/a.bin").status, 200);
    let answer = Client::connect(&origin).get("/a.bin");
    assert_eq!((answer.status, answer.end), (0, End::Closed));
    assert_eq!(first.get("/a.bin").status, 200);
    assert_eq!(origin.stats().requests, 2);
}

#[test]
fn a_scope_counts_the_connections_that_a_limit_of_the_server_meets() {
    let limit = Fault::ConnectionLimit { max: 0, above: Above::Reset }.first(2);
    let origin = Origin::builder().resource(resource()).fault(limit).start().unwrap();
    let ends = [(); 3].map(|()| Client::connect(&origin).get("/a.bin").end);
    assert_eq!(ends, [End::Reset, End::Reset, End::Whole]);
}
