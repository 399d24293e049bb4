//! A body has ended only where its framing says so: everything else is a failure, whatever arrived.

use std::time::Duration;

use towline_engine::{ErrorKind, Event};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope, StreamEnd};
use towline_testkit::content;

use crate::common::{LONG, Place, Run, fetch, spec, with_watchdog};
use crate::expired::repr_digest;

const SMALL: u64 = 48_000;
const LARGE: u64 = 300_000;
const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;

/// Fetches this file over TLS.
fn over_tls(http2: bool, resource: Resource) -> (Run, Place) {
    let origin = Origin::builder().tls(true).http2(http2).resource(resource).start().unwrap();
    let place = Place::new();
    let mut options = place.trusting(&origin);
    options.http.retries = 1;
    options.http.stall_timeout = Duration::from_secs(2);
    options.http.response_timeout = Duration::from_secs(2);
    let run = fetch(options, [spec(&origin, "/a.bin")]);
    (run, place)
}

fn says(run: &Run, text: &str) -> bool {
    run.events.iter().any(|event| matches!(event, Event::Remark { message, .. } if message.contains(text)))
}

/// A response that ends early each time leads to a failure, unless its parts are joined or the other protocol
/// is used.
fn never_short(run: &Run, place: &Place, seed: u64, size: u64) {
    if run.failures().is_empty() {
        place.assert_content("a.bin", seed, size);
    } else {
        assert_eq!(run.failures().len(), 1, "{size}");
        assert!(!place.file("a.bin").exists(), "{size}");
    }
}

#[test]
fn a_body_over_http2_that_stops_short_is_never_a_file() {
    with_watchdog(LONG * 2, || {
        let ends = [
            StreamEnd::Reset(NO_ERROR),
            StreamEnd::Reset(CANCEL),
            StreamEnd::Early,
            StreamEnd::GoAwayAndClose(NO_ERROR),
            StreamEnd::Close,
        ];
        for how in ends {
            for size in [SMALL, LARGE] {
                let cut = Fault::EndStream { at: size / 2, how };
                let (run, place) = over_tls(true, Resource::new("/a.bin", 11, size).fault(cut));
                never_short(&run, &place, 11, size);
            }
        }
    });
}

#[test]
fn a_body_over_http2_without_length_is_whole_when_its_stream_ends() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let silent = Resource::new("/a.bin", 12, size).length(Length::Chunked);
            let (run, place) = over_tls(true, silent.clone());
            run.assert_done(1);
            place.assert_content("a.bin", 12, size);
            // hyper treats this as a regular end of the body.
            let cut = Fault::EndStream { at: size / 2, how: StreamEnd::Reset(NO_ERROR) };
            let (run, place) = over_tls(true, silent.fault(cut));
            never_short(&run, &place, 12, size);
        }
    });
}

/// A proxy loses its server in the middle of a body, and sends the head of an error in the place of its end.
#[test]
fn a_second_head_over_http2_is_no_end_of_a_file() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let silent = Resource::new("/a.bin", 13, size).length(Length::Chunked);
            let trailers = |name: &str| Fault::Trailers(vec![(name.to_owned(), "0".to_owned())]);
            let (run, place) = over_tls(true, silent.clone().fault(trailers("x-checked")));
            run.assert_done(1);
            place.assert_content("a.bin", 13, size);
            let cut = Fault::EndStream { at: size / 2, how: StreamEnd::Early };
            let (run, place) = over_tls(true, silent.fault(trailers("content-length")).fault(cut));
            never_short(&run, &place, 13, size);
        }
    });
}

#[test]
fn a_transfer_encoding_that_nobody_takes_off_is_refused() {
    with_watchdog(LONG, || {
        for fields in [vec!["gzip, chunked"], vec!["gzip", "chunked"], vec!["deflate"], vec!["chunked,"]] {
            let fields: Vec<String> = fields.into_iter().map(str::to_owned).collect();
            let coded = Fault::TransferEncoding { fields: fields.clone(), length: false };
            let origin = Origin::builder().resource(Resource::new("/a.bin", 13, SMALL).fault(coded)).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Protocol], "{fields:?}");
            assert_eq!(place.leftovers(&[]), [""; 0], "{fields:?}");
        }
    });
}

