//! Answers that are proper HTTP and not what was asked for: ranges, versions, redirects, headers.

use towline_origin::{ETag, Fault, Origin, RangeLie, Resource, Scope, hostile_dispositions, range_forms};

use crate::client::{Client, End};

const SIZE: u64 = 1000;

fn origin(fault: Fault) -> Origin {
    Origin::builder().resource(Resource::new("/a.bin", 7, SIZE).fault(fault)).start().unwrap()
}

#[test]
fn a_content_range_lies_and_the_bytes_are_right() {
    let cases = [
        (RangeLie::Start(5), Some("bytes 105-199/1000")),
        (RangeLie::End(-1), Some("bytes 100-198/1000")),
        (RangeLie::Total(7), Some("bytes 100-199/1007")),
        (RangeLie::UnknownTotal, Some("bytes 100-199/*")),
        (RangeLie::Unit("items".to_owned()), Some("items 100-199/1000")),
        (RangeLie::Missing, None),
    ];
    for (lie, expected) in cases {
        let origin = origin(Fault::ContentRange(lie));
        let mut client = Client::connect(&origin);
        let answer = client.range("/a.bin", "bytes=100-199");
        assert_eq!((answer.status, answer.header("content-range")), (206, expected));
        answer.assert_content(7, 100, 100);
        client.get("/a.bin").assert_content(7, 0, SIZE as usize);
    }
}

#[test]
fn a_content_range_comes_in_forms_of_its_own() {
    let expected = [
        Some("bytes=100-199/1000"),
        Some("BYTES 100-199/1000"),
        Some("bytes  100-199/1000"),
        Some("bytes\t100-199/1000"),
        Some("bytes: 100-199/1000"),
        Some("100-199/1000"),
        Some("bytes 100-/1000"),
        Some("bytes 100 - 199 / 1000"),
        Some("bytes */1000"),
        Some("bytes 100-199/*"),
        None,
    ];
    let forms = range_forms();
    assert_eq!(forms.len(), expected.len());
    for ((what, lie), expected) in forms.into_iter().zip(expected) {
        let origin = origin(Fault::ContentRange(lie));
        let answer = Client::connect(&origin).range("/a.bin", "bytes=100-199");
        assert_eq!((answer.status, answer.header("content-range")), (206, expected), "{what}");
        answer.assert_content(7, 100, 100);
    }
}

#[test]
fn a_range_ends_elsewhere_and_says_so() {
    for (by, last) in [(50, 249), (-50, 149), (-1000, 100), (10_000, 999)] {
        let origin = origin(Fault::OtherEnd { by });
        let answer = Client::connect(&origin).range("/a.bin", "bytes=100-199");
        let expected = format!("bytes 100-{last}/1000");
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(expected.as_str())));
        answer.assert_content(7, 100, last - 100 + 1);
    }
}

#[test]
fn a_range_has_so_many_bytes_at_most() {
    for (bytes, last) in [(50, 149), (0, 100), (1000, 199)] {
        let origin = origin(Fault::RangeAtMost(bytes));
        let answer = Client::connect(&origin).range("/a.bin", "bytes=100-199");
        let expected = format!("bytes 100-{last}/1000");
        assert_eq!((answer.status, answer.header("content-range")), (206, Some(expected.as_str())));
        answer.assert_content(7, 100, last - 100 + 1);
    }
}

#[test]
fn a_range_is_short_and_its_length_says_so() {
    let origin = origin(Fault::ShortRange { by: 1 });
    let mut client = Client::connect(&origin);
    let answer = client.range("/a.bin", "bytes=100-199");
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 100-199/1000")));
    assert_eq!((answer.header("content-length"), answer.end), (Some("99"), End::Whole));
    answer.assert_content(7, 100, 99);
    client.get("/a.bin").assert_content(7, 0, SIZE as usize);
}

#[test]
fn another_range_says_which_it_is() {
    let origin = origin(Fault::OtherRange { by: 50 });
    let answer = Client::connect(&origin).range("/a.bin", "bytes=100-199");
    assert_eq!((answer.status, answer.header("content-range")), (206, Some("bytes 150-249/1000")));
    answer.assert_content(7, 150, 100);
}

#[test]
fn a_range_comes_as_the_only_part_of_several() {
    let origin = origin(Fault::Multipart);
    let answer = Client::connect(&origin).range("/a.bin", "bytes=100-199");
    assert_eq!((answer.status, answer.header("content-range"), answer.end), (206, None, End::Whole));
    assert!(answer.header("content-type").unwrap().starts_with("multipart/byteranges; boundary="));
    let head = answer.body.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(String::from_utf8_lossy(&answer.body[..head]).contains("Content-Range: bytes 100-199/1000\r\n"));
    assert_eq!(towline_origin::first_difference(7, 100, &answer.body[head..head + 100]), None);
    assert!(answer.body[head + 100..].starts_with(b"\r\n--"));
}

