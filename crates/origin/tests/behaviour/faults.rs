//! What each fault looks like from the client's side.

use std::time::Duration;

use towline_origin::{Above, Fault, Length, Origin, Resource, Scope};
use towline_testkit::wait_until;

use crate::client::{Answer, Client, End};

const SIZE: u64 = 1_000_003;

fn origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).start().unwrap()
}

#[test]
fn a_cut_gives_exactly_the_bytes_before_it() {
    for at in [0, 1, 300_001, SIZE - 1] {
        let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(Fault::CutAt(at).first(1)));
        let answer = Client::connect(&origin).get("/a.bin");
        assert_eq!((answer.status, answer.end), (200, End::Closed), "cut at {at}");
        answer.assert_content(7, 0, at as usize);
        assert_eq!(origin.stats().path("/a.bin").body_bytes, at);
        let answer = Client::connect(&origin).get("/a.bin");
        assert_eq!(answer.end, End::Whole);
        answer.assert_content(7, 0, SIZE as usize);
    }
}

#[test]
fn a_cut_counts_the_bytes_of_the_range() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(Fault::CutAt(10)));
    let answer = Client::connect(&origin).range("/a.bin", "bytes=500-");
    assert_eq!((answer.status, answer.end), (206, End::Closed));
    answer.assert_content(7, 500, 10);
}

#[test]
fn a_cut_behind_the_last_byte_closes_the_connection() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(Fault::CutAt(SIZE)));
    let mut client = Client::connect(&origin);
    let answer = client.get("/a.bin");
    assert_eq!(answer.end, End::Whole);
    answer.assert_content(7, 0, SIZE as usize);
    assert_eq!(client.end(), End::Closed);
}

#[test]
fn a_chunked_body_is_cut_before_its_end_is_told() {
    let resource = Resource::new("/a.bin", 7, SIZE).length(Length::Chunked);
    let origin = origin(resource.fault(Fault::CutAt(SIZE)));
    let answer = Client::connect(&origin).get("/a.bin");
    assert_eq!(answer.end, End::Closed);
    answer.assert_content(7, 0, SIZE as usize);
}

#[test]
fn a_reset_is_seen_as_one() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(Fault::ResetAt(300_000).first(1)));
    let answer = Client::connect(&origin).get("/a.bin");
    assert_eq!(answer.end, End::Reset);
    assert!(answer.body.len() <= 300_000);
    answer.assert_content(7, 0, answer.body.len());
    assert_eq!(Client::connect(&origin).get("/a.bin").end, End::Whole);
}

#[test]
fn a_cut_that_chance_places_is_the_same_in_each_run_and_never_behind_the_last_byte() {
    let cuts = || -> Vec<usize> {
        let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(Fault::CutSomewhere { seed: 5 }));
        let cut = |_| {
            let answer = Client::connect(&origin).get("/a.bin");
            assert_eq!(answer.end, End::Closed);
            answer.assert_content(7, 0, answer.body.len());
            answer.body.len()
        };
        (0..4).map(cut).collect()
    };
    let first = cuts();
    assert_eq!(first, cuts());
    assert!(first.iter().all(|len| *len < SIZE as usize) && first.windows(2).any(|two| two[0] != two[1]), "{first:?}");
}

#[test]
fn a_stall_sends_nothing_more() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(Fault::StallAt(200_000, None)));
    let mut client = Client::connect(&origin);
    let mut answer = Answer { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Closed };
    client.send("GET", "/a.bin", &[]).unwrap();
    client.read_head(&mut answer).unwrap();
    client.read_bytes(200_000, &mut answer.body).unwrap();
    answer.assert_content(7, 0, 200_000);
    assert_eq!(origin.stats().body_bytes, 200_000);
    origin.stop();
    assert_eq!(client.end(), End::Closed);
}

#[test]
fn a_stall_with_an_end_goes_on() {
    let pause = Duration::from_millis(60);
    let fault = Fault::StallAt(200_000, Some(pause));
    let origin = origin(Resource::new("/a.bin", 7, SIZE).fault(fault));
    let start = std::time::Instant::now();
    let answer = Client::connect(&origin).get("/a.bin");
    assert!(start.elapsed() >= pause);
    answer.assert_content(7, 0, SIZE as usize);
}

#[test]
fn an_ignored_range_gives_the_whole_though_ranges_were_offered() {
    let fault = Fault::IgnoreRange.when(Scope::every().starting_at(2).only_ranges());
    let origin = origin(Resource::new("/a.bin", 7, 100).fault(fault));
    let mut client = Client::connect(&origin);
    assert_eq!(client.range("/a.bin", "bytes=10-").status, 206);
    let answer = client.range("/a.bin", "bytes=10-");
    assert_eq!((answer.status, answer.header("accept-ranges")), (200, Some("bytes")));
    answer.assert_content(7, 0, 100);
}

