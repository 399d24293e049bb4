//! What the origin answers when nothing goes wrong.

use towline_origin::{ETag, Length, Origin, Ranges, Resource};

use crate::client::{Client, End};

const SIZE: u64 = 1_000_003;

fn origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).start().unwrap()
}

#[test]
fn a_whole_body_is_the_content_and_the_connection_is_kept() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE));
    let mut client = Client::connect(&origin);
    for _ in 0..3 {
        let answer = client.get("/a.bin?query=ignored");
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("content-length"), Some("1000003"));
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(answer.header("etag"), Some("\"7-f4243\""));
        assert_eq!(answer.header("last-modified"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
        answer.assert_content(7, 0, SIZE as usize);
    }
    let stats = origin.stats();
    assert_eq!((stats.connections_opened, stats.connections_peak), (1, 1));
    assert_eq!((stats.requests, stats.http1_requests, stats.http2_requests), (3, 3, 0));
    assert_eq!(stats.body_bytes, 3 * SIZE);
    assert_eq!(stats.path("/a.bin").requests, 3);
    assert_eq!(stats.path("/a.bin").body_bytes, 3 * SIZE);
    assert_eq!(stats.path("/b.bin").requests, 0);
}

#[test]
fn ranges_give_exactly_their_bytes() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE));
    let mut client = Client::connect(&origin);
    let last = SIZE - 1;
    let cases = [
        ("bytes=0-0", 0, 0),
        ("bytes=13-500013", 13, 500_013),
        ("bytes=999999-", 999_999, last),
        ("bytes=-5", SIZE - 5, last),
        ("bytes=5-99999999999", 5, last),
    ];
    for (range, first, last) in cases {
        let answer = client.range("/a.bin", range);
        assert_eq!((answer.status, answer.end), (206, End::Whole), "{range}");
        let expected = format!("bytes {first}-{last}/{SIZE}");
        assert_eq!(answer.header("content-range"), Some(expected.as_str()));
        answer.assert_content(7, first, (last - first + 1) as usize);
    }
}

#[test]
fn a_range_behind_the_end_is_416_and_several_give_the_whole() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE));
    let mut client = Client::connect(&origin);
    let answer = client.range("/a.bin", "bytes=1000003-");
    assert_eq!(answer.status, 416);
    assert_eq!(answer.header("content-range"), Some("bytes */1000003"));
    let answer = client.range("/a.bin", "bytes=0-1,5-6");
    assert_eq!((answer.status, answer.header("content-range")), (200, None));
    answer.assert_content(7, 0, SIZE as usize);
}

#[test]
fn if_range_lets_only_the_current_content_be_resumed() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE));
    let mut client = Client::connect(&origin);
    let cases = [
        ("\"7-f4243\"", 206),
        ("Tue, 14 Nov 2023 22:13:20 GMT", 206),
        ("\"other\"", 200),
        ("W/\"7-f4243\"", 200),
        ("Tue, 14 Nov 2023 22:13:21 GMT", 200),
    ];
    for (value, status) in cases {
        let headers = [("Range", "bytes=100-"), ("If-Range", value)];
        let answer = client.request("GET", "/a.bin", &headers);
        assert_eq!(answer.status, status, "{value}");
        let offset = if status == 206 { 100 } else { 0 };
        answer.assert_content(7, offset, (SIZE - offset) as usize);
    }
}

#[test]
fn ranges_can_be_ignored_or_refused() {
    let origin = origin(Resource::new("/ignored", 1, 10).ranges(Ranges::Ignored));
    origin.add(Resource::new("/refused", 1, 10).ranges(Ranges::Refused));
    let mut client = Client::connect(&origin);
    for (path, offer) in [("/ignored", None), ("/refused", Some("none"))] {
        let answer = client.range(path, "bytes=5-");
        assert_eq!((answer.status, answer.header("accept-ranges")), (200, offer));
        answer.assert_content(1, 0, 10);
    }
}

#[test]
fn a_chunked_body_has_no_length() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE).length(Length::Chunked));
    let mut client = Client::connect(&origin);
    for _ in 0..2 {
        let answer = client.get("/a.bin");
        assert_eq!((answer.status, answer.end), (200, End::Whole));
        assert_eq!(answer.header("content-length"), None);
        answer.assert_content(7, 0, SIZE as usize);
    }
}

