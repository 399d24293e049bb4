//! A partial response to a request for the whole file: used for what it proves.

use towline_engine::ErrorKind;
use towline_origin::{ETag, Fault, Origin, Resource, Scope};
use towline_testkit::content;

use crate::common::{LONG, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 90_000;

fn whole() -> Vec<u8> {
    content(81, SIZE)
}

/// The first response is a 206 with this many bytes of the file and this `Content-Range`.
fn fetch_part(bytes: usize, range: Option<&str>, tag: ETag) -> (Run, Option<Vec<u8>>) {
    let field = range.map(|range| format!("Content-Range: {range}\r\n")).unwrap_or_default();
    let version = if tag == ETag::None { "" } else { "ETag: \"v\"\r\n" };
    let head = format!("HTTP/1.1 206 Partial Content\r\n{field}{version}Content-Length: {bytes}\r\n\r\n");
    let answer = [head.into_bytes(), whole()[..bytes].to_vec()].concat();
    let first = Fault::Raw(answer).when(Scope::every().first(1));
    let resource = Resource::new("/a.bin", 81, SIZE).etag(tag).last_modified(None).fault(first);
    let origin = Origin::builder().resource(resource).start().unwrap();
    let place = Place::new();
    let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
    let got = std::fs::read(place.file("a.bin")).ok();
    (run, got)
}

#[test]
fn a_part_is_the_whole_or_its_beginning() {
    with_watchdog(LONG, || {
        let (all, half) = (SIZE as usize, SIZE as usize / 2);
        for tag in [ETag::Custom("\"v\"".to_owned()), ETag::None] {
            for (bytes, range) in [
                (all, format!("bytes 0-{}/{SIZE}", all - 1)),
                (all, format!("bytes 0-{}/*", all - 1)),
                (half, format!("bytes 0-{}/{SIZE}", half - 1)),
                (half, format!("bytes 0-{}/*", half - 1)),
            ] {
                let (run, got) = fetch_part(bytes, Some(&range), tag.clone());
                run.assert_done(1);
                assert!(got == Some(whole()), "{range} {tag:?}");
            }
        }
    });
}

#[test]
fn a_part_that_says_nothing_or_the_wrong_thing_is_no_answer() {
    with_watchdog(LONG, || {
        for range in [None, Some("bytes 100-899/90000"), Some("bytes 0-99/90000"), Some("bytes */90000")] {
            let (run, got) = fetch_part(800, range, ETag::Custom("\"v\"".to_owned()));
            assert_eq!(run.failure_kinds(), [ErrorKind::Protocol], "{range:?}");
            assert_eq!(got, None, "{range:?}");
        }
    });
}

#[test]
fn a_server_that_never_sends_the_rest_is_left() {
    with_watchdog(LONG, || {
        let half = SIZE as usize / 2;
        for total in [SIZE.to_string(), "*".to_owned()] {
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-{}/{total}\r\nETag: \"v\"\r\nContent-Length: {half}\r\n\r\n",
                half - 1
            );
            let answer = [head.into_bytes(), whole()[..half].to_vec()].concat();
            let origin = Origin::builder()
                .resource(Resource::new("/a.bin", 81, SIZE).fault(Fault::Raw(answer)))
                .start()
                .unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 1;
            let run = fetch(options, [spec(&origin, "/a.bin")]);
            assert_eq!(run.failures().len(), 1, "{total}");
            assert!(origin.stats().requests < 40, "{total}: {} requests", origin.stats().requests);
            assert!(!place.file("a.bin").exists());
        }
    });
}

