//! Heads as real servers send them: odd ones work, damaged ones are no valid response.

use towline_engine::ErrorKind;
use towline_origin::{Fault, Origin, Resource};

use crate::common::{LONG, Place, Run, fetch, spec, with_watchdog};

const BODY: &[u8] = b"what the file holds";

/// Fetches a file from a server that responds with these bytes and `BODY`.
fn answer(head: &str) -> (Run, Option<Vec<u8>>) {
    let bytes = [head.as_bytes(), BODY].concat();
    let origin = Origin::builder().resource(Resource::new("/a.bin", 1, 1).fault(Fault::Raw(bytes))).start().unwrap();
    let place = Place::new();
    let mut options = place.options();
    options.http.retries = 0;
    let run = fetch(options, [spec(&origin, "/a.bin")]);
    let content = std::fs::read(place.file("a.bin")).ok();
    (run, content)
}

#[test]
fn odd_heads_bring_the_file() {
    with_watchdog(LONG, || {
        let length = format!("Content-Length: {}", BODY.len());
        for head in [
            format!("HTTP/1.1 200 OK\r\n{length}\r\nAllow : GET\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n{length}\r\nPHP Warning: module missing\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n{length}\r\nno colon at all\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n X-First: begins with a blank\r\n{length}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\nX-Long: a\r\n\tb\r\n{length}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\nX-A: a\u{1}b\r\n{length}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n: nameless\r\n{length}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\nX-é: x\r\n{length}\r\n\r\n"),
            format!("HTTP/1.1  200 OK\r\n{length}\r\n\r\n"),
            format!("\r\n\r\nHTTP/1.1 200 OK\r\n{length}\r\n\r\n"),
            format!("HTTP/1.1 200 OK\n{length}\n\n"),
            format!(
                "HTTP/1.1 100 Continue\r\nX : y\r\n\r\nHTTP/1.1 103 Hints\r\nX : y\r\n\r\nHTTP/1.1 200 OK\r\n{length}\r\n\r\n"
            ),
            format!("HTTP/1.1 200 OK\r\nContent-Length :\r\n {}\r\n\r\n", BODY.len()),
        ] {
            let (run, content) = answer(&head);
            run.assert_done(1);
            assert_eq!(content.as_deref(), Some(BODY), "{head:?}");
        }
    });
}

/// Chunks of these lengths, together longer than what the head announces. The end that it announces may lie within a
/// chunk, or at the end of one; the rest may be read before the file is there, or after that.
#[test]
fn chunks_that_go_on_behind_the_length_are_no_file() {
    let long: Vec<usize> = [&[16_384; 61][..], &[1_076]].concat();
    let short = |told: usize| vec![told, 65_000];
    let cases = [(1_000_000, long), (1000, short(1000)), (60_000, short(60_000)), (0, vec![66_000]), (0, vec![1])];
    with_watchdog(LONG, move || {
        for (told, chunks) in &cases {
            let announced =
                [format!("Content-Length: {told}"), format!("Content-Range: bytes 0-{}/{told}", told.max(&1) - 1)];
            // No range is empty.
            for announces in announced.iter().take(1 + told.min(&1)) {
                let mut bytes =
                    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{announces}\r\n\r\n").into_bytes();
                for (number, length) in chunks.iter().enumerate() {
                    bytes.extend(format!("{length:x}\r\n").into_bytes());
                    bytes.extend((0..*length).map(|at| (at + number) as u8));
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                let resource = Resource::new("/a.bin", 1, 1).fault(Fault::Raw(bytes));
                let origin = Origin::builder().resource(resource).start().unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.http.retries = 0;
                let run = fetch(options, [spec(&origin, "/a.bin")]);
                assert_eq!(run.failure_kinds(), [ErrorKind::Protocol], "{announces}");
                assert!(!place.file("a.bin").exists(), "{announces}");
            }
        }
    });
}

#[test]
fn a_head_whose_framing_is_damaged_is_no_answer() {
    with_watchdog(LONG, || {
        for field in [
            "Content Length: 5",
            "Content-Length 5",
            "Content-Length=5",
            "Content-Length\u{1}: 5",
            "Content-Length: 5\u{1}",
            "Content-Length: 5\r\n 6",
            "Content-Length: 5\r\nContent-Length: 6",
            "Transfer Encoding: chunked",
            "Transfer-Encoding: chunked\r\n\tgzip",
            "\"Content-Encoding\": gzip",
            "Content Range: bytes 0-4/5",
            "X-A: a\0b",
        ] {
            let (run, content) = answer(&format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n"));
            assert_eq!(run.failure_kinds(), [ErrorKind::Protocol], "{field:?}");
            assert_eq!(content, None, "{field:?}");
        }
    });
}
