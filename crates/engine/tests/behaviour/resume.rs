//! A second run resumes where the first one stopped.

use std::time::Duration;

use towline_engine::{ErrorKind, JobSpec, Options, Session};
use towline_origin::{ETag, Fault, Origin, Page, PageBy, RequestLog, Resource, Scope};
use towline_testkit::Journal;
use towline_threads::supervisor::Interrupt;

use crate::common::{LONG, Live, MIB, Place, Run, fetch, spec, with_watchdog};

const SIZE: u64 = 8 * MIB;
const CONNECTIONS: u64 = 4;
const RATE_PER_CONNECTION: u64 = 2_000_000;
const STEP: Duration = Duration::from_millis(100);

fn slow_origin(resource: Resource) -> Origin {
    Origin::builder().resource(resource).fault(Fault::RatePerConnection(RATE_PER_CONNECTION)).start().unwrap()
}

fn options(place: &Place) -> Options {
    let mut options = place.options();
    options.connections = Some(CONNECTIONS as usize);
    options.save_interval = STEP;
    options
}

/// Stops a session once more than 40 % of its one file has arrived.
fn begin_and_stop(options: Options, spec: JobSpec) -> Run {
    let mut live = Live::start(Session::builder(options));
    live.handle.add(spec).unwrap();
    live.handle.close();
    live.wait_for_share(40);
    live.handle.stop();
    let run = live.end();
    assert_eq!(run.ended.interrupt, Some(Interrupt::Requested));
    let summary = run.summary();
    assert!(summary.interrupted && summary.done_files == 0, "{summary:?}");
    assert_eq!(summary.unfinished_bytes, SIZE);
    assert!(summary.kept_bytes > SIZE * 2 / 5 && summary.kept_bytes < SIZE, "{} bytes are kept", summary.kept_bytes);
    run
}

/// The range of a request: its first byte and one past its last.
fn range_of(request: &RequestLog) -> Option<(u64, u64)> {
    let (first, last) = request.range.as_deref()?.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
}

#[test]
fn a_stopped_file_goes_on_and_little_of_it_comes_twice() {
    with_watchdog(LONG, || {
        let origin = slow_origin(Resource::new("/a.iso", 51, SIZE));
        let place = Place::new();
        let first = begin_and_stop(options(&place), spec(&origin, "/a.iso"));
        assert_eq!(place.leftovers(&[]), ["a.iso.towline", "a.iso.towline.json"]);
        let asked = origin.requests().len();

        let second = fetch(options(&place), [spec(&origin, "/a.iso")]);
        second.assert_done(1);
        place.assert_content("a.iso", 51, SIZE);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
        assert_eq!(second.restarts(), 0);
        assert_eq!(second.resumed_bytes(), first.summary().kept_bytes);
        assert_eq!(second.finished()[0].fetched_bytes, SIZE - second.resumed_bytes());
        let requests = origin.requests();
        let is_right = |request: &RequestLog| match request.is_conditional() {
            true => request.status == 304,
            false => request.range.is_some() && request.status == 206,
        };
        assert!(requests[asked..].iter().all(is_right), "{requests:?}");

        let step = CONNECTIONS * RATE_PER_CONNECTION * STEP.as_millis() as u64 / 1000;
        // For both runs.
        let buffers = 2 * CONNECTIONS * (256 << 10);
        let slack = 256 << 10;
        let sent = origin.stats().body_bytes;
        assert!(sent <= SIZE + step + buffers + slack, "{sent} bytes were sent for {SIZE}");
    });
}

#[test]
fn a_stopped_file_that_the_server_named_is_found_again() {
    with_watchdog(LONG, || {
        let named = Resource::new("/get", 52, SIZE).content_disposition("attachment; filename=\"named.iso\"");
        let origin = slow_origin(named);
        let place = Place::new();
        let first = begin_and_stop(options(&place), spec(&origin, "/get"));
        assert_eq!(place.leftovers(&[]), ["named.iso.towline", "named.iso.towline.json"]);
        let second = fetch(options(&place), [spec(&origin, "/get")]);
        second.assert_done(1);
        place.assert_content("named.iso", 52, SIZE);
        assert_eq!(second.resumed_bytes(), first.summary().kept_bytes);
        assert_eq!(second.restarts(), 0);
        assert_eq!(place.leftovers(&["named.iso"]), [""; 0]);
    });
}

