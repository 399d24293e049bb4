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

/// The end that the head announced lies within a chunk.
#[test]
fn chunks_that_go_on_behind_the_length_are_no_file() {
    with_watchdog(LONG, || {
        const TOLD: usize = 1_000_000;
        let body: Vec<u8> = (0..TOLD + 500).map(|at| at as u8).collect();
        for announces in [format!("Content-Length: {TOLD}"), format!("Content-Range: bytes 0-{}/{TOLD}", TOLD - 1)] {
            let mut bytes =
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{announces}\r\n\r\n").into_bytes();
            for chunk in body.chunks(16_384) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend_from_slice(chunk);
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