#[test]
fn the_tag_changes_with_the_content() {
    let fault = Fault::ChangeEtagAt { request: 2, etag: "\"new\"".to_owned(), seed: 8 };
    let origin = origin(Resource::new("/a.bin", 7, 100).fault(fault));
    let mut client = Client::connect(&origin);
    let answer = client.get("/a.bin");
    let old = answer.header("etag").unwrap().to_owned();
    answer.assert_content(7, 0, 100);
    let headers = [("Range", "bytes=50-"), ("If-Range", old.as_str())];
    let answer = client.request("GET", "/a.bin", &headers);
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"new\"")));
    answer.assert_content(8, 0, 100);
    let headers = [("Range", "bytes=50-"), ("If-Range", "\"new\"")];
    let answer = client.request("GET", "/a.bin", &headers);
    assert_eq!(answer.status, 206);
    answer.assert_content(8, 50, 50);
}

#[test]
fn a_status_comes_as_often_as_scripted() {
    let fault = Fault::Status { code: 503, times: Some(2), retry_after: Some("7".to_owned()) };
    let origin = origin(Resource::new("/a.bin", 7, 100).fault(fault));
    let mut client = Client::connect(&origin);
    for _ in 0..2 {
        let answer = client.get("/a.bin");
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    }
    let answer = client.get("/a.bin");
    assert_eq!((answer.status, answer.header("retry-after")), (200, None));
    answer.assert_content(7, 0, 100);
}

#[test]
fn connections_above_the_limit_get_503_until_one_is_closed() {
    let limit = Fault::ConnectionLimit { max: 2, above: Above::Unavailable };
    let origin = Origin::builder().resource(Resource::new("/a.bin", 7, 100)).fault(limit).start().unwrap();
    let mut first = Client::connect(&origin);
    let mut second = Client::connect(&origin);
    assert_eq!(first.get("/a.bin").status, 200);
    assert_eq!(second.get("/a.bin").status, 200);
    let mut third = Client::connect(&origin);
    let answer = third.get("/a.bin");
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    assert_eq!(third.end(), End::Closed);
    assert_eq!(second.get("/a.bin").status, 200);
    drop(first);
    wait_until("one connection less", || origin.stats().connections_open == 1);
    assert_eq!(Client::connect(&origin).get("/a.bin").status, 200);
    assert_eq!(origin.stats().connections_peak, 3);
}

#[test]
fn connections_above_the_limit_can_be_reset() {
    let limit = Fault::ConnectionLimit { max: 1, above: Above::Reset };
    let origin = Origin::builder().resource(Resource::new("/a.bin", 7, 100)).fault(limit).start().unwrap();
    let mut first = Client::connect(&origin);
    assert_eq!(first.get("/a.bin").status, 200);
    let answer = Client::connect(&origin).get("/a.bin");
    assert_eq!((answer.status, answer.end), (0, End::Reset));
    assert_eq!(first.get("/a.bin").status, 200);
}

#[test]
fn responses_above_the_limit_of_a_resource_get_503() {
    let limit = Fault::ConnectionLimit { max: 1, above: Above::Unavailable };
    let stalled = Fault::StallAt(10, None).when(Scope::every().only_connection(1));
    let origin = origin(Resource::new("/a.bin", 7, 100).fault(limit).fault(stalled));
    let mut first = Client::connect(&origin);
    first.send("GET", "/a.bin", &[]).unwrap();
    wait_until("ten bytes", || origin.stats().body_bytes == 10);
    assert_eq!(Client::connect(&origin).get("/a.bin").status, 503);
    drop(first);
    wait_until("the end of the connection", || origin.stats().connections_open == 0);
    assert_eq!(Client::connect(&origin).get("/a.bin").status, 200);
}

#[test]
fn faults_of_server_and_resource_compose() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 7, 100).fault(Fault::CutAt(50)))
        .fault(Fault::CutAt(20).first(1))
        .start()
        .unwrap();
    for len in [20, 50] {
        let answer = Client::connect(&origin).get("/a.bin");
        assert_eq!(answer.end, End::Closed);
        answer.assert_content(7, 0, len);
    }
    origin.set_faults([Fault::IgnoreRange.into()]);
    let answer = Client::connect(&origin).range("/a.bin", "bytes=10-");
    assert_eq!((answer.status, answer.end), (200, End::Closed));
    answer.assert_content(7, 0, 50);
}