#[test]
fn every_range_can_be_refused() {
    let origin = origin(Fault::RefuseRange);
    let mut client = Client::connect(&origin);
    let answer = client.range("/a.bin", "bytes=0-");
    assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */1000")));
    assert_eq!(client.get("/a.bin").status, 200);
}

#[test]
fn if_range_can_be_answered_with_the_whole_though_nothing_has_changed() {
    let origin = origin(Fault::IgnoreIfRange);
    let mut client = Client::connect(&origin);
    let etag = client.get("/a.bin").header("etag").unwrap().to_owned();
    let headers = [("Range", "bytes=100-"), ("If-Range", etag.as_str())];
    let answer = client.request("GET", "/a.bin", &headers);
    assert_eq!((answer.status, answer.header("etag")), (200, Some(etag.as_str())));
    answer.assert_content(7, 0, SIZE as usize);
    assert_eq!(client.range("/a.bin", "bytes=100-").status, 206);
}

#[test]
fn other_content_keeps_length_and_tag() {
    let origin = origin(Fault::OtherContent { from: 300, seed: 8 });
    let mut client = Client::connect(&origin);
    let answer = client.get("/a.bin");
    assert_eq!((answer.body.len() as u64, answer.header("etag")), (SIZE, Some("\"7-3e8\"")));
    assert_eq!(towline_origin::first_difference(7, 0, &answer.body[..300]), None);
    assert_eq!(towline_origin::first_difference(8, 300, &answer.body[300..]), None);
    let answer = client.range("/a.bin", "bytes=250-349");
    assert_eq!(towline_origin::first_difference(7, 250, &answer.body[..50]), None);
    assert_eq!(towline_origin::first_difference(8, 300, &answer.body[50..]), None);
}

#[test]
fn backends_take_turns_with_their_tags() {
    let resource = Resource::new("/a.bin", 7, SIZE).etag(ETag::Custom("\"a\"".to_owned()));
    let origin = Origin::builder().resource(resource.fault(Fault::Backends(2))).start().unwrap();
    let mut client = Client::connect(&origin);
    for expected in ["\"a-1\"", "\"a-0\"", "\"a-1\""] {
        let answer = client.get("/a.bin");
        assert_eq!(answer.header("etag"), Some(expected));
        answer.assert_content(7, 0, SIZE as usize);
    }
}

#[test]
fn redirects_lead_elsewhere_or_back_so_often() {
    let origin = origin(Fault::RedirectHops { status: 307, hops: 2 });
    let mut client = Client::connect(&origin);
    let mut path = "/a.bin".to_owned();
    for hop in 1..=2 {
        let answer = client.get(&path);
        let location = answer.header("location").unwrap();
        assert_eq!((answer.status, location), (307, format!("?hop={hop}").as_str()));
        path = format!("/a.bin{location}");
    }
    client.get(&path).assert_content(7, 0, SIZE as usize);

    let away = Fault::Redirect { status: 302, location: "http://elsewhere.invalid/b".to_owned() };
    origin.set_faults([away.when(Scope::every().only_ranges())]);
    let answer = client.range("/b.bin", "bytes=5-");
    assert_eq!((answer.status, answer.header("location")), (302, Some("http://elsewhere.invalid/b")));
}

#[test]
fn headers_are_replaced_and_hostile_names_sent() {
    for (what, value) in hostile_dispositions() {
        let fault = Fault::Header { name: "Content-Disposition".to_owned(), value: value.clone() };
        let origin = origin(fault);
        let mut client = Client::connect(&origin);
        client.send("GET", "/a.bin", &[("Connection", "close")]).unwrap();
        let sent = client.rest();
        let expected = [b"content-disposition: ".as_slice(), &value, b"\r\n"].concat();
        assert!(sent.windows(expected.len()).any(|window| window == expected), "{what}");
    }
}

#[test]
fn headers_come_as_large_and_as_many_as_scripted() {
    let origin = Origin::builder()
        .resource(Resource::new("/a.bin", 7, SIZE).fault(Fault::LargeHeader(1 << 20)).fault(Fault::ManyHeaders(10_000)))
        .start()
        .unwrap();
    let answer = Client::connect(&origin).get("/a.bin");
    assert_eq!(answer.header("x-large").unwrap().len(), 1 << 20);
    assert_eq!(answer.headers.iter().filter(|(name, _)| name.starts_with("x-many-")).count(), 10_000);
    answer.assert_content(7, 0, SIZE as usize);
}
