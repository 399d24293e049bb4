//! A server that does not report the length: a broken download continues if the version is certain and a
//! response to a range gives the rest.

use std::fs;
use std::time::Duration;

use towline_engine::{ErrorKind, Event, Options, Session};
use towline_origin::{ETag, Fault, Length, Origin, Ranges, Resource, Scope};

use crate::common::{LONG, Live, MIB, Place, fetch, spec, with_watchdog};

const SIZE: u64 = 4 * MIB;
const HALF: u64 = SIZE / 2;

fn silent(seed: u64) -> Resource {
    Resource::new("/a.bin", seed, SIZE).length(Length::Chunked)
}

fn options(place: &Place) -> Options {
    let mut options = place.options();
    options.save_interval = Duration::from_millis(50);
    options
}

fn start(resource: Resource) -> Origin {
    Origin::builder().resource(resource).start().unwrap()
}

fn first() -> Scope {
    Scope::every().first(1)
}

/// Fetches from a server that stalls halfway, and stops there: that is kept.
fn begin_half(place: &Place, origin: &Origin) {
    let mut live = Live::start(Session::builder(options(place)));
    live.handle.add(spec(origin, "/a.bin")).unwrap();
    live.handle.close();
    live.wait_for("half of it", |event| matches!(event, Event::Progress(progress) if progress.done_bytes >= HALF));
    live.handle.stop();
    assert!(live.end().summary().fetched_bytes >= HALF);
}

#[test]
fn what_broke_off_is_gone_on_with() {
    with_watchdog(LONG, || {
        let origin = start(silent(61).fault(Fault::CutAt(HALF).when(first())));
        let place = Place::new();
        let run = fetch(options(&place), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 61, SIZE);
        assert_eq!(run.restarts(), 0);
        let sent = origin.stats().body_bytes;
        assert!(sent < SIZE + MIB, "{sent} bytes were sent for {SIZE}");
    });
}

#[test]
fn a_second_run_goes_on_with_what_a_first_one_left() {
    with_watchdog(LONG, || {
        let origin = start(silent(62).fault(Fault::StallAt(HALF, None).when(first())));
        let place = Place::new();
        begin_half(&place, &origin);

        let second = fetch(options(&place), [spec(&origin, "/a.bin")]);
        second.assert_done(1);
        place.assert_content("a.bin", 62, SIZE);
        assert!(second.finished()[0].fetched_bytes <= SIZE - HALF);
        assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
    });
}

#[test]
fn without_a_version_the_bytes_decide_where_the_server_has_ranges() {
    with_watchdog(LONG, || {
        for (seed, ranges, is_kept) in
            [(67, Ranges::Honoured, true), (68, Ranges::Honoured, false), (67, Ranges::Ignored, false)]
        {
            let of = |seed| silent(seed).etag(ETag::None).last_modified(None);
            let origin = start(of(67).fault(Fault::StallAt(HALF, None).when(first())));
            let place = Place::new();
            begin_half(&place, &origin);

            origin.set_resource(of(seed).ranges(ranges));
            let second = fetch(options(&place), [spec(&origin, "/a.bin")]);
            second.assert_done(1);
            place.assert_content("a.bin", seed, SIZE);
            assert_eq!(second.finished()[0].fetched_bytes < SIZE, is_kept);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0]);
        }
    });
}

#[test]
fn a_short_answer_of_no_other_version_does_not_take_the_place_of_what_has_come() {
    with_watchdog(LONG * 2, || {
        let tags = [ETag::None, ETag::Custom("\"v\"".to_owned())];
        for (tag, size) in tags.iter().flat_map(|tag| [0, 4, 100_000].map(|size| (tag, size))) {
            let of = |seed, size| Resource::new("/a.bin", seed, size).length(Length::Chunked).etag(tag.clone());
            let of = |seed, size| of(seed, size).last_modified(None);
            let origin = start(of(70, SIZE).fault(Fault::StallAt(HALF, None).when(first())));
            let place = Place::new();
            begin_half(&place, &origin);
            let before = fs::read(place.file("a.bin.towline")).unwrap();

            // A tag tells the truth: the same version, cut short.
            let seed = if *tag == ETag::None { 71 } else { 70 };
            origin.set_resource(of(seed, size).ranges(Ranges::Ignored));
            let mut few = options(&place);
            few.http.retries = 2;
            let refused = fetch(few, [spec(&origin, "/a.bin")]);
            assert_eq!(refused.failure_kinds(), [ErrorKind::Changed], "{size}");
            assert!(!place.file("a.bin").exists());
            assert!(fs::read(place.file("a.bin.towline")).unwrap() == before, "{size}");

            origin.set_resource(of(70, SIZE));
            let last = fetch(options(&place), [spec(&origin, "/a.bin")]);
            last.assert_done(1);
            place.assert_content("a.bin", 70, SIZE);
            assert!(last.finished()[0].fetched_bytes < SIZE);
        }
    });
}

#[test]
fn without_ranges_what_has_come_stays_as_long_as_its_version_is_known() {
    with_watchdog(LONG, || {
        let cut = |at| silent(69).ranges(Ranges::Refused).fault(Fault::CutAt(at));
        let origin = start(cut(HALF));
        let place = Place::new();
        let mut options = options(&place);
        options.http.retries = 1;
        for at in [HALF, HALF / 2] {
            origin.set_resource(cut(at));
            let run = fetch(options.clone(), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failures().len(), 1);
            assert_eq!(fs::metadata(place.file("a.bin.towline")).unwrap().len(), HALF);
        }
        origin.set_resource(silent(69));
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 69, SIZE);
        assert!(run.finished()[0].fetched_bytes <= SIZE - HALF);
    });
}