/// Only `Content-Range` has the length: the body ends cleanly, but elsewhere.
#[test]
fn a_body_that_ends_before_its_content_range_does_is_not_the_file() {
    with_watchdog(LONG, || {
        for (size, sent) in [(9_000, 8_999), (9_000, 1), (9_000, 0), (65_536, 40_000), (90_000, 40_000), (90_000, 0)] {
            for is_chunked in [true, false] {
                let head = format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-{}/{size}\r\n", size - 1);
                let body = whole()[..sent].to_vec();
                let (framing, body) = match is_chunked {
                    true if sent == 0 => ("Transfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\n".to_vec()),
                    true => {
                        let chunk = [format!("{sent:x}\r\n").into_bytes(), body, b"\r\n0\r\n\r\n".to_vec()].concat();
                        ("Transfer-Encoding: chunked\r\n\r\n", chunk)
                    }
                    false => ("Connection: close\r\n\r\n", body),
                };
                let answer = [head.into_bytes(), framing.as_bytes().to_vec(), body].concat();
                let resource = Resource::new("/a.bin", 81, size as u64).fault(Fault::Raw(answer));
                let origin = Origin::builder().resource(resource).start().unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.http.retries = 1;
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                assert_eq!(run.failures().len(), 1, "{size} {sent} {is_chunked}");
                assert!(!place.file("a.bin").exists(), "{size} {sent} {is_chunked}");
                assert!(origin.stats().requests < 10, "{size} {sent}: {} requests", origin.stats().requests);
            }
        }
    });
}

/// A 200 needs no `Content-Range`. One that has it and ends elsewhere did not send the file.
#[test]
fn a_whole_answer_that_contradicts_its_own_range_is_not_the_file() {
    with_watchdog(LONG, || {
        for (size, sent) in [(9_000, 4_500), (90_000, 45_000)] {
            let all = format!("bytes 0-{}/{size}", size - 1);
            let fields = [
                vec![all.clone()],
                vec![format!("bytes */{size}")],
                vec![all, format!("bytes 0-{}/{sent}", sent - 1)],
                vec!["bytes 0-".to_owned()],
            ];
            for fields in fields {
                for framing in [
                    format!("Content-Length: {sent}"),
                    "Transfer-Encoding: chunked".to_owned(),
                    "Connection: close".to_owned(),
                ] {
                    let ranges: String = fields.iter().map(|field| format!("Content-Range: {field}\r\n")).collect();
                    let head = format!("HTTP/1.1 200 OK\r\n{ranges}ETag: \"v\"\r\n{framing}\r\n\r\n");
                    let body = whole()[..sent].to_vec();
                    let body = match framing.starts_with("Transfer") {
                        true => [format!("{sent:x}\r\n").into_bytes(), body, b"\r\n0\r\n\r\n".to_vec()].concat(),
                        false => body,
                    };
                    let answer = [head.into_bytes(), body].concat();
                    let resource = Resource::new("/a.bin", 81, size as u64).fault(Fault::Raw(answer));
                    let origin = Origin::builder().resource(resource).start().unwrap();
                    let place = Place::new();
                    let mut options = place.options();
                    options.http.retries = 1;
                    let run = fetch(options, [spec(&origin, "/a.bin")]);
                    assert_eq!(run.failures().len(), 1, "{fields:?}, {framing}");
                    assert!(!place.file("a.bin").exists(), "{fields:?}, {framing}");
                    assert!(
                        origin.stats().requests < 10,
                        "{fields:?}, {framing}: {} requests",
                        origin.stats().requests
                    );
                }
            }
        }
    });
}

/// A consistent response is believed, however odd it is.
#[test]
fn a_whole_answer_whose_range_is_the_whole_is_the_file() {
    with_watchdog(LONG, || {
        for range in [format!("bytes 0-{}/{SIZE}", SIZE - 1), format!("bytes */{SIZE}")] {
            for framing in [format!("Content-Length: {SIZE}"), "Connection: close".to_owned()] {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Range: {range}\r\n{framing}\r\n\r\n");
                let answer = [head.into_bytes(), whole()].concat();
                let resource = Resource::new("/a.bin", 81, SIZE).fault(Fault::Raw(answer));
                let origin = Origin::builder().resource(resource).start().unwrap();
                let place = Place::new();
                fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
                place.assert_content("a.bin", 81, SIZE);
            }
        }
    });
}
