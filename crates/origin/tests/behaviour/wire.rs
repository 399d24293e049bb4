//! What no HTTP library would send, as it comes over the wire.

use towline_origin::{BadChunk, Fault, Length, Origin, Resource, Rule};
use towline_testkit::{content, wait_until};

use crate::client::{Answer, Client, End};

const SIZE: u64 = 1000;

fn origin(faults: impl IntoIterator<Item = Rule>) -> Origin {
    let resource = Resource::new("/a.bin", 7, SIZE);
    let resource = faults.into_iter().fold(resource, Resource::fault);
    Origin::builder().resource(resource).start().unwrap()
}

/// What is sent until the connection ends: the head, and what is behind it.
fn sent(origin: &Origin) -> (String, Vec<u8>) {
    let mut client = Client::connect(origin);
    client.send("GET", "/a.bin", &[]).unwrap();
    let all = client.rest();
    let head = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8_lossy(&all[..head]).to_lowercase(), all[head..].to_vec())
}

#[test]
fn a_long_body_goes_on_behind_its_length_and_the_connection_behind_that() {
    let origin = origin([Fault::LongBody { extra: 50 }.into()]);
    let mut client = Client::connect(&origin);
    for _ in 0..3 {
        let answer = client.get("/a.bin");
        assert_eq!(answer.header("content-length"), Some("1000"));
        answer.assert_content(7, 0, SIZE as usize);
        client.read_bytes(50, &mut Vec::new()).unwrap();
    }
    assert_eq!(client.get("/missing").status, 404);
    assert_eq!(origin.stats().connections_opened, 1);
    assert_eq!(origin.stats().path("/a.bin").body_bytes, 3 * (SIZE + 50));
}

#[test]
fn a_length_lies_in_either_direction() {
    let too_long = origin([Fault::ContentLength { by: 10 }.into()]);
    let answer = Client::connect(&too_long).get("/a.bin");
    assert_eq!((answer.header("content-length"), answer.end), (Some("1010"), End::Closed));
    answer.assert_content(7, 0, SIZE as usize);

    let too_short = origin([Fault::ContentLength { by: -10 }.into()]);
    let mut client = Client::connect(&too_short);
    let mut answer = client.get("/a.bin");
    assert_eq!((answer.header("content-length"), answer.end), (Some("990"), End::Whole));
    client.read_bytes(10, &mut answer.body).unwrap();
    answer.assert_content(7, 0, SIZE as usize);
    // A range has a length of its own.
    let answer = client.range("/a.bin", "bytes=100-199");
    assert_eq!((answer.status, answer.header("content-length")), (206, Some("90")));
}

#[test]
fn chunks_are_right_up_to_the_broken_one() {
    let bytes = content(7, SIZE);
    let (right, rest) = bytes.split_at(400);
    let before = [b"190\r\n".as_slice(), right, b"\r\n"].concat();
    let cases = [
        (BadChunk::Size, [before.as_slice(), b"chunk\r\n", rest, b"??"].concat()),
        (BadChunk::Overflow, [before.as_slice(), b"fffffffffffffffff\r\n", rest, b"??"].concat()),
        (BadChunk::End, [before.as_slice(), b"258\r\n", rest, b"??"].concat()),
        (BadChunk::NoLast, [b"3e8\r\n".as_slice(), &bytes, b"\r\n"].concat()),
    ];
    for (how, expected) in cases {
        let origin = origin([Fault::BadChunk { at: 400, how }.into()]);
        let (head, body) = sent(&origin);
        assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
        assert_eq!(body, expected, "{how:?}");
    }
}

#[test]
fn trailers_come_behind_the_last_chunk() {
    let fields = vec![("X-One".to_owned(), "1".to_owned()), ("ETag".to_owned(), "\"other\"".to_owned())];
    let origin = origin([Fault::Trailers(fields).into(), Fault::CloseAfterEach.into()]);
    let (head, body) = sent(&origin);
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    let expected = [b"3e8\r\n".as_slice(), &content(7, SIZE), b"\r\n0\r\nX-One: 1\r\nETag: \"other\"\r\n\r\n"].concat();
    assert_eq!(body, expected);
}

#[test]
fn a_header_line_comes_as_it_stands() {
    let origin = origin([Fault::RawHeader(b"X-Nul: a\0b".to_vec()).into(), Fault::CloseAfterEach.into()]);
    let (head, body) = sent(&origin);
    assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("\r\nx-nul: a\0b\r\n"), "{head:?}");
    assert_eq!(body, content(7, SIZE));
}

#[test]
fn any_bytes_come_in_place_of_an_answer() {
    let origin = origin([Fault::Raw(b"220 mail.example ESMTP\r\n".to_vec()).first(1)]);
    let mut client = Client::connect(&origin);
    client.send("GET", "/a.bin", &[]).unwrap();
    assert_eq!(client.rest(), b"220 mail.example ESMTP\r\n");
    Client::connect(&origin).get("/a.bin").assert_content(7, 0, SIZE as usize);
}