#[test]
fn head_empty_unknown_and_other_methods() {
    let origin = origin(Resource::new("/a.bin", 7, SIZE));
    origin.add(Resource::new("/empty", 7, 0));
    let mut client = Client::connect(&origin);
    let answer = client.request("HEAD", "/a.bin", &[]);
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("1000003")));
    let answer = client.get("/empty");
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(client.range("/empty", "bytes=0-").status, 416);
    let answer = client.get("/missing");
    assert_eq!((answer.status, answer.body.as_slice()), (404, b"404 Not Found\n".as_slice()));
    assert_eq!(client.request("DELETE", "/a.bin", &[]).status, 405);
    assert_eq!(client.get("/a.bin").status, 200);
}

#[test]
fn headers_validators_redirects_and_statuses_are_scripted() {
    let resource = Resource::new("/a.bin", 7, 10)
        .etag(ETag::Custom("\"mine\"".to_owned()))
        .last_modified(None)
        .content_type(Some("text/x-log"))
        .content_disposition("attachment; filename=b.log")
        .header("X-Mirror", "one");
    let origin = origin(resource);
    origin.add(Resource::new("/moved", 0, 0).redirect(302, "/a.bin"));
    origin.add(Resource::new("/gone", 0, 10).status(410));
    origin.add(Resource::new("/odd", 3, 10).status(203).etag(ETag::None));
    let mut client = Client::connect(&origin);
    let answer = client.get("/a.bin");
    assert_eq!(answer.header("etag"), Some("\"mine\""));
    assert_eq!(answer.header("last-modified"), None);
    assert_eq!(answer.header("content-type"), Some("text/x-log"));
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=b.log"));
    assert_eq!(answer.header("x-mirror"), Some("one"));
    let answer = client.get("/moved");
    assert_eq!((answer.status, answer.header("location")), (302, Some("/a.bin")));
    assert_eq!(client.get("/gone").status, 410);
    let answer = client.get("/odd");
    assert_eq!((answer.status, answer.header("etag")), (203, None));
    answer.assert_content(3, 0, 10);
}

#[test]
fn a_pattern_serves_many_files() {
    let origin = Origin::builder()
        .files("/many/{}.bin", 1000, 100, 50)
        .files_sized("/sized/{}", 10, |index| index * 3, 7)
        .start()
        .unwrap();
    let mut client = Client::connect(&origin);
    for index in [0, 1, 999] {
        let answer = client.get(&format!("/many/{index}.bin"));
        assert_eq!(answer.status, 200);
        answer.assert_content(50 + index, 0, 100);
    }
    client.get("/sized/9").assert_content(16, 0, 27);
    assert_eq!(client.get("/many/1000.bin").status, 404);
}

#[test]
fn requests_are_logged_as_they_came() {
    let origin = origin(Resource::new("/a.bin", 7, 10));
    let mut client = Client::connect(&origin);
    client.request("GET", "/a.bin?x=1", &[("Range", "bytes=2-3"), ("X-Odd", "yes")]);
    client.get("/missing");
    let log = origin.requests();
    assert_eq!(log.len(), 2);
    assert_eq!((log[0].method.as_str(), log[0].path.as_str()), ("GET", "/a.bin?x=1"));
    assert_eq!((log[0].version.as_str(), log[0].status), ("HTTP/1.1", 206));
    assert_eq!(log[0].range.as_deref(), Some("bytes=2-3"));
    assert_eq!(log[0].header("x-odd"), Some("yes"));
    assert_eq!((log[1].status, log[1].connection), (404, log[0].connection));
}

#[test]
fn requests_tell_when_and_over_what_they_came_and_of_what_kind() {
    let origin = origin(Resource::new("/a.bin", 7, 10));
    let mut client = Client::connect(&origin);
    client.request("GET", "/a.bin", &[("Range", "bytes=2-"), ("If-Range", "\"x\"")]);
    client.request("GET", "/a.bin", &[("If-None-Match", "\"x\""), ("If-Modified-Since", "nonsense")]);
    Client::connect(&origin).get("/a.bin");
    let log = origin.requests();
    let kinds: Vec<_> = log.iter().map(|one| (one.is_range(), one.is_conditional(), one.is_whole())).collect();
    assert_eq!(kinds, [(true, false, false), (false, true, false), (false, false, true)]);
    assert_eq!(log[0].if_range.as_deref(), Some("\"x\""));
    let conditions: Vec<_> = log[1].conditions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(conditions, [("if-none-match", "\"x\""), ("if-modified-since", "nonsense")]);
    assert!(log.windows(2).all(|two| two[0].at <= two[1].at), "{log:?}");
    let connections: Vec<_> = log.iter().map(|one| one.connection).collect();
    assert_eq!(connections, [1, 1, 2]);
}
