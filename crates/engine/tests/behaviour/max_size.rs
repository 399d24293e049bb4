//! Files larger than the limit.

use towline_engine::{Advice, Blame, ErrorKind, Event, Options, Session};
use towline_origin::{Fault, Length, Origin, Resource};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

fn with_max(place: &Place, max_size_bytes: u64) -> Options {
    let mut options = place.options();
    options.connections = Some(2);
    options.max_size_bytes = Some(max_size_bytes);
    options
}

#[test]
fn a_file_that_says_that_it_is_too_large_is_refused_and_leaves_nothing() {
    with_watchdog(LONG, || {
        for size in [4 << 10, 6 * MIB] {
            let origin = Origin::builder()
                .resource(Resource::new("/large.bin", 821, size))
                .resource(Resource::new("/a.bin", 822, 1000))
                .fault(Fault::RatePerConnection(2_000_000))
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(with_max(&place, size - 1), [spec(&origin, "/large.bin"), spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::TooLarge]);
            let failure = run.failures()[0];
            assert_eq!(failure.blame, Blame::User);
            assert!(failure.message.contains(&format!("{size} bytes")), "{}", failure.message);
            assert_eq!(failure.advice, Some(Advice::AllowLargerFile));
            assert_eq!(origin.stats().path("/large.bin").requests, 1);
            assert!(origin.stats().body_bytes < 2 * MIB, "{} bytes were sent", origin.stats().body_bytes);
            place.assert_content("a.bin", 822, 1000);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

#[test]
fn a_file_that_says_no_length_is_broken_off_when_it_grows_too_large() {
    with_watchdog(LONG, || {
        for (size, max) in [(1000, 999), (6 * MIB, MIB)] {
            let origin = Origin::builder()
                .resource(Resource::new("/a.bin", 823, size).length(Length::Chunked))
                .fault(Fault::RatePerConnection(4_000_000))
                .start()
                .unwrap();
            let place = Place::new();
            let run = fetch(with_max(&place, max), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::TooLarge], "{size}");
            assert_eq!(origin.stats().requests, 1);
            let sent = origin.stats().body_bytes;
            assert!(size <= max + 1 || sent < size, "all of its {sent} bytes were sent");
            let second = fetch(with_max(&place, size), [spec(&origin, "/a.bin")]);
            second.assert_done(1);
            place.assert_content("a.bin", 823, size);
            assert!(second.finished()[0].fetched_bytes < size, "what came is gone on with");
        }
    });
}

#[test]
fn a_file_that_is_just_as_large_as_is_allowed_arrives() {
    with_watchdog(LONG, || {
        for size in [0, 1000, 3 * MIB] {
            for length in [Length::Known, Length::Chunked] {
                let origin =
                    Origin::builder().resource(Resource::new("/a.bin", 824, size).length(length)).start().unwrap();
                let place = Place::new();
                fetch(with_max(&place, size), [spec(&origin, "/a.bin")]).assert_done(1);
                place.assert_content("a.bin", 824, size);
                assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
            }
        }
    });
}

#[test]
fn a_file_that_is_there_already_is_not_refused() {
    with_watchdog(LONG, || {
        let origin = Origin::builder().resource(Resource::new("/a.bin", 825, 2 * MIB)).start().unwrap();
        let place = Place::new();
        fetch(place.options(), [spec(&origin, "/a.bin")]).assert_done(1);
        let run = fetch(with_max(&place, MIB), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert!(run.finished()[0].how.was_there(), "{:?}", run.finished());
    });
}

#[test]
fn what_an_earlier_run_left_of_a_file_that_is_too_large_stays() {
    with_watchdog(LONG, || {
        let (size, half) = (2 * MIB, MIB);
        let resource = Resource::new("/a.bin", 826, size);
        let silent = resource.clone().fault(Fault::StallAt(half, None));
        let origin = Origin::builder().resource(silent).start().unwrap();
        let place = Place::new();
        let one_connection = |max| {
            let mut options = with_max(&place, max);
            options.connections = Some(1);
            options
        };
        let mut live = Live::start(Session::builder(one_connection(size)));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for("half of the file", |event| match event {
            Event::Progress(progress) => progress.done_bytes == half,
            _ => false,
        });
        live.handle.stop();
        assert_eq!(live.end().summary().kept_bytes, half);

        origin.set_resource(resource);
        let asked = origin.stats().requests;
        let run = fetch(one_connection(size - 1), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::TooLarge]);
        assert_eq!(origin.stats().requests, asked);
        assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"]);
        let run = fetch(one_connection(size), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), half);
        place.assert_content("a.bin", 826, size);
    });
}