#[test]
fn answers_come_as_http_1_0_or_one_on_each_connection() {
    for (fault, version) in [(Fault::Http10, "http/1.0"), (Fault::CloseAfterEach, "http/1.1")] {
        let (head, body) = sent(&origin([fault.into()]));
        assert!(head.starts_with(&format!("{version} 200 ok\r\n")) && head.contains("connection: close\r\n"), "{head}");
        assert!(head.contains("content-length: 1000\r\n"), "{head}");
        assert_eq!(body, content(7, SIZE));
    }
}

#[test]
fn a_body_ends_where_its_connection_does() {
    let resource = Resource::new("/a.bin", 7, SIZE).length(Length::UntilClose);
    let whole = Origin::builder().resource(resource.clone()).start().unwrap();
    let (head, body) = sent(&whole);
    assert!(head.starts_with("http/1.0 200 ok\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, content(7, SIZE));
    // Nobody can tell a body that was cut from one that is short.
    let cut = Origin::builder().resource(resource.fault(Fault::CutAt(300))).start().unwrap();
    assert_eq!(sent(&cut).1, content(7, 300));
}

#[test]
fn an_answer_of_http_1_1_may_end_with_its_connection_too() {
    let (head, body) = sent(&origin([Fault::CloseDelimited { close_notify: true }.into()]));
    assert!(head.starts_with("http/1.1 200 ok\r\n") && head.contains("connection: close\r\n"), "{head}");
    assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
    assert_eq!(body, content(7, SIZE));
    let cut = origin([Fault::CloseDelimited { close_notify: true }.into(), Fault::CutAt(300).into()]);
    assert_eq!(sent(&cut).1, content(7, 300));
}

#[test]
fn transfer_encodings_come_as_they_are_scripted() {
    let plain = content(7, SIZE);
    let chunked = [b"3e8\r\n".as_slice(), &plain, b"\r\n0\r\n\r\n"].concat();
    let cases: [(&[&str], bool, &[u8]); 5] = [
        (&["gzip, chunked"], false, &chunked),
        (&["gzip", "chunked"], false, &chunked),
        (&["chunked"], true, &chunked),
        (&["identity"], true, &plain),
        (&["identity"], false, &plain),
    ];
    for (fields, length, expected) in cases {
        let values = fields.iter().map(|field| (*field).to_owned()).collect();
        let fault = Fault::TransferEncoding { fields: values, length };
        let (head, body) = sent(&origin([fault.into(), Fault::CloseAfterEach.into()]));
        let lines: String = fields.iter().map(|field| format!("transfer-encoding: {field}\r\n")).collect();
        assert!(head.contains(&lines), "{head}");
        assert_eq!(head.contains("content-length: 1000\r\n"), length, "{head}");
        assert_eq!(body, expected, "{fields:?}");
    }
    // A body with neither a length nor chunks ends with its connection, unasked.
    let fault = Fault::TransferEncoding { fields: vec!["identity".to_owned()], length: false };
    assert_eq!(sent(&origin([fault.into()])).1, content(7, SIZE));
}

#[test]
fn cuts_resets_and_stalls_meet_these_answers_too() {
    let long = || Rule::from(Fault::LongBody { extra: 50 });
    let answer = Client::connect(&origin([long(), Fault::CutAt(300).into()])).get("/a.bin");
    assert_eq!(answer.end, End::Closed);
    answer.assert_content(7, 0, 300);
    let answer = Client::connect(&origin([long(), Fault::CutAt(0).into()])).get("/a.bin");
    assert_eq!((answer.status, answer.end, answer.body.len()), (200, End::Closed, 0));
    let answer = Client::connect(&origin([long(), Fault::ResetAt(300).into()])).get("/a.bin");
    assert_eq!(answer.end, End::Reset);

    let origin = origin([long(), Fault::StallAt(300, None).into()]);
    let mut client = Client::connect(&origin);
    let mut answer = Answer { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Closed };
    client.send("GET", "/a.bin", &[]).unwrap();
    client.read_head(&mut answer).unwrap();
    client.read_bytes(300, &mut answer.body).unwrap();
    answer.assert_content(7, 0, 300);
    drop(client);
    wait_until("the end of the connection", || origin.stats().connections_open == 0);
}

#[test]
fn failures_keep_their_framing() {
    let origin = origin([
        Fault::ContentLength { by: -5 }.into(),
        Fault::Status { code: 503, times: Some(1), retry_after: None }.into(),
    ]);
    let mut client = Client::connect(&origin);
    let answer = client.get("/a.bin");
    assert_eq!((answer.status, answer.body.as_slice()), (503, b"503 Service Unavailable\n".as_slice()));
    assert_eq!(client.get("/a.bin").header("content-length"), Some("995"));
}