#[test]
fn the_identity_encoding_is_counted_by_its_length() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let plain = Fault::TransferEncoding { fields: vec!["identity".to_owned()], length: true };
            let resource = Resource::new("/a.bin", 14, size).fault(plain);
            let origin = Origin::builder().resource(resource.clone()).start().unwrap();
            let place = Place::new();
            fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
            place.assert_content("a.bin", 14, size);

            let short = Origin::builder().resource(resource.fault(Fault::CutAt(size / 2))).start().unwrap();
            let place = Place::new();
            let mut options = place.options();
            options.http.retries = 1;
            let run = fetch(options, [spec(&short, "/a.bin")]);
            never_short(&run, &place, 14, size);
        }
    });
}

#[test]
fn a_close_without_a_length_is_taken_in_the_clear_and_said() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let closed = Fault::CloseDelimited { close_notify: true };
            let origin = Origin::builder().resource(Resource::new("/a.bin", 15, size).fault(closed)).start().unwrap();
            let place = Place::new();
            let run = fetch(place.options(), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 15, size);
            assert!(says(&run, "does not tell the length"), "{size}");
        }
    });
}

#[test]
fn a_close_over_tls_is_the_end_if_tls_says_so_or_a_digest_proves_it() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let resource = |close_notify| {
                Resource::new("/a.bin", 16, size).ranges(Ranges::Ignored).fault(Fault::CloseDelimited { close_notify })
            };
            let (run, place) = over_tls(false, resource(true));
            run.assert_done(1);
            place.assert_content("a.bin", 16, size);

            let (run, place) = over_tls(false, resource(false));
            assert_eq!(run.failure_kinds(), [ErrorKind::Broken], "{size}");
            assert!(!place.file("a.bin").exists(), "{size}");

            let proven = resource(false).header("Repr-Digest", &repr_digest(16, size));
            let (run, place) = over_tls(false, proven);
            run.assert_done(1);
            place.assert_content("a.bin", 16, size);
        }
    });
}

#[test]
fn a_close_over_tls_at_the_same_place_twice_proves_nothing() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let cut = Resource::new("/a.bin", 17, size)
                .ranges(Ranges::Ignored)
                .fault(Fault::CloseDelimited { close_notify: false })
                .fault(Fault::CutAt(size / 2));
            let (run, place) = over_tls(false, cut);
            assert_eq!(run.failure_kinds(), [ErrorKind::Broken], "{size}");
            assert!(!place.file("a.bin").exists(), "{size}");
        }
    });
}

/// The first response breaks off in the middle. The response to the following range request claims that range
/// but contains the whole file, or one byte too many.
#[test]
fn a_body_that_is_longer_than_its_range_is_not_the_range() {
    const HALF: u64 = LARGE / 2;
    with_watchdog(LONG, || {
        let content = content(21, LARGE);
        let too_long = [&content[HALF as usize..], b"x"].concat();
        for body in [content, too_long] {
            for framing in ["length", "chunked", "close"] {
                let (field, sent) = match framing {
                    "length" => (format!("Content-Length: {}", body.len()), body.clone()),
                    "close" => ("Connection: close".to_owned(), body.clone()),
                    _ => {
                        let size = format!("{:x}\r\n", body.len()).into_bytes();
                        let chunks = [size, body.clone(), b"\r\n0\r\n\r\n".to_vec()].concat();
                        ("Transfer-Encoding: chunked".to_owned(), chunks)
                    }
                };
                let range = format!("bytes {HALF}-{}/{LARGE}", LARGE - 1);
                let head = format!("HTTP/1.1 206 P\r\nContent-Range: {range}\r\nETag: \"v\"\r\n{field}\r\n\r\n");
                let lie = Fault::Raw([head.into_bytes(), sent].concat()).when(Scope::every().only_ranges().first(1));
                let resource = Resource::new("/a.bin", 21, LARGE)
                    .etag(ETag::Custom("\"v\"".to_owned()))
                    .fault(Fault::CutAt(HALF).when(Scope::every().first(1)))
                    .fault(lie);
                let origin = Origin::builder().resource(resource).start().unwrap();
                let place = Place::new();
                let mut options = place.options();
                options.connections = Some(1);
                fetch(options, [spec(&origin, "/a.bin")]).assert_done(1);
                place.assert_content("a.bin", 21, LARGE);
            }
        }
    });
}