/// The response that would name the file is a page now, which a fresh download of such a URL may be.
#[test]
fn a_page_does_not_take_the_place_of_a_stopped_file_that_the_server_named() {
    with_watchdog(LONG, || {
        for by in [PageBy::Length, PageBy::Redirect { status: 302, to: "/login".to_owned() }] {
            let named = Resource::new("/get", 52, SIZE).content_disposition("attachment; filename=\"named.iso\"");
            let origin = slow_origin(named);
            let place = Place::new();
            let first = begin_and_stop(options(&place), spec(&origin, "/get"));
            let page = Page::html("<html><title>please log in</title></html>").by(by.clone());
            origin.set_faults([Fault::Page(page).when(Scope::every())]);
            let second = fetch(options(&place), [spec(&origin, "/get")]);
            assert_eq!(second.failure_kinds(), [ErrorKind::Page], "{by:?}");
            assert_eq!(place.leftovers(&[]), ["named.iso.towline", "named.iso.towline.json"], "{by:?}");
            origin.set_faults([]);
            let third = fetch(options(&place), [spec(&origin, "/get")]);
            third.assert_done(1);
            place.assert_content("named.iso", 52, SIZE);
            assert_eq!(third.resumed_bytes(), first.summary().kept_bytes, "{by:?}");
        }
    });
}

fn without_validator(seed: u64) -> Resource {
    Resource::new("/a.iso", seed, SIZE).etag(ETag::None).last_modified(None)
}

/// The ranges in the journal.
fn journalled(place: &Place) -> Vec<(u64, u64)> {
    Journal::read(&place.file("a.iso.towline.json")).unwrap().done
}

#[test]
fn a_stopped_file_without_a_validator_is_gone_on_with_by_overlap() {
    with_watchdog(LONG, || {
        let origin = slow_origin(without_validator(53));
        let place = Place::new();
        let first = begin_and_stop(options(&place), spec(&origin, "/a.iso"));
        let there = journalled(&place);
        let asked = origin.requests().len();
        let second = fetch(options(&place), [spec(&origin, "/a.iso")]);
        second.assert_done(1);
        place.assert_content("a.iso", 53, SIZE);
        assert_eq!(second.restarts(), 0);
        assert_eq!(second.resumed_bytes(), first.summary().kept_bytes);
        let requests = origin.requests();
        let overlaps = |request: &RequestLog| {
            range_of(request)
                .is_some_and(|(start, end)| there.iter().any(|(from, to)| *from <= start && start < *to && *to < end))
        };
        assert!(overlaps(&requests[asked]), "{:?} does not overlap {there:?}", requests[asked].range);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn a_stopped_file_without_a_validator_that_has_changed_begins_again() {
    with_watchdog(LONG, || {
        let origin = slow_origin(without_validator(54));
        let place = Place::new();
        begin_and_stop(options(&place), spec(&origin, "/a.iso"));
        origin.set_faults([]);
        origin.set_resource(without_validator(55));
        let second = fetch(options(&place), [spec(&origin, "/a.iso")]);
        second.assert_done(1);
        place.assert_content("a.iso", 55, SIZE);
        assert_eq!(second.restarts(), 1);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}

#[test]
fn a_stopped_file_whose_tag_has_changed_begins_again() {
    with_watchdog(LONG, || {
        let origin = slow_origin(Resource::new("/a.iso", 56, SIZE));
        let place = Place::new();
        begin_and_stop(options(&place), spec(&origin, "/a.iso"));
        origin.set_faults([]);
        origin.set_resource(Resource::new("/a.iso", 57, SIZE));
        let second = fetch(options(&place), [spec(&origin, "/a.iso")]);
        second.assert_done(1);
        place.assert_content("a.iso", 57, SIZE);
        assert_eq!(second.restarts(), 1);
        assert_eq!(place.leftovers(&["a.iso"]), [""; 0]);
    });
}