#[test]
fn another_version_replaces_what_a_first_run_left() {
    with_watchdog(LONG, || {
        let changes = Fault::ChangeEtagAt { request: 2, etag: "\"v2\"".to_owned(), seed: 64 };
        let origin = start(silent(63).fault(Fault::CutAt(HALF).when(first())).fault(changes));
        let place = Place::new();
        let run = fetch(options(&place), [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        place.assert_content("a.bin", 64, SIZE);
    });
}

#[test]
fn without_ranges_or_a_version_it_begins_again() {
    with_watchdog(LONG, || {
        let cut = || Fault::CutAt(HALF).when(first());
        let without_ranges = silent(65).ranges(Ranges::Refused).fault(cut());
        let without_version = silent(65).etag(ETag::None).last_modified(None).fault(cut());
        let ignored = silent(65).fault(cut()).fault(Fault::IgnoreRange);
        let both = silent(65).etag(ETag::None).last_modified(None).fault(cut()).fault(Fault::IgnoreRange);
        for resource in [without_ranges, without_version, ignored, both] {
            let origin = start(resource);
            let place = Place::new();
            let run = fetch(options(&place), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 65, SIZE);
        }
    });
}

#[test]
fn a_length_that_is_learnt_is_held_against_what_is_allowed() {
    with_watchdog(LONG, || {
        let origin = start(silent(66).fault(Fault::CutAt(HALF).when(first())));
        let place = Place::new();
        let mut options = options(&place);
        options.max_size_bytes = Some(SIZE - 1);
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::TooLarge]);
        let sent = origin.stats().body_bytes;
        assert!(sent < HALF + MIB, "{sent} bytes were sent");
    });
}

/// The end of what has come is the same in both files.
#[test]
fn a_file_without_a_version_does_not_complete_one_with_a_strong_tag() {
    with_watchdog(LONG, || {
        let origin = start(silent(66).fault(Fault::StallAt(HALF, None).when(first())));
        let place = Place::new();
        begin_half(&place, &origin);
        let shorter = Resource::new("/a.bin", 66, SIZE - 1000).etag(ETag::None).last_modified(None);
        origin.set_resource(shorter);
        let run = fetch(options(&place), [spec(&origin, "/a.bin")]);
        assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
        assert!(!place.file("a.bin").exists());
        assert_eq!(place.leftovers(&[]), ["a.bin.towline", "a.bin.towline.json"]);
    });
}

/// An export that nothing could go on with breaks off, and then the server is busy.
#[test]
fn a_short_answer_in_place_of_what_had_come_of_an_export_is_not_the_file() {
    with_watchdog(LONG, || {
        for busy in [
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbusy".to_vec(),
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        ] {
            let export = Resource::new("/a.bin", 67, SIZE)
                .etag(ETag::None)
                .last_modified(None)
                .ranges(Ranges::Ignored)
                .length(Length::Chunked)
                .fault(Fault::CutAt(HALF).when(first()))
                .fault(Fault::Raw(busy).when(Scope::every().starting_at(2)));
            let origin = start(export);
            let place = Place::new();
            let run = fetch(options(&place), [spec(&origin, "/a.bin")]);
            assert_eq!(run.failure_kinds(), [ErrorKind::Changed]);
            assert!(!place.file("a.bin").exists());
        }
    });
}

/// A server without lengths is busy once, and says the version of the file with that.
#[test]
fn a_short_answer_with_the_version_of_the_file_replaces_nothing() {
    with_watchdog(LONG, || {
        let size = 4 * MIB;
        let resource =
            || Resource::new("/a.bin", 814, size).etag(ETag::Custom("W/\"a\"".to_owned())).length(Length::Chunked);
        let origin = Origin::builder().resource(resource()).fault(Fault::RatePerConnection(2_000_000)).start().unwrap();
        let place = Place::new();
        let mut options = place.options();
        options.connections = Some(1);
        options.http.retries = 1;
        let mut live = Live::start(Session::builder(options.clone()));
        live.handle.add(spec(&origin, "/a.bin")).unwrap();
        live.handle.close();
        live.wait_for("half of the file", |event| match event {
            Event::Progress(progress) => progress.done_bytes > size / 2,
            _ => false,
        });
        live.handle.stop();
        let kept_bytes = live.end().summary().fetched_bytes;
        let busy = Resource::new("/a.bin", 815, 15).etag(ETag::Custom("W/\"a\"".to_owned())).ranges(Ranges::Ignored);
        origin.set_resource(busy);
        let run = fetch(options.clone(), [spec(&origin, "/a.bin")]);
        assert_eq!((run.failures().len(), run.restarts()), (1, 0));
        origin.set_resource(resource());
        let run = fetch(options, [spec(&origin, "/a.bin")]);
        run.assert_done(1);
        assert_eq!(run.resumed_bytes(), kept_bytes);
        place.assert_content("a.bin", 814, size);
    });
}

#[test]
fn a_server_that_refuses_ranges_brings_the_whole_file_again() {
    with_watchdog(LONG, || {
        for status in [403, 400, 501] {
            let refused = Fault::Status { code: status, times: None, retry_after: None };
            let stall = Fault::StallAt(HALF, None).when(first());
            let origin = start(silent(70).fault(stall).fault(refused.when(Scope::every().only_ranges())));
            let place = Place::new();
            begin_half(&place, &origin);
            let run = fetch(options(&place), [spec(&origin, "/a.bin")]);
            run.assert_done(1);
            place.assert_content("a.bin", 70, SIZE);
            assert_eq!(place.leftovers(&["a.bin"]), [""; 0], "{status}");
        }
    });
}
