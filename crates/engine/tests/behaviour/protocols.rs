//! Which protocol is used: servers that support only one of those that they offer.

use std::time::Duration;

use towline_engine::{Event, Options};
use towline_origin::{Fault, Origin, Resource, Scope};

use crate::common::{LONG, Place, Run, fetch, spec, with_watchdog};

const SMALL: u64 = 48_000;
const LARGE: u64 = 8 << 20;
const HTTP_1_1_REQUIRED: u32 = 13;
const REFUSED_STREAM: u32 = 7;
const INTERNAL_ERROR: u32 = 2;

fn options(place: &Place, origin: &Origin, retries: u32) -> Options {
    let mut options = place.trusting(origin);
    options.http.retries = retries;
    options.http.stall_timeout = Duration::from_secs(2);
    options.http.response_timeout = Duration::from_secs(2);
    options.piece_size_bytes = 256 << 10;
    options
}

fn protocol(run: &Run) -> &str {
    let answered = run.events.iter().find_map(|event| match event {
        Event::Answered { protocol, .. } => Some(*protocol),
        _ => None,
    });
    answered.flatten().expect("an answer")
}

#[test]
fn a_server_that_requires_http1_is_asked_over_http1_and_no_try_is_lost() {
    with_watchdog(LONG, || {
        for size in [SMALL, LARGE] {
            let resource = Resource::new("/a.bin", 41, size).fault(Fault::RefuseStream(HTTP_1_1_REQUIRED));
            let origin = Origin::builder().tls(true).http2(true).resource(resource).start().unwrap();
            let place = Place::new();
            let run = fetch(options(&place, &origin, 0), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(protocol(&run), "HTTP/1.1");
            assert_eq!(origin.stats().http2_requests, 1, "{size}");
            place.assert_content("a.bin", 41, size);
        }
    });
}

#[test]
fn a_server_whose_streams_all_break_is_asked_over_http1() {
    with_watchdog(LONG, || {
        for code in [REFUSED_STREAM, INTERNAL_ERROR] {
            let resource = Resource::new("/a.bin", 42, SMALL).fault(Fault::RefuseStream(code));
            let origin = Origin::builder().tls(true).http2(true).resource(resource).start().unwrap();
            let place = Place::new();
            let run = fetch(options(&place, &origin, 3), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            assert_eq!(origin.stats().http2_requests, 2, "code {code}");
            place.assert_content("a.bin", 42, SMALL);
        }
    });
}

#[test]
fn a_stream_that_is_refused_is_asked_again_after_a_wait_and_without_retries_never() {
    with_watchdog(LONG, || {
        let refused = Resource::new("/a.bin", 43, SMALL).fault(Fault::RefuseStream(REFUSED_STREAM));
        let origin = Origin::builder().tls(true).http2(true).resource(refused).start().unwrap();
        let place = Place::new();
        let run = fetch(options(&place, &origin, 0), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failures().len(), 1);
        assert_eq!(origin.stats().requests, 1);
    });
}

#[test]
fn a_server_that_speaks_only_http2_serves_pieces_over_it() {
    with_watchdog(LONG, || {
        let resource = Resource::new("/a.bin", 44, LARGE);
        let origin = Origin::builder().tls(true).http2_only(true).resource(resource).start().unwrap();
        let place = Place::new();
        let mut options = options(&place, &origin, 0);
        options.connections = Some(4);
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 44, LARGE);
        assert!(run.events.iter().any(|event| matches!(event, Event::Ranges { segmented: true, .. })));
        assert_eq!(protocol(&run), "HTTP/2");
    });
}

#[test]
fn a_server_that_speaks_only_http2_is_gone_on_with_after_a_break() {
    with_watchdog(LONG, || {
        let cut = Fault::EndStream { at: LARGE / 2, how: towline_origin::StreamEnd::Reset(INTERNAL_ERROR) };
        let resource = Resource::new("/a.bin", 45, LARGE).fault(cut.when(Scope::every().first(1)));
        let origin = Origin::builder().tls(true).http2_only(true).resource(resource).start().unwrap();
        let place = Place::new();
        let mut options = options(&place, &origin, 1);
        options.connections = Some(1);
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 45, LARGE);
        assert_eq!(run.restarts(), 0);
        assert!(origin.stats().body_bytes < LARGE + LARGE / 2, "what had come is kept");
    });
}
